/// An `http` or `https` URL, taken apart (RFC 3986).
///
/// Strict: what a browser and we could read differently is no address. Addresses come from servers, decide where secrets go, and are
/// handed to a browser through a command.
struct WebAddress: Hashable, Sendable {
    /// In lower case.
    let scheme: String
    /// In lower case; an IPv6 address in its brackets.
    let host: String
    /// `nil` for the scheme's own.
    let port: Int?
    /// As it was written; "" or with a slash at its beginning.
    let path: String
    let query: String?

    init?(_ text: String) {
        guard text.utf8.count <= AuthorizationLimits.urlLength, text.unicodeScalars.allSatisfy(Self.isAllowed) else { return nil }
        guard let colon = text.firstRange(of: "://") else { return nil }
        scheme = text[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = text[colon.upperBound...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let (host, port) = Self.parse(authority) else { return nil }
        self.host = host
        self.port = port == (scheme == "https" ? 443 : 80) ? nil : port
        let tail = rest[authority.endIndex...]
        path = String(tail.prefix { $0 != "?" })
        query = tail.firstIndex(of: "?").map { String(tail[tail.index(after: $0)...]) }
    }

    private static func parse(_ authority: Substring) -> (host: String, port: Int?)? {
        var host = authority
        var port: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { return nil }
            host = authority[...close]
            let tail = authority[authority.index(after: close)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { return nil }
            port = tail.isEmpty ? nil : tail.dropFirst()
            guard host.dropFirst().dropLast().allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }), host.contains(":") else {
                return nil
            }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                port = authority[authority.index(after: colon)...]
            }
            // No user: whoever reads `https://good.example@evil.example` sees the wrong one. And no escapes.
            guard !host.isEmpty, host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else { return nil }
        }
        guard let port, !port.isEmpty else { return (host.lowercased(), nil) }
        guard port.allSatisfy(\.isNumber), let number = Int(port), (1...65_535).contains(number) else { return nil }
        return (host.lowercased(), number)
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value > 0x20 && scalar.value < 0x7F && !"\"<>\\^`{|}".unicodeScalars.contains(scalar)
    }

    // MARK: Parts

    /// Scheme, host and port: what must not change when a server sends us elsewhere (RFC 6454).
    var origin: String { "\(scheme)://\(host)" + (port.map { ":\($0)" } ?? "") }

    /// With the path and query as they were written.
    var text: String { origin + path + (query.map { "?\($0)" } ?? "") }

    /// The form in which a resource is named (MCP 2025-11-25, basic/authorization, "Canonical Server URI"): no fragment, and no slash at
    /// the end of the path.
    var canonical: String { origin + trimmedPath + (query.map { "?\($0)" } ?? "") }

    private var trimmedPath: String { path.hasSuffix("/") ? String(path.dropLast()) : path }

    var isLoopback: Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Nobody on the way can read what goes there (OAuth 2.1, 1.5).
    var isSecure: Bool { scheme == "https" || isLoopback }

    /// Whether this names the same resource as `other`, or one that `other` is a part of.
    func isSelfOrParent(of other: WebAddress) -> Bool {
        if canonical == other.canonical { return true }
        guard origin == other.origin, query == nil else { return false }
        return trimmedPath == other.trimmedPath || other.path.hasPrefix(trimmedPath + "/")
    }

    // MARK: Where it leads

    /// What a `Location` header of an answer from here means (RFC 3986, 5.2, without the dots that servers do not write).
    func resolve(_ reference: String) -> WebAddress? {
        if reference.prefix(while: { !"/?#".contains($0) }).contains(":") { return WebAddress(reference) }
        if reference.hasPrefix("//") { return WebAddress("\(scheme):\(reference)") }
        if reference.hasPrefix("/") { return WebAddress(origin + reference) }
        if reference.hasPrefix("?") { return WebAddress(origin + path + reference) }
        let directory = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return WebAddress(origin + directory + reference)
    }

    /// Where a server may say which authorization servers it trusts (RFC 9728, 3.1), in the order to look.
    var resourceMetadataCandidates: [String] {
        let place = origin + "/.well-known/oauth-protected-resource"
        return trimmedPath.isEmpty ? [place] : [place + trimmedPath, place]
    }

    /// Where an authorization server with this issuer may describe itself (RFC 8414, 3.1; OpenID Connect Discovery, 4.1), in the order to
    /// look.
    var issuerMetadataCandidates: [String] {
        let (path, place) = (trimmedPath, origin + "/.well-known/")
        let candidates = [place + "oauth-authorization-server" + path, place + "openid-configuration" + path]
        return path.isEmpty ? candidates : candidates + [origin + path + "/.well-known/openid-configuration"]
    }

    /// With more in its query; what is there already stays (RFC 6749, 3.1).
    func adding(_ fields: [(name: String, value: String)]) -> String {
        let joint = query.map { $0.isEmpty ? "?" : "?\($0)&" } ?? "?"
        return origin + (path.isEmpty ? "/" : path) + joint + FormText.encode(fields)
    }
}
