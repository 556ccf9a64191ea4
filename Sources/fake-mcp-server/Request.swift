import JSONRPC
import NIOCore

/// One request of the client, and what is known about who sent it.
struct Request {
    let id: RequestID
    let method: String
    let message: Message
    let peer: Peer

    var era: Era { peer.era }
    var params: JSONView { message.view(message[.params]) }
    var name: String? { message.string(message[.name]) }
    var arguments: JSONView? { message[.arguments].isPresent ? message.view(message[.arguments]) : nil }
    var isCall: Bool { method == "tools/call" }

    /// JSON text, exactly as the client wrote it; without one the client wants no progress.
    var progressToken: String? {
        let place = message[.metaProgressToken]
        return place.isPresent ? message.text(place) : nil
    }

    /// Stateless era: it goes on with what an earlier request began.
    var isRetry: Bool { era == .stateless && (params["inputResponses"] != nil || params["requestState"] != nil) }

    /// What is executed, in the words of the tool `executions`; `nil` for what nobody counts.
    var counter: String? {
        switch method {
        case "tools/call": name == "executions" ? nil : name
        case "prompts/get": name.map { "prompt \($0)" }
        case "resources/read": params["uri"]?.string.map { "resource \($0)" }
        default: nil
        }
    }
}

/// The client as one request shows it: by what `initialize` said, or by its own envelope.
struct Peer {
    let era: Era
    let revision: String
    let capabilities: ClientCapabilities
    /// Handshake era: the one set last; `nil` lets all messages through. Stateless era: that of the request; `nil` wants none.
    let logLevel: LogLevel?

    var hasStructuredContent: Bool { revision >= "2025-06-18" }
    var hasResourceLinks: Bool { revision >= "2025-06-18" }
    var hasCompletionsCapability: Bool { revision >= "2025-03-26" }
    var hasURLElicitation: Bool { revision >= "2025-11-25" }
    /// Tasks of the core protocol, not of the extension.
    var hasCoreTasks: Bool { era == .handshake && revision >= "2025-11-25" }

    func allows(_ question: Question) -> Bool { revision >= question.need.since && capabilities.allow(question) }

    func admits(_ level: LogLevel) -> Bool {
        switch era {
        case .handshake: logLevel.map { level >= $0 } ?? true
        case .stateless: logLevel.map { level >= $0 } ?? false
        }
    }
}
