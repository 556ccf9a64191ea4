import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore

struct ListTools: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-tools", abstract: "List the merged tools.",
        discussion: "Starts every server, waits until each is ready or has failed, and lists what hosts would see.")

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Only the tools of this server.", valueName: "name"))
    var server: String?

    @Flag(help: "The result of 'tools/list', as hosts get it.")
    var json = false

    @Flag(help: "With each tool's input schema.")
    var schema = false

    func run() async throws {
        do {
            show(try await Setting(global, server: server).catalog())
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func show(_ catalog: Catalog) {
        if json {
            StandardOutput.write(String(buffer: catalog[.tools].handshakeResult) + "\n")
        } else if schema {
            for tool in catalog[.tools].entries {
                let definition = JSONView.whole(tool.definition.json)
                var text = tool.name.text + "\n"
                if let description = definition["description"]?.string { text += indented(description) }
                text += indented(definition["inputSchema"]?.jsonText ?? "{}")
                StandardOutput.write(text + "\n")
            }
        } else {
            var table = Table(["TOOL", "SERVER", "DESCRIPTION"], style: Style(descriptor: StandardOutput.descriptor))
            for tool in catalog[.tools].entries { table.add([tool.name.text, tool.server, tool.summary]) }
            StandardOutput.write(table.text)
        }
    }

    private func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + Table.oneLine(String($0)) + "\n" }.joined()
    }
}
