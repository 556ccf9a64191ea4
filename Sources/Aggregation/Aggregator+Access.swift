import Authorization
import ConfigFile
import Crypto
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

/// With which headers a server behind a URL is asked.
struct RemoteAccess {
    enum Source {
        /// The config file says all.
        case config
        /// A program prints them.
        case command(HTTPEndpoint.HeadersCommand)
        /// The person logs in, if the server wants that.
        case login(Authorizer, ProtectedServer)
    }

    let source: Source
    /// From the config file.
    let headers: [(name: String, value: String)]
    /// They are being fetched.
    var fetch: Task<Void, Never>?
    /// How often they were; what an earlier time brings is of no interest.
    var fetches = 0
    /// What requests carry, of a login.
    var token: AccessToken?
    /// With what a request was refused while they were being fetched.
    var refusal: (status: Int, challenges: [String])?
    /// A token that the server refused though it was fresh: that is final.
    var refusedToken: AccessToken?

    /// - Parameter authorizer: `nil` if there are no logins.
    init(_ endpoint: HTTPEndpoint, key: String, authorizer: @autoclosure () -> Authorizer?) {
        headers = endpoint.headers.map { ($0.key, $0.value) }
        if let command = endpoint.headersFrom {
            source = .command(command)
        } else if let server = Self.protectedServer(endpoint, key: key), let authorizer = authorizer() {
            source = .login(authorizer, server)
        } else {
            source = .config
        }
    }

    /// What a login would be to; `nil` if the config file says with which headers it is asked.
    static func protectedServer(_ endpoint: HTTPEndpoint, key: String) -> ProtectedServer? {
        let saysWho = endpoint.headers.keys.contains { $0.lowercased() == "authorization" }
        guard endpoint.headersFrom == nil, !saysWho else { return nil }
        let oauth = endpoint.oauth
        return ProtectedServer(
            key: key, url: endpoint.url, clientID: oauth?.clientID, clientSecret: oauth?.clientSecret, scopes: oauth?.scopes ?? [],
            callbackPort: oauth?.callbackPort)
    }

    /// What is to be done before the client may be shut down: a new token could be lost.
    func lastDuty(_ clients: HTTPClients) -> (@Sendable () async -> Void)? {
        guard case .login(let authorizer, _) = source else { return nil }
        return {
            await authorizer.settled()
            await clients.shutdown()
        }
    }

    /// Whom the headers speak for, without saying it.
    static func identity(of headers: [(name: String, value: String)]) -> String {
        var hash = SHA256()
        // Any of them may be what a server tells people apart by.
        for (name, value) in headers.map({ ($0.name.lowercased(), $0.value) }).sorted(by: <) {
            hash.update(data: Array("\(name.utf8.count):\(name)\(value.utf8.count):\(value)".utf8))
        }
        return hash.finalize().map { String($0, radix: 16) }.joined(separator: "-")
    }

    /// Those of the config file, and over them what was fetched.
    func merged(with fetched: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var names: Set<String> = []
        // The last of several is meant; those of the transport are ours to set.
        return (headers + fetched).reversed().filter { header in
            let name = header.name.lowercased()
            return !HTTPEndpoint.isTransportHeader(name) && names.insert(name).inserted
        }.reversed()
    }
}

// Who we are to servers behind URLs.
extension Aggregator {
    /// Finds out the headers that requests carry; until then they wait.
    func openAccess(to downstream: Downstream) {
        guard let access = downstream.remote?.access else { return }
        switch access.source {
        case .config: authorize(downstream, access.headers)
        case .command(let command): fetchHeaders(command, for: downstream)
        case .login(let authorizer, let server):
            fetchToken(for: downstream) { () async throws(AuthorizationProblem) in try await authorizer.token(for: server)
            }
        }
    }

    /// The server refuses what requests carry.
    func unauthorized(_ downstream: Downstream, status: Int, challenges: [String]) {
        guard let access = downstream.remote?.access else { return }
        guard access.fetch == nil else {
            downstream.remote?.access.refusal = (status, challenges)
            return
        }
        switch access.source {
        case .config: refuse(downstream, status: status)
        case .command(let command):
            guard status == 401 else { return refuse(downstream, status: status) }
            fetchHeaders(command, for: downstream)
        case .login(let authorizer, let server):
            guard status == 401 else { return forbidden(downstream, authorizer, server, challenges: challenges) }
            let refused = access.token
            if refused != nil, refused == access.refusedToken { return needsLogin(downstream, because: nil) }
            fetchToken(for: downstream, because: loginNeeded(at: downstream, because: nil)) { () async throws(AuthorizationProblem) in
                // Somebody may have logged in since we looked.
                guard let refused else { return try await authorizer.token(for: server) }
                return try await authorizer.replacement(for: refused, of: server)
            }
        }
    }

    /// - Parameter grant: what a token that is refreshed stems from; `nil` if the headers say by themselves who we are.
    func authorize(_ downstream: Downstream, _ headers: [(name: String, value: String)], grant: String? = nil) {
        var headers = headers
        if !headers.contains(where: { $0.name.lowercased() == "user-agent" }) {
            headers.append(("User-Agent", "\(identity.name)/\(identity.version)"))
        }
        downstream.remote?.server.authorize(headers, identity: grant ?? RemoteAccess.identity(of: headers))
    }

    private func refuse(_ downstream: Downstream, status: Int) {
        let what = status == 401 ? "it wants authorization (HTTP 401)" : "it forbids this (HTTP 403)"
        downstream.remote?.server.refuse(
            HTTPFailure(.authorization, .refused, cause: what, hint: authorizationHint(for: downstream), status: status))
    }

    /// How to be authorized by a server.
    func authorizationHint(for downstream: Downstream) -> String? {
        guard let access = downstream.remote?.access else { return nil }
        return switch access.source {
        case .config:
            access.headers.contains { $0.name.lowercased() == "authorization" }
                ? "correct its 'Authorization' in the config file" : "give it 'headers' with an 'Authorization' in the config file"
        case .command: "look at what its 'headersFrom' command prints"
        case .login: "run: mcpagg login \(downstream.key)"
        }
    }

    /// Lets go of a server, and of what was being fetched for it: a program that was run for its headers does not outlive us.
    func disconnect(_ downstream: Downstream) {
        guard let remote = downstream.remote else { return }
        cancel(.headers(downstream.id))
        if let fetch = remote.access.fetch {
            fetch.cancel()
            downstream.remote?.access.fetch = nil
            let duty = remote.server.lastDuty
            remote.server.lastDuty = {
                await fetch.value
                await duty?()
            }
        }
        // Of what is in flight nothing more will be heard.
        if downstream.life.state == .stopped {
            lose(downstream, cause: ending == nil ? "its connection was ended" : "mcpagg is ending", hint: nil)
        }
        remote.server.end()
    }

    // MARK: Logins

    /// - Parameter refusal: why another one is wanted, and what is said if there is none.
    private func fetchToken(
        for downstream: Downstream, because refusal: HTTPFailure? = nil,
        _ body: @escaping @Sendable () async throws(AuthorizationProblem) -> AccessToken?
    ) {
        guard let access = downstream.remote?.access else { return }
        let (id, launch, fetch) = (downstream.id, downstream.launches, access.fetches + 1)
        downstream.remote?.access.fetches = fetch
        // Detached: it must not inherit our isolation, or the event loop would wait for the file.
        downstream.remote?.access.fetch = Task.detached(executorPreference: sideExecutor) {
            let outcome: Result<AccessToken?, AuthorizationProblem>
            do throws(AuthorizationProblem) {
                outcome = .success(try await body())
            } catch {
                outcome = .failure(error)
            }
            await self.fetchedToken(outcome, for: id, launch: launch, fetch: fetch, because: refusal)
        }
    }

    private func fetchedToken(
        _ outcome: Result<AccessToken?, AuthorizationProblem>, for id: DownstreamID, launch: Int, fetch: Int, because refusal: HTTPFailure?
    ) {
        guard let downstream = downstreams[id], downstream.launches == launch, let access = downstream.remote?.access,
            access.fetches == fetch, access.fetch != nil
        else { return }
        downstream.remote?.access.fetch = nil
        switch outcome {
        case .success(let token):
            if let refusal, token == nil || token == access.token { return refuse(downstream, refusal) }
            watchLogins()
            if refusal == nil, let (status, challenges) = access.refusal {
                downstream.remote?.access.refusal = nil
                if token == access.token { return unauthorized(downstream, status: status, challenges: challenges) }
            }
            // Nobody knows it better than we do, unless something changed.
            if refusal == nil, access.fetches > 1, token == access.token { return }
            downstream.remote?.access.token = token
            if let token { hide(HTTPEndpoint.secrets(in: "Bearer \(token.value)"), of: downstream) }
            let bearer = token.map { [(name: "Authorization", value: "Bearer \($0.value)")] } ?? []
            authorize(downstream, access.merged(with: bearer), grant: token?.grant)
        case .failure(let problem) where problem.isLoginNeeded: needsLogin(downstream, because: problem)
        case .failure(let problem):
            let failure = HTTPFailure(
                problem.isOutage ? .transient : .authorization, .refused, cause: "its login cannot be used: \(problem.message)",
                hint: problem.hint, status: nil)
            if case .starting = downstream.life.state { lost(failure, of: downstream) } else { downstream.remote?.server.refuse(failure) }
        }
        flush()
    }

    private func loginNeeded(at downstream: Downstream, because problem: AuthorizationProblem?) -> HTTPFailure {
        HTTPFailure(
            .authorization, .refused, cause: problem?.message ?? "it wants authorization (HTTP 401)",
            hint: "run: mcpagg login \(downstream.key)", status: 401)
    }

    private func needsLogin(_ downstream: Downstream, because problem: AuthorizationProblem?) {
        refuse(downstream, loginNeeded(at: downstream, because: problem))
    }

    private func refuse(_ downstream: Downstream, _ failure: HTTPFailure) {
        watchLogins()
        // Before anything was sent there is nothing that was refused.
        if downstream.remote?.server.hasCredentials == false {
            lost(failure, of: downstream)
        } else {
            downstream.remote?.server.refuse(failure)
        }
        flush()
    }

    /// The token is good, but not for this.
    private func forbidden(_ downstream: Downstream, _ authorizer: Authorizer, _ server: ProtectedServer, challenges: [String]) {
        guard let challenge = Challenge(wwwAuthenticate: challenges), challenge.needsMoreScope else {
            return refuse(downstream, status: 403)
        }
        let scope = challenge.scope.map { " '\($0.prefix(200))'" } ?? ""
        let refusal = HTTPFailure(
            .authorization, .refused, cause: "it wants rights\(scope) that the login does not have (HTTP 403)",
            hint: "run: mcpagg login \(downstream.key)", status: 403)
        let refused = downstream.remote?.access.token
        fetchToken(for: downstream, because: refusal) { () async throws(AuthorizationProblem) in
            // Somebody may have logged in anew since we looked. A token that was only renewed gives no more than the one before.
            let token = try await authorizer.token(for: server)
            if let token, token.grant != refused?.grant { return token }
            // The next login asks for it. That is kept before anybody is told to log in.
            try await authorizer.remember(challenge, of: server)
            return nil
        }
    }

    /// Hears of logins that are done in other processes.
    private func watchLogins() {
        guard loginWatcher == nil, options.restartsServers, let path = surroundings.tokenFile else { return }
        let watcher = FileWatcher(path: path, on: eventLoop) { self.assumeIsolated { $0.loginsChanged() } }
        watcher.start()
        loginWatcher = watcher
    }

    private func loginsChanged() {
        for downstream in Array(downstreams.values) {
            if downstream.failure?.kind == .authorization {
                if downstream.life.retry() { launch(downstream) }
            } else if case .login = downstream.remote?.access.source, downstream.remote?.access.fetch == nil {
                openAccess(to: downstream)
            }
        }
        flush()
    }

    // MARK: Headers that a program prints

    private func fetchHeaders(_ command: HTTPEndpoint.HeadersCommand, for downstream: Downstream) {
        guard let access = downstream.remote?.access else { return }
        let (id, launch, fetch) = (downstream.id, downstream.launches, access.fetches + 1)
        set(.headers(id), after: command.timeout)
        var environment = surroundings.environment
        environment.merge(surroundings.marks) { _, mark in mark }
        let process = ChildProcess.Command(
            executable: command.executable, arguments: command.arguments, environment: environment,
            workingDirectory: surroundings.workingDirectory)
        downstream.remote?.access.fetches = fetch
        let run = HeadersCommand.run(process, guardedBy: childGuard, on: eventLoop)
        let (result, bound) = (run.outcome, NIOLoopBound(run, eventLoop: eventLoop))
        downstream.remote?.access.fetch = Task(executorPreference: LoopExecutor(eventLoop)) {
            let outcome: Result<[(name: String, value: String)], HTTPFailure>
            do {
                outcome = .success(
                    try await withTaskCancellationHandler {
                        try await result.get()
                    } onCancel: {
                        bound.eventLoop.execute { bound.value.cancel() }
                    })
            } catch {
                outcome = .failure(error as? HTTPFailure ?? HeadersCommand.notRun("\(error)"))
            }
            await self.fetchedHeaders(outcome, for: id, launch: launch, fetch: fetch, lifetime: command.lifetime)
        }
    }

    private func fetchedHeaders(
        _ outcome: Result<[(name: String, value: String)], HTTPFailure>, for id: DownstreamID, launch: Int, fetch: Int,
        lifetime: Duration?
    ) {
        guard let downstream = downstreams[id], downstream.launches == launch, let remote = downstream.remote,
            remote.access.fetches == fetch, remote.access.fetch != nil
        else { return }
        downstream.remote?.access.fetch = nil
        cancel(.headers(id))
        switch outcome {
        case .success(let headers):
            // They are secrets from now on, like those of the config file.
            hide(headers.flatMap { HTTPEndpoint.secrets(in: $0.value) }, of: downstream)
            authorize(downstream, remote.access.merged(with: headers))
            if let lifetime { set(.headers(id), after: lifetime) }
        case .failure(let failure):
            if case .starting = downstream.life.state, downstream.machine.requestsInFlight == 0 {
                lost(failure, of: downstream)
            } else {
                remote.server.refuse(failure)
            }
        }
        flush()
    }

    /// Keeps short-lived secrets out of all texts: the present ones, and those before, of which there may still be talk.
    func hide(_ fetched: [String], of downstream: Downstream) {
        fetchedSecrets[downstream.key] = Array(([fetched] + (fetchedSecrets[downstream.key] ?? [])).prefix(2))
        redact = Redaction(secrets.union(fetchedSecrets.values.joined().joined()))
    }

    /// The program takes too long, or what it printed is too old.
    func headersDue(_ downstream: Downstream) {
        guard let access = downstream.remote?.access, case .command(let command) = access.source else { return }
        guard let fetch = access.fetch else { return fetchHeaders(command, for: downstream) }
        fetch.cancel()
        fetchedHeaders(
            .failure(HeadersCommand.timedOut(command.timeout)), for: downstream.id, launch: downstream.launches, fetch: access.fetches,
            lifetime: nil)
    }
}
