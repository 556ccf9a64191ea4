import FoundationEssentials

/// The address of an HTTP server.
package struct HTTPTarget: Hashable, Sendable {
    /// Scheme, host and port: what must not change when a server sends us elsewhere (RFC 6454).
    package struct Origin: Hashable, Sendable, CustomStringConvertible {
        package var scheme: String
        package var host: String
        package var port: Int

        package var isEncrypted: Bool { scheme == "https" }
        package var description: String {
            let name = host.contains(":") ? "[\(host)]" : host
            return port == (isEncrypted ? 443 : 80) ? "\(scheme)://\(name)" : "\(scheme)://\(name):\(port)"
        }
    }

    /// Absolute.
    package let url: String
    package let origin: Origin

    /// - Returns: `nil` if it is no `http` or `https` URL with a host.
    package init?(_ text: String) {
        guard let url = URL(string: text), let target = HTTPTarget(url) else { return nil }
        self = target
    }

    private init?(_ url: URL) {
        guard let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https", let host = url.host(), !host.isEmpty else {
            return nil
        }
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        origin = Origin(scheme: scheme, host: bare.lowercased(), port: url.port ?? (scheme == "https" ? 443 : 80))
        self.url = url.absoluteString
    }

    /// What a `Location` header or an `endpoint` event of this server means (RFC 3986, 5).
    package func resolve(_ reference: String) -> HTTPTarget? {
        guard let base = URL(string: url), let resolved = URL(string: reference, relativeTo: base) else { return nil }
        return HTTPTarget(resolved.absoluteURL)
    }
}
