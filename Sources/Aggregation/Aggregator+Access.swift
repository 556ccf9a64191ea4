import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
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
    }

    let source: Source
    /// From the config file.
    let headers: [(name: String, value: String)]
    /// They are being fetched.
    var isAsking = false
    /// When they were last fetched, and refused since.
    var wasRefused = false

    init(_ endpoint: HTTPEndpoint) {
        headers = endpoint.headers.map { ($0.key, $0.value) }
        source = endpoint.headersFrom.map { .command($0) } ?? .config
    }

    /// Those of the config file, and over them what was fetched.
    func merged(with fetched: [(name: String, value: String)]) -> [(name: String, value: String)] {
        headers.filter { own in !fetched.contains { $0.name.lowercased() == own.name.lowercased() } } + fetched
    }
}

// Who we are to servers behind URLs.
extension Aggregator {
    /// Finds out the headers that requests carry; until then they wait.
    func openAccess(to downstream: Downstream) {
        guard let access = downstream.remote?.access else { return }
        switch access.source {
        case .config: downstream.remote?.server.authorize(access.headers)
        case .command(let command): fetchHeaders(command, for: downstream)
        }
    }

    /// The server refuses what requests carry.
    func unauthorized(_ downstream: Downstream, status: Int, challenges: [String]) {
        guard let access = downstream.remote?.access, !access.isAsking else { return }
        switch access.source {
        case .config: refuse(downstream, status: status)
        case .command(let command):
            guard status == 401 else { return refuse(downstream, status: status) }
            fetchHeaders(command, for: downstream)
        }
    }

    private func refuse(_ downstream: Downstream, status: Int) {
        let hasOwn = downstream.remote?.access.headers.contains { $0.name.lowercased() == "authorization" } == true
        let hint = hasOwn ? "correct its 'Authorization' in the config file" : "give it 'headers' with an 'Authorization' in the config file"
        let what = status == 401 ? "it wants authorization (HTTP 401)" : "it forbids this (HTTP 403)"
        downstream.remote?.server.refuse(HTTPFailure(.authorization, .refused, cause: what, hint: hint, status: status))
    }

    // MARK: Headers that a program prints

    private func fetchHeaders(_ command: HTTPEndpoint.HeadersCommand, for downstream: Downstream) {
        downstream.remote?.access.isAsking = true
        cancel(.headers(downstream.id))
        let (id, launch) = (downstream.id, downstream.launches)
        var environment = surroundings.environment
        environment.merge(surroundings.marks) { _, mark in mark }
        let process = ChildProcess.Command(
            executable: command.executable, arguments: command.arguments, environment: environment,
            workingDirectory: surroundings.workingDirectory)
        Task.detached {
            let outcome: Result<[(name: String, value: String)], HTTPFailure>
            do throws(HTTPFailure) {
                outcome = .success(try await HeadersCommand.run(process, timeLimit: command.timeout))
            } catch {
                outcome = .failure(error)
            }
            await self.fetchedHeaders(outcome, for: id, launch: launch, lifetime: command.lifetime)
        }
    }

    private func fetchedHeaders(
        _ outcome: Result<[(name: String, value: String)], HTTPFailure>, for id: DownstreamID, launch: Int, lifetime: Duration?
    ) {
        guard let downstream = downstreams[id], downstream.launches == launch, let remote = downstream.remote else { return }
        downstream.remote?.access.isAsking = false
        switch outcome {
        case .success(let headers):
            // They are secrets from now on, like those of the config file.
            hide(headers.flatMap { HTTPEndpoint.secrets(in: $0.value) }, of: downstream)
            remote.server.authorize(remote.access.merged(with: headers))
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

    /// What the program printed is too old.
    func headersExpired(_ downstream: Downstream) {
        guard case .command(let command) = downstream.remote?.access.source, downstream.remote?.access.isAsking == false else { return }
        fetchHeaders(command, for: downstream)
    }
}
