import Aggregation
import ArgumentParser
import ConfigFile
import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore
import OrderedCollections

struct ListTools: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the merged tools.",
        discussion: "Starts every server, waits until each is ready or has failed, and lists what hosts would see.")

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Only the tools of this server.", valueName: "name"))
    var server: String?

    @Flag(help: "The result of 'tools/list', as hosts get it.")
    var json = false

    @Flag(help: "With each tool's input schema.")
    var schema = false

    func run() async throws {
        let surroundings = ProcessSurroundings()
        do {
            let location = try ConfigLocation.find(named: global.config, surroundings: surroundings)
            var config = try location.load()
            if let server {
                guard config.servers[server] != nil else { throw Failure.unknownServer(server, among: Array(config.servers.keys)) }
                config.servers = config.servers.filter { $0.key == server }
            }
            let (catalog, status) = try await Running.oneShot(
                global, location: location, config: config, surroundings: surroundings
            ) { running in
                await running.aggregator.settled()
                try Task.checkCancellation()
                return (await running.aggregator.mergedCatalog(), await running.aggregator.status())
            }
            // Some tools are better than none; none because nothing could be reached is a failure.
            let enabled = status.filter { $0.state != .disabled }
            let down = enabled.filter { $0.state == .down }
            if let first = down.first, down.count == enabled.count {
                throw down.count == 1 ? Failure.down(first) : Failure.allDown(down)
            }
            for server in down { Failure.down(server).warn() }
            show(catalog)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func show(_ catalog: Catalog) {
        if json {
            StandardOutput.write(String(buffer: catalog[.tools].result) + "\n")
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
            for tool in catalog[.tools].entries {
                let definition = JSONView.whole(tool.definition.json)
                let description = definition["description"]?.string ?? definition["title"]?.string ?? ""
                table.add([tool.name.text, tool.server, String(description.split(separator: "\n").first ?? "")])
            }
            StandardOutput.write(table.text)
        }
    }

    private func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + Table.oneLine(String($0)) + "\n" }.joined()
    }
}

extension Failure {
    static func down(_ server: ServerStatus) -> Failure {
        Failure(
            status: .unreachable, code: "serverUnreachable", message: "server '\(server.key)' is down: \(server.cause ?? "")",
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
