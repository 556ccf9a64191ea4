import TestSupport
import Testing

@testable import Authorization

@Suite("What WWW-Authenticate says")
struct ChallengeTests {
    @Test(
        "is read whatever its form",
        arguments: [
            (["Bearer"], Challenge()),
            (["bearer"], Challenge()),
            (["Bearer realm=\"x\""], Challenge()),
            (["Bearer resource_metadata=\"https://h/m\", scope=\"a b\""], Challenge(resourceMetadata: "https://h/m", scope: "a b")),
            (["BEARER Scope = \"a\" ,ERROR=insufficient_scope"], Challenge(scope: "a", error: "insufficient_scope")),
            // Another scheme before or behind it, in one header or in two.
            (["Basic realm=\"b\", Bearer scope=\"a\""], Challenge(scope: "a")),
            (["Bearer scope=\"a\", Basic realm=\"b\", error=\"no\""], Challenge(scope: "a")),
            (["Basic realm=\"b\"", "Bearer scope=\"a\""], Challenge(scope: "a")),
            (["Negotiate YIIJvwYGKwYBBQUCoIIJ==, Bearer scope=\"a\""], Challenge(scope: "a")),
            (["Negotiate, Bearer scope=\"a\""], Challenge(scope: "a")),
            // What stands in quotes is no challenge.
            (["Basic realm=\"Bearer scope=\\\"evil\\\", x\", Bearer scope=\"a\""], Challenge(scope: "a")),
            (["Bearer scope=\"a \\\"b\\\" \\\\\""], Challenge(scope: "a \"b\" \\")),
            // Not right, but seen.
            (
                ["Bearer resource_metadata=https://h/.well-known/x, error=e"],
                Challenge(resourceMetadata: "https://h/.well-known/x", error: "e")
            ),
            (["Bearer error=\"invalid_token", "Bearer scope=\"a\""], Challenge(scope: "a", error: "invalid_token")),
            ([",, Bearer ,, scope=\"a\" ,,"], Challenge(scope: "a")),
            // The first counts.
            (["Bearer scope=\"a\", scope=\"b\""], Challenge(scope: "a")),
            (["Bearer scope=\"\""], Challenge(scope: "")),
        ])
    func read(values: [String], challenge: Challenge) { #expect(Challenge(wwwAuthenticate: values) == challenge) }

    @Test(
        "is nothing for us without the scheme Bearer",
        arguments: [
            [], [""], ["Basic realm=\"Bearer\""], ["\"Bearer\""], ["Bearers x=y"], ["Digest qop=\"auth, Bearer scope=a\""], ["="],
            ["\u{e9}"],
        ])
    func none(values: [String]) { #expect(Challenge(wwwAuthenticate: values) == nil) }

    @Test("is read to a limit, and never traps")
    func bounded() {
        let long = String(repeating: "x", count: AuthorizationLimits.challengeLength)
        #expect(Challenge(wwwAuthenticate: ["Bearer realm=\"\(long)\", scope=\"a\""])?.scope == nil)
        #expect(Challenge(wwwAuthenticate: [long, "Bearer"]) == nil)
        var random = SeededGenerator(seed: 4)
        let pieces = ["Bearer", "\"", "\\", "=", ",", " ", "scope", "a/b", "\t", "é", "=="]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0..<12, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            _ = Challenge(wwwAuthenticate: [text])
        }
    }

    @Test("asks for more only with insufficient_scope")
    func more() {
        #expect(Challenge(error: "insufficient_scope").needsMoreScope)
        #expect(!Challenge(error: "invalid_token").needsMoreScope)
        #expect(!Challenge().needsMoreScope)
    }
}
