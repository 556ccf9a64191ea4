import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore

struct ListPrompts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-prompts", abstract: "List the merged prompts.",
        discussion: """
            Starts every server, waits until each is ready or has failed, and lists what hosts would see. Arguments in brackets are optional.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Only the prompts of this server.", valueName: "name"))
    var server: String?

    @Flag(help: "The result of 'prompts/list', as hosts get it.")
    var json = false

    func run() async throws {
        do {
            show(try await Setting(global, server: server).catalog())
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func show(_ catalog: Catalog) {
        if json { return StandardOutput.write(String(buffer: catalog[.prompts].result) + "\n") }
        var table = Table(["PROMPT", "SERVER", "ARGUMENTS", "DESCRIPTION"], style: Style(descriptor: StandardOutput.descriptor))
        for prompt in catalog[.prompts].entries {
            let arguments = PromptArguments(prompt.definition).all.map { $0.isRequired ? $0.name : "[\($0.name)]" }
            table.add([prompt.name.text, prompt.server, arguments.isEmpty ? "-" : arguments.joined(separator: " "), prompt.summary])
        }
        StandardOutput.write(table.text)
    }
}
