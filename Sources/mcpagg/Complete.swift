import Aggregation
import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol

struct Complete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "complete", abstract: "Complete an argument of a prompt, or a variable of a resource template.",
        usage: "mcpagg complete <name> <argument>=<beginning> [key=value ...] [--server <name>] [--json]",
        discussion: """
            Prints the values that the server suggests, one per line. What is known of other arguments may stand behind.

            Example: mcpagg complete docs__summarize topic=pi
            Example: mcpagg complete 'file:///{path}' path=etc/
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The prompt, as list-prompts shows it, or the template, as list-resources shows it.")
    var name: String

    @Argument(help: "What to complete, as argument=beginning.")
    var argument: String

    @Argument(help: "What else is known, as key=value.")
    var context: [String] = []

    @Option(help: ArgumentHelp("Ask only this server, and start no other.", valueName: "name"))
    var server: String?

    @Flag(help: "Print the exact MCP result.")
    var json = false

    func run() async throws {
        do {
            let setting = try Setting(global, server: server)
            let words = try ([argument] + context).map(Self.pair)
            // Names of prompts have no colon, and URIs always have one.
            let kind = name.contains(":") ? FeatureKind.templates : .prompts
            let search = FeatureSearch(kind: kind, name: name, config: setting.config)
            let part = kind == .prompts ? search.likelyPart : setting.config
            let answer = try await setting.run(part, cacheUse: .startOnNeed) { running in try await complete(running, search, words: words)
            }
            try show(answer)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func complete(_ running: Running, _ search: FeatureSearch, words: [(name: String, value: String)]) async throws -> Message {
        let host = await LocalHost(running.aggregator)
        await running.aggregator.known()
        try Task.checkCancellation()
        if search.kind == .templates, await search.entry(in: running) == nil { try await running.settle() }
        let entry = try await search.find(in: running)
        let names = search.kind == .prompts ? PromptArguments(entry.definition).names : Self.variables(of: name)
        let thing = search.kind == .prompts ? "prompt has no argument" : "template has no variable"
        for word in words where !names.contains(word.name) {
            let near = NearestNames.suggestions(for: word.name, among: names)
            let known = names.isEmpty ? "it has none" : "it has \(names.joined(separator: ", "))"
            throw Failure(
                status: .usage, code: "badArgument", message: "the \(thing) '\(word.name)'",
                hint: near.first.map { "did you mean '\($0)'?" } ?? known)
        }
        let params = JSONWriter.object { params in
            params.object("ref") {
                $0.member("type", search.kind == .prompts ? "ref/prompt" : "ref/resource")
                $0.member(search.kind == .prompts ? "name" : "uri", name)
            }
            params.object("argument") {
                $0.member("name", words[0].name)
                $0.member("value", words[0].value)
            }
            guard words.count > 1 else { return }
            params.object("context") { context in
                context.object("arguments") { arguments in
                    for word in words.dropFirst() { arguments.member(word.name, word.value) }
                }
            }
        }
        let answer = try await host.request(.complete, params: params)
        try await running.checkStillThere(entry.server, after: answer)
        return answer
    }

    private func show(_ answer: Message) throws {
        guard answer.isResult else { throw Failure.refused(answer) }
        let result = answer.view(answer[.result])
        if json { return StandardOutput.write(result.jsonText + "\n") }
        let completion = result["completion"]
        let values = (completion?["values"]?.elements ?? []).compactMap(\.string)
        StandardOutput.write(values.map { $0.oneLine + "\n" }.joined())
        let total = completion?["total"]?.integer
        if completion?["hasMore"]?.boolean == true || total.map({ $0 > values.count }) == true {
            StandardError.write(total.map { "\(values.count) of \($0) values\n" } ?? "there are more values\n")
        }
    }

    private static func pair(_ word: String) throws -> (name: String, value: String) {
        guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
            throw Failure(
                status: .usage, code: "badArgument", message: "'\(word)' is not an argument",
                hint: "write argument=beginning; nothing behind the equals sign asks for all values")
        }
        return (String(word[..<equals]), String(word[word.index(after: equals)...]))
    }

    /// The names in the braces of a template (RFC 6570).
    static func variables(of template: String) -> [String] {
        var found: [String] = []
        for piece in template.split(separator: "{").dropFirst(template.hasPrefix("{") ? 0 : 1) {
            guard let close = piece.firstIndex(of: "}") else { continue }
            for variable in piece[..<close].drop(while: { "+#./;?&".contains($0) }).split(separator: ",") {
                let name = String(variable.prefix { $0 != ":" && $0 != "*" })
                if !name.isEmpty, !found.contains(name) { found.append(name) }
            }
        }
        return found
    }
}
