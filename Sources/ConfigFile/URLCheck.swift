/// Whether a text is an absolute `http` or `https` URL that an HTTP client can take as it is (RFC 3986, RFC 9110 §4.2).
enum URLCheck {
    struct Flaw: Equatable {
        /// The end of a sentence that begins with the key.
        var message: String
        var hint: String?
    }

    static func flaw(of url: String) -> Flaw? {
        guard let colon = url.firstRange(of: "://") else {
            return Flaw(message: "is no URL", hint: "write it with its beginning, for example https://example.com/mcp")
        }
        let scheme = url[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else {
            return Flaw(
                message: "must begin with http:// or https://",
                hint: scheme == "ws" || scheme == "wss" ? "MCP has no WebSocket transport" : nil)
        }
        if let odd = url.unicodeScalars.first(where: { !isURLCharacter($0) }) {
            let shown = odd.properties.isWhitespace ? "white space" : odd.value < 0x20 ? "a control character" : "the character '\(odd)'"
            return Flaw(message: "may not hold \(shown)", hint: "write it percent-encoded")
        }
        let rest = url[colon.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        if let flaw = flaw(ofAuthority: rest[..<end]) { return flaw }
        if rest.contains("#") { return Flaw(message: "may not have a fragment", hint: "remove the part from '#' on") }
        return flaw(ofEscapes: rest[end...])
    }

    private static func flaw(ofAuthority authority: Substring) -> Flaw? {
        if authority.contains("@") {
            return Flaw(message: "may not hold a user", hint: "send it as a header: Authorization: \"Basic ${CREDENTIALS}\"")
        }
        var host = authority
        var port: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { return Flaw(message: "has no closing ']' behind its address") }
            host = authority[authority.index(after: authority.startIndex)..<close]
            let tail = authority[authority.index(after: close)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { return Flaw(message: "has something odd behind its address") }
            port = tail.isEmpty ? nil : tail.dropFirst()
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || ":.".contains($0) }) else {
                return Flaw(message: "has no valid IPv6 address")
            }
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else { return Flaw(message: "has no host", hint: "write it like https://example.com/mcp") }
        let isName = host.utf8.allSatisfy { $0.isNameCharacter || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }
        guard isName else { return Flaw(message: "has no valid host") }
        guard let port else { return nil }
        let isNumber = !port.isEmpty && port.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard isNumber, let number = Int(port), (1...65_535).contains(number) else {
            return Flaw(message: "has no valid port", hint: "ports are 1 to 65535")
        }
        return nil
    }

    private static func flaw(ofEscapes text: Substring) -> Flaw? {
        let bytes = Array(text.utf8)
        for index in bytes.indices where bytes[index] == UInt8(ascii: "%") {
            let digits = bytes[(index + 1)...].prefix(2)
            guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
                return Flaw(message: "has a '%' without two hexadecimal digits", hint: "write %25 for the character %")
            }
        }
        return nil
    }

    private static func isURLCharacter(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value > 0x20 && scalar.value < 0x7F && !"\"<>\\^`{|}".unicodeScalars.contains(scalar)
    }
}
