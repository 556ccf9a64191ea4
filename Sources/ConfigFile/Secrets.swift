/// Which values are worth hiding from logs (DESIGN, D12).
///
/// Whatever is hidden is replaced wherever it occurs in a log. So a value that hides nothing must stay out, or the log becomes
/// unreadable: `debug` would vanish from every line, and the home directory from every path.
enum Secrets {
    /// Characters of the shortest value that is hidden.
    static let minimumLength = 4

    /// Variables that are no secret on any machine.
    static let publicVariables: Set<String> = [
        "HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
        "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
    ]

    private static let words: Set<String> = [
        "critical", "debug", "development", "disabled", "enabled", "error", "false", "info", "localhost", "none", "notice", "null",
        "production", "staging", "test", "trace", "true", "warn", "warning",
    ]

    /// What is to be hidden of a header's value: all of it, and what stands behind a scheme such as `Bearer`, which may turn up alone.
    static func parts(of header: String) -> [String] {
        let behind = header.firstIndex(of: " ").map { String(header[header.index(after: $0)...]) }
        return ([header] + (behind.map { [$0] } ?? [])).filter(isWorthHiding)
    }

    static func isWorthHiding(_ value: String) -> Bool {
        guard value.count >= minimumLength, !words.contains(value.lowercased()) else { return false }
        // Ports, years and sizes; longer numbers may be passwords.
        return value.count > 5 || !value.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
