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
    }

    let source: Source
    /// From the config file.
    let headers: [(name: String, value: String)]
    /// They are being fetched.
    var fetch: Task<Void, Never>?
    /// How often they were; what an earlier time brings is of no interest.
    var fetches = 0

    init(_ endpoint: HTTPEndpoint) {
        headers = endpoint.headers.map { ($0.key, $0.value) }
        source = endpoint.headersFrom.map { .command($0) } ?? .config
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
        headers.filter { own in !fetched.contains { $0.name.lowercased() == own.name.lowercased() } } + fetched
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
        }
    }

    /// The server refuses what requests carry.
    func unauthorized(_ downstream: Downstream, status: Int, challenges: [String]) {
        guard let access = downstream.remote?.access, access.fetch == nil else { return }
        switch access.source {
        case .config: refuse(downstream, status: status)
        case .command(let command):
            guard status == 401 else { return refuse(downstream, status: status) }
            fetchHeaders(command, for: downstream)
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
        let hasOwn = downstream.remote?.access.headers.contains { $0.name.lowercased() == "authorization" } == true
        let hint =
            hasOwn ? "correct its 'Authorization' in the config file" : "give it 'headers' with an 'Authorization' in the config file"
        let what = status == 401 ? "it wants authorization (HTTP 401)" : "it forbids this (HTTP 403)"
        downstream.remote?.server.refuse(HTTPFailure(.authorization, .refused, cause: what, hint: hint, status: status))
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
        // Detached: it must not inherit our isolation, or the event loop would launch it.
        downstream.remote?.access.fetch = Task.detached {
            let outcome: Result<[(name: String, value: String)], HTTPFailure>
            do throws(HTTPFailure) {
                outcome = .success(try await HeadersCommand.run(process))
            } catch {
                outcome = .failure(error)
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
