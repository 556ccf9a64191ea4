import Aggregation
import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol

struct GetPrompt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get-prompt", abstract: "Get the messages of a prompt.",
        usage: "mcpagg get-prompt <name> [key=value ...] [--args <json> | --args -] [--json] [--accept-defaults]",
        discussion: """
            Each message is shown under its role. Text goes to standard output, images and other media to files.

            Example: mcpagg get-prompt docs__summarize topic=pipes
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The prompt, as list-prompts shows it.")
    var name: String

    @Argument(help: "Arguments as key=value.")
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
            guard json || MediaFiles.isDirectory(output) else { throw Failure.noDirectory(output) }
            let search = FeatureSearch(kind: .prompts, name: name, config: setting.config)
            let answer = try await setting.run(search.likelyPart, cacheUse: .startOnNeed) { running in
                try await get(running, search, base: base)
            }
            try show(answer)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func get(_ running: Running, _ search: FeatureSearch, base: JSONView?) async throws -> Message {
        let asking = asking.asking
        let host = await LocalHost(running.aggregator, asked: asking.answer)
        let prompt = try await search.find(in: running)
        let typed = try PromptArguments(prompt.definition).typed(base: base, words: arguments)
        let params = JSONWriter.object {
            $0.member("name", name)
            $0.member("arguments", json: typed)
        }
        let answer = try await asking.request(.promptsGet, params: params, to: host, server: prompt.server)
        try await running.checkStillThere(prompt.server, after: answer)
        return answer
    }

    private func show(_ answer: Message) throws {
        guard answer.isResult else { throw Failure.refused(answer) }
        let result = answer.view(answer[.result])
        if json { return StandardOutput.write(result.jsonText + "\n") }
        let files = MediaFiles(stem: name, directory: output)
        let text = ResultOutput(files: files, isError: false, namesFiles: true)
        let style = Style(descriptor: StandardOutput.descriptor)
        for (index, message) in (result["messages"]?.elements ?? []).enumerated() {
            let role = (message["role"]?.string ?? "unknown").oneLine
            StandardOutput.write((index == 0 ? "" : "\n") + style.bold("\(role):") + "\n")
            guard let content = message["content"] else { continue }
            for block in content.kind == .array ? content.elements : [content] { try text.show(block: block) }
        }
    }
}
