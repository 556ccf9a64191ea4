package import JSONRPC
import MCPProtocol
package import NIOCore

/// What leads to a server: messages go in here, and what comes back is told to the owner's delegate. Belongs to the event loop.
///
/// What it is sent waits until its ``PendingWrites`` are flushed.
package protocol ServerConnection: AnyObject {
    /// - Parameter line: a message without its line end, which holds no line break.
    func send(line: ByteBuffer)
    func send(_ splice: borrowing Splice)
    /// Sends a request, of which is known already what the transport may need of it.
    func send(_ splice: borrowing Splice, as request: OutgoingRequest)
    /// Sends other bytes in the place of a message, which counts as sent: for faults that are made on purpose.
    /// - Parameter bytes: without a line break.
    func send(_ bytes: ByteBuffer, inPlaceOf message: Message, as request: OutgoingRequest?)
    /// Bytes the peer has not taken yet.
    var backlog: Int { get }
    /// Whether what the peer sends is taken.
    var isReading: Bool { get }
    /// Stops or starts taking what the peer sends; meanwhile it waits.
    func setReading(_ reads: Bool)
}

/// What a transport may have to say of a request beside its body (MCP 2026-07-28, basic/transports, "Standard Request Headers").
package struct OutgoingRequest: Sendable {
    /// Ours.
    package var id: Int
    package var method: String
    /// What it is about, as the server calls it: a tool, a prompt, a resource, a task.
    package var name: String?
    /// Headers that repeat arguments.
    package var parameters: [(name: String, value: String)]
    /// The revision in its envelope; `nil` if it has none.
    package var envelopeRevision: String?

    package init(
        id: Int, method: String, name: String? = nil, parameters: [(name: String, value: String)] = [], envelopeRevision: String? = nil
    ) {
        self.id = id
        self.method = method
        self.name = name
        self.parameters = parameters
        self.envelopeRevision = envelopeRevision
    }

    /// Where a request says what `Mcp-Name` repeats; `nil` for requests that have no such header.
    package static func nameMember(of message: Message) -> Message.Member? {
        switch message.method {
        case .toolsCall, .promptsGet: .name
        case .resourcesRead: .uri
        case .tasksGet, .tasksResult, .tasksCancel, .tasksUpdate: .taskID
        default: nil
        }
    }

    /// - Returns: `nil` if the message is no request of ours.
    init?(_ message: Message) {
        guard message.isRequest, let id = message.integerID else { return nil }
        self.init(
            id: id, method: message.methodName, name: Self.nameMember(of: message).flatMap { message.string(message[$0]) },
            envelopeRevision: message.string(message[.metaProtocolVersion]))
    }
}

/// Whoever was sent something in this turn of the event loop.
package protocol PendingWriter: AnyObject {
    func flush()
}

/// The connections that were sent something in this turn of the event loop. Belongs to the loop.
package final class PendingWrites {
    private var writers: [any PendingWriter] = []

    package init() {}

    func expect(_ writer: any PendingWriter) { writers.append(writer) }

    /// Writes what has gathered, one write per connection.
    package func flush() {
        // By index, because a write that fails ends a connection, and its owner may send something to others, or to the same one.
        var index = 0
        while index < writers.count {
            writers[index].flush()
            index += 1
        }
        writers.removeAll(keepingCapacity: true)
    }
}
