import JSONRPC
import MCPProtocol
import NIOCore
import NIOEmbedded
import TestSupport

@testable import Aggregation
@testable import Transports

/// A host in memory. It takes down what it asked and what it was answered at the very border of the aggregator, without any delay, so
/// that what crosses on the way is no matter of judgement.
final class VirtualHost {
    enum Era { case handshake(String), stateless }

    /// What it does when it is asked.
    private enum Reaction { case accept, decline, refuse, ignore, acceptTwice }

    let world: World
    let number: Int
    let era: Era
    private let channel: NIOAsyncTestingChannel
    private let outlet = Outlet()
    private let isInitialized: Bool
    private var random: SeededGenerator
    private var requestCount = 0
    private(set) var requests: [RequestID: Request] = [:]
    /// Tokens under which it may be told of progress, by what waits.
    private var tokens: [String: RequestID] = [:]
    private(set) var openQuestions: Set<RequestID> = []
    private(set) var hasClosed = false
    private(set) var isGone = false
    private var stalls = 0

    var name: String { "host \(number)" }
    var isStalled: Bool { stalls > 0 }
    var isStateless: Bool { if case .stateless = era { true } else { false } }
    var hasBatches: Bool { if case .handshake("2025-03-26") = era { isInitialized } else { false } }

    init(world: World, number: Int) {
        self.world = world
        self.number = number
        random = SeededGenerator(seed: world.seed, of: "host \(number)")
        era = random.weighted([
            (40, .handshake("2025-11-25")), (10, .handshake("2025-06-18")), (15, .handshake("2025-03-26")), (35, .stateless),
        ])
        isInitialized = random.chance(98)
        channel = NIOAsyncTestingChannel(loop: world.loop)
        outlet.taken = { [unowned self] in taken($0) }
        outlet.closed = { [unowned self] in hasClosed = true }
        let first = NIOLoopBound(outlet, eventLoop: world.loop)
        world.aggregator.assumeIsolated { [channel] aggregator in
            aggregator.connectHost { delegate, finished in
                channel.closeFuture.whenComplete { _ in finished() }
                return channel.eventLoop.makeCompletedFuture {
                    try LineConnection.prepareInput(channel, delegate: delegate, lineLimit: Limits.messageLength)
                    try channel.pipeline.syncOperations.addHandler(first.value, position: .first)
                    return (input: channel, output: channel, descriptor: nil)
                }
            }
        }
    }

    // MARK: What it says

    private func say(_ text: String) {
        guard !hasClosed, !isGone else { return }
        var bytes = ByteBuffer(string: text + "\n")
        if random.chance(5), let part = bytes.readSlice(length: bytes.readableBytes / 2) { channel.pipeline.fireChannelRead(part) }
        channel.pipeline.fireChannelRead(bytes)
        channel.pipeline.fireChannelReadComplete()
    }

    func open() {
        guard case .handshake(let revision) = era, isInitialized, !hasClosed, !isGone else { return }
        // What it asked before is not answered in the new session.
        for (id, request) in requests where request.state == .open { cancelled(id) }
        openQuestions = []
        let id = add(Request(call: nil, what: "initialize"))
        say(
            """
            {"jsonrpc":"2.0","id":\(id.text),"method":"initialize","params":{"protocolVersion":"\(revision)",\
            "capabilities":\(capabilities),"clientInfo":{"name":"h","version":"1"}}}
            """)
        world.after(random.below(5)) { [self] in say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#) }
    }

    private var capabilities: String { number == 0 ? #"{"elicitation":{},"roots":{"listChanged":true}}"# : "{}" }

    private func add(_ request: Request) -> RequestID {
        requestCount += 1
        let id = RequestID(text: requestCount % 3 == 0 ? "\"r\(requestCount)\"" : "\(requestCount)")
        requests[id] = request
        requests[id]?.cameTooLate = world.isTooLate
        return id
    }

    private func meta(_ token: String? = nil) -> String {
        var members: [String] = []
        if isStateless {
            members.append(#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#)
            members.append(#""io.modelcontextprotocol/clientCapabilities":\#(capabilities)"#)
        }
        if let token { members.append(#""progressToken":\#(token)"#) }
        return "{\(members.joined(separator: ","))}"
    }

    private func request(_ id: RequestID, _ method: String, _ params: String = "", token: String? = nil) -> String {
        let comma = params.isEmpty ? "" : ","
        return #"{"jsonrpc":"2.0","id":\#(id.text),"method":"\#(method)","params":{\#(params)\#(comma)"_meta":\#(meta(token))}}"#
    }

    func ask(_ method: String, _ params: String = "", lasts: Bool = false) {
        guard !hasClosed, !isGone else { return }
        let id = add(Request(call: nil, what: method, lasts: lasts))
        world.note("\(name) asks \(id) \(method)")
        say(request(id, method, params))
    }

    /// Calls what these stand for, in one batch if they are several.
    func call(_ numbers: [Int], input: (request: RequestID, members: String)? = nil) {
        guard !hasClosed, !isGone else { return }
        var lines: [String] = []
        for number in numbers {
            let id = add(Request(call: number, what: "call \(number)"))
            let call = world.calls[number]
            world.calls[number].state = .open
            let token = random.chance(50) ? "\"t\(requestCount)\"" : nil
            if let token { tokens[token] = id }
            world.note("\(name) calls \(call.name) as \(number) under \(id)\(input == nil ? "" : " again")")
            let params = #""name":"\#(call.name)","arguments":{"n":\#(number)}\#(input?.members ?? "")"#
            lines.append(request(id, "tools/call", params, token: token))
        }
        say(lines.count == 1 ? lines[0] : "[\(lines.joined(separator: ","))]")
    }

    /// Cancels the request that waits for this call, or one that does not any more.
    func cancel(_ number: Int) {
        guard !hasClosed, !isGone else { return }
        guard
            let id = requests.first(where: { $0.value.call == number && $0.value.state == .open })?.key
                ?? requests.first(where: { $0.value.call == number })?.key
        else { return }
        world.note("\(name) cancels \(id), call \(number)")
        if requests[id]?.state == .open { cancelled(id) }
        say(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(id.text),"reason":"changed my mind"}}"#)
    }

    private func cancelled(_ id: RequestID) {
        requests[id]?.state = .cancelled
        if let call = requests[id]?.call { world.calls[call].state = .cancelled }
    }

    // MARK: How it leaves

    /// Closes its end, and still reads.
    func closeInput() {
        guard !hasClosed, !isGone else { return }
        world.note("\(name) closes its end")
        hasClosed = true
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    /// Is gone in one moment.
    func vanish() {
        guard !isGone else { return }
        world.note("\(name) is gone")
        isGone = true
        for (id, request) in requests where request.state == .open { cancelled(id) }
        for index in world.calls.indices where world.calls[index].host == number && world.calls[index].state == .parked {
            world.calls[index].state = .cancelled
        }
        channel.close(promise: nil)
    }

    func stall(for duration: Int) {
        world.note("\(name) does not read for \(duration) ms")
        stalls += 1
        outlet.setStalled(true, channel)
        world.after(duration) { [self] in
            stalls -= 1
            if stalls == 0 { outlet.setStalled(false, channel) }
        }
    }

    // MARK: What it hears

    private func taken(_ bytes: ByteBuffer) {
        guard !isGone else { return }
        for line in bytes.readableBytesView.split(separator: UInt8(ascii: "\n")) {
            switch Incoming(scanning: ByteBuffer(line)) {
            case .message(let message): received(message)
            case .batch(let elements):
                for element in elements {
                    switch element {
                    case .success(let message): received(message)
                    case .failure(let error): world.fail("\(name) was sent \(error) in a batch")
                    }
                }
            case .unreadable(let error): world.fail("\(name) was sent what is \(error): \(String(decoding: line, as: UTF8.self))")
            }
        }
    }

    private func received(_ message: Message) {
        switch message.kind {
        case .result, .error: answered(message)
        case .request: asked(message)
        case .notification:
            switch message.method {
            case .progress:
                let token = message.text(message[.progressToken])
                guard let id = tokens[token] else { return world.fail("\(name) is told of progress under \(token), which it never gave") }
                if requests[id]?.state != .open { world.fail("\(name) is told of progress of \(id), which is over") }
            case .cancelled:
                if message[.requestID].isPresent { openQuestions.remove(RequestID(text: message.text(message[.requestID]))) }
            default: break
            }
        }
    }

    private func answered(_ message: Message) {
        guard let id = message.id, let request = requests[id] else {
            return world.fail("\(name) is answered what it never asked: \(String(buffer: message.bytes))")
        }
        world.note("\(name) is answered \(id): \(String(buffer: message.bytes).prefix(300))")
        guard request.state == .open else {
            return world.fail("\(name) is answered \(id), \(request.what), which is \(request.state) already")
        }
        requests[id]?.state = .answered
        guard let call = request.call else { return }
        guard isStateless, message.string(message[.resultType]) == "input_required" else { return world.answered(call, message) }
        world.calls[call].state = .parked
        comeBack(message, id, call)
    }

    /// A call was answered with questions.
    private func comeBack(_ message: Message, _ id: RequestID, _ call: Int) {
        let keys = message.view(message[.result])["inputRequests"]?.members.map(\.name) ?? []
        let state = message.string(message[.requestState]) ?? ""
        let (delay, reaction) = reaction()
        guard reaction != .ignore else { return }
        let answer = reaction == .decline || reaction == .refuse ? "decline" : "accept"
        let responses = keys.map { #""\#($0)":{"action":"\#(answer)"}"# }.joined(separator: ",")
        world.after(delay) { [self] in
            guard world.calls[call].state == .parked else { return }
            self.call([call], input: (id, #","inputResponses":{\#(responses)},"requestState":"\#(state)""#))
        }
    }

    private func reaction() -> (delay: Int, Reaction) {
        let delay = random.pick([0, 1, 10, 200, 2_000, 8_000])
        return (delay, random.weighted([(60, .accept), (10, .decline), (8, .refuse), (15, .ignore), (7, .acceptTwice)]))
    }

    private func asked(_ message: Message) {
        guard let id = message.id else { return }
        world.note("\(name) is asked \(id): \(message.methodName)")
        if message.method == .ping { return say(#"{"jsonrpc":"2.0","id":\#(id.text),"result":{}}"#) }
        openQuestions.insert(id)
        let (delay, reaction) = reaction()
        guard reaction != .ignore else { return }
        let answer =
            message.method == .rootsList ? #"{"roots":[]}"# : reaction == .decline ? #"{"action":"decline"}"# : #"{"action":"accept"}"#
        let line =
            reaction == .refuse
            ? #"{"jsonrpc":"2.0","id":\#(id.text),"error":{"code":-1,"message":"no"}}"#
            : #"{"jsonrpc":"2.0","id":\#(id.text),"result":\#(answer)}"#
        world.after(delay) { [self] in
            openQuestions.remove(id)
            say(line)
            if reaction == .acceptTwice { say(line) }
        }
    }
}
