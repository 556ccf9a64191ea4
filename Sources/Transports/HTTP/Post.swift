import AsyncHTTPClient
import DequeModule
import JSONRPC
import MCPProtocol
import NIOCore
import NIOHTTP1
import Resilience

/// One message of ours, from the outbox to its answer: usually one `POST`, sometimes several attempts, and the streams that go on with
/// an answer that was cut. Belongs to its ``RemoteServer``.
final class Post {
    private enum Answer {
        case none
        /// Its head has not come.
        case expected
        /// One body: a message or a batch.
        case whole(status: Int, ByteBuffer)
        case events(EventStream)
        /// Tells of a failure, mostly in no form that we know.
        case failure(HTTPResponseHead, ByteBuffer)
        /// Of no interest.
        case ignored
    }

    private let server: RemoteServer
    let body: ByteBuffer
    /// `nil` for answers and notifications.
    let request: OutgoingRequest?
    /// The method of a notification.
    let notification: String?
    /// Our id of the request that it cancels.
    private let cancelled: Int?

    private var exchange: Exchange?
    private var answer = Answer.none
    private var target: HTTPTarget
    private var redirects = 0
    private var attempt = 1
    private var resumption = Resumption(limit: HTTPLimits.resumptions)
    private var timer: Scheduled<Void>?
    /// The answer is gone on with, by a `GET`.
    private var isResuming = false
    /// The session that it was sent in.
    private(set) var sessionID: String?
    private var credentials = 0
    private var authorizations = 0
    private var sessions = 0
    /// What faults that are made on purpose hold back of what came, and the answer that they let vanish: as long as there is either, the
    /// end of the stream is not seen.
    private var heldBack = 0
    private var isAnswerLost = false
    /// It was answered; only the end of its stream has not come.
    var isOver = false
    var hasLingered = false

    init(
        _ server: RemoteServer, _ body: ByteBuffer, request: OutgoingRequest?, notification: String? = nil, cancels message: Message? = nil
    ) {
        self.server = server
        self.body = body
        self.request = request
        self.notification = notification
        cancelled = notification == Method.cancelled.rawValue ? message.flatMap { $0.integer($0[.requestID]) } : nil
        target = server.target
        isFirst =
            request?.method == Method.initialize.rawValue || request?.method == Method.discover.rawValue
            || notification == Method.initialized.rawValue
        countsAsRequest = request != nil && request?.method != Method.listen.rawValue
    }

    /// It begins a session, so it goes before all others.
    let isFirst: Bool
    /// It takes one of the places for requests in flight; a subscription, which is open for as long as there is one, does not.
    let countsAsRequest: Bool

    /// It waits for another attempt, and the server knows nothing of it.
    var isWaiting: Bool { timer != nil && !isResuming }

    /// It was sent in a session that is over.
    private var isStale: Bool { request?.envelopeRevision == nil && !isFirst && sessionID != server.sessionID }

    /// Whether anybody waits for its answer.
    var isWanted: Bool { request.map { server.delegate.isInFlight($0.id) } ?? true }

    // MARK: Sending

    func send(_ headers: HTTPHeaders) {
        guard !isResuming else { return resume() }
        credentials = server.credentials
        sessionID = server.sessionID
        if server.wire == .legacy, redirects == 0, let endpoint = server.endpoint { target = endpoint }
        guard var message = server.makeRequest(.POST, to: target, credentials: headers) else {
            return fail(HTTPFailure(.configuration, .notSent, cause: "its URL cannot be used", hint: "correct 'url' in the config file"))
        }
        message.headers.add(name: "Content-Type", value: "application/json")
        message.headers.add(name: "Accept", value: "application/json, text/event-stream")
        addProtocolHeaders(to: &message.headers)
        message.body = .byteBuffer(body)
        server.requestsSent += 1
        if let request { server.delegate.sent(request.id) }
        begin(message, timeLimit: request == nil ? HTTPLimits.acceptanceWait : nil)
    }

    private func addProtocolHeaders(to headers: inout HTTPHeaders) {
        if let request, let revision = request.envelopeRevision {
            // The headers repeat what the body says, for those on the way who do not read bodies (2026-07-28, basic/transports).
            headers.add(name: "MCP-Protocol-Version", value: revision)
            headers.add(name: "Mcp-Method", value: request.method)
            if let name = request.name { headers.add(name: "Mcp-Name", value: HeaderText.encoded(name)) }
            for (name, value) in request.parameters { headers.add(name: "Mcp-Param-\(name)", value: HeaderText.encoded(value)) }
            return
        }
        if let sessionID { headers.add(name: "Mcp-Session-Id", value: sessionID) }
        if let revision = server.revision { headers.add(name: "MCP-Protocol-Version", value: revision.rawValue) }
    }

    private func begin(_ message: HTTPClient.Request, timeLimit: Duration?) {
        answer = .expected
        isAnswerLost = false
        exchange = Exchange.begin(message, with: server.client, on: server.eventLoop, timeLimit: timeLimit, handler: self)
    }

    /// Nothing more is done for it.
    func stop() {
        exchange?.cancel()
        exchange = nil
        timer?.cancel()
        timer = nil
    }

    private func after(_ delay: Duration, _ body: @escaping () -> Void) {
        timer = server.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.clampedNanoseconds)) {
            self.timer = nil
            guard self.isWanted, !self.server.isEnded else { return self.server.finish(self) }
            body()
        }
    }

    // MARK: The end of an attempt

    /// The request has failed, for now or for good.
    func fail(_ failure: HTTPFailure, mayRepeat: Bool = true) {
        exchange = nil
        guard let request else {
            server.finish(self)
            server.delegate.noted("\(notification ?? "an answer") was not accepted: \(failure.cause)")
            return finishNotification()
        }
        guard server.delegate.isInFlight(request.id) else { return server.finish(self) }
        switch server.delegate.failed(request.id, failure, attempts: attempt, mayRepeat: mayRepeat) {
        case .giveUp: server.finish(self)
        case .again(let delay):
            attempt += 1
            after(delay) { [server] in
                server.enqueueAgain(self)
                server.flush()
            }
        }
    }

    private func finishNotification() {
        if notification == Method.initialized.rawValue { server.announced() }
        // It said that it was heard, or never will: nobody reads what comes on that stream now.
        if let cancelled, let post = server.posts.values.first(where: { $0.request?.id == cancelled }) { server.finish(post) }
    }

    /// The stream of the answer ended before the answer came.
    /// - Parameter wait: what the server asks us to wait, at least.
    private func wasCut(_ failure: HTTPFailure, wait: Duration = .zero) {
        exchange = nil
        guard let request, server.delegate.isInFlight(request.id) else { return server.finish(self) }
        guard request.envelopeRevision == nil, case .connect(let delay) = resumption.ended(using: &server.random) else {
            return fail(failure)
        }
        isResuming = true
        after(max(delay, min(wait, HTTPLimits.longestRetry))) { self.resume() }
    }

    private func resume() {
        // The stream belongs to its session, and to nobody else.
        guard sessionID == server.sessionID else {
            return fail(HTTPFailure(.transient, .unknown, cause: "its stream ended before the answer, and so did the session"))
        }
        guard var message = server.makeRequest(.GET, to: target, credentials: server.headers) else { return }
        message.headers.add(name: "Accept", value: "text/event-stream")
        if let id = resumption.lastEventID { message.headers.add(name: "Last-Event-ID", value: id) }
        credentials = server.credentials
        addProtocolHeaders(to: &message.headers)
        begin(message, timeLimit: nil)
    }
}

// MARK: - What comes back

extension Post: ExchangeHandler {
    func received(_ head: HTTPResponseHead) {
        server.isKnown = true
        switch head.status.code {
        case 200..<300: received(good: head)
        default: answer = .failure(head, ByteBuffer())
        }
    }

    private func received(good head: HTTPResponseHead) {
        // On the legacy wire answers come on the one stream.
        guard let request, server.wire == .streamable else {
            answer = .ignored
            guard self.request == nil else { return }
            // That it was taken is all there is to hear; what else comes on this stream is for nobody.
            if HeaderText.mediaType(head.headers.first(name: "Content-Type")) == "text/event-stream" { server.finish(self) }
            finishNotification()
            return server.delegate.readCompleted()
        }
        if request.method == Method.initialize.rawValue, request.envelopeRevision == nil,
            let id = head.headers.first(name: "Mcp-Session-Id"), HeaderText.isVisibleASCII(id), id.utf8.count <= HTTPLimits.headerValue
        {
            server.sessionID = id
            server.sessionsOpened += 1
        }
        if let coding = head.headers.first(name: "Content-Encoding"), coding.lowercased() != "identity" {
            answer = .failure(head, ByteBuffer())
            return
        }
        switch HeaderText.mediaType(head.headers.first(name: "Content-Type")) {
        case "text/event-stream":
            answer = .events(EventStream(limit: server.messageLimit, lastEventID: resumption.lastEventID))
        case "application/json" where !isResuming: answer = .whole(status: Int(head.status.code), ByteBuffer())
        default: answer = .failure(head, ByteBuffer())
        }
    }

    func received(_ bytes: ByteBuffer) -> EventLoopFuture<Void>? {
        switch answer {
        case .none, .expected, .ignored: return nil
        case .events(var stream):
            // Out of its place while it is worked on, so that it is not copied.
            answer = .none
            stream.append(bytes)
            take(&stream)
            if case .none = answer { answer = .events(stream) }
            server.delegate.readCompleted()
            return server.pace()
        case .whole(let status, var body):
            answer = .none
            guard body.readableBytes + bytes.readableBytes <= server.messageLimit else {
                exchange?.cancel()
                fail(tooLong(body.readableBytes + bytes.readableBytes))
                server.delegate.readCompleted()
                return nil
            }
            if body.readableBytes == 0 { body = bytes } else { body.writeImmutableBuffer(bytes) }
            answer = .whole(status: status, body)
            return server.pace()
        case .failure(let head, var body):
            answer = .none
            let room = HTTPLimits.failureBody - body.readableBytes
            if let piece = bytes.getSlice(at: bytes.readerIndex, length: min(room, bytes.readableBytes)) {
                body.writeImmutableBuffer(piece)
            }
            answer = .failure(head, body)
            if body.readableBytes >= HTTPLimits.failureBody {
                exchange?.cancel()
                finished()
            }
            return nil
        }
    }

    private func take(_ stream: inout EventStream) {
        while let item = stream.next() {
            resumption.received(lastEventID: stream.lastEventID, retry: stream.retry, isEvent: true)
            switch item {
            case .oversized(let bytes):
                exchange?.cancel()
                answer = .ignored
                return fail(tooLong(bytes))
            case .event(let event):
                // Other names are for others; without data it is there for its id.
                guard event.type.isEmpty || event.type == "message", event.data.readableBytes > 0 else { continue }
                wasServed()
                if server.faults == nil { arrived(event: event.data) } else { arrivedFaulty(event: event.data) }
            }
            if exchange == nil { return }
        }
        resumption.received(lastEventID: stream.lastEventID, retry: stream.retry, isEvent: false)
        if let request, !isOver, !server.delegate.isInFlight(request.id) { server.expectEnd(of: self) }
    }

    /// Its session is good for something.
    private func wasServed() { if !isFirst { server.lossesInARow = 0 } }

    private func tooLong(_ bytes: Int) -> HTTPFailure {
        HTTPFailure(.notMCP, .unknown, cause: "its answer is longer than the limit of \(server.messageLimit) bytes (\(bytes) so far)")
    }

    func finished() {
        exchange = nil
        guard !isEndHidden else { return }
        let answer = answer
        self.answer = .none
        switch answer {
        case .none, .expected: server.finish(self)
        case .ignored: server.finish(self)
        case .events: wasCut(HTTPFailure(.transient, .unknown, cause: "its stream of events ended before the answer"))
        case .whole(let status, let body):
            guard body.readableBytes > 0 else {
                fail(HTTPFailure(.notMCP, .unknown, cause: "it answered \(status) with nothing in it", status: status))
                break
            }
            if server.faults == nil { arrived(body, status: status) } else { arrivedFaulty(body, status: status) }
        case .failure(let head, let body): refused(head, body)
        }
        server.delegate.readCompleted()
    }

    private func arrived(event: ByteBuffer) { server.delegate.received(event, on: request?.id, status: nil, isStale: isStale) }

    private func arrived(_ body: ByteBuffer, status: Int) {
        server.posts[ObjectIdentifier(self)] = nil
        wasServed()
        server.delegate.received(body, on: request?.id, status: status, isStale: isStale)
        if let request, server.delegate.isInFlight(request.id) {
            fail(HTTPFailure(.notMCP, .unknown, cause: "it answered with something else than the answer", status: status))
        } else {
            server.finish(self)
        }
    }

    func failed(_ error: any Error, wasSent: Bool) {
        exchange = nil
        guard !isEndHidden else { return }
        broke(error, wasSent: wasSent)
        server.delegate.readCompleted()
    }

    private func broke(_ error: any Error, wasSent: Bool) {
        exchange = nil
        let answer = answer
        self.answer = .none
        let failure = HTTPFailure(error, wasSent: wasSent, isKnown: server.isKnown, route: server.route)
        if case .events = answer { wasCut(failure) } else if isResuming { wasCut(failure) } else { fail(failure) }
    }

    /// The server answered with a status that is none of success, or with what is no message.
    private func refused(_ head: HTTPResponseHead, _ body: ByteBuffer) {
        let status = Int(head.status.code)
        if [301, 302, 303, 307, 308].contains(status), !isResuming { return follow(head) }
        if status == 401 || status == 403 { return unauthorized(head) }
        if let sessionID, HTTPRefusal.isOfSession(status, body, to: request?.id) {
            sessions += 1
            if sessions == 1 {
                server.posts[ObjectIdentifier(self)] = nil
                if !isResuming {
                    server.lostSession(sessionID, self)
                    return request == nil && notification != Method.initialized.rawValue ? finishNotification() : ()
                }
                server.lostSession(sessionID, nil)
            }
        }
        // An error that is said in JSON-RPC is the answer, whatever id it is said under: there is but one request in a POST.
        if let request, !isResuming, let error = HTTPRefusal.answer(in: body, status: status, to: request) {
            server.posts[ObjectIdentifier(self)] = nil
            server.delegate.received(error, on: request.id, status: status, isStale: isStale)
            if server.delegate.isInFlight(request.id) {
                fail(HTTPRefusal.failure(head, body, hiding: server.delegate.redacted))
            } else {
                server.finish(self)
            }
            return
        }
        let failure = HTTPRefusal.failure(head, body, hiding: server.delegate.redacted)
        if isResuming {
            if status >= 500 && status != 501 || status == 429 {
                guard case .overload(let wait?) = failure.kind else { return wasCut(failure) }
                return wasCut(failure, wait: wait)
            }
            // A server that does not go on with streams: the answer is lost.
            fail(HTTPFailure(.transient, .unknown, cause: "its stream ended before the answer, and \(failure.cause)", status: status))
        } else {
            fail(failure)
        }
    }

    private func follow(_ head: HTTPResponseHead) {
        do throws(HTTPFailure) {
            target = try HTTPRefusal.redirect(head, from: target, after: redirects)
        } catch {
            return fail(error)
        }
        // "See other" says that it was done, and that what came of it is elsewhere.
        guard head.status.code != 303 else {
            return fail(HTTPFailure(.notMCP, .unknown, cause: "it answered 303, which is no answer to a message", status: 303))
        }
        redirects += 1
        if isFirst, server.wire == .streamable { server.target = target }
        if let headers = server.headers { send(headers) }
    }

    private func unauthorized(_ head: HTTPResponseHead) {
        // An answer, or a notification, of a session that is over: there is nobody to tell it any more.
        if request == nil, isStale { return server.finish(self) }
        // It may have been sent before we had what we have now.
        if credentials != server.credentials { return server.enqueueAgain(self) }
        let status = Int(head.status.code)
        // A second refusal, of something fresh, is final; but that it gives too few rights, where that is said, is news to the owner.
        guard authorizations < (status == 403 ? 2 : 1) else {
            return fail(HTTPRefusal.failure(head, ByteBuffer(), hiding: server.delegate.redacted), mayRepeat: false)
        }
        authorizations += 1
        server.hold(self, status: status, challenges: head.headers["WWW-Authenticate"])
    }
}

// MARK: - Faults that are made on purpose

extension Post {
    private var isEndHidden: Bool { isAnswerLost || heldBack > 0 }

    /// Hands on what the server said, unless a fault is made on it.
    private func letThrough(_ message: ByteBuffer, isAnswer: Bool, _ deliver: @escaping (ByteBuffer) -> Void) {
        var isLate = false
        let outcome = server.faults?.pass(message, .fromServer) { message in
            guard !self.server.isEnded else { return }
            deliver(message)
            guard isLate else { return }
            self.heldBack -= 1
            self.seeHiddenEnd()
        }
        switch outcome {
        case nil, .passed: break
        case .held:
            isLate = true
            heldBack += 1
        case .lost: isAnswerLost = isAnswerLost || isAnswer
        }
    }

    private func arrivedFaulty(event: ByteBuffer) {
        let isAnswer = request.map { $0.id == (try? Message(scanning: event))?.integerID } ?? false
        letThrough(event, isAnswer: isAnswer) { self.arrived(event: $0) }
    }

    private func arrivedFaulty(_ body: ByteBuffer, status: Int) {
        var isFirst = true
        letThrough(body, isAnswer: true) { body in
            // A second copy comes for a request that is over.
            if isFirst { self.arrived(body, status: status) } else { self.arrived(event: body) }
            isFirst = false
        }
    }

    private func seeHiddenEnd() {
        guard !isEndHidden, exchange == nil, case .events = answer, server.posts[ObjectIdentifier(self)] === self else { return }
        finished()
    }

    /// Breaks the connection under it.
    func cut() {
        guard exchange != nil || isEndHidden else { return }
        let wasSent = exchange?.wasSent ?? true
        exchange?.cancel()
        isAnswerLost = false
        broke(HTTPClientError.remoteConnectionClosed, wasSent: wasSent)
    }
}
