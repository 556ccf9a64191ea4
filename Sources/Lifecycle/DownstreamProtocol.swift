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
        /// The message answers this call, but under an id of another type.
        case misaddressed(ForwardedCall)
        /// The list is to be read again, at ``relistDue``.
        case listChanged
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
    }

    /// How long one page of a tool list may take. The first list is bounded by the server's start-up time as well.
    package static let listTimeout = Duration.seconds(30)
    /// Bytes of all pages of one list.
    package static let listLength = 32 * 1024 * 1024
    /// After a list was read, a change is followed not before this time. It doubles with each list that follows another at once, up
    /// to the cap: a server that never stops changing its list costs the others no time.
    package static let relistInterval = Duration.milliseconds(250)
    package static let relistCap = Duration.seconds(16)

    /// Characters of a server's error text that are kept.
    package static let errorLength = 2_000

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
    private var collectedLength = 0
    /// Before this the list is not read again, and how long that was after the last time.
    private var listedUntil = Instant(nanoseconds: .min)
    private var relistWait = Self.relistInterval
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
    package mutating func abandon(_ id: Int) -> ForwardedCall? {
        guard case .call(let call, _) = requests[id] else { return nil }
        // Its place is free at once: a server that honours the cancellation never answers. The id is not used again, so an answer
        // that comes all the same is known for what it is.
        _ = requests.remove(id)
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
    /// - Parameter why: completes "its answer is …".
    /// - Returns: what that means: a call that will never be answered, a list that cannot be read, or nothing.
    package mutating func unusableAnswer(_ id: RequestID?, why: String, now: Instant) -> Action {
        guard let id, let number = Int(id.text), let waiting = requests.remove(number) else { return .ignore(why) }
        switch waiting {
        case .call(let call, _): return .answer(call)
        case .initialize: return .unusable("its answer to 'initialize' is \(why)")
        case .tools: return endList(failure: "its answer to 'tools/list' is \(why)", now: now)
        case .level: return .ignore(why)
        }
    }

    private mutating func answer(_ message: Message, now: Instant) -> Action {
        guard let id = message.integerID, let waiting = requests.remove(id) else {
            if let id = message.integerID, requests.wasUsed(id) {
                lateAnswers += 1
                return .late
            }
            if let text = message.string(message.places[.id]), let id = Int(text), case .call(let call, _) = requests[id] {
                _ = requests.remove(id)
                return .misaddressed(call)
            }
            return .ignore("an answer to a request it was never sent (id \(message.id?.text.prefix(40) ?? "none"))")
        }
        switch waiting {
        case .call(let call, _): return .answer(call)
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
            guard phase == .ready || phase == .listing, introduction?.capabilities.tools == true else {
                return .ignore("a changed list before the first")
            }
            guard !isListing, now >= listedUntil else {
                listAgain = true
                return .listChanged
            }
            return beginList(now: now).map { .send([$0]) } ?? .ignore("too many requests are waiting")
        case .initialize, .ping, .discover, .toolsList, .toolsCall, .setLevel, .initialized, .cancelled, nil:
            return .ignore("an unknown notification '\(message.methodName.prefix(80))'")
        }
    }

    // MARK: Tool lists

    /// When ``relist(now:)`` will have something to do; `nil` if the list is not known to have changed, or is being read.
    package var relistDue: Instant? { listAgain && !isListing ? listedUntil : nil }

    /// - Returns: the request for the first page, if the list is to be read again now.
    package mutating func relist(now: Instant) -> ByteBuffer? {
        guard let due = relistDue, due <= now, phase == .ready else { return nil }
        return beginList(now: now)
    }

    private mutating func beginList(now: Instant) -> ByteBuffer? {
        collected = []
        collectedLength = 0
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
        collectedLength += message.bytes.readableBytes
        guard collectedLength <= Self.listLength else {
            return endList(failure: "its tool list is longer than \(Self.listLength) bytes", now: now)
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
        // In a row if the last list was read just before this one.
        relistWait = now < listedUntil.advanced(by: Self.relistCap) ? min(relistWait * 2, Self.relistCap) : Self.relistInterval
        listedUntil = now.advanced(by: relistWait)
        var messages: [ByteBuffer] = []
        if phase == .listing {
            phase = .ready
            if let request = levelRequest() { messages.append(request) }
        }
        let tools = collected
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
        return "\(text.prefix(Self.errorLength).description.oneLine) (\(error["code"]?.jsonText.prefix(20) ?? "no code"))"
    }

    // MARK: Ends

    /// We did not listen: what the calls in flight have waited until now does not count.
    package mutating func extendDeadlines(now: Instant) {
        for (id, waiting) in Array(requests.entries) {
            switch waiting {
            case .call(let call, _): requests[id] = .call(call, deadline: call.deadline(from: now))
            case .tools(let page, _): requests[id] = .tools(page: page, deadline: now.advanced(by: Self.listTimeout))
            case .initialize, .level: break
            }
        }
    }

    /// The calls whose time is over. They are abandoned with that; their server has to be told.
    package mutating func expire(now: Instant) -> [(id: Int, call: ForwardedCall)] {
        var expired: [(id: Int, call: ForwardedCall)] = []
        var forgotten: [Int] = []
        for (id, waiting) in requests.entries {
            switch waiting {
            case .call(let call, let deadline) where deadline <= now: expired.append((id, call))
            case .tools(_, let deadline) where deadline <= now && phase == .ready:
                forgotten.append(id)
                isListing = false
                // What it was read for may still be true.
                listAgain = true
                listedUntil = max(listedUntil, now)
            case .call, .initialize, .tools, .level: break
            }
        }
        for (id, _) in expired { _ = abandon(id) }
        for id in forgotten { _ = requests.remove(id) }
        return expired
    }

    /// When ``expire(now:)`` will next have something to do.
    package var nextDeadline: Instant? {
        requests.entries.compactMap { waiting -> Instant? in
            switch waiting.entry {
            case .call(_, let deadline): deadline
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
