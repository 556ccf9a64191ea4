package import JSONRPC
package import MCPProtocol
package import NIOCore
package import Resilience

/// Our side, as the client, of one connection to a downstream: handshake, lists, and the requests in flight.
///
/// It returns what is to be done and does nothing itself. A connection that was lost gets a new one of these.
package final class DownstreamProtocol {
    package enum Phase: Hashable, Sendable {
        /// Nothing was sent; can go to initializing, discovering.
        case idle
        /// `initialize` was sent; can go to discovering, listing, or to ready if the server has nothing to list.
        case initializing
        /// `server/discover` was sent; can go to initializing, listing, or to ready if the server has nothing to list.
        case discovering
        /// The first lists are being read; can go to ready.
        case listing
        /// Requests may be sent; final.
        case ready
    }

    /// What the server told of itself.
    package struct Introduction: Hashable, Sendable {
        package var revision: Revision
        package var capabilities: ServerCapabilities
        package var name: String
        package var version: String
        package var instructions: String?
    }

    /// Which era to speak with the server (2026-07-28, basic/versioning).
    package enum EraChoice: Hashable, Sendable {
        /// The other one only if it does not speak this one.
        case preferring(Revision.Era)
        case only(Revision.Era)

        var first: Revision.Era {
            switch self {
            case .preferring(let era), .only(let era): era
            }
        }

        func allows(_ era: Revision.Era) -> Bool { self != .only(era == .stateless ? .handshake : .stateless) }
    }

    package enum Action {
        case send([ByteBuffer])
        /// These are the server's features of this kind now, each an element of the list's result, and for so long.
        case listed(FeatureKind, [JSONView], Freshness, then: [ByteBuffer])
        /// The list could not be read, for this reason; what was known before stays.
        case listFailed(FeatureKind, String, then: [ByteBuffer])
        /// The message answers this request.
        case answer(ForwardedRequest)
        /// The message is progress of this request, for which the host has a token.
        case progress(ForwardedRequest, token: String)
        /// The message is progress under the token of a request that was answered: perhaps with a task.
        case lateProgress(Int)
        /// The message tells how a task is.
        case taskStatus
        /// The message is a log message of the server.
        case log
        /// The message answers this request, but under an id of another type.
        case misaddressed(ForwardedRequest)
        /// Lists are to be read again, at ``relistDue``.
        case listChanged
        /// The server asks for something that only a host can give.
        case ask(RequestID, Method)
        /// The server takes its question back.
        case withdraw(RequestID)
        /// The message tells of a resource, or of an elicitation: hosts that asked for that are told.
        case notify(Method)
        /// The request became a task: ``pollTask(_:)`` is to be called after this time, again and again.
        case taskGoesOn(Int, pause: Duration, then: [ByteBuffer])
        /// The task of this request has come to this answer.
        case taskEnded(ForwardedRequest, Message)
        /// The task of this request wants to know this, by its own keys: objects with `method` and `params`.
        case taskAsks(Int, [(key: String, request: JSONView)])
        /// Whether the server did what it was asked to do to show that it is well.
        case checked(isHealthy: Bool)
        /// The server tells of these changes now.
        case listening(SubscriptionFilter, then: [ByteBuffer])
        /// The server stopped telling of changes: ``listen(to:)`` is to be called again after a while.
        case listenEnded
        /// The answer to a request that was cancelled, or given up.
        case late
        /// The server cannot be used, for this reason.
        case unusable(String)
        /// Nothing, for this reason.
        case ignore(String)
    }

    enum Waiting {
        case initialize
        case discover
        /// `subscriptions/listen`, which is answered when the server stops telling of changes.
        case listen
        case list(FeatureKind, deadline: Instant)
        /// Something whose answer only matters if it is a refusal.
        case own(Method, deadline: Instant)
        /// Something that is asked to see whether it is answered.
        case check
        /// A look at the task that this request became; or the wait for its result, which has no end of its own.
        case task(of: Int, Method, deadline: Instant?)
        case forwarded(ForwardedRequest, deadline: Instant)
    }

    /// How long one page of a list may take. The first lists are bounded by the server's start-up time as well.
    package static let listTimeout = Duration.seconds(30)

    package internal(set) var phase = Phase.idle
    package internal(set) var introduction: Introduction?
    /// Of the connection, once it is agreed on.
    package var era: Revision.Era? { introduction?.revision.era }
    /// Answers that came after their request was cancelled or given up.
    package private(set) var lateAnswers = 0
    var requests = RequestTable<Waiting> { if case .forwarded = $0 { true } else { false } }
    var readers: [FeatureKind: ListReader] = [:]
    var choice = EraChoice.preferring(.handshake)
    var capabilities = ClientCapabilities()
    var discoveries = 0
    /// What `initialize` was refused with.
    var refusal: String?
    /// The `subscriptions/listen` asked for last, and the one before it, which is ended as soon as the server has acknowledged this.
    var listening: (id: Int, filter: SubscriptionFilter)?
    var overtaken: Int?
    /// What the server tells of on the subscription asked for last; `nil` until it has said so.
    package internal(set) var honoured: SubscriptionFilter?
    /// Calls that were given up before they became the tasks they were to be: those are of use to nobody.
    var orphans: Set<Int> = []
    private static let orphanLimit = 256
    /// The latest instant that we were told of.
    var clock = Instant(nanoseconds: 0)
    /// When a request of our own is given up.
    var ownDeadline: Instant { clock.advanced(by: Self.listTimeout) }
    /// What the host last set, or wants set as soon as we may.
    package private(set) var level: LogLevel?
    let identity: Implementation

    package init(identity: Implementation, level: LogLevel?) {
        self.identity = identity
        self.level = level
    }

    /// Requests of hosts, sent and not answered.
    package var requestsInFlight: Int { requests.countedCount }

    /// Requests of any kind, sent and not answered: known without counting.
    package var openRequests: Int { requests.count }

    /// Requests of hosts, sent and not answered, by our ids of them.
    package var forwarded: [(id: Int, request: ForwardedRequest)] {
        requests.entries.compactMap { waiting in
            if case .forwarded(let request, _) = waiting.entry { (waiting.id, request) } else { nil }
        }
    }

    /// The request that was sent last, of those that may lead to questions, and is not answered: on stdio a server does not say for
    /// which request it asks.
    package var newestRequest: (id: Int, request: ForwardedRequest)? {
        // Later ids are greater.
        forwarded.filter(\.request.purpose.mayAsk).max { $0.id < $1.id }
    }

    /// Changes whose request one in flight is; its time begins anew.
    package func update(_ id: Int, now: Instant, _ change: (ForwardedRequest) -> Void) {
        guard case .forwarded(let request, _) = requests[id] else { return }
        change(request)
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
    }

    /// A person was asked something on account of this request, and is not to be asked again.
    package func wasAskedAbout(_ id: Int, isCertain: Bool) {
        for (other, waiting) in Array(requests.entries) where other == id || !isCertain && other < id {
            guard case .forwarded(let request, _) = waiting, request.isHarmless else { continue }
            request.isHarmless = false
        }
    }

    /// Whether an answer to the request with this id of ours is still waited for.
    package func isInFlight(_ id: Int) -> Bool { requests[id] != nil }

    /// Whether a request of ours that is in flight is to find out what the server speaks.
    package func isOpening(_ id: Int) -> Bool {
        switch requests[id] {
        case .initialize, .discover: true
        case .listen, .list, .own, .check, .task, .forwarded, nil: false
        }
    }

    /// Whether a request of ours that is in flight is to show that the server is well.
    package func isCheck(_ id: Int) -> Bool {
        if case .check = requests[id] { true } else { false }
    }

    /// The server was heard about this request, which says enough of it.
    package func checkAnswered(_ id: Int) -> Action {
        _ = requests.remove(id)
        return .checked(isHealthy: true)
    }

    /// The request is sent now: it had to wait for that, or is sent once more.
    package func sent(_ id: Int, now: Instant) {
        if case .forwarded(let request, _) = requests[id] { request.sent = now }
    }

    /// The request that is in flight under this id.
    package func forwarded(_ id: Int) -> ForwardedRequest? {
        if case .forwarded(let request, _) = requests[id] { request } else { nil }
    }

    /// How long a request may still wait for its answer; `nil` if only the start-up time bounds it.
    package func timeLeft(_ id: Int, now: Instant) -> Duration? {
        switch requests[id] {
        case .forwarded(_, let deadline), .list(_, let deadline), .own(_, let deadline): now.duration(to: deadline)
        case .task(_, _, let deadline): deadline.map { now.duration(to: $0) }
        case .initialize, .discover, .listen, .check, nil: nil
        }
    }

    /// A request to subscribe to this resource was sent and is not answered.
    package func isSubscribing(to uri: String) -> Bool {
        requests.entries.contains { waiting in
            if case .forwarded(let request, _) = waiting.entry { request.purpose == .subscribe(uri: uri) } else { false }
        }
    }

    // MARK: What we send

    /// A request of our own.
    func request(
        _ id: Int, _ method: Method, era: Revision.Era? = nil, _ members: ((inout JSONWriter) -> Void)? = nil
    ) -> ByteBuffer {
        guard era ?? self.era == .stateless else {
            return Composition.request(id: id, method, params: members.map { JSONWriter.object($0) })
        }
        let params = JSONWriter.object { params in
            members?(&params)
            // What hosts can do for the server: one that has older servers of its own tells them of it at their start.
            params.object("_meta") { $0.envelope(Envelope(capabilities: capabilities), from: identity) }
        }
        return Composition.request(id: id, method, params: params)
    }

    /// Takes a request that is about to be sent.
    /// - Returns: the id to send it under, which is also the progress token to ask for; `nil` if too many requests are waiting.
    package func forward(_ request: ForwardedRequest, now: Instant) -> Int? {
        clock = max(clock, now)
        return requests.insert(.forwarded(request, deadline: request.deadline(from: now)))
    }

    /// Gives a request up. Its answer, should it come, is dropped.
    /// - Returns: the request, if it was still in flight, so that the server has to be told.
    package func abandon(_ id: Int) -> ForwardedRequest? {
        guard case .forwarded(let request, _) = requests[id] else { return nil }
        // Its place is free at once: a server that honours the cancellation never answers. The id is not used again, so an answer
        // that comes all the same is known for what it is.
        _ = requests.remove(id)
        if request.task != nil {
            forgetLooks(at: id)
        } else if request.runsAsTask, orphans.count < Self.orphanLimit {
            orphans.insert(id)
        }
        return request
    }

    /// - Returns: the request to send, if the server logs and we may ask it now; else it is sent as soon as we may.
    package func setLevel(_ level: LogLevel) -> ByteBuffer? {
        self.level = level
        return phase == .ready && era == .handshake ? levelRequest() : nil
    }

    /// A request of our own, whose answer only matters if it is a refusal.
    package func ask(_ method: Method, _ members: @escaping (inout JSONWriter) -> Void) -> ByteBuffer? {
        requests.insert(.own(method, deadline: ownDeadline)).map { request($0, method, members) }
    }

    /// - Returns: a request whose answer shows that the server is well.
    package func check(_ method: Method) -> ByteBuffer? {
        // There is no ping in the stateless era; what every server there must answer is this (2026-07-28, server/discover).
        let asked = method == .ping && era == .stateless ? .discover : method
        return requests.insert(.check).map { request($0, asked) }
    }

    /// The answer to what ``check(_:)`` asked is not waited for any more.
    /// - Returns: our id of it.
    package func endCheck() -> Int? {
        for (id, waiting) in Array(requests.entries) {
            guard case .check = waiting else { continue }
            _ = requests.remove(id)
            return id
        }
        return nil
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

    package func received(_ message: Message, now: Instant) -> Action {
        clock = max(clock, now)
        return switch message.kind {
        case .result, .error: answer(message, now: now)
        case .request: request(message)
        case .notification: notification(message, now: now)
        }
    }

    /// The peer sent something for this id that we cannot use.
    /// - Parameter why: completes "its answer is …".
    /// - Returns: what that means: a request that will never be answered, a list that cannot be read, or nothing.
    package func unusableAnswer(_ id: RequestID?, why: String, now: Instant) -> Action {
        guard let number = id?.integer, let waiting = requests.remove(number) else { return .ignore(why) }
        switch waiting {
        case .forwarded(let request, _): return .answer(request)
        case .initialize: return .unusable("its answer to 'initialize' is \(why)")
        case .discover: return discoveryFailed("its answer to 'server/discover' is \(why)")
        case .listen: return listenEnded(number, refusal: why)
        case .task(let id, _, _):
            guard case .forwarded(let request, _) = requests.remove(id) else { return .ignore(why) }
            return .answer(request)
        case .list(let kind, _): return giveUp(kind, again: false, "its answer to '\(kind.listMethod.rawValue)' is \(why)", now: now)
        case .own: return .ignore(why)
        case .check: return .checked(isHealthy: false)
        }
    }

    /// A request was sent and will not be answered: the transport says so, for this request alone.
    /// - Parameter why: what the server did, as in "server 'x' is down: …".
    package func requestFailed(_ id: Int, why: String, now: Instant) -> Action {
        clock = max(clock, now)
        switch requests.remove(id) {
        case .forwarded(let request, _): return .answer(request)
        case .initialize: return initializeFailed("to 'initialize' \(why)", tryAgain: discoveries == 0)
        case .discover: return discoveryFailed("to 'server/discover' \(why)")
        case .listen:
            // Lost, not refused: asked again, it may well tell of changes.
            return listenEnded(id, refusal: nil)
        case .task(let call, let method, _):
            guard case .forwarded(let request, _) = requests[call], let task = request.task else { return .ignore(why) }
            // Another look may tell more; the result alone is not asked for twice.
            guard method == .tasksResult else { return .taskGoesOn(call, pause: task.pause, then: []) }
            _ = requests.remove(call)
            return .answer(request)
        case .list(let kind, _): return giveUp(kind, again: phase == .ready, why, now: now)
        case .own(let method, _): return .ignore("'\(method.rawValue)' failed: \(why)")
        case .check: return .checked(isHealthy: false)
        case nil: return .ignore(why)
        }
    }

    private func answer(_ message: Message, now: Instant) -> Action {
        let id = message.integerID
        if let id, let began = taskBegan(id, message, now: now) { return began }
        guard let id, let waiting = requests.remove(id) else {
            if let id, requests.wasUsed(id) {
                lateAnswers += 1
                if orphans.remove(id) != nil, let line = cancelOrphan(message) { return .send([line]) }
                return .late
            }
            if let text = message.string(message[.id]), let id = Int(text), case .forwarded(let request, _) = requests[id] {
                _ = requests.remove(id)
                return .misaddressed(request)
            }
            return .ignore("an answer to a request it was never sent")
        }
        switch waiting {
        case .forwarded(let request, _): return .answer(request)
        case .check: return .checked(isHealthy: message.isResult)
        case .own(let method, _):
            guard message.isError else { return .ignore("its answer to '\(method.rawValue)'") }
            return .ignore("its refusal of '\(method.rawValue)': \(message.errorSummary.text)")
        case .initialize: return initialized(message, now: now)
        case .discover: return discovered(message, now: now)
        case .task(let call, let method, _): return taskAnswered(call, method, message, now: now)
        case .listen: return listenEnded(id, refusal: message.isError ? message.errorSummary.text : nil)
        case .list(let kind, _): return listed(kind, message, now: now)
        }
    }

    private func request(_ message: Message) -> Action {
        guard let id = message.id else { return .ignore("a request without an id") }
        // Stateless servers ask in their results alone.
        if era == .stateless { return .send([Composition.error(id: id, .methodNotFound, "Servers send no requests in this revision")]) }
        switch message.method {
        case .ping: return .send([Composition.result(id: id, Composition.emptyResult)])
        case .rootsList, .sample, .elicit: return message.method.map { .ask(id, $0) } ?? .ignore("")
        default: return .send([Composition.error(id: id, .methodNotFound, "Method not found: \(message.methodName)")])
        }
    }

    private func notification(_ message: Message, now: Instant) -> Action {
        switch message.method {
        case .progress:
            // The token we gave it is our id of the request.
            let id = message.integer(message[.progressToken])
            guard let id, case .forwarded(let request, _) = requests[id] else {
                if let id, requests.wasUsed(id) { return .lateProgress(id) }
                return .ignore("progress of nothing that is in flight")
            }
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            guard let token = request.progressToken else { return .ignore("progress nobody asked for") }
            return .progress(request, token: token)
        case .message: return .log
        case .cancelled:
            guard message[.requestID].isPresent else { return .ignore("a cancellation without 'requestId'") }
            let id = RequestID(text: message.text(message[.requestID]))
            if let number = id.integer, case .listen = requests[number] {
                _ = requests.remove(number)
                return listenEnded(number, refusal: nil)
            }
            return .withdraw(id)
        case .acknowledged: return acknowledged(message)
        case .taskStatus: return .taskStatus
        case .toolsListChanged: return changed([.tools], now: now)
        case .promptsListChanged: return changed([.prompts], now: now)
        case .resourcesListChanged: return changed([.resources, .templates], now: now)
        case .resourcesUpdated: return .notify(.resourcesUpdated)
        case .elicitationComplete: return .notify(.elicitationComplete)
        default: return .ignore("an unknown notification '\(message.methodName.prefix(80))'")
        }
    }
}
