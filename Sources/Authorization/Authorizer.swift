package import AsyncHTTPClient
package import NIOCore

/// Gets, keeps and renews the tokens that open servers behind URLs. Never opens a browser by itself: see
/// ``login(to:scopes:open:patience:told:)``.
package actor Authorizer {
    nonisolated let store: TokenStore
    nonisolated let web: Web
    /// Seconds since 1970.
    nonisolated let now: @Sendable () -> Int64
    /// Runs what must not end with its cause; `nil` for anywhere.
    private nonisolated let executor: (any TaskExecutor)?
    var random: any RandomNumberGenerator & Sendable
    private var cache: (signature: TokenStore.Signature?, credentials: Credentials)?
    /// A refresh token may be good for one use only: whoever wants one refreshed that is being refreshed gets the same answer.
    private var refreshes: [Credentials.GrantKey: Task<Result<AccessToken?, AuthorizationProblem>, Never>] = [:]
    /// When we renewed which token.
    private var renewals: [Credentials.GrantKey: (token: String, at: Int64)] = [:]
    /// What could not be written. It is still good for this process.
    private var unsaved: [Credentials.GrantKey: Credentials.Grant] = [:]

    /// - Parameters:
    ///   - client: for a URL. It must follow no redirects, and check the certificate of that very host.
    ///   - eventLoop: for waits.
    ///   - now: seconds since 1970.
    ///   - executor: what may block runs there; `nil` for anywhere. It is to be the one of whoever calls, too.
    package init(
        store: TokenStore, client: @escaping @Sendable (_ url: String) async throws -> HTTPClient, on eventLoop: any EventLoop,
        now: @escaping @Sendable () -> Int64, beside executor: (any TaskExecutor)? = nil, random: any RandomNumberGenerator & Sendable
    ) {
        self.store = store
        web = Web(client: client, eventLoop: eventLoop)
        self.now = now
        self.executor = executor
        self.random = random
    }

    // MARK: Tokens

    /// The token kept for a server, refreshed first if it expires within ``AuthorizationLimits/refreshAhead``.
    /// - Returns: `nil` if there is none, or none that is still good; a server that answers 401 then needs a login.
    /// - Throws: ``AuthorizationProblem``; see ``AuthorizationProblem/isLoginNeeded`` and ``AuthorizationProblem/isOutage``.
    package func token(for server: ProtectedServer) async throws(AuthorizationProblem) -> AccessToken? {
        // A server without encryption gets no token, and may be one that wants none.
        guard let address = try? server.address(), let (key, grant) = try current(server, address) else { return nil }
        let present = now()
        if isFresh(grant, key, at: present) { return grant.token }
        guard grant.refreshToken != nil else { return grant.isExpired(at: present) ? nil : grant.token }
        do {
            return try await refreshed(server, address, key, insteadOf: grant.accessToken)
        } catch let problem where !problem.isLoginNeeded && !grant.isExpired(at: now()) {
            return grant.token
        }
    }

    /// The server answered 401 to this token. If it does so to the replacement too, that is final: nobody should ask for a third.
    /// - Returns: what another process has stored meanwhile, or what a refresh gave; `nil` if a login is needed.
    /// - Throws: ``AuthorizationProblem``. A refresh that is refused forgets the login (`loginNeeded`); an outage does not.
    package func replacement(for refused: AccessToken, of server: ProtectedServer) async throws(AuthorizationProblem) -> AccessToken? {
        let address = try server.address()
        guard let (key, grant) = try current(server, address) else { return nil }
        if grant.accessToken != refused.value, !grant.isExpired(at: now()) { return grant.token }
        guard grant.refreshToken != nil else { return nil }
        return try await refreshed(server, address, key, insteadOf: refused.value)
    }

    /// The server wants more than the token allows: the next login asks for it, beside all that was asked for so far.
    package func remember(_ challenge: Challenge, of server: ProtectedServer) async throws(AuthorizationProblem) {
        guard let scope = challenge.scope, let address = try? server.address() else { return }
        let missing = Scopes.parse(scope)
        func remembered(_ credentials: Credentials) -> [String] {
            let entry = credentials.servers[address.canonical]
            let asked = entry?.key.flatMap { credentials.grants[$0]?.asked } ?? []
            return Scopes.union(Scopes.union(entry?.wanted ?? [], asked), missing)
        }
        // A server can say it as often as it likes.
        let known = try credentials()
        guard remembered(known) != known.servers[address.canonical]?.wanted ?? [] else { return }
        try await store.update(pause: web.pause) { credentials in
            let wanted = remembered(credentials)
            credentials.servers[address.canonical, default: Credentials.Server()].wanted = wanted
        }
    }

    /// Returns when no refresh is under way: ending the process before would lose a token that was just given.
    package func settled() async {
        for refresh in refreshes.values { _ = await refresh.value }
    }

    // MARK: Refresh

    /// Some tokens never live as long as they are to be renewed ahead: what we renewed ourselves is used for half of its life at least.
    private func isFresh(_ grant: Credentials.Grant, _ key: Credentials.GrantKey, at present: Int64) -> Bool {
        guard let expiry = grant.expiresAt else { return true }
        var ahead = AuthorizationLimits.refreshAhead
        if let renewal = renewals[key], renewal.token == grant.accessToken { ahead = min(ahead, (expiry - renewal.at) / 2) }
        return expiry - present > ahead
    }

    /// - Parameter seen: the token that will not do.
    private func refreshed(
        _ server: ProtectedServer, _ address: WebAddress, _ key: Credentials.GrantKey, insteadOf seen: String
    ) async throws(AuthorizationProblem) -> AccessToken? {
        if let running = refreshes[key] { return try await running.value.get() }
        // A task of its own: were it cancelled with the request that is its cause, the new refresh token could be lost.
        let refresh = Task(executorPreference: executor) { () -> Result<AccessToken?, AuthorizationProblem> in
            do throws(AuthorizationProblem) {
                return .success(try await self.renew(server, address, key, insteadOf: seen))
            } catch {
                return .failure(error)
            }
        }
        refreshes[key] = refresh
        let outcome = await refresh.value
        refreshes[key] = nil
        return try outcome.get()
    }

    private func renew(
        _ server: ProtectedServer, _ address: WebAddress, _ key: Credentials.GrantKey, insteadOf seen: String
    ) async throws(AuthorizationProblem) -> AccessToken? {
        let lock = try await store.lockRefresh(of: key, pause: web.pause)
        defer { lock.release() }
        // Whoever had the lock may have done it, or logged out.
        guard let (presentKey, grant) = try current(server, address), presentKey == key else { return nil }
        if grant.accessToken != seen, !grant.isExpired(at: now()) { return grant.token }
        guard let token = grant.refreshToken else { return nil }
        let endpoint = try tokenEndpoint(of: grant, grant.tokenEndpoint, key, for: server)
        let sent = now()
        switch try await endpoint.refresh(token, now: sent) {
        case .given(let answer):
            var renewed = grant
            renewed.accessToken = answer.accessToken
            renewed.refreshToken = answer.refreshToken ?? token
            renewed.expiresAt = answer.expiresAt
            renewed.scopes = answer.scopes ?? grant.scopes
            renewals[key] = (answer.accessToken, sent)
            return await keep(renewed, key)
        case .refused(let error):
            return try await giveUp(grant, key, because: error, for: server)
        }
    }

    private func keep(_ renewed: Credentials.Grant, _ key: Credentials.GrantKey) async -> AccessToken? {
        do {
            let token = try await store.update(pause: web.pause) { credentials -> AccessToken? in
                // Somebody logged out, or in anew, meanwhile: that is newer than what we asked for before it.
                guard let present = credentials.grants[key] else { return nil }
                guard present.id == renewed.id else { return present.token }
                credentials.grants[key] = renewed
                return renewed.token
            }
            unsaved[key] = nil
            return token
        } catch {
            unsaved[key] = renewed
            store.warn("a renewed token could not be written, and will be lost when this process ends: \(error.message)")
            return renewed.token
        }
    }

    /// - Returns: what another program got with the same refresh token, if there is one that does not keep our locks.
    private func giveUp(
        _ grant: Credentials.Grant, _ key: Credentials.GrantKey, because error: OAuthError, for server: ProtectedServer
    ) async throws(AuthorizationProblem) -> AccessToken? {
        if error.code == "invalid_grant" || error.isAboutClient {
            let wasUnsaved = unsaved[key] != nil
            let other = try await store.update(pause: web.pause) { credentials -> AccessToken? in
                guard let present = credentials.grants[key] else { return nil }
                guard present.id == grant.id, present.refreshToken == grant.refreshToken || wasUnsaved else { return present.token }
                credentials.grants[key] = nil
                if error.isAboutClient, credentials.registrations[key.issuer]?.client.id == grant.client.id {
                    credentials.registrations[key.issuer] = nil
                }
                return nil
            }
            unsaved[key] = nil
            if let other { return other }
        }
        let secrets = [grant.refreshToken, grant.accessToken, grant.client.secret, server.clientSecret]
        throw .loginNeeded(
            for: server, because: "its login is not valid any more: \(key.issuer) says \(error.text(hiding: secrets))")
    }

    /// - Parameter text: an address of the authorization server, as it was kept.
    func tokenEndpoint(
        of grant: Credentials.Grant, _ text: String, _ key: Credentials.GrantKey, for server: ProtectedServer
    ) throws(AuthorizationProblem) -> TokenEndpoint {
        guard let address = WebAddress(text), address.isSecure else {
            throw AuthorizationProblem(
                .storeBroken, "the file of tokens '\(store.path)' names an authorization server that cannot be asked",
                hint: "run: mcpagg login \(server.key)")
        }
        var client = grant.client
        if grant.isClientConfigured { client.secret = server.clientSecret }
        return TokenEndpoint(web: web, address: address, client: client, resource: key.resource)
    }

    // MARK: What is kept

    /// The file, read only if it is not the one that was read last.
    func credentials() throws(AuthorizationProblem) -> Credentials {
        if let cache, cache.signature == store.signature { return cache.credentials }
        let (credentials, signature) = try store.read()
        cache = (signature, credentials)
        return credentials
    }

    func current(
        _ server: ProtectedServer, _ address: WebAddress
    ) throws(AuthorizationProblem) -> (key: Credentials.GrantKey, grant: Credentials.Grant)? {
        guard let (key, kept) = try credentials().grant(for: server, at: address.canonical) else { return nil }
        // The file is ours, but one edit by hand must not send a token to another server.
        guard WebAddress(key.resource)?.isSelfOrParent(of: address) == true else { return nil }
        if let other = unsaved[key] {
            if other.id == kept.id { return (key, other) }
            unsaved[key] = nil
        }
        return (key, kept)
    }
}
