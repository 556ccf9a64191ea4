import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import Testing

@testable import Lifecycle

/// What a machine wants done, as one line of text: the actions hold messages, which say more than their cases.
func told(_ action: HostProtocol.Action) -> String {
    switch action {
    case .answer(let bytes): "answer \(String(buffer: bytes))"
    case .begin(let bytes): "begin \(String(buffer: bytes))"
    case .opened: "opened"
    case .list(let kind, let id): "list \(kind) \(id)"
    case .forward(let kind, let id): "forward \(kind) \(id)"
    case .resource(let method, let id): "\(method.rawValue) \(id)"
    case .complete(let id): "complete \(id)"
    case .stateless(_, let action): "stateless \(told(action))"
    case .listen(let id, let filter): "listen \(id) \(filter.kinds.map { "\($0)" }.sorted()) \(filter.uris)"
    case .task(let method, let id): "\(method.rawValue) \(id)"
    case .answered(let number): "answered \(number)"
    case .progress(let number): "progress of \(number)"
    case .rootsChanged: "roots changed"
    case .cancel(let id): "cancel \(id)"
    case .setLevel(let id, let level): "setLevel \(id) \(level)"
    case .ignore: "ignore"
    }
}

/// Nothing of a list that may not be kept.
private func told(_ freshness: Freshness) -> String {
    freshness == .none ? "" : " for \(freshness.timeToLive) ms, \(freshness.isPublic ? "public" : "private")"
}

func told(_ action: DownstreamProtocol.Action) -> String {
    switch action {
    case .send(let messages): "send \(text(messages))"
    case .listed(let kind, let features, let freshness, let messages):
        "\(kind) [\(features.map(\.jsonText).joined(separator: ","))]\(told(freshness)) send \(text(messages))"
    case .listFailed(let kind, let why, let messages): "\(kind) failed: \(why) send \(text(messages))"
    case .answer(let request): "answer \(request.request.id)"
    case .progress(let request, let token): "progress \(request.request.id) under \(token)"
    case .log: "log"
    case .misaddressed(let request): "misaddressed \(request.request.id)"
    case .ask(let id, let method): "ask \(id) \(method.rawValue)"
    case .withdraw(let id): "withdraw \(id)"
    case .notify(let method): "notify \(method.rawValue)"
    case .listChanged: "again"
    case .taskGoesOn(_, let pause, let messages): "task goes on after \(pause) send \(text(messages))"
    case .taskEnded(let request, let answer): "task of \(request.request.id) ended \(String(buffer: answer.bytes))"
    case .taskAsks(_, let requests): "task asks \(requests.map { "\($0.key) \($0.request.jsonText)" })"
    case .taskStatus: "task status"
    case .lateProgress: "late progress"
    case .listening(let filter, let messages):
        "listening to \(filter.kinds.map { "\($0)" }.sorted()) \(filter.uris) send \(text(messages))"
    case .listenEnded: "listen ended"
    case .checked(let isHealthy): isHealthy ? "healthy" : "not healthy"
    case .late: "late"
    case .unusable(let why): "unusable: \(why)"
    case .ignore: "ignore"
    }
}

/// The refusal of a request that has neither a handshake before it nor an envelope.
func cameBefore(_ method: String, id: String) -> String {
    #"answer {"jsonrpc":"2.0","id":\#(id),"error":{"code":-32600,"message":"'\#(method)' came before 'initialize', and has no "#
        + #"'io.modelcontextprotocol/protocolVersion' in '_meta', with which it would need none"}}"#
}

private func text(_ messages: [ByteBuffer]) -> String { "[\(messages.map { String(buffer: $0) }.joined(separator: " "))]" }

let identity = Implementation(name: "us", version: "1.2.3")

extension HostProtocol {
    func hears(_ text: String, inBatch: Bool = false, instructions: String? = nil) throws -> String {
        told(received(try Message(scanning: ByteBuffer(string: text)), inBatch: inBatch, instructions: instructions))
    }

    /// A machine whose host has shaken hands.
    static func open(_ revision: Revision = .newestHandshake) throws -> HostProtocol {
        let machine = HostProtocol(identity: identity)
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

    /// A conversation whose server is ready and has nothing in its lists.
    static func ready(capabilities: String = #"{"tools":{},"logging":{}}"#, level: LogLevel? = nil) throws -> Conversation {
        var conversation = Conversation(level: level)
        try conversation.shakeHands(capabilities: capabilities)
        try conversation.answerFirstLists()
        // Long enough for a change to be followed at once.
        conversation.pass(ListReader.pauseCap * 2)
        return conversation
    }

    /// - Returns: what is to be done about the server's `InitializeResult`.
    @discardableResult
    mutating func shakeHands(
        revision: String = "2025-11-25", capabilities: String = #"{"tools":{}}"#, host: ClientCapabilities = ClientCapabilities()
    ) throws -> String {
        _ = try sent(machine.opened(host))
        return try answer(
            #"{"protocolVersion":"\#(revision)","capabilities":\#(capabilities),"serverInfo":{"name":"s","version":"9"}}"#)
    }

    /// Answers what is asked of the server at its start: there is nothing in any list.
    mutating func answerFirstLists() throws {
        for kind in FeatureKind.allCases {
            if let id = listRequests[kind] { _ = try answer(#"{"\#(kind.listMember)":[]}"#, to: id) }
        }
    }

    /// The id of the last request that we sent.
    private(set) var lastID = 0
    /// The last request for a page of each list, as long as it is not answered.
    private(set) var listRequests: [FeatureKind: Int] = [:]

    /// Notes the ids of what is sent.
    mutating func sent(_ message: ByteBuffer?) throws -> String {
        guard let message else { return "nothing" }
        let scanned = try Message(scanning: message)
        if let id = scanned.integerID {
            lastID = id
            if let kind = FeatureKind.allCases.first(where: { $0.listMethod == scanned.method }) { listRequests[kind] = id }
        }
        return String(buffer: message)
    }

    mutating func hears(_ text: String) throws -> String {
        let message = try Message(scanning: ByteBuffer(string: text))
        if message.kind == .result || message.kind == .error, let id = message.integerID {
            listRequests = listRequests.filter { $0.value != id }
        }
        let action = machine.received(message, now: now)
        switch action {
        case .send(let messages), .listed(_, _, _, let messages), .listFailed(_, _, let messages), .taskGoesOn(_, _, let messages),
            .listening(_, let messages):
            for message in messages { _ = try sent(message) }
        case .answer, .progress, .log, .misaddressed, .listChanged, .ask, .withdraw, .notify, .late, .unusable, .ignore,
            .taskEnded, .taskAsks, .taskStatus, .lateProgress, .listenEnded, .checked:
            break
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

    mutating func listChanged(_ kind: FeatureKind = .tools) throws -> String {
        try hears(#"{"jsonrpc":"2.0","method":"\#(kind.changedMethod.rawValue)"}"#)
    }

    /// What is sent once the time has come to read a changed list again.
    mutating func relist() throws -> String {
        struct NothingDue: Error {}
        guard let due = machine.relistDue else { throw NothingDue() }
        #expect(machine.relist(now: Instant(nanoseconds: due.nanoseconds - 1)).isEmpty)
        now = max(now, due)
        return try machine.relist(now: now).map { try sent($0) }.joined(separator: " ")
    }

    /// Forwards a request of the host.
    /// - Returns: our id of it.
    mutating func forward(
        _ name: String = "1", purpose: ForwardedRequest.Purpose = .tool, token: String? = nil, idle: Duration = .seconds(60),
        latest: Instant? = nil
    ) throws -> Int {
        let request = ForwardedRequest(
            request: HostRequest(connection: HostConnectionID(1), id: RequestID(text: name)), purpose: purpose, progressToken: token,
            idleTimeout: idle, latest: latest)
        struct Full: Error {}
        guard let id = machine.forward(request, now: now) else { throw Full() }
        return id
    }

    mutating func progress(of id: Int) throws -> String {
        try hears(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(id),"progress":1}}"#)
    }

    mutating func pass(_ duration: Duration) { now = now.advanced(by: duration) }

    /// The hosts' ids of the requests that have expired.
    mutating func expired() -> [String] { machine.expire(now: now).map(\.request.request.id.text).sorted() }
}
