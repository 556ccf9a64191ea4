import Crypto

/// Unguessable words, and what is computed of them.
enum Randomness {
    /// 256 bits, more than RFC 7636 and RFC 6749 ask for, in 43 characters.
    static func word(using random: inout any RandomNumberGenerator & Sendable) -> String {
        var bytes: [UInt8] = []
        for _ in 0..<4 {
            let number = random.next()
            for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        return Base64.url(bytes)
    }

    /// 128 bits: the name of a login.
    static func name(using random: inout any RandomNumberGenerator & Sendable) -> String { String(word(using: &random).prefix(22)) }

    /// The `S256` challenge of a verifier (RFC 7636, 4.2).
    static func challenge(of verifier: String) -> String { Base64.url(Array(SHA256.hash(data: Array(verifier.utf8)))) }

    /// In a time that says nothing about where they differ.
    static func areEqual(_ first: String, _ second: String) -> Bool {
        let (first, second) = (Array(first.utf8), Array(second.utf8))
        guard first.count == second.count else { return false }
        return zip(first, second).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// RFC 4648, in the two forms that are needed here.
enum Base64 {
    /// For `Authorization: Basic`.
    static func standard(_ bytes: [UInt8]) -> String {
        let text = encode(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    }

    /// For URLs, without padding.
    static func url(_ bytes: [UInt8]) -> String {
        encode(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    }

    private static func encode(_ bytes: [UInt8], _ alphabet: String) -> String {
        let alphabet = Array(alphabet.utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = 0
            for offset in 0..<3 { bits = bits << 8 | (offset < group.count ? Int(group[start + offset]) : 0) }
            for digit in 0...group.count { text.append(alphabet[bits >> (18 - 6 * digit) & 63]) }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
