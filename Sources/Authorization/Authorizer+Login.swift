import NIOCore
import NIOPosix

/// What a login is at, for whoever waits in front of it.
package enum LoginStep: Sendable {
    case found(issuer: String)
    case registered(issuer: String)
    /// From now on the browser may come back here.
    case listening(redirectURI: String)
}

/// What a login came to.
package struct LoginSummary: Hashable, Sendable {
    package var issuer: String
    /// Empty if neither side named any.
    package var scopes: [String]
    /// Seconds since 1970.
    package var expiresAt: Int64?
    /// There is a refresh token.
    package var isRenewable: Bool
}

extension Authorizer {
    /// Logs a person in to a server, by the authorization code grant with PKCE, in a browser (MCP 2025-11-25, basic/authorization).
    ///
    /// - Parameters:
    ///   - scopes: taken literally; empty for those of the config file, or what the server says, with what was missing since.
    ///   - open: shows the person an address. It must return when it is cancelled; if it throws, the login is over.
    ///   - patience: how long the person may take.
    ///   - told: hears how far it is.
    @discardableResult
    package func login(
        to server: ProtectedServer, scopes: [String], open: @escaping @Sendable (String) async throws -> Void, patience: Duration,
        told: @escaping @Sendable (LoginStep) -> Void = { _ in }
    ) async throws(AuthorizationProblem) -> LoginSummary {
        let address = try server.address()
        // Before the person does anything: that the file can be written, and holds something that can be gone on with.
        let known = try await store.update(rescue: true, pause: web.pause) { (credentials) throws(AuthorizationProblem) in credentials }
        let knownIssuers = Set(known.grants.keys.map(\.issuer)).union(known.registrations.keys)
        let found = try await Discovery(web: web, server: server, knownIssuers: knownIssuers).run()
        told(.found(issuer: found.issuer.issuer))
        let configured = try configuredClient(of: server, at: found.issuer, known: known.servers[address.canonical])
        let asked = Scopes.selected(
            Scopes.Sources(
                named: scopes, configured: server.scopes, challenged: found.challenge?.scope.map(Scopes.parse),
                supportedByServer: found.scopes, remembered: known.servers[address.canonical]?.wanted ?? [],
                supportedByIssuer: found.issuer.scopes))
        let registration = configured == nil ? known.registrations[found.issuer.issuer] : nil
        let listener = try await listen(server.callbackPort, registration: registration)
        let visit = Visit(server: server, address: address, found: found, scopes: asked, isScopeNamed: !scopes.isEmpty, listener: listener)
        let outcome: Result<LoginSummary, AuthorizationProblem>
        do throws(AuthorizationProblem) {
            let client = try await client(configured, registration, for: visit, told: told)
            told(.listening(redirectURI: listener.redirectURI))
            outcome = .success(try await finish(visit, as: client, isConfigured: configured != nil, open: open, patience: patience))
        } catch {
            outcome = .failure(error)
            // A page of the authorization server that says "unknown client" does not come back to us; so the next login registers anew.
            let isOver = error.code == .timedOut || error.code == .cancelled || error.code == .clientRefused
            if let registration, isOver { await forget(registration, of: found.issuer.issuer) }
        }
        await listener.close()
        return try outcome.get()
    }

    /// What one login is about.
    private struct Visit: Sendable {
        let server: ProtectedServer
        let address: WebAddress
        let found: Discovered
        let scopes: [String]
        let isScopeNamed: Bool
        let listener: LoopbackListener
    }

    // MARK: Who we are

    /// - Returns: `nil` if there is none, or none that this authorization server takes.
    private func configuredClient(
        of server: ProtectedServer, at issuer: IssuerMetadata, known: Credentials.Server?
    ) throws(AuthorizationProblem) -> Client? {
        guard let id = server.clientID else { return nil }
        if server.clientSecret == nil, let document = WebAddress(id), document.scheme == "https", !document.path.isEmpty {
            // One that does not know such documents may know the URL as the name of a client; but one where we can register does not.
            guard issuer.takesClientDocuments || issuer.registrationEndpoint == nil else { return nil }
            return Client(id: id, secret: nil, authentication: .none)
        }
        // A secret is for the authorization server it was made at. If the MCP server names another one now, that one must not get it.
        if let key = known?.key, known?.configuredClient == id, key.issuer != issuer.issuer {
            throw AuthorizationProblem(
                .contradiction,
                "'oauth.clientId' was used at \(key.issuer), and the server wants logins at \(issuer.issuer) now",
                hint: "if that is right, run: mcpagg logout \(server.key), configure a client of the new one, and log in again")
        }
        guard let authentication = issuer.authentication(hasSecret: server.clientSecret != nil) else {
            throw AuthorizationProblem(
                .unsupported, "the authorization server \(issuer.issuer) wants clients to authenticate in ways that mcpagg does not know")
        }
        return Client(id: id, secret: server.clientSecret, authentication: authentication)
    }

    private func client(
        _ configured: Client?, _ registration: Registration?, for visit: Visit, told: @Sendable (LoginStep) -> Void
    ) async throws(AuthorizationProblem) -> Client {
        if let configured { return configured }
        let redirectURI = visit.listener.redirectURI
        if let registration, registration.serves(redirectURI: redirectURI, scopes: visit.scopes, now: now()) { return registration.client }
        let issuer = visit.found.issuer
        let made = try await Registration.register(
            at: issuer, redirectURI: redirectURI, scopes: visit.scopes, for: visit.server, over: web)
        // Kept at once: if the person gives up, the next login need not register again.
        try await store.update(pause: web.pause) { $0.registrations[issuer.issuer] = made }
        told(.registered(issuer: issuer.issuer))
        return made.client
    }

    private func forget(_ registration: Registration, of issuer: String) async {
        _ = try? await store.update(pause: web.pause) { credentials in
            if credentials.registrations[issuer] == registration { credentials.registrations[issuer] = nil }
        }
    }

    /// - Parameter registration: its port is tried first.
    private func listen(_ port: Int?, registration: Registration?) async throws(AuthorizationProblem) -> LoopbackListener {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        if port == nil, let known = registration?.port, let listener = try? await LoopbackListener.open(port: known, on: eventLoop) {
            return listener
        }
        do {
            return try await LoopbackListener.open(port: port ?? 0, on: eventLoop)
        } catch {
            let name = port.map { "port \($0)" } ?? "any port"
            throw AuthorizationProblem(
                .cannotListen, "the browser cannot come back to \(name) of 127.0.0.1: \(AuthorizationProblem.quote("\(error)"))",
                hint: port == nil ? nil : "end what uses it, or change 'oauth.callbackPort' in the config file")
        }
    }

    // MARK: The browser, and behind it

    private func finish(
        _ visit: Visit, as client: Client, isConfigured: Bool, open: @escaping @Sendable (String) async throws -> Void, patience: Duration
    ) async throws(AuthorizationProblem) -> LoginSummary {
        let issuer = visit.found.issuer
        let attempt = LoginAttempt(
            state: Randomness.word(using: &random), verifier: Randomness.word(using: &random), redirectURI: visit.listener.redirectURI,
            issuer: issuer.issuer, sendsIssuer: issuer.sendsIssuer)
        let code = try await code(for: attempt, at: authorizationURL(visit, client, attempt), visit.listener, open, patience)
        let endpoint = TokenEndpoint(web: web, address: issuer.tokenEndpoint, client: client, resource: visit.found.resource)
        let answer: TokenAnswer
        switch try await endpoint.redeem(code: code, verifier: attempt.verifier, redirectURI: attempt.redirectURI, now: now()) {
        case .given(let given): answer = given
        case .refused(let error):
            let text = error.text(hiding: [code, attempt.verifier, client.secret])
            throw AuthorizationProblem(
                error.isAboutClient ? .clientRefused : .refused, "the authorization server \(issuer.issuer) gives no token: \(text)",
                hint: "log in again")
        }
        let key = Credentials.GrantKey(issuer: issuer.issuer, resource: visit.found.resource)
        var kept = client
        if isConfigured { kept.secret = nil }
        let grant = Credentials.Grant(
            id: Randomness.name(using: &random), tokenEndpoint: issuer.tokenEndpoint.text,
            revocationEndpoint: issuer.revocationEndpoint?.text, client: kept, isClientConfigured: isConfigured,
            accessToken: answer.accessToken, refreshToken: answer.refreshToken, expiresAt: answer.expiresAt,
            scopes: answer.scopes ?? visit.scopes, asked: visit.scopes)
        try await store.update(pause: web.pause) { credentials in
            credentials.grants[key] = grant
            var entry = credentials.servers[visit.address.canonical] ?? Credentials.Server()
            entry.key = key
            entry.configuredClient = isConfigured ? client.id : nil
            // Whoever names scopes means these and no others.
            if visit.isScopeNamed { entry.wanted = [] }
            credentials.servers[visit.address.canonical] = entry
        }
        return LoginSummary(
            issuer: issuer.issuer, scopes: grant.scopes, expiresAt: grant.expiresAt, isRenewable: grant.refreshToken != nil)
    }

    private func authorizationURL(_ visit: Visit, _ client: Client, _ attempt: LoginAttempt) -> String {
        var fields = [
            (name: "response_type", value: "code"), (name: "client_id", value: client.id),
            (name: "redirect_uri", value: attempt.redirectURI), (name: "state", value: attempt.state),
            (name: "code_challenge", value: Randomness.challenge(of: attempt.verifier)), (name: "code_challenge_method", value: "S256"),
            (name: "resource", value: visit.found.resource),
        ]
        if !visit.scopes.isEmpty { fields.append(("scope", visit.scopes.joined(separator: " "))) }
        // OpenID providers ignore the scope without it (OpenID Connect Core, 11).
        if visit.scopes.contains(Scopes.offline) { fields.append(("prompt", "consent")) }
        return visit.found.issuer.authorizationEndpoint.adding(fields)
    }

    private func code(
        for attempt: LoginAttempt, at url: String, _ listener: LoopbackListener, _ open: @escaping @Sendable (String) async throws -> Void,
        _ patience: Duration
    ) async throws(AuthorizationProblem) -> String {
        let web = web
        do {
            try await listener.expect(attempt)
            // The browser may come back while whoever opens it still waits for it to end.
            let verdict = try await web.within(patience) {
                try await withThrowingTaskGroup(of: LoginAttempt.Verdict?.self) { group in
                    group.addTask {
                        try await open(url)
                        return nil
                    }
                    group.addTask {
                        for await verdict in listener.verdicts { return verdict }
                        throw CancellationError()
                    }
                    defer { group.cancelAll() }
                    while let outcome = try await group.next() {
                        if let outcome { return outcome }
                    }
                    throw CancellationError()
                }
            }
            switch verdict {
            case .code(let code): return code
            case .failed(let problem): throw problem
            case .foreign: throw CancellationError()  // never told
            }
        } catch _ where Task.isCancelled {
            throw .cancelled
        } catch let problem as AuthorizationProblem {
            throw problem
        } catch is Web.TimeOver {
            throw AuthorizationProblem(
                .timedOut, "nobody came back from the browser within \(patience.components.seconds) s",
                hint: "log in again; the page may say what was wrong")
        } catch {
            throw AuthorizationProblem(.cancelled, "the login was given up: \(AuthorizationProblem.quote("\(error)"))")
        }
    }
}
