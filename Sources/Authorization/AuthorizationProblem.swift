import JSONRPC

/// Why there is no token, or no login. Holds no secret: what others say in it is cut, and goes through ``quote(_:hiding:)``.
package struct AuthorizationProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// There is no token, or none that is accepted.
        case loginNeeded
        /// The server answers without a token, and names no authorization server.
        case noLoginAsked
        /// A secret would go where others can read it.
        case insecure
        /// What servers say of themselves or of each other cannot be true, so nothing is sent to any of them.
        case contradiction
        /// They want something that we have not.
        case unsupported
        /// No client can register there by itself, and none is configured.
        case clientNeeded
        /// The authorization server does not take the client that we are, or does not know it any more.
        case clientRefused
        /// The person, or the authorization server, says no.
        case refused
        /// The browser cannot come back to us.
        case cannotListen
        /// Nobody came back from the browser.
        case timedOut
        /// The authorization server, or the MCP server during a login, does not answer; it may the next time.
        case unreachable
        /// It answers, but nothing that can be understood.
        case badAnswer
        /// The file of tokens holds something else.
        case storeBroken
        /// The file of tokens cannot be read or written.
        case storeUnusable
        /// Another process does not let go of the file of tokens.
        case storeBusy
        /// Our own caller gave it up.
        case cancelled
    }

    package var code: Code
    /// Completes "server 'x': …".
    package var message: String
    /// What to do about it.
    package var hint: String?

    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// The person has to log in; until then nothing will help.
    package var isLoginNeeded: Bool { code == .loginNeeded || code == .storeBroken }

    /// It may work later without anybody doing something.
    package var isOutage: Bool { code == .unreachable || code == .storeBusy }

    package var description: String { "\(message) [\(code.rawValue)]" + (hint.map { "\n  hint: \($0)" } ?? "") }

    // MARK: Words of others

    /// What somebody else says, in one line that a terminal shows as it is.
    /// - Parameter secrets: what must not be in it, because we had sent it there.
    static func quote(_ text: String, hiding secrets: [String?] = []) -> String {
        var shown = text.oneLine
        for case let secret? in secrets where secret.utf8.count >= 4 {
            while let range = shown.firstRange(of: secret) { shown.replaceSubrange(range, with: "…") }
        }
        return shown.count > AuthorizationLimits.shownText ? shown.prefix(AuthorizationLimits.shownText) + "…" : shown
    }

    /// - Parameter reason: completes "server 'x': …".
    package static func loginNeeded(for server: ProtectedServer, because reason: String = "it wants a login") -> AuthorizationProblem {
        AuthorizationProblem(.loginNeeded, reason, hint: "run: mcpagg login \(server.key)")
    }

    static let cancelled = AuthorizationProblem(.cancelled, "was given up")
}
