import JSONRPC
import NIOCore
import NIOHTTP1

/// Who we are to an authorization server.
struct Client: Hashable, Sendable {
    var id: String
    var secret: String?
    var authentication: ClientAuthentication

    /// Adds what shows that a request to the token endpoint comes from this client (RFC 6749, 2.3.1).
    func authenticate(_ fields: inout [(name: String, value: String)], _ headers: inout [(name: String, value: String)]) {
        switch authentication {
        case .none: fields.append(("client_id", id))
        case .post:
            fields.append(("client_id", id))
            fields.append(("client_secret", secret ?? ""))
        case .basic:
            let pair = "\(FormText.encode(id)):\(FormText.encode(secret ?? ""))"
            headers.append(("Authorization", "Basic \(Base64.standard(Array(pair.utf8)))"))
        }
    }
}

extension Client: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "Client(\(id), \(authentication.rawValue))" }
    var debugDescription: String { description }
}

/// A client that registered by itself (RFC 7591).
struct Registration: Hashable, Sendable {
    var client: Client
    /// Exactly; some authorization servers do not let the port differ (against RFC 8252, 7.3).
    var redirectURI: String
    /// What was said to be asked for; empty if nothing was.
    var scopes: [String]
    /// Seconds since 1970; `nil` for never.
    var secretExpiresAt: Int64?

    /// Whether it does for a login like this.
    func serves(redirectURI: String, scopes: [String], now: Int64) -> Bool {
        if let secretExpiresAt, secretExpiresAt <= now { return false }
        // An authorization server that was told of some scopes refuses others.
        return self.redirectURI == redirectURI && Set(scopes).isSubset(of: self.scopes)
    }

    var port: Int? { WebAddress(redirectURI)?.port }
}

extension Registration: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "Registration(\(client))" }
    var debugDescription: String { description }
}

extension Registration {
    /// Registers a client (MCP 2025-11-25, basic/authorization, "Dynamic Client Registration").
    static func register(
        at issuer: IssuerMetadata, redirectURI: String, scopes: [String], for server: ProtectedServer, over web: Web
    ) async throws(AuthorizationProblem) -> Registration {
        guard let endpoint = issuer.registrationEndpoint else {
            throw AuthorizationProblem(
                .clientNeeded, "the authorization server \(issuer.issuer) lets no client register by itself", hint: hint(server))
        }
        guard let wanted = issuer.registeredAuthentication else {
            throw AuthorizationProblem(
                .unsupported, "the authorization server \(issuer.issuer) wants clients to authenticate in ways that mcpagg does not know")
        }
        let document = JSONWriter.object { document in
            document.member("client_name", "mcpagg")
            document.member("application_type", "native")
            document.array("redirect_uris") { $0.value(redirectURI) }
            document.array("grant_types") {
                $0.value("authorization_code")
                $0.value("refresh_token")
            }
            document.array("response_types") { $0.value("code") }
            document.member("token_endpoint_auth_method", wanted.rawValue)
            if !scopes.isEmpty { document.member("scope", scopes.joined(separator: " ")) }
        }
        let answer = try await web.send(
            .POST, endpoint, headers: [("Accept", "application/json"), ("Content-Type", "application/json")], body: document)
        if answer.isOutage { throw TokenEndpoint.outage(endpoint, answer) }
        guard answer.status == 200 || answer.status == 201 else {
            let said = OAuthError(answer).map { ": \($0.text())" } ?? ""
            throw AuthorizationProblem(
                .clientNeeded, "\(endpoint.origin) does not register mcpagg as a client (HTTP \(answer.status))\(said)", hint: hint(server))
        }
        guard let client = client(in: answer, asked: wanted, issuer) else {
            throw AuthorizationProblem(
                .badAnswer, "\(endpoint.origin) registers mcpagg as a client, but in a way that cannot be understood", hint: hint(server))
        }
        let expiry = answer.object?["client_secret_expires_at"]?.integer.map(Int64.init) ?? 0
        return Registration(
            client: client, redirectURI: redirectURI, scopes: scopes, secretExpiresAt: expiry > 0 && client.secret != nil ? expiry : nil)
    }

    private static func client(in answer: Web.Answer, asked: ClientAuthentication, _ issuer: IssuerMetadata) -> Client? {
        guard let object = answer.object, let id = object["client_id"]?.string, isPrintable(id) else { return nil }
        let secret = object["client_secret"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        if let secret, !isPrintable(secret) { return nil }
        var authentication: ClientAuthentication? = asked
        if let said = object["token_endpoint_auth_method"]?.string {
            authentication = ClientAuthentication(rawValue: said)
        } else if asked == .none, secret != nil {
            authentication = issuer.authentication(hasSecret: true)
        }
        guard let authentication, authentication == .none || secret != nil else { return nil }
        return Client(id: id, secret: authentication == .none ? nil : secret, authentication: authentication)
    }

    /// RFC 6749, A.1 and A.2.
    private static func isPrintable(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= AuthorizationLimits.tokenLength && text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }

    private static func hint(_ server: ProtectedServer) -> String {
        "register one there by hand, with the redirect URI http://127.0.0.1/callback, and write its id in the config file: "
            + "oauth: { clientId: … } for '\(server.key)'"
    }
}
