package import JSONRPC
package import NIOCore

/// What one downstream brings into the catalog.
package struct CatalogSource: Sendable {
    package var downstream: DownstreamID
    /// The server's key in the config file.
    package var key: String
    package var rules: ExposureRules
    package var tools: [ToolDefinition]

    package init(downstream: DownstreamID, key: String, rules: ExposureRules, tools: [ToolDefinition]) {
        self.downstream = downstream
        self.key = key
        self.rules = rules
        self.tools = tools
    }
}

/// Where a call goes.
package struct Route: Sendable {
    package let downstream: DownstreamID
    package let tool: ToolName
    /// The tool's own name as JSON text, as its downstream wrote it.
    package let toolJSON: String
    package let isRepeatable: Bool
}

/// The host asked for a tool that no server offers.
package struct UnknownTool: Error, Hashable, Sendable, CustomStringConvertible {
    package let name: String
    /// What may have been meant, the likeliest first.
    package let suggestions: [String]

    package var description: String {
        guard let first = suggestions.first else { return "Unknown tool: \(name)" }
        let others = suggestions.dropFirst().map { "'\($0)'" }
        return "Unknown tool: \(name). Did you mean \((["'\(first)'"] + others).joined(separator: " or "))?"
    }
}

/// The merged tools of all servers with their routes. A value: a change makes a new one.
package struct Catalog: Sendable {
    package struct Tool: Sendable {
        package let name: ExposedToolName
        package let definition: ToolDefinition
        package let downstream: DownstreamID
        /// The key of its server in the config file.
        package let server: String

        /// What stays the same when the server is started anew.
        struct Identity: Hashable {
            var server: String
            var name: ToolName
        }

        var identity: Identity { Identity(server: server, name: definition.name) }
    }

    /// Counts the different merged lists this process has had; equal numbers mean byte-identical lists.
    package let revision: Int
    /// In the order of the config file, each server's in its own.
    package let tools: [Tool]
    /// The answer to `tools/list`, made once: `{"tools":[…]}`.
    package let toolsResult: ByteBuffer
    private let routes: [Route]
    private let table: NameTable

    package static let empty = Catalog(revision: 0, tools: [])

    /// Merges what the downstreams offer.
    ///
    /// The first to claim a name gets it: names that need no change before all others, then in the order of the config file. A name
    /// that is too long, or taken (case does not count: some hosts fold it), is cut and gets a hash of server key and tool name.
    /// - Parameters:
    ///   - sources: in the order of the config file.
    ///   - previous: the catalog that this one replaces.
    ///   - keepsNames: hosts know the previous names: a tool that has one keeps it, whoever else would have the first claim now.
    package init(merging sources: [CatalogSource], style: NameStyle, after previous: Catalog, keepsNames: Bool = false) {
        var offers: [(source: CatalogSource, tool: ToolDefinition, candidate: NameCandidate)] = []
        for source in sources {
            var seen: Set<ToolName> = []  // a server that lists one tool twice has one tool
            for tool in source.tools where source.rules.offers(tool.name) && seen.insert(tool.name).inserted {
                offers.append((source, tool, NameCandidate(server: source.key, tool: tool.name, rules: source.rules, style: style)))
            }
        }
        var taken: Set<String> = []
        var names = [String](repeating: "", count: offers.count)
        if keepsNames {
            let known = Dictionary(previous.tools.map { ($0.identity, $0.name.text) }) { first, _ in first }
            for (index, offer) in offers.enumerated() {
                let identity = Tool.Identity(server: offer.source.key, name: offer.tool.name)
                guard let name = known[identity], offer.candidate.canBe(name, budget: style.budget) else { continue }
                if taken.insert(name.lowercased()).inserted { names[index] = name }
            }
        }
        for verbatim in [true, false] {
            for (index, offer) in offers.enumerated() where names[index].isEmpty && offer.candidate.isVerbatim == verbatim {
                names[index] = Self.claim(offer.candidate, style: style, taken: &taken)
            }
        }
        let tools = zip(names, offers).map { name, offer in
            Tool(name: ExposedToolName(text: name), definition: offer.tool, downstream: offer.source.downstream, server: offer.source.key)
        }
        let merged = Catalog(revision: previous.revision + 1, tools: tools)
        self = merged.toolsResult == previous.toolsResult ? Catalog(revision: previous.revision, tools: tools) : merged
    }

    private init(revision: Int, tools: [Tool]) {
        self.revision = revision
        self.tools = tools
        toolsResult = Self.list(tools)
        routes = tools.map {
            Route(
                downstream: $0.downstream, tool: $0.definition.name, toolJSON: $0.definition.nameJSON,
                isRepeatable: $0.definition.isRepeatable)
        }
        table = NameTable(tools.map(\.name.text))
    }

    /// The part of the list that comes from one server, in the form of the answer to `tools/list`.
    package func toolsResult(of server: String) -> ByteBuffer { Self.list(tools.filter { $0.server == server }) }

    /// Finds the downstream that answers a call to the tool named in a `tools/call`.
    ///
    /// - Parameter name: the place of `params.name` in `message`.
    /// - Returns: the server, and the name by which that server knows the tool.
    /// - Throws: ``UnknownTool`` if no server offers it. The host receives JSON-RPC error -32602 (2025-11-25, server/tools, "Error
    ///   Handling"), not a tool result with `isError`.
    package func route(_ name: Place, in message: Message) throws(UnknownTool) -> Route {
        if let found = message.withPlainString(name, { table.position(of: $0) }), let position = found { return routes[position] }
        // With escapes in it, or unknown: the slow way decides.
        return try route(message.string(name) ?? "")
    }

    /// - Throws: ``UnknownTool`` as above.
    package func route(_ name: String) throws(UnknownTool) -> Route {
        var text = name
        if let position = text.withUTF8({ table.position(of: UnsafeRawBufferPointer($0)) }) { return routes[position] }
        throw UnknownTool(name: name, suggestions: NearestNames.suggestions(for: name, among: tools.map(\.name.text)))
    }

    private static func claim(_ candidate: NameCandidate, style: NameStyle, taken: inout Set<String>) -> String {
        if candidate.plain.utf8.count <= style.budget, taken.insert(candidate.plain.lowercased()).inserted { return candidate.plain }
        // A SHA-256 has 64 digits, and each digit more makes a collision sixteen times less likely: this ends at once.
        var digits = 8
        while true {
            let name = candidate.hashed(budget: style.budget, digits: digits)
            if taken.insert(name.lowercased()).inserted || digits >= 64 { return name }
            digits += 4
        }
    }

    private static func list(_ tools: [Tool]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(tools.reduce(16) { $0 + $1.definition.json.readableBytes + $1.name.text.utf8.count + 4 })
        buffer.writeStaticString("{\"tools\":[")
        for (index, tool) in tools.enumerated() {
            if index > 0 { buffer.writeInteger(UInt8(ascii: ",")) }
            let json = tool.definition.json
            let name = tool.definition.namePlace.range
            buffer.writeBytes(json.readableBytesView.prefix(name.lowerBound))
            buffer.writeString("\"\(tool.name.text)\"")
            buffer.writeBytes(json.readableBytesView.dropFirst(name.upperBound))
        }
        buffer.writeStaticString("]}")
        return buffer
    }
}
