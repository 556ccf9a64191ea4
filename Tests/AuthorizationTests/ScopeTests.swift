import Testing

@testable import Authorization

@Suite("What is asked for")
struct ScopeTests {
    @Test(
        "is what the person names, else what is configured, else what the challenge says, else all that the server supports",
        arguments: [
            (Scopes.Sources(), []),
            (Scopes.Sources(supportedByServer: ["a", "b"]), ["a", "b"]),
            (Scopes.Sources(challenged: ["c"], supportedByServer: ["a", "b"]), ["c"]),
            (Scopes.Sources(configured: ["k"], challenged: ["c"], supportedByServer: ["a"]), ["k"]),
            (
                Scopes.Sources(
                    named: ["n"], configured: ["k"], challenged: ["c"], remembered: ["r"], supportedByIssuer: ["offline_access"]), ["n"]
            ),
            // With what was missing since.
            (Scopes.Sources(challenged: ["c"], remembered: ["r", "c"]), ["c", "r"]),
            (Scopes.Sources(configured: ["k"], remembered: ["r"]), ["k", "r"]),
            // What the authorization server supports is not asked for: it is for others too.
            (Scopes.Sources(supportedByIssuer: ["x", "y"]), []),
            // `offline_access` only where it is offered, and not alone.
            (Scopes.Sources(challenged: ["c"], supportedByIssuer: ["c", "offline_access"]), ["c", "offline_access"]),
            (Scopes.Sources(challenged: ["c", "offline_access"], supportedByIssuer: ["c"]), ["c"]),
            (Scopes.Sources(supportedByServer: ["a", "offline_access"]), ["a"]),
            (Scopes.Sources(supportedByIssuer: ["offline_access"]), []),
            (Scopes.Sources(configured: ["offline_access", "k"]), ["offline_access", "k"]),
        ])
    func selection(sources: Scopes.Sources, scopes: [String]) { #expect(Scopes.selected(sources) == scopes) }

    @Test(
        "holds nothing that is no scope",
        arguments: [
            ("a  b a", ["a", "b"]), ("", []), ("a\"b c\\d e", ["e"]), ("\u{e9} x\ty f", ["f"]),
            ("https://h/scope:read", ["https://h/scope:read"]),
        ])
    func parsing(text: String, scopes: [String]) { #expect(Scopes.parse(text) == scopes) }

    @Test("is bounded")
    func bounded() {
        let many = (0..<1000).map { "s\($0)" }
        #expect(Scopes.valid(many).count == AuthorizationLimits.scopes)
        #expect(Scopes.union(many, ["more"]).count == AuthorizationLimits.scopes)
        #expect(Scopes.valid([String(repeating: "x", count: 257)]) == [])
    }
}

extension Scopes.Sources: CustomTestStringConvertible {
    public var testDescription: String { "\(named) \(configured) \(challenged ?? []) \(supportedByServer ?? []) \(remembered)" }
}
