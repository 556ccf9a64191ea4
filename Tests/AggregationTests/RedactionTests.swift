import Testing

@testable import Aggregation

@Suite("Secrets in texts")
struct RedactionTests {
    @Test(
        "each occurrence of a secret gives way to a mark",
        arguments: [
            ([], "nothing is secret", "nothing is secret"),
            (["hunter2"], "", ""),
            (["hunter2"], "the password is hunter2", "the password is [redacted]"),
            (["hunter2"], "hunter2hunter2 hunter", "[redacted][redacted] hunter"),
            // The longer one first, or its tail would be left.
            (["abc", "abcdef"], "abcdef abc", "[redacted] [redacted]"),
            (["bcd", "abc"], "abcd", "a[redacted]"),
            // The mark itself is not looked into.
            (["redacted", "secret"], "secret", "[redacted]"),
            (["e\u{301}"], "cafe\u{301}!", "caf[redacted]!"),
            (["größe"], "die größe", "die [redacted]"),
            // Half of a character is no match, and what surrounds it stays whole.
            (["🔑"], "🔑🗝", "[redacted]🗝"),
            (["a.c", "x*"], "abc a.c x x*", "abc [redacted] x [redacted]"),
            (["line\nbreak"], "line\nbreak line break", "[redacted] line break"),
            ([""], "an empty secret hides nothing", "an empty secret hides nothing"),
            (["longer than the text"], "short", "short"),
        ] as [(Set<String>, String, String)])
    func redaction(secrets: Set<String>, text: String, expected: String) { #expect(Redaction(secrets)(text) == expected) }

    @Test("the result does not depend on the order in which secrets were found")
    func order() {
        let secrets = (0..<50).map { "secret-\($0 % 7)-\($0)" }
        let text = secrets.joined(separator: " ")
        let expected = Redaction(Set(secrets))(text)
        #expect(!expected.contains("secret"))
        #expect((0..<10).allSatisfy { _ in Redaction(Set(secrets.shuffled()))(text) == expected })
    }
}
