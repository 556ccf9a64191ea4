import Authorization
import ConfigFile
import NIOCore
import OrderedCollections
import Transports

/// What `login` and `logout` work with: one server behind a URL, and who can get its tokens.
struct LoginSetting {
    let server: ProtectedServer
    /// A login would not be used: the config file says by which header we are known.
    let hasOwnAuthorization: Bool
    private let store: TokenStore
    /// Certificates that the server, and what it leads to, are reached with.
    private let settings: HTTPClientFactory.Settings

    /// - Parameter key: of the config file.
    /// - Throws: ``Failure``.
    init(_ global: GlobalOptions, server key: String) throws {
        let setting = try Setting(global, server: key)
        guard let config = setting.config.servers[key] else { throw Failure.unknownServer(key, among: []) }
        guard case .http(let endpoint) = config.endpoint else {
            throw Failure(
                status: .usage, code: "noLogin",
                message: "server '\(key)' is started by a command, and only servers behind a URL have logins",
                hint: "it takes its credentials from its environment: 'env' in the config file")
        }
        if let problem = config.unusable {
            throw Failure(status: .usage, code: "configInvalid", message: "server '\(key)' cannot be used\n\(problem)")
        }
        hasOwnAuthorization = endpoint.headers.keys.contains { $0.lowercased() == "authorization" }
        server = ProtectedServer(
            key: key, url: endpoint.url, clientID: endpoint.oauth?.clientID, clientSecret: endpoint.oauth?.clientSecret,
            scopes: endpoint.oauth?.scopes ?? [], callbackPort: endpoint.oauth?.callbackPort)
        settings = HTTPClientFactory.Settings(
            caFile: endpoint.caFile, clientCertificate: endpoint.clientCertificate, clientKey: endpoint.clientKey)
        store = TokenStore(path: try StateDirectory(ProcessSurroundings()).credentials) { text in
            Failure(status: .unexpected, code: "tokens", message: text).warn()
        }
    }

    /// Lets `body` work until it is done, or a signal comes. A second signal does not wait.
    /// - Throws: ``Failure``, ``ExitStatus``.
    func run<Result: Sendable>(_ body: @escaping @Sendable (Authorizer) async throws -> Result) async throws -> Result {
        let start = Start.ours
        let eventLoop = start.eventLoop
        let clients = HTTPClients(settings, proxies: ProxyRules(environment: ProcessSurroundings().environment), on: eventLoop)
        let authorizer = Authorizer(
            store: store, client: { try await clients.client(for: $0) }, on: eventLoop, now: { SystemTime.seconds },
            beside: start.side, random: SystemRandomNumberGenerator())
        let signals = try await Running.interruptions(on: eventLoop)
        let work = Task(executorPreference: start.side) { try await body(authorizer) }
        let watch = Task(executorPreference: start.executor) { () -> ExitStatus in
            var status = ExitStatus.interrupted
            for await signal in signals {
                if work.isCancelled { end(with: status) }
                status = signal
                work.cancel()
            }
            return status
        }
        let outcome = await work.result
        await authorizer.settled()
        await clients.shutdown()
        watch.cancel()
        Running.releaseInterruptions()
        do {
            return try outcome.get()
        } catch let problem as AuthorizationProblem {
            if problem.code == .cancelled, work.isCancelled { throw await watch.value }
            throw Failure(problem, of: server.key)
        } catch is CancellationError {
            throw await watch.value
        }
    }
}

extension Failure {
    init(_ problem: AuthorizationProblem, of server: String) {
        let status: ExitStatus =
            switch problem.code {
            case .unreachable: .unreachable
            case .storeBroken, .storeUnusable, .storeBusy, .cannotListen, .cancelled: .unexpected
            case .loginNeeded, .noLoginAsked, .insecure, .contradiction, .unsupported, .clientNeeded, .clientRefused, .refused, .timedOut,
                .badAnswer:
                .authorizationNeeded
            }
        self.init(
            status: status, code: problem.code.rawValue, message: "server '\(server)': \(problem.message)", hint: problem.hint)
    }
}
