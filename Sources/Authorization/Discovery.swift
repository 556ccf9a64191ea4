import JSONRPC
import NIOCore
import NIOHTTP1

/// What was found out before a login.
struct Discovered: Sendable {
    /// What the token is for.
    var resource: String
    var issuer: IssuerMetadata
    var challenge: Challenge?
    var scopes: [String]?
}

/// Finds out who grants access to an MCP server (MCP 2025-11-25, basic/authorization, "Authorization Server Discovery").
struct Discovery {
    let web: Web
    let server: ProtectedServer
    let address: WebAddress
    /// Of the authorization servers that the server names, one that we know already is taken before the others.
    let knownIssuers: Set<String>

    init(web: Web, server: ProtectedServer, knownIssuers: Set<String> = []) throws(AuthorizationProblem) {
        self.web = web
        self.server = server
        self.knownIssuers = knownIssuers
        address = try server.address()
    }

    func run() async throws(AuthorizationProblem) -> Discovered {
        let (isRefused, challenges) = try await probe()
        let challenge = Challenge(wwwAuthenticate: challenges)
        if let metadata = try await resourceMetadata(challenge) {
            let issuer = try await issuerMetadata(namedBy: metadata)
            return Discovered(resource: metadata.resource, issuer: issuer, challenge: challenge, scopes: metadata.scopes)
        }
        // A server may want a login for some requests only; but then it has to say where.
        guard isRefused else {
            throw AuthorizationProblem(.noLoginAsked, "it answers without a login", hint: "use it as it is")
        }
        guard challenges.isEmpty || challenge != nil else {
            let scheme = AuthorizationProblem.quote(String(challenges[0].prefix { $0 != " " && $0 != "," }))
            throw AuthorizationProblem(
                .unsupported, "it wants another kind of authorization than a login, '\(scheme)'",
                hint: "give it 'headers' with an 'Authorization' in the config file")
        }
        let issuer = try await oldMetadata()
        return Discovered(resource: address.canonical, issuer: issuer, challenge: challenge)
    }

    // MARK: The server

    /// Asks without a token, as the first request of a session would.
    private func probe() async throws(AuthorizationProblem) -> (isRefused: Bool, challenges: [String]) {
        var address = address
        var redirects = 0
        var method = HTTPMethod.POST
        while true {
            let answer = try await web.send(
                method, address, headers: headers(method), body: method == .POST ? Self.initialize : nil, wantsBody: false)
            if answer.isRedirect, redirects < AuthorizationLimits.redirects {
                redirects += 1
                address = try Web.target(of: answer, from: address)
                continue
            }
            if let session = answer.headers.first(name: "Mcp-Session-Id"), answer.status < 300 {
                _ = try? await web.send(.DELETE, address, headers: [("Mcp-Session-Id", session)], wantsBody: false)
            }
            let challenges = Array(answer.headers["WWW-Authenticate"])
            switch answer.status {
            case 401: return (true, challenges)
            case 403 where Challenge(wwwAuthenticate: challenges) != nil: return (true, challenges)
            case 404, 405:
                // The transport of MCP 2024-11-05 is opened by a GET.
                guard method == .POST else { return (false, []) }
                method = .GET
            case _ where answer.isOutage:
                throw AuthorizationProblem(.unreachable, "it answers with HTTP \(answer.status)", hint: "try again later")
            default: return (false, [])
            }
        }
    }

    private func headers(_ method: HTTPMethod) -> [(name: String, value: String)] {
        if method == .GET { return [("Accept", "text/event-stream")] }
        return [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")]
    }

    private static let initialize = JSONWriter.object { request in
        request.member("jsonrpc", "2.0")
        request.member("id", 1)
        request.member("method", "initialize")
        request.object("params") { params in
            params.member("protocolVersion", Web.protocolVersion)
            params.object("capabilities") { _ in }
            params.object("clientInfo") {
                $0.member("name", "mcpagg")
                $0.member("version", "login")
            }
        }
    }

    // MARK: Its metadata

    /// - Returns: `nil` if it has none.
    private func resourceMetadata(_ challenge: Challenge?) async throws(AuthorizationProblem) -> ResourceMetadata? {
        var candidates = address.resourceMetadataCandidates
        if let named = challenge?.resourceMetadata {
            guard let place = WebAddress(named) else {
                throw AuthorizationProblem(
                    .badAnswer, "the 'resource_metadata' in its challenge is no URL: '\(AuthorizationProblem.quote(named))'")
            }
            // Another origin may hold it, since it must be about this server all the same; but a server elsewhere must not have us look
            // at what only this machine can reach.
            guard place.isSecure, !place.isLoopback || address.isLoopback else {
                throw AuthorizationProblem(
                    .insecure, "the 'resource_metadata' in its challenge must begin with https://, and is \(place.text)")
            }
            candidates.removeAll { $0 == place.text }
            candidates.insert(place.text, at: 0)
        }
        for candidate in candidates {
            guard let (source, document) = try await document(at: candidate) else { continue }
            return try ResourceMetadata(document, from: source, for: address)
        }
        return nil
    }

    private func issuerMetadata(namedBy metadata: ResourceMetadata) async throws(AuthorizationProblem) -> IssuerMetadata {
        var issuers = metadata.authorizationServers
        if let known = issuers.firstIndex(where: knownIssuers.contains) { issuers.insert(issuers.remove(at: known), at: 0) }
        for issuer in issuers.prefix(AuthorizationLimits.authorizationServers) {
            let shown = AuthorizationProblem.quote(issuer)
            guard let address = WebAddress(issuer), address.query == nil, !issuer.contains("#") else {
                throw AuthorizationProblem(.badAnswer, "the authorization server that it names is no URL of an issuer: '\(shown)'")
            }
            guard address.isSecure, !address.isLoopback || self.address.isLoopback else {
                throw AuthorizationProblem(.insecure, "the authorization server that it names must begin with https://, and is '\(shown)'")
            }
            for candidate in address.issuerMetadataCandidates {
                guard let (source, document) = try await document(at: candidate) else { continue }
                return try IssuerMetadata(document, from: source, issuers: [issuer])
            }
        }
        throw AuthorizationProblem(
            .badAnswer, "the authorization server '\(AuthorizationProblem.quote(issuers[0]))' does not describe itself",
            hint: "it has no document at /.well-known/oauth-authorization-server, nor at /.well-known/openid-configuration")
    }

    /// Servers of MCP 2025-03-26 are their own authorization servers.
    private func oldMetadata() async throws(AuthorizationProblem) -> IssuerMetadata {
        if let (source, document) = try await document(at: address.origin + "/.well-known/oauth-authorization-server") {
            // Nobody has written the issuer down before, so it may end with a slash or not.
            return try IssuerMetadata(document, from: source, issuers: [address.origin, address.origin + "/"])
        }
        return try IssuerMetadata(assumedAt: address)
    }

    /// - Returns: `nil` if there is none: also where an application answers every path with a page.
    private func document(at place: String) async throws(AuthorizationProblem) -> (WebAddress, JSONView)? {
        guard let source = WebAddress(place) else { return nil }
        let answer = try await web.get(source)
        if answer.isOutage {
            throw AuthorizationProblem(.unreachable, "\(source.text) answers with HTTP \(answer.status)", hint: "try again later")
        }
        guard answer.status == 200, let document = answer.object else { return nil }
        return (source, document)
    }
}
