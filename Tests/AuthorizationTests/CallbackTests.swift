import Testing

@testable import Authorization

@Suite("The way back from the browser")
struct CallbackTests {
    private static func attempt(sendsIssuer: Bool) -> LoginAttempt {
        LoginAttempt(
            state: "S1", verifier: "verifier", redirectURI: "http://127.0.0.1:1/callback", issuer: "https://as.example",
            sendsIssuer: sendsIssuer)
    }

    /// A verdict in a word: the code, `foreign`, or the problem's code.
    private static func word(_ query: String, sendsIssuer: Bool) -> String {
        switch attempt(sendsIssuer: sendsIssuer).judge(query: query) {
        case .foreign: "foreign"
        case .code(let code): "code \(code)"
        case .failed(let problem): problem.code.rawValue
        }
    }

    @Test(
        "is ours only with our state",
        arguments: [
            ("code=c&state=S1", "code c"), ("state=S1&code=c%2Fd", "code c/d"), ("code=c", "foreign"), ("", "foreign"),
            ("code=c&state=s1", "foreign"), ("code=c&state=S1&state=S1", "foreign"), ("code=c&state=S2&state=S1", "foreign"),
            ("error=access_denied&state=S2", "foreign"), ("error=access_denied", "foreign"), ("code=c&state=%ZZ", "foreign"),
            ("code=c&state=S1&x=%ff", "foreign"),
        ])
    func state(query: String, word: String) { #expect(Self.word(query, sendsIssuer: false) == word) }

    @Test(
        "comes from our authorization server",
        arguments: [
            ("code=c&state=S1&iss=https%3A%2F%2Fas.example", "code c"), ("code=c&state=S1&iss=https://as.example", "code c"),
            ("code=c&state=S1&iss=https://as.example/", "contradiction"), ("code=c&state=S1&iss=https://AS.example", "contradiction"),
            ("code=c&state=S1&iss=", "contradiction"), ("code=c&state=S1&iss=https://as.example&iss=https://evil", "contradiction"),
            ("error=access_denied&state=S1&iss=https://evil", "contradiction"),
            ("error=access_denied&state=S1&iss=https://as.example", "refused"),
        ])
    func issuer(query: String, word: String) {
        #expect(Self.word(query, sendsIssuer: true) == word)
        #expect(Self.word(query, sendsIssuer: false) == word)
    }

    @Test("says so if that was promised", arguments: ["code=c&state=S1", "error=access_denied&state=S1"])
    func promise(query: String) { #expect(Self.word(query, sendsIssuer: true) == "contradiction") }

    @Test(
        "brings a code or an error",
        arguments: [
            ("state=S1", "badAnswer"), ("code=&state=S1", "badAnswer"), ("code=a&code=b&state=S1", "badAnswer"),
            ("code=a&error=access_denied&state=S1", "refused"), ("error=server_error&state=S1", "unreachable"),
            ("error=temporarily_unavailable&state=S1", "unreachable"), ("error=&state=S1", "refused"),
            ("error=unauthorized_client&state=S1", "clientRefused"),
        ])
    func content(query: String, word: String) { #expect(Self.word(query, sendsIssuer: false) == word) }

    @Test("shows what the authorization server says in one harmless line")
    func words() throws {
        let query =
            "error=access_denied&error_description=no%1B%5B2J%0Astate+S1S1S1+verifier%E2%80%AE" + String(repeating: "x", count: 500)
            + "&state=S1"
        guard case .failed(let problem) = Self.attempt(sendsIssuer: false).judge(query: query) else {
            Issue.record("it is an error")
            return
        }
        #expect(problem.message.hasPrefix("the authorization server https://as.example refuses: access_denied: no [2J state"))
        #expect(!problem.message.contains("verifier"))
        #expect(problem.message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
        #expect(problem.message.count < AuthorizationLimits.shownText + 100)
    }
}
