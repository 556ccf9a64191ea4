import Testing

@testable import mcpagg

@Suite("Patterns of text fields")
struct SimplePatternTests {
    @Test(
        "find what a regular expression finds",
        arguments: [
            ("^[A-Z]{2}-[0-9]+$", "AB-1", true), ("^[A-Z]{2}-[0-9]+$", "AB-", false), ("^[A-Z]{2}-[0-9]+$", "ABC-1", false),
            ("b", "abc", true), ("^b", "abc", false), ("c$", "abc", true), ("b$", "abc", false), ("", "", true), ("^$", "", true),
            ("^$", "x", false), ("^a*b?c+$", "aac", true), ("^a*b?c+$", "bcc", true), ("^a*b?c+$", "abbc", false),
            ("^a{2,3}$", "a", false), ("^a{2,3}$", "aa", true), ("^a{2,3}$", "aaa", true), ("^a{2,3}$", "aaaa", false),
            ("^a{2,}$", "aaaaa", true), ("^a{0}b$", "b", true), ("^.$", "é", true), ("^.$", "\n", false), (#"^\d\d$"#, "42", true),
            (#"^\d\d$"#, "4x", false), (#"^\w+\s\W$"#, "a_1 !", true), (#"^\S\D$"#, "ab", true), (#"^\.$"#, "x", false),
            (#"^[^,\]]+$"#, "a-b", true), (#"^[^,\]]+$"#, "a,b", false), ("^[a-]+$", "a-a", true), (#"^[\d.]+$"#, "1.5", true),
            (#"^[\w-]+$"#, "a-b", true), ("^a.*?b$", "axxb", true),
        ])
    func matches(pattern: String, text: String, isMatch: Bool) throws {
        #expect(try #require(SimplePattern(pattern)).matches(text) == isMatch)
    }

    @Test(
        "that are more than simple are left to the server",
        arguments: [
            "(a|b)", "a|b", "(?=x)", #"\1"#, #"\bword"#, #"\p{L}"#, "[", "a{", "a{x}", "a{3,2}", "a{9999}", "*a", "a**", "a+*", "a$b",
            "a^", "x]", #"\"#, #"[\"#, #"[\D]"#, "[z-a]", "[[a]]",
        ])
    func refused(pattern: String) { #expect(SimplePattern(pattern) == nil) }

    @Test("take no time, however they are meant")
    func hostile() throws {
        let pattern = try #require(SimplePattern("^" + String(repeating: "a*", count: 50) + "b$"))
        #expect(!pattern.matches(String(repeating: "a", count: 1_000)))
    }
}
