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
/// What every era of the protocol shares is in this file; the handshake revisions are in `Server+Handshake.swift`, the tools in
/// `Server+Tools.swift`.
final class Server {
    /// A request whose answer comes later, or never.
    struct Work {
        enum Task {
            case answer(ByteBuffer)
            case progress(done: Int, steps: Int, everyMilliseconds: Int, token: String?)
            case never
        }
        let serial: Int
        var task: Task
        let isCall: Bool
    }

    /// Bytes of one read: several pipe buffers, so that a line of megabytes takes few of them.
    private static let readSize = 256 * 1024
    /// Bytes of one line. Far above mcpagg's own limit: this side must take what it is sent.
    private static let lineLimit = 1024 * 1024 * 1024

    let behaviour: Behaviour
    var catalog: ToolCatalog
    var output: Output
    private let received: Recording
    private var framing = LineFraming(limit: lineLimit)
    private var timers = Timers()
    private var work: [RequestID: Work] = [:]
    private var workCount = 0
    private var answeredCalls = 0

    init(behaviour: Behaviour, output: Output, received: Recording) {
        self.behaviour = behaviour
        self.output = output
        self.received = received
        catalog = ToolCatalog(fillers: behaviour.tools)
    }

    // MARK: The loop

    func run() -> Never {
        for number in 0..<behaviour.banner {
            output.line { $0.writeString(Noise.banner(number + 1, of: behaviour.banner)) }
        }
        var inputIsOpen = true
        while true {
            output.flush()
            let readable = inputIsOpen && !output.isFull
            let ready = Descriptor.wait(
                [
                    (readable ? Descriptor.standardInput : -1, Int16(POLLIN)),
                    (output.isEmpty ? -1 : Descriptor.standardOutput, Int16(POLLOUT)),
                ],
                milliseconds: timers.millisecondsToWait)
            if ready[0], !readInput() {
                inputIsOpen = false
                if !behaviour.ignoreStdinEof {
                    output.drain()
                    Processes.exit(0)
                }
            }
            while let timer = timers.due() { fire(timer) }
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
        let method = message.string(message.places[.method]) ?? ""
        switch message.kind {
        case .request:
            guard let id = message.id else { return }
            request(message, method: method, id: id)
        case .notification:
            guard method == "notifications/cancelled", message.places[.requestID].isPresent else { return }
            work[RequestID(text: message.text(message.places[.requestID]))] = nil
        case .result, .error: return  // this server asks nothing
        }
    }

    private func request(_ message: Message, method: String, id: RequestID) {
        if handshakeRequest(message, method: method, id: id) { return }
        switch method {
        case "tools/list": listTools(message, id: id)
        case "tools/call": callTool(message, id: id)
        default: refuse(id, code: -32601, "Method not found: \(method)")
        }
    }

    // MARK: Answers

    /// - Parameter isCall: answers to calls are counted, and noise goes before them like before all answers.
    func answer(_ id: RequestID, result: ByteBuffer, isCall: Bool = false) {
        writeGarbageIfAsked()
        output.line { line in
            line.writeString(#"{"jsonrpc":"2.0","id":\#(id),"result":"#)
            line.writeImmutableBuffer(result)
            line.writeStaticString("}")
        }
        if isCall { countCall() }
    }

    func refuse(_ id: RequestID?, code: Int, _ text: String, isCall: Bool = false) {
        writeGarbageIfAsked()
        let member = id.map { #""id":\#($0),"# } ?? ""
        output.line { $0.writeString(#"{"jsonrpc":"2.0",\#(member)"error":{"code":\#(code),"message":\#(JSONString.encoded(text))}}"#) }
        if isCall { countCall() }
    }

    func notify(_ method: String, _ params: (inout JSONWriter) -> Void = { _ in }) {
        output.line { line in
            var writer = JSONWriter(into: line)
            writer.object { message in
                message.member("jsonrpc", "2.0")
                message.member("method", method)
                message.object("params", params)
            }
            line = writer.buffer
        }
    }

    private func writeGarbageIfAsked() {
        if behaviour.garbage { output.line { $0.writeBytes(Noise.garbage) } }
    }

    private func countCall() {
        answeredCalls += 1
        guard answeredCalls == behaviour.exitAfterCalls else { return }
        output.drain()
        Processes.exit(1)
    }

    // MARK: Later

    /// Keeps the request open; without `milliseconds` nothing but its cancellation ends it.
    func later(_ id: RequestID, _ task: Work.Task, milliseconds: Int?, isCall: Bool) {
        workCount += 1
        work[id] = Work(serial: workCount, task: task, isCall: isCall)
        if let milliseconds { timers.set(milliseconds: milliseconds, request: id, work: workCount) }
    }

    private func fire(_ timer: Timers.Timer) {
        // Cancelled meanwhile, and perhaps its id was used again.
        guard let work = work[timer.request], work.serial == timer.work else { return }
        switch work.task {
        case .answer(let result):
            self.work[timer.request] = nil
            answer(timer.request, result: result, isCall: work.isCall)
        case .progress(let done, let steps, let pause, let token):
            progress(token: token, done: done + 1, of: steps)
            if done + 1 < steps {
                let next = Work.Task.progress(done: done + 1, steps: steps, everyMilliseconds: pause, token: token)
                self.work[timer.request]?.task = next
                timers.set(milliseconds: pause, request: timer.request, work: work.serial)
            } else {
                self.work[timer.request] = nil
                answer(timer.request, result: ToolResult.text("\(steps) steps"), isCall: work.isCall)
            }
        case .never: return
        }
    }

    /// - Parameter token: JSON text, exactly as the client wrote it; without one the client wants no progress.
    func progress(token: String?, done: Int, of steps: Int) {
        guard let token else { return }
        notify("notifications/progress") { params in
            params.member("progressToken", json: token)
            params.member("progress", done)
            params.member("total", steps)
        }
    }
}
