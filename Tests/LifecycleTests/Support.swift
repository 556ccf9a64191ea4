import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Resilience
import Testing

/// What a machine wants done, as one line of text: the actions hold messages, which say more than their cases.
func told(_ action: HostProtocol.Action) -> String {
    switch action {
    case .answer(let bytes): "answer \(String(buffer: bytes))"
    case .begin(let bytes): "begin \(String(buffer: bytes))"
    case .opened: "opened"
    case .listTools(let id): "listTools \(id)"
    case .callTool(let id): "callTool \(id)"
    case .cancel(let id): "cancel \(id)"
    case .setLevel(let id, let level): "setLevel \(id) \(level)"
    case .ignore: "ignore"
    }
}

func told(_ action: DownstreamProtocol.Action) -> String {
    switch action {
    case .send(let messages): "send \(text(messages))"
    case .tools(let tools, let messages): "tools [\(tools.map(\.jsonText).joined(separator: ","))] send \(text(messages))"
    case .listFailed(let why, let messages): "listFailed: \(why) send \(text(messages))"
    case .answer(let call): "answer \(call.request.id)"
    case .progress(let call, let token): "progress \(call.request.id) under \(token)"
    case .log: "log"
    case .misaddressed(let call): "misaddressed \(call.request.id)"
    case .listChanged: "again"
    case .late: "late"
    case .unusable(let why): "unusable: \(why)"
    case .ignore: "ignore"
    }
}

private func text(_ messages: [ByteBuffer]) -> String { "[\(messages.map { String(buffer: $0) }.joined(separator: " "))]" }

let identity = HostProtocol.Identity(name: "us", version: "1.2.3")

extension HostProtocol {
    mutating func hears(_ text: String, inBatch: Bool = false, instructions: String? = nil) throws -> String {
        told(received(try Message(scanning: ByteBuffer(string: text)), inBatch: inBatch, instructions: instructions))
    }

    /// A machine whose host has shaken hands.
    static func open(_ revision: Revision = .newestHandshake) throws -> HostProtocol {
        var machine = HostProtocol(identity: identity)
        _ = try machine.hears(
            #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"\#(revision.rawValue)","capabilities":{}}}"#)
        _ = try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        return machine
    }
}

/// Our side of a connection, with a clock that the test moves.
struct Conversation {
    var machine: DownstreamProtocol
    var now = Instant(nanoseconds: 1_000)

    init(level: LogLevel? = nil) { machine = DownstreamProtocol(identity: identity, level: level) }

    /// A conversation whose server is ready and has no tools.
    static func ready(capabilities: String = #"{"tools":{},"logging":{}}"#, level: LogLevel? = nil) throws -> Conversation {
        var conversation = Conversation(level: level)
        try conversation.shakeHands(capabilities: capabilities)
        if conversation.machine.phase == .listing { _ = try conversation.answer(#"{"tools":[]}"#) }
        // Long enough for a change to be followed at once.
        conversation.pass(DownstreamProtocol.relistCap * 2)
        return conversation
    }

    /// - Returns: what is to be done about the server's `InitializeResult`.
    @discardableResult
    mutating func shakeHands(revision: String = "2025-11-25", capabilities: String = #"{"tools":{}}"#) throws -> String {
        _ = try sent(machine.opened())
        return try answer(
            #"{"protocolVersion":"\#(revision)","capabilities":\#(capabilities),"serverInfo":{"name":"s","version":"9"}}"#)
    }

    /// The id of the last request that we sent.
    private(set) var lastID = 0

    /// Notes the ids of what is sent.
    mutating func sent(_ message: ByteBuffer?) throws -> String {
        guard let message else { return "nothing" }
        if let id = try Message(scanning: message).integerID { lastID = id }
        return String(buffer: message)
    }

    mutating func hears(_ text: String) throws -> String {
        let action = machine.received(try Message(scanning: ByteBuffer(string: text)), now: now)
        switch action {
        case .send(let messages), .tools(_, let messages), .listFailed(_, let messages):
            for message in messages { _ = try sent(message) }
        case .answer, .progress, .log, .misaddressed, .listChanged, .late, .unusable, .ignore: break
        }
        return told(action)
    }

    /// The server answers our last request, or the one named, with this result.
    mutating func answer(_ result: String, to id: Int? = nil) throws -> String {
        try hears(#"{"jsonrpc":"2.0","id":\#(id ?? lastID),"result":\#(result)}"#)
    }

    mutating func refuse(to id: Int? = nil) throws -> String {
        try hears(#"{"jsonrpc":"2.0","id":\#(id ?? lastID),"error":{"code":-32000,"message":"not today"}}"#)
    }

    mutating func listChanged() throws -> String {
        try hears(#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)
    }

    /// What is sent once the time has come to read a changed list again.
    mutating func relist() throws -> String {
        struct NothingDue: Error {}
        guard let due = machine.relistDue else { throw NothingDue() }
        #expect(machine.relist(now: Instant(nanoseconds: due.nanoseconds - 1)) == nil)
        now = max(now, due)
        return try sent(machine.relist(now: now))
    }

    /// Forwards a call of the host.
    /// - Returns: our id of it.
    mutating func forward(
        _ name: String = "1", token: String? = nil, idle: Duration = .seconds(60), latest: Instant? = nil
    ) throws -> Int {
        let call = ForwardedCall(
            request: HostRequest(connection: HostConnectionID(1), id: RequestID(text: name)), progressToken: token,
            idleTimeout: idle, latest: latest)
        struct Full: Error {}
        guard let id = machine.forward(call, now: now) else { throw Full() }
        return id
    }

    mutating func progress(of id: Int) throws -> String {
        try hears(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(id),"progress":1}}"#)
    }

    mutating func pass(_ duration: Duration) { now = now.advanced(by: duration) }

    /// The hosts' ids of the calls that have expired.
    mutating func expired() -> [String] { machine.expire(now: now).map(\.call.request.id.text).sorted() }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
