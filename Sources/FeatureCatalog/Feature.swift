package import JSONRPC
package import NIOCore

/// One life of one downstream server. A server that is restarted keeps it; one that is replaced by a reload gets a new one, so that a
/// call in flight always finds the server it was sent to.
package struct DownstreamID: Hashable, Sendable {
    package let number: Int
    package init(_ number: Int) { self.number = number }
}

/// A tool name as its downstream spells it: what we write into `tools/call` towards that server.
package struct ToolName: Hashable, Sendable {
    package let text: String
    package init(_ text: String) { self.text = text }
}

/// A tool name as the host sees it, prefix included. Only ``Catalog`` hands these out.
package struct ExposedToolName: Hashable, Sendable {
    package let text: String
}

/// A tool as its downstream defines it: the bytes as they came, and the place of its name, the one member we rewrite.
package struct ToolDefinition: Sendable {
    package let json: ByteBuffer
    package let name: ToolName
    /// The name's JSON text with its quotes, as the downstream wrote it.
    package let nameJSON: String
    /// The name's value in ``json``.
    let namePlace: Place
    /// The server says that calling it twice does no more than calling it once (`readOnlyHint` or `idempotentHint`; 2025-03-26,
    /// server/tools, "Tool annotations").
    package let isRepeatable: Bool

    /// Why an element of `tools` is no tool we could offer.
    package struct Defect: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// - Parameter view: one element of `result.tools`.
    package init(_ view: JSONView) throws(Defect) {
        // Raw line breaks stand only between tokens; without them the definition can be part of a stdio line.
        let bytes = view.json
        if bytes.readableBytesView.contains(where: { $0 == 0x0A || $0 == 0x0D }) {
            json = ByteBuffer(bytes: bytes.readableBytesView.filter { $0 != 0x0A && $0 != 0x0D })
        } else {
            json = bytes
        }
        let whole = JSONView(json, at: Place(0..<json.readableBytes))
        let members = whole.members
        guard whole.kind == .object else { throw Defect(description: "a tool is not an object") }
        let names = members.filter { $0.name == "name" }
        guard names.count <= 1 else { throw Defect(description: "a tool has two names") }
        guard let name = names.first?.value, let text = name.string else { throw Defect(description: "a tool has no name") }
        guard !text.isEmpty else { throw Defect(description: "a tool's name is empty") }
        self.name = ToolName(text)
        nameJSON = name.jsonText
        namePlace = name.place
        let annotations = members.first { $0.name == "annotations" }?.value
        isRepeatable = annotations?["readOnlyHint"]?.boolean == true || annotations?["idempotentHint"]?.boolean == true
    }
}
