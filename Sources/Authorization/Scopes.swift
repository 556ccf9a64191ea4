/// Which rights are asked for (MCP 2025-11-25, basic/authorization, "Scope Selection Strategy").
enum Scopes {
    /// The scopes in a text with spaces between; what cannot be one (RFC 6749, 3.3) is left out.
    static func parse(_ text: String) -> [String] { valid(text.split(separator: " ").map(String.init)) }

    /// Each once, in the order given.
    static func valid(_ scopes: [String]) -> [String] {
        var found: [String] = []
        for scope in scopes where isScope(scope) && !found.contains(scope) && found.count < AuthorizationLimits.scopes {
            found.append(scope)
        }
        return found
    }

    private static func isScope(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 256
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    static func union(_ first: [String], _ second: [String]) -> [String] { valid(first + second) }

    /// Everything that has a say in what to ask for.
    struct Sources {
        /// By the person, now. They are taken literally.
        var named: [String] = []
        /// By the person, in the config file.
        var configured: [String] = []
        /// By the server, in its challenge.
        var challenged: [String]?
        /// By the server, in its metadata.
        var supportedByServer: [String]?
        /// What the login before this asked for, and what was missing since.
        var remembered: [String] = []
        /// By the authorization server, in its metadata.
        var supportedByIssuer: [String]?
    }

    /// - Returns: empty to leave it to the authorization server.
    static func selected(_ sources: Sources) -> [String] {
        if !sources.named.isEmpty { return valid(sources.named) }
        let base = sources.configured.isEmpty ? sources.challenged ?? sources.supportedByServer ?? [] : sources.configured
        var scopes = union(base, sources.remembered)
        // For a refresh token. An authorization server that does not list it may refuse all for it; alone it would take the place of
        // the scopes that are given by default.
        let isOffered = sources.supportedByIssuer?.contains(offline) == true
        if !isOffered, !sources.configured.contains(offline) { scopes.removeAll { $0 == offline } }
        if isOffered, !scopes.isEmpty { scopes = union(scopes, [offline]) }
        return scopes
    }

    /// OpenID Connect Core, 11.
    static let offline = "offline_access"
}
