/// One attempt to log in: what its redirect is recognised by.
struct LoginAttempt: Sendable {
    let state: String
    let verifier: String
    let redirectURI: String
    /// Recorded with the verifier, before anything is sent (MCP 2026-07-28, basic/authorization, "Mix-Up").
    let issuer: String
    /// `iss` must be in the redirect.
    let sendsIssuer: Bool

    enum Verdict: Sendable {
        /// It is not for us, or not by our authorization server: the login goes on.
        case foreign
        case code(String)
        case failed(AuthorizationProblem)
    }

    /// What a redirect means. Its state is looked at first: without ours, anybody's page could end the login.
    /// - Parameter query: as it stands in the address.
    func judge(query: String) -> Verdict {
        guard let fields = FormText.decode(query) else { return .foreign }
        func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
        let states = values("state")
        guard states.count == 1, Randomness.areEqual(states[0], state) else { return .foreign }
        // Errors are checked as well: an attacker's authorization server could end the login with one (RFC 9207, 2.4).
        if let problem = problem(issuers: values("iss")) { return .failed(problem) }
        if let error = values("error").first {
            let error = OAuthError(code: error, explanation: values("error_description").first)
            let text = error.text(hiding: [state, verifier])
            guard error.code != "server_error", error.code != "temporarily_unavailable" else {
                return .failed(
                    AuthorizationProblem(.unreachable, "the authorization server \(issuer) failed: \(text)", hint: "try again later"))
            }
            return .failed(
                AuthorizationProblem(
                    error.isAboutClient ? .clientRefused : .refused, "the authorization server \(issuer) refuses: \(text)",
                    hint: Self.hint(for: error.code)))
        }
        let codes = values("code")
        guard codes.count == 1, !codes[0].isEmpty else {
            return .failed(AuthorizationProblem(.badAnswer, "the browser came back from \(issuer) without a code"))
        }
        return .code(codes[0])
    }

    private func problem(issuers: [String]) -> AuthorizationProblem? {
        if issuers.isEmpty {
            guard sendsIssuer else { return nil }
            return AuthorizationProblem(
                .contradiction, "the browser came back without 'iss', which the authorization server \(issuer) promises to send",
                hint: "this is a mistake in its set-up, or an attack")
        }
        // As a string: what is the same URL to one program is another to the next.
        guard issuers != [issuer] else { return nil }
        return AuthorizationProblem(
            .contradiction,
            "the browser came back from '\(AuthorizationProblem.quote(issuers[0]))', and was sent to the authorization server \(issuer)",
            hint: "this is a mistake in its set-up, or an attack")
    }

    private static func hint(for code: String) -> String? {
        switch code {
        case "access_denied": "log in again, and agree"
        case "invalid_scope": "name the scopes to ask for: --scope, or oauth: { scopes: … } in the config file"
        case "unauthorized_client", "invalid_client": "log in again; if 'oauth.clientId' is configured, is it right?"
        default: nil
        }
    }
}

extension LoginAttempt: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "LoginAttempt(at \(issuer))" }
    var debugDescription: String { description }
}
