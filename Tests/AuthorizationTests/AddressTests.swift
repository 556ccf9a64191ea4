import TestSupport
import Testing

@testable import Authorization

@Suite("Addresses")
struct AddressTests {
    @Test(
        "have one canonical form",
        arguments: [
            ("https://example.com", "https://example.com"), ("https://example.com/", "https://example.com"),
            ("HTTPS://Example.COM:443/MCP/", "https://example.com/MCP"), ("http://h:80/a", "http://h/a"),
            ("http://h:443/a", "http://h:443/a"), ("https://h:8443", "https://h:8443"), ("https://h/a#b", "https://h/a"),
            ("https://h/a/?q=1#b", "https://h/a?q=1"), ("https://h?q", "https://h?q"), ("https://[::1]:8/a", "https://[::1]:8/a"),
            ("https://h:/a", "https://h/a"), ("https://h/a//", "https://h/a/"), ("https://h/%7Ea", "https://h/%7Ea"),
        ])
    func canonical(text: String, canonical: String) { #expect(WebAddress(text)?.canonical == canonical) }

    @Test(
        "that programs could read in different ways are none",
        arguments: [
            "", "example.com", "ftp://h", "javascript://h/%0aalert(1)", "https://", "https:///a", "https://a@b", "https://a:b@c/",
            "https://h:0",
            "https://h:65536", "https://h:x", "https://h:1:2", "https://[::1", "https://[::1]x", "https://[x]", "https://[1]",
            "https://h\\@e/",
            "https://h/a b", "https://h/\u{e9}", "https://h/\n", "https://h/\"", "https://h%2e/", "https://h'/", "https://h,i/",
            " https://h",
            "https://h/<b>", "https://\u{ff48}/", "-https://h",
        ])
    func refused(text: String) { #expect(WebAddress(text) == nil) }

    @Test("longer than the limit are none")
    func long() {
        let base = "https://h/"
        let fill = String(repeating: "a", count: AuthorizationLimits.urlLength - base.utf8.count)
        #expect(WebAddress(base + fill) != nil)
        #expect(WebAddress(base + fill + "a") == nil)
    }

    @Test(
        "are secure with https, or on this machine",
        arguments: [
            ("https://h", true), ("http://h", false), ("http://localhost:1/a", true), ("http://LOCALHOST", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true), ("http://[::1]:8", true), ("http://127.0.0.1.example.com", false),
            ("http://localhost.example", false),
            ("http://127.1", false), ("http://0.0.0.0", false), ("http://[::2]", false), ("http://127.0.0.256", false),
        ])
    func secure(text: String, isSecure: Bool) { #expect(WebAddress(text)?.isSecure == isSecure) }

    @Test(
        "contain each other by whole parts of their path",
        arguments: [
            ("https://h/a", "https://h/a", true), ("https://h", "https://h/a/b", true), ("https://h/", "https://h/a", true),
            ("https://h/a", "https://h/a/b", true), ("https://h/a/", "https://h/a/b", true), ("https://h/a", "https://h/ab", false),
            ("https://h/a/b", "https://h/a", false), ("https://h/a", "https://i/a", false), ("https://h", "http://h", false),
            ("https://h:1", "https://h:2", false), ("https://h/a?x", "https://h/a/b", false), ("https://h/a?x", "https://h/a?x", true),
            ("https://h/a", "https://h/a?x", true),
        ])
    func parents(parent: String, child: String, isParent: Bool) throws {
        #expect(try #require(WebAddress(parent)).isSelfOrParent(of: try #require(WebAddress(child))) == isParent)
    }

    @Test(
        "say where a server's metadata may be",
        arguments: [
            ("https://h", ["https://h/.well-known/oauth-protected-resource"]),
            ("https://h/", ["https://h/.well-known/oauth-protected-resource"]),
            (
                "https://h:8/a/b/",
                ["https://h:8/.well-known/oauth-protected-resource/a/b", "https://h:8/.well-known/oauth-protected-resource"]
            ),
        ])
    func resource(text: String, candidates: [String]) { #expect(WebAddress(text)?.resourceMetadataCandidates == candidates) }

    @Test(
        "say where an authorization server's metadata may be",
        arguments: [
            ("https://h", ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"]),
            ("https://h/", ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"]),
            (
                "https://h/t",
                [
                    "https://h/.well-known/oauth-authorization-server/t", "https://h/.well-known/openid-configuration/t",
                    "https://h/t/.well-known/openid-configuration",
                ]
            ),
        ])
    func issuer(text: String, candidates: [String]) { #expect(WebAddress(text)?.issuerMetadataCandidates == candidates) }

    @Test(
        "lead where a Location header says",
        arguments: [
            ("https://i/x", "https://i/x"), ("/x", "https://h:1/x"), ("//i/x", "https://i/x"), ("x", "https://h:1/a/x"),
            ("?q=https://i", "https://h:1/a/b?q=https://i"), ("/x?u=http://y", "https://h:1/x?u=http://y"), ("https://u@i/", nil),
        ] as [(String, String?)])
    func resolved(reference: String, target: String?) throws {
        #expect(try #require(WebAddress("https://h:1/a/b?c")).resolve(reference)?.text == target)
    }

    @Test("keep their query when something is added to it")
    func adding() throws {
        let fields = [(name: "a b", value: "c&d=é+")]
        #expect(try #require(WebAddress("https://h")).adding(fields) == "https://h/?a%20b=c%26d%3D%C3%A9%2B")
        #expect(try #require(WebAddress("https://h/x?t=1")).adding(fields) == "https://h/x?t=1&a%20b=c%26d%3D%C3%A9%2B")
        #expect(try #require(WebAddress("https://h/x?")).adding(fields) == "https://h/x?a%20b=c%26d%3D%C3%A9%2B")
    }

    @Test(
        "have queries that are read or refused as a whole",
        arguments: [
            ("", []), ("a=1&b=%32+c&&d", ["a=1", "b=2 c", "d="]), ("a=b=c", ["a=b=c"]), ("a=%zz", nil), ("a=%4", nil), ("a=%ff", nil),
            ("%61=%C3%A9", ["a=é"]),
        ] as [(String, [String]?)])
    func queries(text: String, fields: [String]?) { #expect(FormText.decode(text)?.map { "\($0.name)=\($0.value)" } == fields) }
}

@Suite("Unguessable words")
struct RandomnessTests {
    @Test("the challenge of RFC 7636, appendix B")
    func vector() {
        #expect(Randomness.challenge(of: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    }

    @Test("are 256 bits long, of the characters that a verifier may have")
    func words() {
        var random: any RandomNumberGenerator & Sendable = SeededGenerator(seed: 1)
        let words = (0..<100).map { _ in Randomness.word(using: &random) }
        #expect(Set(words).count == 100)
        #expect(words.allSatisfy { $0.utf8.count == 43 && $0.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" } })
    }

    @Test(
        "base64 as in RFC 4648, 10",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ])
    func base64(text: String, encoded: String) {
        #expect(Base64.standard(Array(text.utf8)) == encoded)
        #expect(Base64.url(Array(text.utf8)) == encoded.filter { $0 != "=" })
    }

    @Test("two alphabets differ where they should")
    func alphabets() {
        #expect(Base64.standard([0xFB, 0xFF]) == "+/8=")
        #expect(Base64.url([0xFB, 0xFF]) == "-_8")
    }

    @Test(
        "are equal only to themselves",
        arguments: [("", "", true), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("", "a", false)])
    func equality(first: String, second: String, areEqual: Bool) { #expect(Randomness.areEqual(first, second) == areEqual) }
}
