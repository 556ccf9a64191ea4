import Resilience

/// Which proxy leads to which server, as the environment says: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in either case.
package struct ProxyRules: Sendable {
    package struct Credentials: Hashable, Sendable {
        package var user: String
        package var password: String
    }

    package struct Proxy: Hashable, Sendable {
        package var host: String
        package var port: Int
        package var credentials: Credentials?
    }

    private let plain: String?
    private let encrypted: String?
    private let exceptions: [String]

    package init(environment: [String: String]) {
        func value(_ name: String) -> String? {
            [name.lowercased(), name].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        // In upper case a header `Proxy:` of a request to a CGI program could have set it.
        plain =
            environment["http_proxy"].flatMap { $0.isEmpty ? nil : $0 }
            ?? (environment["REQUEST_METHOD"] == nil ? environment["HTTP_PROXY"].flatMap { $0.isEmpty ? nil : $0 } : nil)
            ?? value("ALL_PROXY")
        encrypted = value("HTTPS_PROXY") ?? value("ALL_PROXY")
        exceptions = (value("NO_PROXY") ?? "").split { $0 == "," || $0 == " " }.map { $0.lowercased() }
    }

    /// - Returns: the proxy to use; `nil` to connect directly.
    /// - Throws: if the variable holds something else than the URL of a proxy.
    package func proxy(for origin: HTTPTarget.Origin) throws(HTTPFailure) -> Proxy? {
        guard let text = origin.isEncrypted ? encrypted : plain, !isException(origin) else { return nil }
        guard let proxy = Self.parse(text) else {
            let name = origin.isEncrypted ? "HTTPS_PROXY" : "HTTP_PROXY"
            throw HTTPFailure(
                .configuration, .notSent, cause: "the environment variable \(name) names no proxy that can be used",
                hint: "write http://host:port, or name \(origin.host) in NO_PROXY")
        }
        return proxy
    }

    private func isException(_ origin: HTTPTarget.Origin) -> Bool {
        exceptions.contains { rule in
            if rule == "*" { return true }
            var name = Substring(rule)
            if let colon = name.lastIndex(of: ":"), let port = Int(name[name.index(after: colon)...]), !name[..<colon].contains(":") {
                guard port == origin.port else { return false }
                name = name[..<colon]
            }
            if name.hasPrefix("[") { name = name.dropFirst().prefix { $0 != "]" } }
            if name.hasPrefix("*.") { name = name.dropFirst() }
            if let block = AddressBlock(name), let address = AddressBlock.address(origin.host) { return block.contains(address) }
            if name.hasPrefix(".") { return origin.host.hasSuffix(name) || origin.host == name.dropFirst() }
            return origin.host == name || origin.host.hasSuffix("." + name)
        }
    }

    /// `http://user:password@host:port`; the scheme may be missing.
    static func parse(_ text: String) -> Proxy? {
        var rest = Substring(text)
        if let scheme = rest.range(of: "://") {
            guard rest[..<scheme.lowerBound].lowercased() == "http" else { return nil }
            rest = rest[scheme.upperBound...]
        }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        var credentials: Credentials?
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = decoded(parts[0]), let password = parts.count > 1 ? decoded(parts[1]) : "" else { return nil }
            credentials = Credentials(user: user, password: password)
            rest = rest[rest.index(after: at)...]
        }
        var port = 80
        if let colon = rest.lastIndex(of: ":"), rest.last != "]" {
            guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            port = number
            rest = rest[..<colon]
        }
        if rest.hasPrefix("["), rest.hasSuffix("]") { rest = rest.dropFirst().dropLast() }
        return rest.isEmpty ? nil : Proxy(host: String(rest), port: port, credentials: credentials)
    }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16), rest.count >= 2 else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// Addresses of IPv4 with the same beginning, `10.0.0.0/8`.
private struct AddressBlock {
    private let base: UInt32
    private let mask: UInt32

    init?(_ text: Substring) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let base = Self.address(String(parts[0])), let length = Int(parts[1]), (0...32).contains(length) else {
            return nil
        }
        self.base = base
        mask = length == 0 ? 0 : ~UInt32(0) << UInt32(32 - length)
    }

    func contains(_ address: UInt32) -> Bool { address & mask == base & mask }

    static func address(_ text: String) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part) else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }
}

extension Substring {
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
