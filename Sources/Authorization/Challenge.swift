/// What a server wants before it answers: the `Bearer` challenges of a 401 or 403 (RFC 6750, 3; RFC 9728, 5.1).
package struct Challenge: Hashable, Sendable {
    /// Where the server describes which authorization servers it trusts. Not checked yet.
    package var resourceMetadata: String?
    /// Scopes with spaces between.
    package var scope: String?
    package var error: String?

    /// - Parameter wwwAuthenticate: all values of the header. Each may hold several challenges.
    /// - Returns: `nil` if none is of the scheme `Bearer`. Of a parameter that stands there twice the first counts.
    package init?(wwwAuthenticate: [String]) {
        var isBearer = false
        var budget = AuthorizationLimits.challengeLength
        for value in wwwAuthenticate {
            var reader = ChallengeReader(value.utf8.prefix(budget))
            budget -= min(budget, value.utf8.count)
            for challenge in reader.challenges() where challenge.scheme == "bearer" {
                isBearer = true
                for (name, value) in challenge.parameters {
                    switch name {
                    case "resource_metadata": resourceMetadata = resourceMetadata ?? value
                    case "scope": scope = scope ?? value
                    case "error": error = error ?? value
                    default: break
                    }
                }
            }
        }
        guard isBearer else { return nil }
    }

    package init(resourceMetadata: String? = nil, scope: String? = nil, error: String? = nil) {
        self.resourceMetadata = resourceMetadata
        self.scope = scope
        self.error = error
    }

    /// The token is good, but not good enough: a new login has to ask for ``scope`` too.
    package var needsMoreScope: Bool { error == "insufficient_scope" }
}

/// Reads `WWW-Authenticate` (RFC 9110, 11.6.1). A comma may stand between parameters of one challenge as between two challenges, so
/// which it is shows only behind the next word.
private struct ChallengeReader {
    struct Found {
        /// In lower case, as the names of the parameters.
        var scheme: String
        var parameters: [(name: String, value: String)] = []
    }

    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    mutating func challenges() -> [Found] {
        var found: [Found] = []
        while true {
            skip { $0 == UInt8(ascii: ",") || Self.isBlank($0) }
            guard index < bytes.count else { return found }
            let word = take(while: Self.isTokenByte)
            guard !word.isEmpty else {
                skipToComma()
                continue
            }
            if let value = takeValue(), !found.isEmpty {
                found[found.count - 1].parameters.append((word.lowercased(), value))
                continue
            }
            found.append(Found(scheme: word.lowercased()))
            skip(Self.isBlank)
            skipToken68()
        }
    }

    /// What stands behind a name: `=` and a value, in quotes or not.
    private mutating func takeValue() -> String? {
        let start = index
        skip(Self.isBlank)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else {
            index = start
            return nil
        }
        index += 1
        skip(Self.isBlank)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
            // Some write a URL here without quotes.
            return take { $0 != UInt8(ascii: ",") && !Self.isBlank($0) }
        }
        index += 1
        var value: [UInt8] = []
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count { index += 1 }
            value.append(bytes[index])
            index += 1
        }
        if index < bytes.count { index += 1 }
        return String(decoding: value, as: UTF8.self)
    }

    /// Some schemes have one long word in place of parameters, as `Negotiate YII=`.
    private mutating func skipToken68() {
        let start = index
        let word = take { Self.isTokenByte($0) || $0 == UInt8(ascii: "/") }
        skip { $0 == UInt8(ascii: "=") }
        skip(Self.isBlank)
        let isAtEnd = index >= bytes.count || bytes[index] == UInt8(ascii: ",")
        if !isAtEnd || word.isEmpty { index = start }
    }

    private mutating func skipToComma() {
        var isQuoted = false
        skip { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return isQuoted || byte != UInt8(ascii: ",")
        }
    }

    private mutating func skip(_ condition: (UInt8) -> Bool) { while index < bytes.count, condition(bytes[index]) { index += 1 } }

    private mutating func take(while condition: (UInt8) -> Bool) -> String {
        let start = index
        skip(condition)
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
