package import JSONRPC
package import MCPProtocol
package import NIOCore

/// One life of one downstream server. A server that is restarted keeps it; one that is replaced by a reload gets a new one, so that a
/// call in flight always finds the server it was sent to.
package struct DownstreamID: Hashable, Sendable {
    package let number: Int
    package init(_ number: Int) { self.number = number }
}

/// The name of a tool or prompt, or the URI of a resource, as its downstream spells it: what we write into requests towards that
/// server.
package struct OwnName: Hashable, Sendable {
    package let text: String
    package init(_ text: String) { self.text = text }

    // By bytes: two strings that only look alike are one to Swift, and two to the server.

    package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// The name of a tool or prompt as the host sees it, prefix included, or a URI, which has no prefix. Only ``Catalog`` hands these out.
package struct ExposedName: Hashable, Sendable {
    package let text: String
}

/// A tool, prompt, resource or template as its downstream defines it: the bytes as they came, and the place of its name, the one
/// member we rewrite.
package struct FeatureDefinition: Sendable {
    package let json: ByteBuffer
    package let name: OwnName
    /// The name's JSON text with its quotes, as the downstream wrote it.
    package let nameJSON: String
    /// The name's value in ``json``.
    let namePlace: Place
    /// In a form that hosts of the handshake era can take, if ``json`` is none.
    let handshakeForm: Form?
    /// Of a tool: the server says that calling it twice does no more than calling it once (`readOnlyHint` or `idempotentHint`;
    /// 2025-03-26, server/tools, "Tool annotations").
    package let isRepeatable: Bool
    /// Of a tool: it can be called as a task alone (2025-11-25, basic/utilities/tasks, "Tool-Level Negotiation").
    package let needsTask: Bool

    /// A definition's text, and where its name stands in it.
    struct Form: Sendable {
        let json: ByteBuffer
        let namePlace: Place
    }

    init(_ form: Form, name: OwnName, nameJSON: String, handshakeForm: Form?, isRepeatable: Bool, needsTask: Bool) {
        (json, namePlace) = (form.json, form.namePlace)
        self.name = name
        self.nameJSON = nameJSON
        self.handshakeForm = handshakeForm
        self.isRepeatable = isRepeatable
        self.needsTask = needsTask
    }

    func form(for era: Revision.Era) -> Form {
        if era == .handshake, let handshakeForm { return handshakeForm }
        return Form(json: json, namePlace: namePlace)
    }

    /// Without the schema of its results, which in that era has to be that of an object (2025-11-25, schema, "Tool").
    private static func handshakeForm(_ members: [(name: String, value: JSONView)], kind: FeatureKind) -> Form? {
        guard kind == .tools, let schema = members.first(where: { $0.name == "outputSchema" })?.value else { return nil }
        guard schema["type"]?.string != "object" else { return nil }
        let json = JSONWriter.object { writer in
            for (name, value) in members where name != "outputSchema" { writer.member(name, json: value.json) }
        }
        return JSONView.whole(json)["name"].map { Form(json: json, namePlace: $0.place) }
    }

    /// Why an element of a list is nothing we could offer.
    package struct Defect: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// - Parameter view: one element of a list's result.
    package init(_ view: JSONView, kind: FeatureKind) throws(Defect) {
        // Raw line breaks stand only between tokens; without them the definition can be part of a stdio line.
        let bytes = view.json
        if bytes.readableBytesView.contains(where: { $0 == 0x0A || $0 == 0x0D }) {
            json = ByteBuffer(bytes: bytes.readableBytesView.filter { $0 != 0x0A && $0 != 0x0D })
        } else {
            json = bytes
        }
        let whole = JSONView.whole(json)
        let members = whole.members
        let (noun, member) = (kind.noun, kind.identityMember)
        guard whole.kind == .object else { throw Defect(description: "a \(noun) is not an object") }
        let names = members.filter { $0.name == member }
        guard names.count <= 1 else { throw Defect(description: "a \(noun) has two members '\(member)'") }
        guard let name = names.first?.value, let text = name.string else { throw Defect(description: "a \(noun) has no '\(member)'") }
        guard !text.isEmpty else { throw Defect(description: "the '\(member)' of a \(noun) is empty") }
        self.name = OwnName(text)
        nameJSON = name.jsonText
        namePlace = name.place
        handshakeForm = Self.handshakeForm(members, kind: kind)
        let annotations = members.first { $0.name == "annotations" }?.value
        needsTask = members.first { $0.name == "execution" }?.value["taskSupport"]?.string == "required"
        isRepeatable = annotations?["readOnlyHint"]?.boolean == true || annotations?["idempotentHint"]?.boolean == true
    }
}
