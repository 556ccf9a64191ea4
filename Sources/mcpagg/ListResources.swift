import ArgumentParser
import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore

struct ListResources: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-resources", abstract: "List the merged resources and resource templates.",
        discussion: "Starts every server, waits until each is ready or has failed, and lists what hosts would see.")

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Only those of this server.", valueName: "name"))
    var server: String?

    @Flag(help: "Only the templates.")
    var templates = false

    @Flag(help: "The result of 'resources/list', as hosts get it; with --templates that of 'resources/templates/list'.")
    var json = false

    func run() async throws {
        do {
            show(try await Setting(global, server: server).catalog())
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func show(_ catalog: Catalog) {
        if json { return StandardOutput.write(String(buffer: catalog[templates ? .templates : .resources].result) + "\n") }
        var text = ""
        // Those that there are; of nothing at all an empty table.
        if !templates, !catalog[.resources].entries.isEmpty || catalog[.templates].entries.isEmpty {
            text = table("RESOURCE", catalog[.resources])
        }
        if templates || !catalog[.templates].entries.isEmpty {
            text += (text.isEmpty ? "" : "\n") + table("TEMPLATE", catalog[.templates])
        }
        StandardOutput.write(text)
    }

    private func table(_ heading: String, _ list: MergedList) -> String {
        var table = Table([heading, "SERVER", "TYPE", "DESCRIPTION"], style: Style(descriptor: StandardOutput.descriptor))
        for resource in list.entries {
            let definition = JSONView.whole(resource.definition.json)
            let summary = resource.summary.isEmpty ? definition["name"]?.string ?? "" : resource.summary
            table.add([resource.name.text, resource.server, definition["mimeType"]?.string ?? "-", summary])
        }
        return table.text
    }
}
