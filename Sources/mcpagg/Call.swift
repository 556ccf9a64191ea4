import Aggregation
import ArgumentParser
import ConfigFile
import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore
import OrderedCollections

struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call a tool.",
        usage: "mcpagg call <name> [key=value ...] [key:=json ...] [--args <json> | --args -] [--json]",
        discussion: """
            Values are typed by the tool's input schema: count=3 is a number if the schema says so; an array is written as JSON, or by \
            repeating its key. key:=json gives any JSON value. Text goes to standard output, images and other media to files.

            Example: mcpagg call git__git_log repo_path=. max_count=3
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The tool, as list-tools shows it.")
    var name: String

    @Argument(help: "Arguments as key=value or key:=json.")
    var arguments: [String] = []

    @Option(help: ArgumentHelp("All arguments as one JSON object; - reads it from standard input.", valueName: "json"))
    var args: String?

    @Flag(help: "Print the exact MCP result.")
    var json = false

    @Option(help: ArgumentHelp("Where to write media (default: the current directory).", valueName: "directory"), completion: .directory)
    var output = "."

    func run() async throws {
        let surroundings = ProcessSurroundings()
        do {
            let location = try ConfigLocation.find(named: global.config, surroundings: surroundings)
            let config = try location.load()
            let base = try args.map { try Self.baseArguments($0) }
            // Before the call, not after it: then its media would be lost.
            guard json || ResultOutput.isDirectory(output) else {
                throw Failure(status: .usage, code: "badArgument", message: "--output: there is no directory '\(output)'")
            }
            let outcome = try await Running.oneShot(
                global, location: location, config: likelyPart(of: config), surroundings: surroundings
            ) { running in
                try await call(running, full: config, base: base)
            }
            try show(outcome)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    // MARK: Asking

    /// The servers whose tools can have this name without being shortened: usually one, so that no other is started for nothing.
    private func likelyPart(of config: AggregatorConfig) -> AggregatorConfig {
        var part = config
        part.servers = config.servers.filter { $0.value.prefix.isEmpty || mayHaveTool($0.value, config) }
        return part.servers.isEmpty ? config : part
    }

    private func call(_ running: Running, full: AggregatorConfig, base: JSONView?) async throws -> Message {
        let host = await LocalHost(running.aggregator)
        await running.aggregator.settled()
        try Task.checkCancellation()
        let definition = try await find(running, full: full)
        let typing = ArgumentTyping(schema: JSONView.whole(definition.json)["inputSchema"])
        let typed: ByteBuffer
        do throws(ArgumentTyping.Mistake) {
            typed = try typing.arguments(base: base, words: arguments)
        } catch {
            throw Failure(status: .usage, code: "badArgument", message: error.message, hint: error.hint)
        }
        let params = JSONWriter.object {
            $0.member("name", name)
            $0.member("arguments", json: typed)
        }
        return try await host.request(.toolsCall, params: params)
    }

    private func find(_ running: Running, full: AggregatorConfig) async throws -> FeatureDefinition {
        if let tool = await tool(in: running) { return tool }
        // Whose prefix it has, and who cannot answer: that is the reason, whatever the others have.
        if let server = await running.aggregator.status().first(where: { $0.state == .down && mayHaveTool(full.servers[$0.key], full) }) {
            throw Failure.down(server)
        }
        if let server = full.servers.values.first(where: { $0.isDisabled && mayHaveTool($0, full) }) {
            throw Failure(
                status: .tool, code: "serverDisabled", message: "server '\(server.key)' is disabled in the config file",
                hint: "remove 'disabled' there to use its tools")
        }
        // Perhaps a shortened name, or another server's: now all are started.
        await running.aggregator.apply(full)
        await running.aggregator.settled()
        try Task.checkCancellation()
        if let tool = await tool(in: running) { return tool }
        do throws(UnknownFeature) {
            _ = try await running.aggregator.mergedCatalog().route(.tools, name)
        } catch {
            throw Failure(status: .tool, code: "unknownTool", message: error.description, hint: "'mcpagg list-tools' lists them all")
        }
        throw Failure(status: .unexpected, code: "internal", message: "the tool '\(name)' came and went")
    }

    /// Whether the name begins with the server's prefix.
    private func mayHaveTool(_ server: ServerConfig?, _ config: AggregatorConfig) -> Bool {
        guard let prefix = server?.prefix, !prefix.isEmpty else { return false }
        return name.lowercased().hasPrefix((prefix + config.settings.separator).lowercased())
    }

    private func tool(in running: Running) async -> FeatureDefinition? {
        await running.aggregator.mergedCatalog()[.tools].entries.first { $0.name.text == name }?.definition
    }

    private static func baseArguments(_ text: String) throws -> JSONView {
        let source = text == "-" ? "standard input" : "--args"
        let bytes = text == "-" ? StandardInput.readAll() : Array(text.utf8)
        do throws(ScanError) {
            let view = try JSONView(validating: ByteBuffer(bytes: bytes))
            if view.kind == .object { return view }
        } catch {
            throw Failure(status: .usage, code: "badArgument", message: "\(source) is not JSON: \(error)")
        }
        throw Failure(status: .usage, code: "badArgument", message: "\(source) is not a JSON object")
    }

    // MARK: Showing

    private func show(_ answer: Message) throws {
        guard answer.kind == .result else {
            let error = answer.view(answer.places[.error])
            let text = error["message"]?.string ?? "the server reported an error"
            throw Failure(
                status: .tool, code: "protocolError", message: "\(text.oneLine) (\(error["code"]?.jsonText ?? "no code"))",
                detail: error.json)
        }
        let result = answer.view(answer.places[.result])
        let failure = result["_meta"]?[RequestFailure.metaKey]?.string.flatMap(RequestFailure.init(rawValue:))
        let isError = result["isError"]?.boolean == true
        if json {
            StandardOutput.write(result.jsonText + "\n")
        } else {
            try ResultOutput(tool: name, directory: output, isError: isError).show(result)
        }
        switch failure {
        case .unavailable, .timedOut: throw ExitStatus.unreachable
        case .outcomeUnknown: throw ExitStatus.outcomeUnknown
        case nil: if isError { throw ExitStatus.tool }
        }
    }
}
