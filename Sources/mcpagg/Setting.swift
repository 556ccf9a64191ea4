import Aggregation
import ConfigFile
import FeatureCatalog
import JSONRPC
import OrderedCollections

/// What a command works with: the config file that was found, read and understood.
struct Setting: Sendable {
    let location: ConfigLocation
    /// With no other servers than the one asked for, if there was one.
    let config: AggregatorConfig
    private let surroundings: ProcessSurroundings
    private let global: GlobalOptions

    /// - Parameter server: a key of the file.
    /// - Throws: ``Failure``.
    init(_ global: GlobalOptions, server: String? = nil) throws {
        self.global = global
        surroundings = ProcessSurroundings()
        location = try ConfigLocation.find(named: global.config, surroundings: surroundings)
        var config = try location.load()
        if let server {
            guard config.servers[server] != nil else { throw Failure.unknownServer(server, among: Array(config.servers.keys)) }
            config.servers = config.servers.filter { $0.key == server }
        }
        self.config = config
    }

    /// See ``Running/oneShot(_:location:config:surroundings:cacheUse:body:)``.
    /// - Parameter part: the servers to start with; all if `nil`.
    func run<Result: Sendable>(
        _ part: AggregatorConfig? = nil, cacheUse: Aggregator.CacheUse = .refresh,
        body: @escaping @Sendable (Running) async throws -> Result
    ) async throws -> Result {
        try await Running.oneShot(
            global, location: location, config: part ?? config, surroundings: surroundings, cacheUse: cacheUse, body: body)
    }

    /// What hosts would see, once every server is ready or has failed.
    func catalog() async throws -> Catalog {
        try await run { running in
            try await running.settle()
            return await running.aggregator.mergedCatalog()
        }
    }
}

extension Running {
    /// Starts what was not needed until now, waits until every server is ready or has failed, and warns of those that have.
    /// - Throws: ``Failure`` if all have. Some servers are better than none; none because nothing could be reached is a failure.
    func settle() async throws {
        await aggregator.startResting()
        await aggregator.settled()
        try Task.checkCancellation()
        try await tellWhoIsDown()
    }

    /// Warns of servers that were started and are down.
    /// - Throws: ``Failure`` if there are no others.
    func tellWhoIsDown() async throws {
        let enabled = await aggregator.status().filter { $0.state != .disabled }
        let down = enabled.filter(\.isOut)
        if let first = down.first, down.count == enabled.count {
            throw down.count == 1 ? Failure.down(first) : Failure.allDown(down)
        }
        for server in down { Failure.down(server).warn() }
    }

    /// An error in place of an answer may be about the server, not about what was asked.
    /// - Throws: ``Failure`` if it is down by now.
    func checkStillThere(_ server: String, after answer: Message) async throws {
        guard answer.isError else { return }
        if let status = await aggregator.status().first(where: { $0.key == server && $0.isOut }) { throw Failure.down(status) }
    }
}

extension MergedList.Entry {
    /// The first line of what its server says of it.
    var summary: String {
        let definition = JSONView.whole(definition.json)
        let description = definition["description"]?.string ?? definition["title"]?.string ?? ""
        return String(description.split(separator: "\n").first ?? "")
    }
}

extension Failure {
    static func down(_ server: ServerStatus) -> Failure {
        let needsLogin = server.state == .authorizationNeeded
        return Failure(
            status: needsLogin ? .authorizationNeeded : .unreachable, code: needsLogin ? "authorizationNeeded" : "serverUnreachable",
            message: "server '\(server.key)' is down: \(server.cause ?? "")",
            hint: server.hint ?? server.errorLines.last.map { "its last line on stderr: \($0)" })
    }

    static func allDown(_ servers: [ServerStatus]) -> Failure {
        let causes = servers.map { "  '\($0.key)': \($0.cause ?? "")" }
        return Failure(
            status: .unreachable, code: "serverUnreachable", message: "every server is down\n" + causes.joined(separator: "\n"),
            hint: "'mcpagg status' says more")
    }

    static func unknownServer(_ name: String, among names: [String]) -> Failure {
        let near = NearestNames.suggestions(for: name, among: names)
        return Failure(
            status: .usage, code: "unknownServer", message: "the config file has no server '\(name)'",
            hint: near.isEmpty ? "it has \(names.joined(separator: ", "))" : "did you mean '\(near[0])'?")
    }
}
