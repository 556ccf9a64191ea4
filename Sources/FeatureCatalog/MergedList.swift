import JSONRPC
package import MCPProtocol
package import NIOCore

/// Where a request goes. Never changed; a class, because each call is handed one.
package final class Route: Sendable {
    package let downstream: DownstreamID
    /// By which that server knows it.
    package let name: OwnName
    /// The same as JSON text, as the downstream wrote it.
    package let nameJSON: String
    package let isRepeatable: Bool
    /// It can be called as a task alone.
    package let needsTask: Bool

    init(_ entry: MergedList.Entry) {
        downstream = entry.downstream
        name = entry.definition.name
        nameJSON = entry.definition.nameJSON
        isRepeatable = entry.definition.isRepeatable
        needsTask = entry.definition.needsTask
    }
}

/// All servers' features of one kind, as one list. Never changed; a class, because it is looked into for each call.
package final class MergedList: Sendable {
    package struct Entry: Sendable {
        package let name: ExposedName
        package let definition: FeatureDefinition
        package let downstream: DownstreamID
        /// The key of its server in the config file.
        package let server: String

        var identity: Identity { Identity(server: server, name: definition.name) }
    }

    /// What stays the same when a server is started anew.
    struct Identity: Hashable {
        var server: String
        var name: OwnName
    }

    package let kind: FeatureKind
    /// Counts the different lists of this kind that this process has had; equal numbers mean byte-identical lists.
    package let revision: Int
    /// In the order of the config file, each server's in its own.
    package let entries: [Entry]
    /// The answer to the list request, made once: `{"tools":[…]}`.
    package let result: ByteBuffer
    /// The same for hosts of the handshake era.
    package let handshakeResult: ByteBuffer
    /// Of the servers' lists together.
    package let freshness: Freshness
    private let routes: [Route]
    private let table: NameTable

    init(_ kind: FeatureKind, entries: [Entry], freshness: Freshness = .none, after previous: MergedList?) {
        self.kind = kind
        self.entries = entries
        self.freshness = freshness
        let result = Self.list(kind, entries, era: .stateless)
        self.result = result
        let areSame = entries.allSatisfy { $0.definition.handshakeForm == nil }
        handshakeResult = areSame ? result : Self.list(kind, entries, era: .handshake)
        revision = previous.map { $0.result == result ? $0.revision : $0.revision + 1 } ?? 0
        routes = entries.map(Route.init)
        table = NameTable(entries.map(\.name.text))
    }

    /// The part of the list that comes from one server, in the form of the answer to the list request.
    package func result(of server: String) -> ByteBuffer {
        Self.list(kind, entries.filter { $0.server == server }, era: .handshake)
    }

    /// - Parameter name: the text of an exposed name, without escapes.
    func route(_ name: UnsafeRawBufferPointer) -> Route? { table.position(of: name).map { routes[$0] } }

    private static func list(_ kind: FeatureKind, _ entries: [Entry], era: Revision.Era) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(entries.reduce(32) { $0 + $1.definition.json.readableBytes + $1.name.text.utf8.count + 4 })
        buffer.writeString("{\"\(kind.listMember)\":[")
        for (index, entry) in entries.enumerated() {
            if index > 0 { buffer.writeInteger(UInt8(ascii: ",")) }
            let form = entry.definition.form(for: era)
            let json = form.json
            guard entry.name.text != entry.definition.name.text else {
                buffer.writeImmutableBuffer(json)
                continue
            }
            let name = form.namePlace.range
            buffer.writeBytes(json.readableBytesView.prefix(name.lowerBound))
            // Exposed names need no escapes.
            buffer.writeString("\"\(entry.name.text)\"")
            buffer.writeBytes(json.readableBytesView.dropFirst(name.upperBound))
        }
        buffer.writeStaticString("]}")
        return buffer
    }
}
