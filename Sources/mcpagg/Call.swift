import Aggregation
import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol

struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", abstract: "Call a tool.",
        usage: "mcpagg call <name> [key=value ...] [key:=json ...] [--args <json> | --args -] [--json] [--accept-defaults]",
        discussion: """
            Values are typed by the tool's input schema: count=3 is a number if the schema says so; an array is written as JSON, or by \
            repeating its key. key:=json gives any JSON value. Text goes to standard output, images and other media to files. What the \
            server asks back while it works is put to you on the terminal.

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

    @OptionGroup var asking: AskingOptions

    func run() async throws {
        do {
            let setting = try Setting(global)
            let base = try args.map { try ArgumentTyping.base($0) }
            // Before the call, not after it: then its media would be lost.
            guard json || MediaFiles.isDirectory(output) else { throw Failure.noDirectory(output) }
            let search = FeatureSearch(kind: .tools, name: name, config: setting.config)
            let outcome = try await setting.run(search.likelyPart, cacheUse: .startOnNeed) { running in
                try await call(running, search, base: base)
            }
            try show(outcome)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func call(_ running: Running, _ search: FeatureSearch, base: JSONView?) async throws -> Message {
        let asking = asking.asking
        let host = await LocalHost(running.aggregator, asked: asking.answer)
        let tool = try await search.find(in: running)
        let typing = ArgumentTyping(schema: JSONView.whole(tool.definition.json)["inputSchema"])
        let typed = try typing.typed(base: base, words: arguments)
        let params = JSONWriter.object {
            $0.member("name", name)
            $0.member("arguments", json: typed)
        }
        return try await asking.request(.toolsCall, params: params, to: host, server: tool.server)
    }

    private func show(_ answer: Message) throws {
        guard answer.isResult else { throw Failure.refused(answer) }
        let result = answer.view(answer[.result])
        let failure = result["_meta"]?[RequestFailure.metaKey]?.string.flatMap(RequestFailure.init(rawValue:))
        let isError = result["isError"]?.boolean == true
        if json {
            StandardOutput.write(result.jsonText + "\n")
        } else {
            try ResultOutput(files: MediaFiles(stem: name, directory: output), isError: isError).show(result)
        }
        switch failure {
        case .authorizationNeeded: throw ExitStatus.authorizationNeeded
        case .unavailable, .timedOut: throw ExitStatus.unreachable
        case .outcomeUnknown: throw ExitStatus.outcomeUnknown
        case nil: if isError { throw ExitStatus.tool }
        }
    }
}
