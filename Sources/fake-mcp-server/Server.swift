import JSONRPC
import NIOCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// One conversation on stdin and stdout: a single thread that waits for input, for room in the output, and for timers.
///
/// Here are the loop and the way of a message to where its era takes it (`Server+Handshake.swift`, `Server+Stateless.swift`). What
/// both eras share is in `Server+Methods.swift`, by feature; `Server+Answers.swift` writes, `Server+Later.swift` waits.
final class Server {
    /// Bytes of one read: several pipe buffers, so that a line of megabytes takes few of them.
    private static let readSize = 256 * 1024
    /// Bytes of one line. Far above mcpagg's own limit: this side must take what it is sent.
    private static let lineLimit = 1024 * 1024 * 1024

    let behaviour: Behaviour
    var catalog: ToolCatalog
    var output: Output
    var timers = Timers()
    private let received: Recording
    private var framing = LineFraming(limit: lineLimit)

    /// The requests that wait, by their ids.
    var work: [RequestID: Work] = [:]
    var workCount = 0
    var answeredCalls = 0

    /// Handshake era: since `initialize`.
    var session: Session?
    /// The era of the first request, with `--lock-era`.
    var lockedEra: Era?
    var executions = Executions()

    /// What takes the client's answer to each question of ours.
    var questions: [RequestID: (ByteBuffer) -> Void] = [:]
    var questionCount = 0
    /// Stateless era: what waits for a retry, by its `requestState`.
    var rounds: [String: Round] = [:]
    var roundCount = 0
    /// URLs that a call to `needs_url` has asked to be visited.
    var visitedURLs: Set<String> = []

    var prompts: PromptCatalog
    var resources: ResourceCatalog
    var listens: [Listen] = []
    var tasks = TaskTable()
    var misbehaviour: Misbehaviour?

    init(behaviour: Behaviour, output: Output, received: Recording) {
        self.behaviour = behaviour
        self.output = output
        self.received = received
        catalog = ToolCatalog(fillers: behaviour.tools, features: behaviour.features, server: behaviour.name)
        prompts = PromptCatalog(server: behaviour.name)
        resources = ResourceCatalog(server: behaviour.name, features: behaviour.features)
    }

    // MARK: The loop

    func run() -> Never {
        for number in 0..<behaviour.banner {
            output.line { $0.writeString(Noise.banner(number + 1, of: behaviour.banner)) }
        }
        var inputIsOpen = true
        while true {
            output.flush()
            let readable = inputIsOpen && !output.isFull && misbehaviour?.kind != .deaf
            let ready = Descriptor.wait(
                [
                    (readable ? Descriptor.standardInput : -1, Int16(POLLIN)),
                    (output.isEmpty || output.isDripping ? -1 : Descriptor.standardOutput, Int16(POLLOUT)),
                ],
                milliseconds: timers.millisecondsToWait)
            if ready[0], !readInput() {
                inputIsOpen = false
                if !behaviour.ignoreStdinEof {
                    output.drain()
                    Processes.exit(0)
                }
            }
            while let timer = timers.due() { timer.action() }
        }
    }

    /// - Returns: false if stdin has ended.
    private func readInput() -> Bool {
        var buffer = ByteBuffer()
        var outcome = Descriptor.Outcome.wouldBlock
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.readSize) { room in
            outcome = Descriptor.read(Descriptor.standardInput, into: room)
            if case .bytes(let count) = outcome { return count }
            return 0
        }
        switch outcome {
        case .wouldBlock: return true
        case .ended: return false
        case .bytes:
            framing.append(buffer)
            while let line = framing.next() {
                guard case .complete(let bytes) = line else { continue }
                received.append(line: bytes)
                receive(bytes)
            }
            return true
        }
    }

    // MARK: Messages

    private func receive(_ line: ByteBuffer) {
        switch Incoming(scanning: line) {
        case .message(let message): receive(message)
        // Batches exist in one revision only, and no client we know sends them.
        case .batch: refuse(nil, code: -32600, "this server takes no batches")
        case .unreadable(let error): refuse(error.id, code: -32700, "\(error)")
        }
    }

    private func receive(_ message: Message) {
        let method = message.string(message[.method]) ?? ""
        switch message.kind {
        case .request:
            guard let id = message.id else { return }
            request(message, method: method, id: id)
        case .notification: notification(message, method: method)
        case .result, .error:
            guard let id = message.id, let take = questions.removeValue(forKey: id) else { return }
            let name = message.kind == .result ? "result" : "error"
            take(JSONWriter.object { $0.member(name, json: message.slice(message[message.kind == .result ? .result : .error])) })
        }
    }

    private func notification(_ message: Message, method: String) {
        switch method {
        case "notifications/cancelled":
            guard message[.requestID].isPresent else { return }
            cancel(RequestID(text: message.text(message[.requestID])))
        case "notifications/roots/list_changed": executions.rootsChanged()
        default: return
        }
    }

    private func request(_ message: Message, method: String, id: RequestID) {
        let era = self.era(of: message, method: method)
        let goOn = { [self] in
            switch era {
            case .handshake: handshakeRequest(message, method: method, id: id)
            case .stateless: statelessRequest(message, method: method, id: id)
            }
        }
        guard method == "server/discover" else { return goOn() }
        discovered(id: id, goOn)
    }

    private func era(of message: Message, method: String) -> Era {
        switch behaviour.era {
        case .handshake: return .handshake
        case .stateless: return .stateless
        case .both:
            if let lockedEra { return lockedEra }
            let hasEnvelope = message[.metaProtocolVersion].isPresent
            let era = method != "initialize" && (hasEnvelope || method == "server/discover") ? Era.stateless : .handshake
            if behaviour.lockEra { lockedEra = era }
            return era
        }
    }
}
