import JSONRPC
import NIOCore
import NIOHTTP1

/// What an authorization server says when it refuses (RFC 6749, 5.2; RFC 7591, 3.2.2).
struct OAuthError: Hashable, Sendable {
    var code: String
    var explanation: String?

    init(code: String, explanation: String? = nil) {
        self.code = code
        self.explanation = explanation
    }

    init?(_ answer: Web.Answer) {
        guard let object = answer.object, let code = object["error"]?.string, !code.isEmpty else { return nil }
        self.init(code: code, explanation: object["error_description"]?.string)
    }

    /// It is not about the person, or what was asked for.
    var isAboutClient: Bool { code == "invalid_client" || code == "unauthorized_client" }

    func text(hiding secrets: [String?] = []) -> String {
        let words = [code, explanation].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: ": ")
        return AuthorizationProblem.quote(words, hiding: secrets)
    }
}

/// What a token endpoint gave (RFC 6749, 5.1).
struct TokenAnswer: Hashable, Sendable {
    var accessToken: String
    var refreshToken: String?
    /// Seconds since 1970.
    var expiresAt: Int64?
    /// `nil` if these are the ones that were asked for.
    var scopes: [String]?

    init(_ object: JSONView, from endpoint: WebAddress, now: Int64) throws(AuthorizationProblem) {
        guard let token = object["access_token"]?.string, Self.isToken(token) else {
            throw AuthorizationProblem(.badAnswer, "\(endpoint.origin) gives no access token that could be sent in a header")
        }
        guard let type = object["token_type"]?.string, type.lowercased() == "bearer" else {
            let said = object["token_type"]?.string.map { "'\(AuthorizationProblem.quote($0))'" } ?? "not named"
            throw AuthorizationProblem(.unsupported, "the type of the token from \(endpoint.origin) is \(said), and not Bearer")
        }
        accessToken = token
        if let refresh = object["refresh_token"]?.string, !refresh.isEmpty {
            guard refresh.utf8.count <= AuthorizationLimits.tokenLength else {
                throw AuthorizationProblem(.badAnswer, "\(endpoint.origin) gives a refresh token that is too long")
            }
            refreshToken = refresh
        }
        expiresAt = object["expires_in"].flatMap(Self.seconds).map { now + $0 }
        scopes = object["scope"]?.string.map(Scopes.parse)
    }

    /// What a header can carry (RFC 6750, 2.1, and what else is visible).
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= AuthorizationLimits.tokenLength && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// A number, or one in quotes, as some write it. What is no number says nothing.
    private static func seconds(_ value: JSONView) -> Int64? {
        guard let number = Double(value.string ?? (value.kind == .number ? value.jsonText : "")), number.isFinite else { return nil }
        return Int64(min(max(number, 0), AuthorizationLimits.tokenLife))
    }
}

extension TokenAnswer: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "TokenAnswer(refresh token: \(refreshToken != nil))" }
    var debugDescription: String { description }
}

/// Asks a token endpoint. A redirect is never followed: codes and refresh tokens go nowhere but there.
struct TokenEndpoint: Sendable {
    let web: Web
    let address: WebAddress
    let client: Client
    let resource: String

    enum Outcome: Sendable {
        case given(TokenAnswer)
        /// With a status that says it will not be otherwise the next time.
        case refused(OAuthError)
    }

    func redeem(code: String, verifier: String, redirectURI: String, now: Int64) async throws(AuthorizationProblem) -> Outcome {
        try await ask(
            [
                ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI), ("code_verifier", verifier),
                ("resource", resource),
            ], now: now)
    }

    func refresh(_ token: String, now: Int64) async throws(AuthorizationProblem) -> Outcome {
        try await ask([("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)], now: now)
    }

    /// RFC 7009. What it answers to a token that it does not know is success too.
    func revoke(_ token: String, kind: String) async throws(AuthorizationProblem) {
        let answer = try await post([("token", token), ("token_type_hint", kind)])
        guard answer.status < 300 else {
            throw AuthorizationProblem(.badAnswer, "\(address.origin) answers with HTTP \(answer.status)")
        }
    }

    private func ask(_ fields: [(name: String, value: String)], now: Int64) async throws(AuthorizationProblem) -> Outcome {
        let answer = try await post(fields)
        if let error = OAuthError(answer), (400..<500).contains(answer.status), !answer.isOutage {
            // Not meant for this endpoint (RFC 6749, 4.1.2.1), but seen here; neither is final.
            guard error.code != "server_error", error.code != "temporarily_unavailable" else { throw Self.outage(address, answer) }
            return .refused(error)
        }
        if answer.isOutage { throw Self.outage(address, answer) }
        guard answer.status == 200 || answer.status == 201, let object = answer.object else {
            throw AuthorizationProblem(
                .badAnswer, "the token endpoint of \(address.origin) answers with HTTP \(answer.status), and not with a token")
        }
        // Some refuse with 200.
        if let error = OAuthError(answer), object["access_token"] == nil { return .refused(error) }
        return .given(try TokenAnswer(object, from: address, now: now))
    }

    private func post(_ fields: [(name: String, value: String)]) async throws(AuthorizationProblem) -> Web.Answer {
        var fields = fields
        var headers = [(name: "Accept", value: "application/json"), (name: "Content-Type", value: "application/x-www-form-urlencoded")]
        client.authenticate(&fields, &headers)
        return try await web.send(.POST, address, headers: headers, body: ByteBuffer(string: FormText.encode(fields)))
    }

    static func outage(_ address: WebAddress, _ answer: Web.Answer) -> AuthorizationProblem {
        let said = OAuthError(answer).map { " (\($0.text()))" } ?? ""
        return AuthorizationProblem(.unreachable, "\(address.origin) answers with HTTP \(answer.status)\(said)", hint: "try again later")
    }
}
