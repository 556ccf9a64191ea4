import JSONRPC

/// How a client says who it is at a token endpoint (RFC 7591, 2, `token_endpoint_auth_method`).
enum ClientAuthentication: String, Hashable, Sendable {
    /// By its id alone.
    case none
    case basic = "client_secret_basic"
    case post = "client_secret_post"
}

/// What an authorization server says of itself (RFC 8414, 2; OpenID Connect Discovery, 3).
struct IssuerMetadata: Hashable, Sendable {
    /// As it is written: compared as a string, never as a URL.
    var issuer: String
    var authorizationEndpoint: WebAddress
    var tokenEndpoint: WebAddress
    var registrationEndpoint: WebAddress?
    var revocationEndpoint: WebAddress?
    /// `nil` if it does not say.
    var scopes: [String]?
    /// `nil` if it does not say.
    var authentications: [String]?
    /// Clients may be named by the URL of a document about them.
    var takesClientDocuments: Bool
    /// Its redirects carry `iss` (RFC 9207, 3), so one without it is somebody else's.
    var sendsIssuer: Bool

    /// - Parameters:
    ///   - document: found at `source`.
    ///   - issuers: one of these must be what it says of itself (RFC 8414, 3.3).
    init(_ document: JSONView, from source: WebAddress, issuers: [String]) throws(AuthorizationProblem) {
        guard let issuer = document["issuer"]?.string, issuers.contains(issuer) else {
            let said = document["issuer"]?.string.map { "'\(AuthorizationProblem.quote($0))'" } ?? "nobody"
            throw AuthorizationProblem(
                .contradiction, "the metadata at \(source.text) is that of \(said), and not of '\(AuthorizationProblem.quote(issuers[0]))'",
                hint: "this is a mistake in the authorization server's set-up, or an attack")
        }
        self.issuer = issuer
        guard let authorization = try Self.endpoint("authorization_endpoint", document, source),
            let token = try Self.endpoint("token_endpoint", document, source)
        else {
            throw AuthorizationProblem(
                .badAnswer, "the metadata at \(source.text) names no 'authorization_endpoint' or no 'token_endpoint'")
        }
        authorizationEndpoint = authorization
        tokenEndpoint = token
        registrationEndpoint = try Self.endpoint("registration_endpoint", document, source)
        revocationEndpoint = try Self.endpoint("revocation_endpoint", document, source)
        let methods = document["code_challenge_methods_supported"]?.elements.compactMap(\.string) ?? []
        guard methods.contains("S256") else {
            throw AuthorizationProblem(
                .unsupported, "the authorization server \(issuer) does not say that it checks PKCE challenges of the method S256",
                hint: "without them somebody on this machine could take the login over; ask for it there")
        }
        scopes = document["scopes_supported"].map { Scopes.valid($0.elements.compactMap(\.string)) }
        authentications = document["token_endpoint_auth_methods_supported"]?.elements.compactMap(\.string)
        takesClientDocuments = document["client_id_metadata_document_supported"]?.boolean == true
        sendsIssuer = document["authorization_response_iss_parameter_supported"]?.boolean == true
    }

    /// Of a server that has none: where MCP 2025-03-26 expects the endpoints (basic/authorization, 2.3.3).
    init(assumedAt base: WebAddress) throws(AuthorizationProblem) {
        guard let authorization = WebAddress(base.origin + "/authorize"), let token = WebAddress(base.origin + "/token") else {
            throw AuthorizationProblem(.unsupported, "its URL cannot be used for a login")
        }
        issuer = base.origin
        authorizationEndpoint = authorization
        tokenEndpoint = token
        registrationEndpoint = WebAddress(base.origin + "/register")
        takesClientDocuments = false
        sendsIssuer = false
    }

    private static func endpoint(_ name: String, _ document: JSONView, _ source: WebAddress) throws(AuthorizationProblem) -> WebAddress? {
        guard let value = document[name], value.kind != .null else { return nil }
        guard let text = value.string, let address = WebAddress(text) else {
            throw AuthorizationProblem(.badAnswer, "the '\(name)' in the metadata at \(source.text) is no URL")
        }
        // Only a server on this machine may name one that only this machine can reach.
        guard address.isSecure, !address.isLoopback || source.isLoopback else {
            throw AuthorizationProblem(
                .insecure, "the '\(name)' in the metadata at \(source.text) must begin with https://, and is \(address.text)")
        }
        return address
    }

    /// How a client with a secret, or without, is to say who it is; `nil` if no way that we know will do.
    func authentication(hasSecret: Bool) -> ClientAuthentication? {
        guard hasSecret else { return ClientAuthentication.none }
        // What is meant if nothing is said (RFC 8414, 2).
        guard let authentications else { return .basic }
        return [.basic, .post].first { authentications.contains($0.rawValue) }
    }

    /// What to register for: no secret if that is possible, because we could not keep one from the person's other programs.
    var registeredAuthentication: ClientAuthentication? {
        guard let authentications else { return ClientAuthentication.none }
        return [ClientAuthentication.none, .basic, .post].first { authentications.contains($0.rawValue) }
    }
}
