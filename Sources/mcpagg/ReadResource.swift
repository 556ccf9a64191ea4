import Aggregation
import ArgumentParser
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol

struct ReadResource: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read-resource", abstract: "Read a resource.",
        discussion: """
            Text goes to standard output as it is, anything else to a file; --output - sends that to standard output too.

            Example: mcpagg read-resource file:///etc/hosts
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The resource, as list-resources shows it, or made from a template.")
    var uri: String

    @Option(help: ArgumentHelp("Ask only this server, and start no other.", valueName: "name"))
    var server: String?

    @Flag(help: "Print the exact MCP result.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Where to write what is no text (default: the current directory); - for standard output.", valueName: "directory"),
        completion: .directory)
    var output = "."

    @OptionGroup var asking: AskingOptions

    func run() async throws {
        do {
            let setting = try Setting(global, server: server)
            guard json || output == "-" || MediaFiles.isDirectory(output) else { throw Failure.noDirectory(output) }
            let answer = try await setting.run(cacheUse: .startOnNeed) { running in try await read(running) }
            try show(answer)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func read(_ running: Running) async throws -> Message {
        let asking = asking.asking
        let host = await LocalHost(running.aggregator, asked: asking.answer)
        func known() async -> MergedList.Entry? {
            await running.aggregator.mergedCatalog()[.resources].entries.first { $0.name.text == uri }
        }
        await running.aggregator.known()
        try Task.checkCancellation()
        var owner = await known()
        if let server = owner?.server {
            await running.aggregator.settled(server)
            owner = await known()
        }
        // Whose it is depends on what all of them list.
        if owner == nil { try await running.settle() } else { try await running.tellWhoIsDown() }
        let catalog = await running.aggregator.mergedCatalog()
        owner = catalog[.resources].entries.first { $0.name.text == uri }
        let params = JSONWriter.object { $0.member("uri", uri) }
        let answer = try await asking.request(.resourcesRead, params: params, to: host, server: owner?.server)
        if let owner { try await running.checkStillThere(owner.server, after: answer) }
        guard answer.isError, answer.errorSummary.code == ErrorCode.resourceNotFound.rawValue else { return answer }
        do throws(UnknownFeature) {
            _ = try catalog.route(.resources, uri)
        } catch {
            throw Failure.unknown(error)
        }
        return answer  // listed, and yet not there: its server knows best why
    }

    private func show(_ answer: Message) throws {
        guard answer.isResult else { throw Failure.refused(answer) }
        let result = answer.view(answer[.result])
        if json { return StandardOutput.write(result.jsonText + "\n") }
        let contents = result["contents"]?.elements ?? []
        let files = MediaFiles(stem: Self.stem(of: uri), directory: output)
        let isTerminal = Style(descriptor: StandardOutput.descriptor).isTerminal
        for content in contents {
            if let text = content["text"]?.string {
                // What is read is often redirected into a file: not a byte more or less. A terminal must not obey it.
                let end = contents.count > 1 || isTerminal ? text.hasSuffix("\n") ? "" : "\n" : ""
                StandardOutput.write((isTerminal ? text.withoutControls(butFor: "\n\t") : text) + end)
            } else if output == "-" {
                StandardOutput.write(try MediaFiles.decoded(content["blob"]?.string ?? ""))
            } else {
                try files.save(content["blob"]?.string ?? "", type: content["mimeType"]?.string)
            }
        }
    }

    /// The last part of a URI, as the beginning of a file's name: only what is harmless there.
    static func stem(of uri: String) -> String {
        let path = uri.prefix { !"?#".contains($0) }
        let last = path.split(separator: "/").last ?? "resource"
        var name = String(last.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "_" }.prefix(64))
        if let dot = name.lastIndex(of: "."), dot > name.startIndex { name = String(name[..<dot]) }
        name = String(name.drop { $0 == "." || $0 == "-" })
        return name.isEmpty ? "resource" : name
    }
}
