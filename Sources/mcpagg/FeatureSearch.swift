import Aggregation
import ConfigFile
import FeatureCatalog
import JSONRPC
import MCPProtocol
import OrderedCollections

/// Finds a tool or a prompt by the name that hosts see, and starts no more servers than it takes.
struct FeatureSearch: Sendable {
    let kind: FeatureKind
    let name: String
    let config: AggregatorConfig

    /// The servers that can have something of this name without its being shortened: usually one, so that no other is started for
    /// nothing.
    var likelyPart: AggregatorConfig {
        var part = config
        part.servers = config.servers.filter { $0.value.prefix.isEmpty || mayHaveIt($0.value) }
        return part.servers.isEmpty ? config : part
    }

    /// - Parameter running: started with ``likelyPart``.
    /// - Throws: ``Failure`` that says why there is none.
    func find(in running: Running) async throws -> MergedList.Entry {
        await running.aggregator.known()
        try Task.checkCancellation()
        if let known = await entry(in: running) {
            // It was there before. Its server, and no other, says whether it still is.
            await running.aggregator.settled(known.server)
            try Task.checkCancellation()
            if let server = await running.aggregator.status().first(where: { $0.isOut && $0.key == known.server }) {
                throw Failure.down(server)
            }
            if let entry = await entry(in: running) { return entry }
        }
        await running.aggregator.startResting()
        await running.aggregator.settled()
        try Task.checkCancellation()
        if let entry = await entry(in: running) { return entry }
        // Whose prefix it has, and who cannot answer: that is the reason, whatever the others have.
        if let server = await running.aggregator.status().first(where: { $0.isOut && mayHaveIt(config.servers[$0.key]) }) {
            throw Failure.down(server)
        }
        if let server = config.servers.values.first(where: { $0.isDisabled && mayHaveIt($0) }) {
            throw Failure(
                status: .tool, code: "serverDisabled", message: "server '\(server.key)' is disabled in the config file",
                hint: "remove 'disabled' there to use its \(kind.noun)s")
        }
        // Perhaps a shortened name, or another server's: now all are started.
        await running.aggregator.apply(config)
        await running.aggregator.startResting()
        await running.aggregator.settled()
        try Task.checkCancellation()
        if let entry = await entry(in: running) { return entry }
        do throws(UnknownFeature) {
            _ = try await running.aggregator.mergedCatalog().route(kind, name)
        } catch {
            throw Failure.unknown(error)
        }
        throw Failure(status: .unexpected, code: "internal", message: "the \(kind.noun) '\(name)' came and went")
    }

    /// Whether the name begins with the server's prefix.
    private func mayHaveIt(_ server: ServerConfig?) -> Bool {
        guard let prefix = server?.prefix, !prefix.isEmpty else { return false }
        return name.lowercased().hasPrefix((prefix + config.settings.separator).lowercased())
    }

    /// As far as it is known now.
    func entry(in running: Running) async -> MergedList.Entry? {
        await running.aggregator.mergedCatalog()[kind].entries.first { $0.name.text == name }
    }
}

extension Failure {
    static func unknown(_ error: UnknownFeature) -> Failure {
        let (code, list) =
            switch error.kind {
            case .tools: ("unknownTool", "list-tools")
            case .prompts: ("unknownPrompt", "list-prompts")
            case .resources: ("unknownResource", "list-resources")
            case .templates: ("unknownTemplate", "list-resources --templates")
            }
        return Failure(status: .tool, code: code, message: error.description, hint: "'mcpagg \(list)' lists them all")
    }

    /// A server's answer that is an error.
    static func refused(_ answer: Message) -> Failure {
        let error = answer.view(answer[.error])
        let text = error["message"]?.string ?? "the server reported an error"
        let status: ExitStatus =
            switch error["data"]?[RequestFailure.metaKey]?.string.flatMap(RequestFailure.init(rawValue:)) {
            case .authorizationNeeded: .authorizationNeeded
            case .unavailable, .timedOut: .unreachable
            case .outcomeUnknown: .outcomeUnknown
            case nil: .tool
            }
        return Failure(
            status: status, code: "protocolError", message: "\(text.oneLine) (\(error["code"]?.jsonText ?? "no code"))", detail: error.json)
    }
}
