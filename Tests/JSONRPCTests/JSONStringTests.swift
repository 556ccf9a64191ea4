import Foundation
import JSONRPC
import NIOCore
import TestSupport
import Testing

@Suite("JSON strings")
struct JSONStringTests {
    @Test(
        "decode every escape, as Foundation does",
        arguments: [
            "", "plain", "é漢😀", #"\"\\\/\b\f\n\r\t"#, #"\u0041\u00e9\u6F22"#, #"\ud83d\ude00"#, #"a\ud83d\ude00b"#, #"\\u0041"#,
            #"\\\u0041"#, #"\u0000"#, #"é\né\u00e9é"#,
            #"\uFEFF\uffff"#,
        ])
    func decode(escaped: String) throws {
        let decoded = Array(escaped.utf8).withUnsafeBytes { JSONString.decode($0) }
        let foundation = try JSONSerialization.jsonObject(with: Data("\"\(escaped)\"".utf8), options: .fragmentsAllowed) as? String
        // Scalars: Swift's own comparison would take "é" in one scalar and in two for the same.
        #expect(foundation.map { Array($0.unicodeScalars) } == Array(decoded.unicodeScalars))
    }

    @Test(
        "decode a lone surrogate as U+FFFD",
        arguments: [
            (#"\ud800"#, "\u{FFFD}"), (#"a\udc00b"#, "a\u{FFFD}b"), (#"\ud83dx\ude00"#, "\u{FFFD}x\u{FFFD}"),
            (#"\ud83d\ud83d\ude00"#, "\u{FFFD}😀"),
        ])
    func loneSurrogates(escaped: String, expected: String) {
        #expect(Array(escaped.utf8).withUnsafeBytes { JSONString.decode($0) } == expected)
    }

    @Test(
        "read nothing beyond their end, even if they are cut there",
        arguments: [#"\"#, #"a\"#, #"\u"#, #"\u1"#, #"\u12"#, #"\u123"#, #"\ud83d\u"#, #"\x"#])
    func cut(escaped: String) {
        // What comes of it does not matter: no valid string looks so. That it returns does, and that it is no longer than the text.
        #expect(Array(escaped.utf8).withUnsafeBytes { JSONString.decode($0) }.unicodeScalars.count <= escaped.utf8.count)
    }

    @Test("come back from encoding as they were", arguments: [UInt64(61), 62])
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for index in 0..<500 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<random.below(30) {
                let range: UInt32 = random.pick([0x20, 0x80, 0x800, 0x1_0000, 0x11_0000])
                if let scalar = Unicode.Scalar(UInt32(random.below(Int(range)))) { scalars.append(scalar) }
            }
            let text = String(scalars)
            let encoded = Array(JSONString.encoded(text).utf8)
            #expect(isValid(encoded), "seed \(seed), text \(index)")
            #expect(!encoded.contains(0x0A) && !encoded.contains(0x0D), "seed \(seed), text \(index)")
            let decoded = encoded.dropFirst().dropLast().withUnsafeBytes { JSONString.decode($0) }
            #expect(Array(decoded.unicodeScalars) == Array(scalars), "seed \(seed), text \(index)")
        }
    }

    @Test("escape what must be escaped and nothing else")
    func encode() {
        #expect(
            JSONString.encoded("a\"b\\c/\n\r\t\u{0}\u{1f}\u{7f}é😀\u{2028}") == "\"a\\\"b\\\\c/\\n\\r\\t\\u0000\\u001f\u{7f}é😀\u{2028}\"")
    }
}
