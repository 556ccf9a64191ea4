package import AsyncHTTPClient
import DequeModule
package import JSONRPC
package import MCPProtocol
package import NIOCore
import NIOHTTP1
import Resilience

/// What a server behind a URL tells its owner. Every call comes on the event loop.
package protocol RemoteDelegate: Sendable {
    /// A message, or a batch of them.
    /// - Parameters:
    ///   - request: our id of the request on whose stream it came.
    ///   - status: of the HTTP answer, if this is the whole of its body; `nil` for one event of many.
    ///   - isStale: it belongs to a session that is over: nothing in it can be answered.
    func received(_ body: ByteBuffer, on request: Int?, status: Int?, isStale: Bool)
    /// All messages of one read have been handed over.
    func readCompleted()
    /// Whether an answer to this request is still waited for.
    func isInFlight(_ request: Int) -> Bool
    /// A request is being sent: it may have had to wait for that, and may have been sent before.
    func sent(_ request: Int)
    /// A request got no answer, and gets none unless it is sent again.
    /// - Parameters:
    ///   - attempts: made so far, this one included.
    ///   - mayRepeat: there is some use in another one.
    func failed(_ request: Int, _ failure: HTTPFailure, attempts: Int, mayRepeat: Bool) -> RemoteServer.Decision
    /// Nothing is sent before ``RemoteServer/authorize(_:)`` or ``RemoteServer/refuse(_:)`` is called.
    /// - Parameter challenges: the values of `WWW-Authenticate`.
    func unauthorized(status: Int, challenges: [String])
    /// The server has forgotten our session: a new one is to be begun. What was refused for that is sent again in it.
    func sessionLost()
    /// The connection is over, and nothing more is received; only where one stream carries all messages.
    func lost(_ failure: HTTPFailure)
    /// The text without secrets, before it is cut.
    func redacted(_ text: String) -> String
    /// What it is of no use to tell anybody but a person who looks for a fault.
    func noted(_ text: String)
    /// All that ``RemoteServer/end()`` had to do is done.
    func ended()
}

/// A downstream server behind a URL (MCP 2024-11-05 to 2026-07-28, basic/transports).
///
/// Belongs to the event loop. It knows headers, streams and sessions, and what of the messages they depend on; what a message means
/// it leaves to its owner.
package final class RemoteServer: ServerConnection, PendingWriter {
    /// How messages travel.
    package enum Wire: Hashable, Sendable {
        /// Each in a `POST` of its own (MCP 2025-03-26 and later).
        case streamable
        /// All of the server's on one stream (MCP 2024-11-05).
        case legacy
    }

    /// What is to become of a request that failed.
    package enum Decision: Hashable, Sendable {
        case giveUp
        case again(after: Duration)
    }

    /// Where it is reached: its URL, or where that redirects for good.
    var target: HTTPTarget
    let route: HTTPRoute
    package let wire: Wire
    let client: HTTPClient
    let eventLoop: any EventLoop
    let delegate: any RemoteDelegate
    private let pending: PendingWrites
    private let sideExecutor: (any TaskExecutor)?
    var random: any RandomNumberGenerator
    let messageLimit: Int

    /// What was agreed on in `initialize`, for the header of all later requests; `nil` before. Stateless requests name theirs themselves.
    package var revision: Revision?
    /// What the server calls our session. Secret.
    var sessionID: String?
    var session = Session.open
    /// From the config, and for authorization; `nil` until they are known.
    var headers: HTTPHeaders?
    /// How often ``headers`` changed.
    var credentials = 0
    /// Whom ``headers`` speak for.
    var identity = ""
    /// The owner is asked for other headers.
    var isUnauthorized = false

    /// What is to be sent: requests wait for their turn, answers and notifications do not.
    var requests: Deque<Post> = []
    var others: Deque<Post> = []
    /// Sent, and neither answered nor failed.
    var posts: [ObjectIdentifier: Post] = [:]
    /// What was refused for want of authorization, or of a session.
    var held: [Post] = []
    /// The stream of what belongs to no request; the only one of the legacy wire.
    var listening: Listening?
    /// Where messages go on the legacy wire.
    var endpoint: HTTPTarget?
    /// Where faults are made on what it says; `nil` for nowhere.
    package var faults: FaultyLink?
    var isEnded = false
    /// Sessions that were lost without anything done in them.
    var lossesInARow = 0
    /// How often in a row the stream was refused for want of authorization, whoever we were.
    var refusalsOfStream = 0
    var farewells: [Farewell] = []
    /// Requests without headers: a URL is taken apart once, not for each message.
    private var templates: [TemplateKey: HTTPClient.Request] = [:]
    private var isLingering = false
    /// Whether the outbox is to be looked through at the end of the turn.
    private var isExpectingFlush = false

    package private(set) var isReading = true
    private var readers: [EventLoopPromise<Void>] = []

    /// What has to be done before the client is shut down.
    package var lastDuty: (@Sendable () async -> Void)?
    /// It has answered something.
    var isKnown = false

    // For people.
    package internal(set) var sessionsOpened = 0
    package internal(set) var requestsSent = 0

    /// A session that is to be ended, and as whom.
    struct Farewell {
        var sessionID: String
        var headers: HTTPHeaders
        var revision: Revision?
    }

    private struct TemplateKey: Hashable {
        var target: HTTPTarget
        var method: String
    }

    /// Whether requests may be sent.
    enum Session {
        case open
        /// Only what begins a session.
        case beginning
        /// The server has to accept `notifications/initialized` first.
        case announcing
        /// The stream of notifications is being opened: what changes after the first requests is not to be missed.
        case opening
        /// It was ended; another one is begun when there is something to send.
        case resting
    }

    package init(
        _ target: HTTPTarget, settings: HTTPClientFactory.Settings, wire: Wire, client: HTTPClient, on eventLoop: any EventLoop,
        pending: PendingWrites, delegate: any RemoteDelegate, beside executor: (any TaskExecutor)?, random: any RandomNumberGenerator,
        messageLimit: Int = LineFraming.defaultLimit
    ) {
        self.target = target
        route = HTTPRoute(target.origin, settings)
        self.wire = wire
        self.client = client
        self.eventLoop = eventLoop
        self.pending = pending
        self.delegate = delegate
        sideExecutor = executor
        self.random = random
        self.messageLimit = messageLimit
    }

    // MARK: Sending

    package func send(line: ByteBuffer) {
        guard let message = try? Message(scanning: line) else { return }
        send(line, message, OutgoingRequest(message))
    }

    package func send(_ splice: borrowing Splice) { send(line: splice.bytes) }

    package func send(_ splice: borrowing Splice, as request: OutgoingRequest) { enqueue(Post(self, splice.bytes, request: request)) }

    package func send(_ bytes: ByteBuffer, inPlaceOf message: Message, as request: OutgoingRequest?) {
        send(bytes, message, request ?? OutgoingRequest(message))
    }

    private func send(_ line: ByteBuffer, _ message: Message, _ request: OutgoingRequest?) {
        guard request == nil else {
            switch message.method {
            case .initialize: beginSession()
            // Its `initialize` may have been refused: what follows this has no session.
            case .discover: (session, sessionID) = (.open, nil)
            default: break
            }
            return enqueue(Post(self, line, request: request))
        }
        if message.method == .cancelled {
            let id = message.integer(message[.requestID])
            // What was never sent needs no cancellation; in the stateless era closing the stream is one.
            if let id, stop(id, isStateless: revision?.era == .stateless) { return }
        }
        // There is no place for one: each POST holds a request (2026-07-28, basic/transports).
        if revision?.era == .stateless { return delegate.noted("nothing but requests can be sent to it; an answer is dropped") }
        enqueue(Post(self, line, request: nil, notification: message.kind == .notification ? message.methodName : nil, cancels: message))
    }

    /// Whatever the server called our session, this is the beginning of another; and it is asked nothing else meanwhile.
    private func beginSession() {
        sessionID = nil
        revision = nil
        session = .beginning
        // It may be slow to answer what it was asked about its era: that is of no interest any more.
        for post in Array(posts.values) where post.request?.method == Method.discover.rawValue { finish(post) }
        guard wire == .streamable else { return }
        listening?.stop()
        listening = nil
    }

    private func enqueue(_ post: Post) {
        guard !isEnded else { return }
        if post.countsAsRequest, !post.isFirst { requests.append(post) } else { others.append(post) }
        expectFlush()
    }

    /// Sends it before what has not been sent at all.
    func enqueueAgain(_ post: Post) {
        posts[ObjectIdentifier(post)] = nil
        guard !isEnded else { return }
        if post.countsAsRequest, !post.isFirst { requests.prepend(post) } else { others.prepend(post) }
        expectFlush()
    }

    func expectFlush() {
        guard !isExpectingFlush else { return }
        isExpectingFlush = true
        pending.expect(self)
    }

    /// Sends what may be sent now.
    package func flush() {
        isExpectingFlush = false
        guard !isEnded, !isUnauthorized, let headers else { return }
        guard wire == .streamable || endpoint != nil else { return }
        if session == .resting, !requests.isEmpty || !others.isEmpty {
            session = .beginning
            delegate.sessionLost()
        }
        var kept: Deque<Post> = []
        while let post = others.popFirst() {
            guard mayPass(post) else {
                kept.append(post)
                continue
            }
            if post.notification == Method.initialized.rawValue { session = .announcing }
            send(post, headers)
        }
        others = kept
        guard session == .open, !requests.isEmpty else { return }
        var room = places
        if room <= 0 {
            // What was answered elsewhere, or given up, may still have its stream.
            for post in Array(posts.values) where post.countsAsRequest && !post.isWanted { finish(post) }
            room = places
        }
        while room > 0, let post = requests.popFirst() {
            // It may have been given up while it waited.
            guard post.isWanted else { continue }
            room -= 1
            send(post, headers)
        }
    }

    private var places: Int {
        HTTPLimits.requestsInFlight - posts.values.reduce(0) { $1.countsAsRequest && !$1.isOver && !$1.isWaiting ? $0 + 1 : $0 }
    }

    private func send(_ post: Post, _ headers: HTTPHeaders) {
        posts[ObjectIdentifier(post)] = post
        post.send(headers)
    }

    private func mayPass(_ post: Post) -> Bool {
        switch session {
        case .open, .opening: true
        case .beginning: post.isFirst
        case .announcing: post.notification == Method.initialized.rawValue
        case .resting: false
        }
    }

    package var backlog: Int { requests.reduce(0) { $0 + $1.body.readableBytes } + others.reduce(0) { $0 + $1.body.readableBytes } }

    /// - Returns: whether that is all there is to do.
    private func stop(_ id: Int, isStateless: Bool) -> Bool {
        if let index = requests.firstIndex(where: { $0.request?.id == id }) {
            requests.remove(at: index)
            return true
        }
        if let index = others.firstIndex(where: { $0.request?.id == id }) {
            others.remove(at: index)
            return true
        }
        if let index = held.firstIndex(where: { $0.request?.id == id }) {
            held.remove(at: index)
            return true
        }
        guard let post = posts.values.first(where: { $0.request?.id == id }) else { return isStateless }
        guard isStateless || post.request?.envelopeRevision != nil else {
            if post.isWaiting {
                finish(post)
                return true
            }
            return false
        }
        if post.request?.method == Method.listen.rawValue, !post.isWaiting {
            // What the server told before it took to the one that follows may come after that: they are two connections. One such is
            // enough, or hosts that subscribe a lot would leave no connections for calls.
            for other in Array(posts.values) where other.isOver && other.request?.method == Method.listen.rawValue { finish(other) }
            expectEnd(of: post)
        } else {
            finish(post)
        }
        return true
    }

    /// A post is over: another one may have its place.
    func finish(_ post: Post) {
        post.stop()
        posts[ObjectIdentifier(post)] = nil
        if !requests.isEmpty { expectFlush() }
        if !farewells.isEmpty { sayFarewells() }
    }

    /// Closes streams that servers leave open though all is said.
    func expectEnd(of post: Post) {
        post.isOver = true
        guard !isLingering else { return }
        isLingering = true
        eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(HTTPLimits.lingerWait.clampedNanoseconds)) {
            self.isLingering = false
            for post in Array(self.posts.values) where post.isOver {
                if post.hasLingered { self.finish(post) } else { self.linger(post) }
            }
            self.pending.flush()
        }
    }

    private func linger(_ post: Post) {
        post.hasLingered = true
        expectEnd(of: post)
    }

    // MARK: Flow

    /// While it is not read, what the server says waits in its connections.
    package func setReading(_ reads: Bool) {
        isReading = reads
        guard reads else { return }
        let readers = readers
        self.readers = []
        for reader in readers { reader.succeed() }
    }

    /// - Returns: what a stream waits for before it takes more; `nil` if it need not.
    func pace() -> EventLoopFuture<Void>? {
        guard !isReading else { return nil }
        let promise = eventLoop.makePromise(of: Void.self)
        readers.append(promise)
        return promise.futureResult
    }

    // MARK: The end

    /// Ends the session and all that is open, and lets go of the client. ``RemoteDelegate/ended()`` says when.
    package func end() {
        guard !isEnded else { return }
        isEnded = true
        setReading(true)
        for post in posts.values { post.stop() }
        (posts, requests, others, held) = ([:], [], [], [])
        listening?.stop()
        listening = nil
        guard let sessionID, let headers else { return shutDown() }
        sayGoodbye(Farewell(sessionID: sessionID, headers: headers, revision: revision)) { self.shutDown() }
    }

    /// Ends a session at the server.
    func sayGoodbye(_ farewell: Farewell, then done: @escaping () -> Void) {
        guard wire == .streamable, var request = makeRequest(.DELETE, to: target, credentials: farewell.headers) else { return done() }
        request.headers.add(name: "Mcp-Session-Id", value: farewell.sessionID)
        if let revision = farewell.revision { request.headers.add(name: "MCP-Protocol-Version", value: revision.rawValue) }
        // 405 is a fine answer: such a server does not want to hear of ends.
        _ = Exchange.begin(
            request, with: client, on: eventLoop, timeLimit: HTTPLimits.goodbyeWait, handler: Goodbye(done: done))
    }

    private func shutDown() {
        let delegate = delegate
        let (client, eventLoop, duty) = (client, eventLoop, lastDuty)
        // Where the duty is done otherwise, too: see ``Authorizer``.
        Task.detached(executorPreference: sideExecutor) {
            await duty?()
            await client.end()
            eventLoop.execute { delegate.ended() }
        }
    }

    func makeRequest(_ method: HTTPMethod, to target: HTTPTarget, credentials: HTTPHeaders?) -> HTTPClient.Request? {
        guard var request = template(method, target) else { return nil }
        if let credentials { request.headers.add(contentsOf: credentials) }
        return request
    }

    private func template(_ method: HTTPMethod, _ target: HTTPTarget) -> HTTPClient.Request? {
        let key = TemplateKey(target: target, method: method.rawValue)
        if let known = templates[key] { return known }
        guard let request = try? HTTPClient.Request(url: target.url, method: method) else { return nil }
        // A server can send each request elsewhere.
        if templates.count >= HTTPLimits.requestTemplates { templates.removeAll() }
        templates[key] = request
        return request
    }
}

/// Waits for the answer to a `DELETE`, whatever it is.
private final class Goodbye: ExchangeHandler {
    private let done: () -> Void

    init(done: @escaping () -> Void) { self.done = done }

    func received(_ head: HTTPResponseHead) {}
    func received(_ bytes: ByteBuffer) -> EventLoopFuture<Void>? { nil }
    func finished() { done() }
    func failed(_ error: any Error, wasSent: Bool) { done() }
}
