extension ServerValidation {
    /// - Returns: where to point at if another server has the same prefix.
    func readPrefix(_ fields: inout Fields, _ config: inout ServerConfig) -> SourceLocation {
        if let (text, node) = fields.string("prefix") {
            guard node.isComplete else {
                config.prefix = Prefix.derived(from: key)
                return node.location
            }
            config.prefix = text
            if let flaw = Prefix.flaw(of: text, settings) {
                findings.add(
                    .invalidPrefix, at: node.location, "the prefix '\(node.written)' of \(fields.owner) \(flaw)",
                    hint: text.utf8.count > settings.prefixLimit ? prefixRoomHint : "for example '\(Prefix.derived(from: node.written))'")
            }
            return node.location
        }
        guard !isDefaults else { return member.keyLocation }
        config.prefix = Prefix.derived(from: key)
        if let flaw = Prefix.flaw(of: config.prefix, settings) {
            findings.add(
                .invalidPrefix, at: member.keyLocation, "the name of \(fields.owner) is its prefix, which \(flaw)",
                hint: "give it a shorter 'prefix', or raise aggregator.nameBudget")
        } else if config.prefix != key {
            findings.add(.derivedPrefix, at: member.keyLocation, "the tools of \(fields.owner) have the prefix '\(config.prefix)'")
        }
        return member.keyLocation
    }

    private var prefixRoomHint: String {
        "of \(settings.nameBudget) characters the separator takes \(settings.separator.count), the tool's name at least "
            + "\(AggregatorSettings.roomForNames)"
    }

    func toolRules(_ fields: inout Fields, prefix: String) -> ToolRules {
        var rules = ToolRules()
        var places: [String: SourceLocation] = [:]
        if let member = fields.member("tools") {
            if case .list = member.value.content {
                // Copilot's shape: the list itself.
                rules.include = patterns(&fields, "tools") ?? rules.include
                places["include"] = member.keyLocation
            } else if var inner = Fields(member.value, "'tools' in \(fields.owner)", findings) {
                places["include"] = inner.member("include")?.keyLocation
                places["exclude"] = inner.member("exclude")?.keyLocation
                rules.include = patterns(&inner, "include") ?? rules.include
                rules.exclude = patterns(&inner, "exclude") ?? []
                rules.rename = renames(&inner, prefix: prefix)
                inner.finish()
            }
        }
        // Gemini's, Codex's and Windsurf's words for the same.
        for key in ["includeTools", "enabled_tools", "enabledTools"] {
            guard let names = dialectPatterns(&fields, key, "include", &places) else { continue }
            rules.include = names
        }
        for key in ["excludeTools", "disabled_tools", "disabledTools"] {
            guard let names = dialectPatterns(&fields, key, "exclude", &places) else { continue }
            rules.exclude = names
        }
        return rules
    }

    private func dialectPatterns(
        _ fields: inout Fields, _ key: String, _ rule: String, _ places: inout [String: SourceLocation]
    ) -> [String]? {
        guard let member = fields.member(key) else { return nil }
        if let other = places[rule] {
            findings.add(
                .conflictingKeys, at: max(member.keyLocation, other),
                "'\(key)' in \(fields.owner) says the same as tools.\(rule), which is there too",
                hint: "keep tools.\(rule)")
            return patterns(&fields, key)
        }
        places[rule] = member.keyLocation
        return patterns(&fields, key)
    }

    private func patterns(_ fields: inout Fields, _ key: String) -> [String]? {
        fields.strings(key)?.compactMap { text, node in
            guard node.isComplete else { return nil }
            guard let flaw = Self.flaw(ofPattern: text) else { return text }
            findings.add(
                .invalidPattern, at: node.location, "the pattern '\(node.written)' in \(fields.owner) \(flaw.message)", hint: flaw.hint)
            return nil
        }
    }

    /// Signs that other programs' patterns give a meaning are refused, so that nobody relies on a meaning that is not there.
    private static func flaw(ofPattern text: String) -> (message: String, hint: String?)? {
        if text.isEmpty { return ("is empty", "write \"*\" for all tools") }
        if text.hasPrefix("!") { return ("begins with '!'", "put what shall not be there into 'exclude'") }
        if let odd = text.first(where: { $0.isWhitespace || "[]{}(),|^$\\".contains($0) || ($0.asciiValue ?? 0x20) < 0x20 }) {
            return ("holds '\(odd.isWhitespace ? " " : odd)'", "only * and ? are special; write several patterns for several names")
        }
        return nil
    }

    private func renames(_ fields: inout Fields, prefix: String) -> [String: String] {
        guard let node = fields.node("rename") else { return [:] }
        guard let members = node.members else {
            fields.wrongType("rename", node, "an object", hint: "write rename: { old_name: new_name }")
            return [:]
        }
        let room = settings.nameBudget - (prefix.isEmpty ? 0 : prefix.utf8.count + settings.separator.utf8.count)
        var renames: [String: String] = [:]
        var places: [String: SourceLocation] = [:]
        for member in members {
            func report(_ location: SourceLocation, _ message: String, hint: String? = nil) {
                findings.add(.invalidRename, at: location, message, hint: hint)
            }
            if member.key.isEmpty || member.key.contains("*") || member.key.contains("?") {
                report(
                    member.keyLocation, "'\(member.key)' in \(fields.owner) is no name of a tool",
                    hint: "patterns cannot be renamed; name each tool")
                continue
            }
            guard case .string(let target) = member.value.content else {
                fields.wrongType(member.key, member.value, "a string")
                continue
            }
            guard member.value.isComplete else { continue }
            let place = member.value.location
            if target.isEmpty || !target.utf8.allSatisfy(\.isNameCharacter) {
                report(place, "the new name '\(member.value.written)' in \(fields.owner) may hold only A-Z a-z 0-9 _ -")
            } else if prefix.isEmpty, target.utf8.first?.isASCIILetter != true {
                report(
                    place, "the new name '\(member.value.written)' in \(fields.owner) must begin with a letter, because there is no prefix")
            } else if target.utf8.count > room {
                report(
                    place, "the new name '\(member.value.written)' in \(fields.owner) is too long: \(room) characters are left for it",
                    hint: "shorten it, or raise aggregator.nameBudget")
            } else if let first = places[target.lowercased()] {
                report(place, "the new name '\(member.value.written)' in \(fields.owner) is there already, at \(first.shortDescription)")
            } else {
                places[target.lowercased()] = place
                renames[member.key] = target
            }
        }
        return renames
    }
}
