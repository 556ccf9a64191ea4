import OrderedCollections

/// Reads the file as a whole: which servers there are, the `aggregator` part, and what servers must agree on.
struct FileValidation {
    let source: ConfigSource
    let context: ConfigContext
    let findings: Findings

    /// - Returns: `nil` only if a problem was noted.
    func validate(_ root: Node) -> AggregatorConfig? {
        guard root.members != nil, var fields = Fields(root, "the file", findings) else {
            findings.add(
                .notAnObject, at: root.location, "the file must hold an object, this is \(root.kindName)",
                hint: ConfigReader.smallestFile(source.format))
            return nil
        }
        let aggregator = fields.node("aggregator")
        let servers = serverMembers(&fields, root)
        fields.ignore(HostDialects.ignoredTopLevelKeys, because: "it is for other hosts")
        fields.accept { $0.hasPrefix("x-") }  // a place for YAML anchors
        fields.finish(foreign: HostDialects.foreignTopLevelKeys)

        var (settings, defaults) = self.settings(aggregator)
        // Each server gets its copy, so this multiplies as YAML's aliases do.
        let repeated = defaults.reduce(0) { $0 + $1.value.size }.multipliedReportingOverflow(by: servers.count)
        if repeated.overflow || repeated.partialValue > NodeBudget.nodeLimit, let place = defaults.first?.keyLocation {
            findings.add(NodeBudget.tooManyValues(at: place))
            defaults = []
        }
        var result = AggregatorConfig(settings: settings)
        var names = PrefixList(settings: settings, findings: findings)
        for member in servers {
            let validation = ServerValidation(
                member: member, defaults: defaults, source: source, context: context, settings: settings, findings: findings)
            guard let server = validation.validate() else { continue }
            result.servers[server.config.key] = server.config
            if !server.config.isDisabled { names.add(server) }
        }
        return result
    }

    private func serverMembers(_ fields: inout Fields, _ root: Node) -> [Node.Member] {
        // VS Code's word. The member itself is asked for, because `mcpServers:` without anything behind it is an empty list of servers.
        _ = (fields.member("mcpServers"), fields.member("servers"))
        let members = root.members ?? []
        let own = members.first { $0.key == "mcpServers" }
        let other = members.first { $0.key == "servers" }
        if let own, let other {
            let (first, second) = own.keyLocation < other.keyLocation ? (own, other) : (other, own)
            findings.add(
                .conflictingKeys, at: second.keyLocation, "'\(first.key)' and '\(second.key)' are both there",
                hint: "put all servers under 'mcpServers'")
        }
        guard let found = own ?? other else {
            findings.add(.missingServers, at: root.location, "the file has no 'mcpServers'", hint: ConfigReader.smallestFile(source.format))
            return []
        }
        if found.value.isNull { return [] }
        guard let servers = found.value.members else {
            findings.add(
                .wrongType, at: found.value.location, "'\(found.key)' must be an object of servers, this is \(found.value.kindName)",
                hint: ConfigReader.smallestFile(source.format))
            return []
        }
        return servers
    }

    // MARK: aggregator

    private func settings(_ node: Node?) -> (settings: AggregatorSettings, defaults: [Node.Member]) {
        var settings = AggregatorSettings()
        guard let node, var fields = Fields(node, "'aggregator'", findings) else { return (settings, []) }
        if let (text, node) = fields.string("separator") {
            if Self.isSeparator(text) {
                settings.separator = text
            } else {
                findings.add(
                    .invalidSeparator, at: node.location,
                    "the separator must be 1 to \(AggregatorSettings.separatorLimit) of the characters A-Z a-z 0-9 _ -, this is '\(text)'",
                    hint: "hosts accept no other characters in names; the usual one is \"__\"")
            }
        }
        settings.nameBudget = fields.integer("nameBudget", in: AggregatorSettings.nameBudgetRange) ?? settings.nameBudget
        settings.listWait =
            fields.duration("listWait", atLeast: .zero, atMost: AggregatorSettings.listWaitLimit) ?? settings.listWait
        settings.logLevel = fields.choice("logLevel", AggregatorSettings.LogLevel.self) ?? settings.logLevel
        settings.instructionsLimit =
            fields.integer("instructionsLimit", in: AggregatorSettings.instructionsLimitRange) ?? settings.instructionsLimit
        let inputWait = AggregatorSettings.inputWaitRange
        settings.inputWait =
            fields.duration("inputWait", atLeast: inputWait.lowerBound, atMost: inputWait.upperBound) ?? settings.inputWait
        let defaults = self.defaults(fields.node("defaults"), settings)
        fields.finish()
        return (settings, defaults)
    }

    /// Checks the defaults once by themselves, so that a file without servers is checked too.
    private func defaults(_ node: Node?, _ settings: AggregatorSettings) -> [Node.Member] {
        guard let node else { return [] }
        guard let members = node.members else {
            findings.add(.wrongType, at: node.location, "'defaults' in 'aggregator' must be an object, this is \(node.kindName)")
            return []
        }
        var usable: [Node.Member] = []
        for member in members {
            if ServerValidation.keysOfOneServer.contains(member.key) {
                findings.add(
                    .misplacedKey, at: member.keyLocation, "'\(member.key)' cannot be a default: it makes one server differ from another",
                    hint: "move it to the server")
            } else {
                usable.append(member)
            }
        }
        var reduced = node
        reduced.content = .object(usable)
        let entry = Node.Member(key: "", keyLocation: node.location, value: reduced)
        let problemsBefore = findings.problems.count
        _ = ServerValidation(
            member: entry, isDefaults: true, defaults: [], source: source, context: context, settings: settings, findings: findings
        ).validate()
        // Wrong defaults would be reported once more for each server.
        return findings.problems.count == problemsBefore ? usable : []
    }

    private static func isSeparator(_ text: String) -> Bool {
        (1...AggregatorSettings.separatorLimit).contains(text.utf8.count) && text.utf8.allSatisfy(\.isNameCharacter)
    }
}

extension UInt8 {
    /// What hosts accept in the name of a tool.
    var isNameCharacter: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
    var isASCIILetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }
}
