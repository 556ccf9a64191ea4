package import JSONRPC
package import MCPProtocol
package import NIOCore
package import Resilience

/// Our side, as the client, of one connection to a downstream: handshake, tool lists, and the requests in flight.
///
/// A value: it returns what is to be done and does nothing itself. A connection that was lost gets a new one of these.
package struct DownstreamProtocol: Sendable {
    /// Pages of one tool list. A server that never ends its list would keep us asking for ever.
    package static let pageLimit = 1_000
    /// Tools of one server.
    package static let toolLimit = 20_000

    package enum Phase: Hashable, Sendable {
        /// Nothing was sent; can go to initializing.
        case idle
        /// `initialize` was sent; can go to listing, or to ready if the server has no tools.
        case initializing
        /// The first tool list is being read; can go to ready.
        case listing
        /// Calls may be sent; final.
        case ready
    }

    /// What the server told of itself.
    package struct Introduction: Hashable, Sendable {
        package var revision: Revision
        package var capabilities: ServerCapabilities
        package var name: String
        package var version: String
    }

    package enum Action: Sendable {
        case send([ByteBuffer])
        /// These are the server's tools now. The first time it means that calls may be sent.
        case tools([RawTool], send: [ByteBuffer])
        /// The list could not be read, for this reason; tools known before stay. The first time it means ready without tools.
        case listFailed(String, send: [ByteBuffer])
        /// The message answers this call.
        case answer(ForwardedCall)
        /// The message is progress of this call, for which the host has a token.
        case progress(ForwardedCall, token: String)
        /// The message is a log message of the server.
        case log
        /// The answer to a call that was cancelled, or given up.
        case late
        /// The server cannot be used, for this reason.
        case unusable(String)
        /// Nothing, for this reason.
        case ignore(String)
    }

    /// A tool as it came, an element of `result.tools`.
    package typealias RawTool = JSONView

    private enum Waiting: Sendable {
        case initialize
        case tools(page: Int, deadline: Instant)
        case level
        case call(ForwardedCall, deadline: Instant)
        /// Cancelled or given up: its answer, if it still comes, goes nowhere. Forgotten after `until`.
        case abandoned(until: Instant)
    }

    /// How long one page of a tool list may take. The first list is bounded by the server's start-up time as well.
    package static let listTimeout = Duration.seconds(30)
    /// How long we remember a request that was given up, so that its late answer is recognised.
    package static let memoryOfAbandoned = Duration.seconds(300)

    package private(set) var phase = Phase.idle
    package private(set) var introduction: Introduction?
    /// Answers that came after their call was cancelled or given up.
    package private(set) var lateAnswers = 0
    private var requests = RequestTable<Waiting>()
    private var collected: [RawTool] = []
    private var cursors: Set<String> = []
    private var isListing = false
    /// The list changed while it was being read: read it once more.
    private var listAgain = false
    /// What the host last set, or wants set as soon as we may.
    private var level: LogLevel?
    private let identity: HostProtocol.Identity

    package init(identity: HostProtocol.Identity, level: LogLevel?) {
        self.identity = identity
        self.level = level
    }

    /// Calls sent and not answered.
    package var callsInFlight: Int {
        requests.entries.reduce(0) { count, waiting in
            if case .call = waiting.entry { count + 1 } else { count }
        }
    }

    // MARK: What we send

    /// The connection is open: the `initialize` to send.
    package mutating func opened() -> ByteBuffer? {
        guard phase == .idle, let id = requests.insert(.initialize) else { return nil }
        phase = .initializing
        let params = JSONWriter.object { params in
            params.member("protocolVersion", Revision.newestHandshake.rawValue)
            params.object("capabilities") { _ in }
            params.object("clientInfo") {
                $0.member("name", identity.name)
                $0.member("version", identity.version)
            }
        }
        return Composition.request(id: id, .initialize, params: params)
    }

    /// Takes a call that is about to be sent.
    /// - Returns: the id to send it under, which is also the progress token to ask for; `nil` if too many calls are waiting.
    package mutating func forward(_ call: ForwardedCall, now: Instant) -> Int? {
        requests.insert(.call(call, deadline: call.deadline(from: now)))
    }

    /// Gives a call up. Its answer, should it come, is dropped.
    /// - Returns: the call, if it was still in flight, so that the server has to be told.
    package mutating func abandon(_ id: Int, now: Instant) -> ForwardedCall? {
        guard case .call(let call, _) = requests[id] else { return nil }
        requests[id] = .abandoned(until: now.advanced(by: Self.memoryOfAbandoned))
        return call
    }

    /// - Returns: the request to send, if the server logs and we may ask it now; else it is sent as soon as we may.
    package mutating func setLevel(_ level: LogLevel) -> ByteBuffer? {
        self.level = level
        return phase == .ready ? levelRequest() : nil
    }

    /// The notification that tells the server we gave up on a request of ours.
    package static func cancellation(of id: Int, reason: String) -> ByteBuffer {
        Composition.notification(
            .cancelled,
            params: JSONWriter.object {
                $0.member("requestId", id)
                $0.member("reason", reason)
            })
    }

    // MARK: What we receive

    package mutating func received(_ message: Message, now: Instant) -> Action {
        switch message.kind {
        case .result, .error: answer(message, now: now)
        case .request: request(message)
        case .notification: notification(message, now: now)
        }
    }

    /// The peer sent something for this id that we cannot use.
    /// - Returns: the call that will never be answered, if it was one.
    package mutating func unusableAnswer(_ id: RequestID?) -> ForwardedCall? {
        guard let id, let number = Int(id.text), case .call(let call, _) = requests[number] else { return nil }
        _ = requests.remove(number)
        return call
    }

    private mutating func answer(_ message: Message, now: Instant) -> Action {
        guard let id = message.integerID, let waiting = requests.remove(id) else {
            return .ignore("an answer to a request it was never sent (id \(message.id?.text.prefix(40) ?? "none"))")
        }
        switch waiting {
        case .call(let call, _): return .answer(call)
        case .abandoned:
            lateAnswers += 1
            return .late
        case .level:
            guard message.kind == .error else { return .ignore("its answer to 'logging/setLevel'") }
            return .ignore("its refusal of 'logging/setLevel': \(errorText(message))")
        case .initialize: return initialized(message, now: now)
        case .tools(let page, _): return listed(message, page: page, now: now)
        }
    }

    private mutating func initialized(_ message: Message, now: Instant) -> Action {
        guard message.kind == .result else { return .unusable("it refused 'initialize': \(errorText(message))") }
        let result = message.view(message.places[.result])
        guard let asked = result["protocolVersion"]?.string else {
            return .unusable("its answer to 'initialize' names no protocol version")
        }
        guard let revision = Revision(rawValue: asked), revision.era == .handshake else {
            return .unusable("it speaks MCP revision '\(asked.prefix(40))', which cannot be agreed on in 'initialize'")
        }
        introduction = Introduction(
            revision: revision,
            capabilities: ServerCapabilities(result["capabilities"]),
            name: result["serverInfo"]?["name"]?.string ?? "",
            version: result["serverInfo"]?["version"]?.string ?? "")
        var messages = [Composition.notification(.initialized)]
        guard introduction?.capabilities.tools == true else {
            phase = .ready
            if let request = levelRequest() { messages.append(request) }
            return .tools([], send: messages)
        }
        phase = .listing
        if let request = beginList(now: now) { messages.append(request) }
        return .send(messages)
    }

    private mutating func request(_ message: Message) -> Action {
        guard let id = message.id else { return .ignore("a request without an id") }
        if message.method == .ping { return .send([Composition.result(id: id, Composition.emptyResult)]) }
        return .send([Composition.error(id: id, .methodNotFound, "Method not found: \(message.methodName)")])
    }

    private mutating func notification(_ message: Message, now: Instant) -> Action {
        switch message.method {
        case .progress:
            // The token we gave it is our id of the request.
            guard let id = message.integer(message.places[.progressToken]), case .call(let call, _) = requests[id] else {
                return .ignore("progress of nothing that is in flight")
            }
            requests[id] = .call(call, deadline: call.deadline(from: now))
            guard let token = call.progressToken else { return .ignore("progress nobody asked for") }
            return .progress(call, token: token)
        case .message: return .log
        case .toolsListChanged:
            guard phase == .ready, introduction?.capabilities.tools == true else { return .ignore("a changed list before the first") }
            guard !isListing else {
                listAgain = true
                return .ignore("another change while its list is being read")
            }
            return beginList(now: now).map { .send([$0]) } ?? .ignore("too many requests are waiting")
        case .initialize, .ping, .discover, .toolsList, .toolsCall, .setLevel, .initialized, .cancelled, nil:
            return .ignore("an unknown notification '\(message.methodName.prefix(80))'")
        }
    }

    // MARK: Tool lists

    private mutating func beginList(now: Instant) -> ByteBuffer? {
        collected = []
        cursors = []
        listAgain = false
        guard let id = requests.insert(.tools(page: 1, deadline: now.advanced(by: Self.listTimeout))) else { return nil }
        isListing = true
        return Composition.request(id: id, .toolsList)
    }

    private mutating func listed(_ message: Message, page: Int, now: Instant) -> Action {
        guard message.kind == .result else { return endList(failure: "it refused 'tools/list': \(errorText(message))", now: now) }
        let result = message.view(message.places[.result])
        guard let tools = result["tools"], tools.kind == .array else {
            return endList(failure: "its answer to 'tools/list' has no array 'tools'", now: now)
        }
        collected += tools.elements
        guard collected.count <= Self.toolLimit else { return endList(failure: "it lists more than \(Self.toolLimit) tools", now: now) }
        // Only an absent or null cursor ends the list; an empty string is a cursor like any other.
        guard let cursor = result["nextCursor"], cursor.kind != .null else { return endList(failure: nil, now: now) }
        guard page < Self.pageLimit else { return endList(failure: "its tool list has more than \(Self.pageLimit) pages", now: now) }
        guard cursors.insert(cursor.jsonText).inserted else { return endList(failure: "its tool list goes round in circles", now: now) }
        guard let id = requests.insert(.tools(page: page + 1, deadline: now.advanced(by: Self.listTimeout))) else {
            return endList(failure: "too many requests are waiting", now: now)
        }
        return .send([Composition.request(id: id, .toolsList, params: JSONWriter.object { $0.member("cursor", json: cursor.json) })])
    }

    private mutating func endList(failure: String?, now: Instant) -> Action {
        isListing = false
        var messages: [ByteBuffer] = []
        if phase == .listing {
            phase = .ready
            if let request = levelRequest() { messages.append(request) }
        }
        let tools = collected
        if listAgain, let request = beginList(now: now) { messages.append(request) }
        collected = []
        return failure.map { .listFailed($0, send: messages) } ?? .tools(tools, send: messages)
    }

    private mutating func levelRequest() -> ByteBuffer? {
        guard let level, introduction?.capabilities.logging == true, let id = requests.insert(.level) else { return nil }
        return Composition.request(id: id, .setLevel, params: JSONWriter.object { $0.member("level", level.rawValue) })
    }

    private func errorText(_ message: Message) -> String {
        let error = message.view(message.places[.error])
        let text = error["message"]?.string ?? ""
        return "\(text.prefix(200)) (\(error["code"]?.jsonText ?? "no code"))"
    }

    // MARK: Ends

    /// The calls whose time is over. They are abandoned with that; their server has to be told.
    package mutating func expire(now: Instant) -> [(id: Int, call: ForwardedCall)] {
        var expired: [(id: Int, call: ForwardedCall)] = []
        var forgotten: [Int] = []
        for (id, waiting) in requests.entries {
            switch waiting {
            case .call(let call, let deadline) where deadline <= now: expired.append((id, call))
            case .abandoned(let until) where until <= now: forgotten.append(id)
            case .tools(_, let deadline) where deadline <= now && phase == .ready:
                forgotten.append(id)
                isListing = false
            case .call, .abandoned, .initialize, .tools, .level: break
            }
        }
        for (id, _) in expired { _ = abandon(id, now: now) }
        for id in forgotten { _ = requests.remove(id) }
        return expired
    }

    /// When ``expire(now:)`` will next have something to do.
    package var nextDeadline: Instant? {
        requests.entries.compactMap { waiting -> Instant? in
            switch waiting.entry {
            case .call(_, let deadline): deadline
            case .abandoned(let until): until
            case .tools(_, let deadline): phase == .ready ? deadline : nil
            case .initialize, .level: nil
            }
        }.min()
    }

    /// The connection is gone.
    /// - Returns: the calls that were sent and will never be answered.
    package mutating func closed() -> [ForwardedCall] {
        requests.removeAll().compactMap { waiting in
            if case .call(let call, _) = waiting { call } else { nil }
        }
    }
}
