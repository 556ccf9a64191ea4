/// The prefixes of the servers so far: no two may be equal, or two tools could not be told apart.
struct PrefixList {
    let settings: AggregatorSettings
    let findings: Findings
    /// By lower-cased prefix: some hosts compare names without regard to case.
    private var owners: [String: String] = [:]

    init(settings: AggregatorSettings, findings: Findings) {
        self.settings = settings
        self.findings = findings
    }

    mutating func add(_ server: ServerValidation.Result) {
        let (key, prefix) = (server.config.key, server.config.prefix)
        // Without a prefix the names themselves may collide; the catalog settles that.
        guard !prefix.isEmpty else { return }
        guard let owner = owners[prefix.lowercased()] else {
            owners[prefix.lowercased()] = key
            return
        }
        findings.add(
            .duplicatePrefix, at: server.prefixLocation, "servers '\(owner)' and '\(key)' both use the prefix '\(prefix)'",
            hint: "give '\(key)' another prefix, for example '\(suggestion(for: key))'")
    }

    private func suggestion(for key: String) -> String {
        let base = Prefix.derived(from: key)
        if owners[base.lowercased()] == nil { return base }
        var number = 2
        // Bounded: in a file of nothing but duplicates this would take quadratic time.
        while number < 100, owners["\(base)\(number)".lowercased()] != nil { number += 1 }
        return "\(base)\(number)"
    }
}

/// What may stand in front of tool names.
enum Prefix {
    /// - Returns: what is wrong with it, as the end of a sentence; `nil` if it is fine.
    static func flaw(of prefix: String, _ settings: AggregatorSettings) -> String? {
        guard let first = prefix.utf8.first else { return nil }
        if !prefix.utf8.allSatisfy(\.isNameCharacter) { return "may hold only A-Z a-z 0-9 _ -" }
        if !first.isASCIILetter { return "must begin with a letter" }
        if prefix.utf8.count > settings.prefixLimit { return "may have at most \(settings.prefixLimit) characters" }
        return nil
    }

    /// The prefix of a server that has none of its own: its key, with `_` for whatever hosts do not accept in names. Keys such as
    /// `awslabs.docs` and `21st-dev` are common in hosts' files.
    static func derived(from key: String) -> String {
        let replaced = String(key.map { $0.utf8.allSatisfy(\.isNameCharacter) ? $0 : "_" })
        return replaced.utf8.first?.isASCIILetter == true ? replaced : "s_" + replaced
    }
}
