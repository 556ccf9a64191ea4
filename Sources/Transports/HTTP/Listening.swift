import AsyncHTTPClient
import JSONRPC
import MCPProtocol
import NIOCore
import NIOHTTP1
import Resilience

/// The stream on which a server tells what belongs to no request of ours (MCP 2025-11-25, basic/transports, "Listening for Messages
/// from the Server"); with the transport of 2024-11-05 all it says. Belongs to its ``RemoteServer``.
final class Listening {
    private let server: RemoteServer
    private var exchange: Exchange?
    private var stream: EventStream?
    private var resumption = Resumption(limit: nil)
    private var timer: Scheduled<Void>?
    private var target: HTTPTarget
    private var redirects = 0
    private var refusal: (HTTPResponseHead, ByteBuffer)?
    private var credentials = 0
    private var awaitsAuthorization = false
    private let sessionID: String?
    private var wasOpen = false

    init(_ server: RemoteServer) {
        self.server = server
        target = server.target
        sessionID = server.sessionID
    }

    func open() {
        guard var message = server.makeRequest(.GET, to: target, credentials: server.headers) else { return }
        message.headers.add(name: "Accept", value: "text/event-stream")
        message.headers.add(name: "Cache-Control", value: "no-store")
        if server.wire == .streamable {
            if let id = resumption.lastEventID { message.headers.add(name: "Last-Event-ID", value: id) }
            if let sessionID { message.headers.add(name: "Mcp-Session-Id", value: sessionID) }
            if let revision = server.revision { message.headers.add(name: "MCP-Protocol-Version", value: revision.rawValue) }
        }
        credentials = server.credentials
        exchange = Exchange.begin(message, with: server.client, on: server.eventLoop, handler: self)
    }

    func stop() {
        exchange?.cancel()
        exchange = nil
        timer?.cancel()
        timer = nil
    }

    /// Breaks the connection under it.
    func cut() {
        guard exchange != nil else { return }
        exchange?.cancel()
        server.opened()
        ended(HTTPFailure(HTTPClientError.remoteConnectionClosed, wasSent: true, isKnown: server.isKnown, route: server.route))
    }

    /// There are new headers.
    func authorized() {
        guard awaitsAuthorization else { return }
        awaitsAuthorization = false
        open()
    }

    /// There are none.
    func refused(_ failure: HTTPFailure) {
        guard awaitsAuthorization else { return }
        awaitsAuthorization = false
        if server.wire == .legacy { server.delegate.lost(failure) }
    }

    private func ended(_ failure: HTTPFailure) {
        exchange = nil
        stream = nil
        guard server.wire == .streamable else {
            stop()
            return server.delegate.lost(failure)
        }
        guard case .connect(let delay) = resumption.ended(using: &server.random) else { return }
        server.delegate.noted("its stream of notifications ended: \(failure.cause)")
        timer = server.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.clampedNanoseconds)) {
            self.timer = nil
            self.open()
        }
    }
}

extension Listening: ExchangeHandler {
    func received(_ head: HTTPResponseHead) {
        server.isKnown = true
        defer {
            if server.wire == .streamable {
                server.opened()
                server.delegate.readCompleted()
            }
        }
        guard head.status.code == 200, HeaderText.mediaType(head.headers.first(name: "Content-Type")) == "text/event-stream" else {
            refusal = (head, ByteBuffer())
            return
        }
        (wasOpen, server.refusalsOfStream) = (true, 0)
        stream = EventStream(limit: server.messageLimit, lastEventID: resumption.lastEventID)
    }

    func received(_ bytes: ByteBuffer) -> EventLoopFuture<Void>? {
        if let kept = refusal?.1.readableBytes {
            let room = min(HTTPLimits.failureBody - kept, bytes.readableBytes)
            if let piece = bytes.getSlice(at: bytes.readerIndex, length: room) { refusal?.1.writeImmutableBuffer(piece) }
            return nil
        }
        guard var stream else { return nil }
        self.stream = nil
        stream.append(bytes)
        var isEvent = false
        while let item = stream.next() {
            switch item {
            case .oversized(let bytes): server.delegate.noted("an event of \(bytes) bytes is longer than the limit; it is dropped")
            case .event(let event):
                if event.data.readableBytes > 0 { isEvent = true }
                take(event)
            }
            guard exchange != nil else {
                server.delegate.readCompleted()
                return nil
            }
        }
        resumption.received(lastEventID: stream.lastEventID, retry: stream.retry, isEvent: isEvent)
        self.stream = stream
        server.delegate.readCompleted()
        return server.pace()
    }

    private func take(_ event: EventStream.Event) {
        switch event.type {
        case "", "message":
            guard event.data.readableBytes > 0 else { return }
            guard let faults = server.faults else { return arrived(event.data) }
            faults.pass(event.data, .fromServer) { if !self.server.isEnded { self.arrived($0) } }
        case "endpoint" where server.wire == .legacy: take(endpoint: String(buffer: event.data))
        default: break
        }
    }

    private func arrived(_ message: ByteBuffer) {
        server.delegate.received(message, on: nil, status: nil, isStale: sessionID != server.sessionID)
    }

    private func take(endpoint reference: String) {
        guard let endpoint = target.resolve(reference) else {
            return ended(HTTPFailure(.notMCP, .refused, cause: "its 'endpoint' event holds no address"))
        }
        guard endpoint.origin == target.origin else {
            return ended(
                HTTPFailure(
                    .configuration, .refused, cause: "it wants messages sent to another server, \(endpoint.origin), which is not done",
                    hint: "if that is right, use the 'url' of that server"))
        }
        server.endpoint = endpoint
        server.expectFlush()
        server.flush()
    }

    func finished() {
        if let (head, body) = refusal {
            refusal = nil
            exchange = nil
            refused(head, body)
        } else {
            ended(HTTPFailure(.transient, .unknown, cause: "its stream of events ended"))
        }
        server.delegate.readCompleted()
    }

    func failed(_ error: any Error, wasSent: Bool) {
        server.opened()
        ended(HTTPFailure(error, wasSent: wasSent, isKnown: server.isKnown, route: server.route))
        server.delegate.readCompleted()
    }

    private func refused(_ head: HTTPResponseHead, _ body: ByteBuffer) {
        let status = Int(head.status.code)
        if [301, 302, 303, 307, 308].contains(status) {
            do throws(HTTPFailure) {
                target = try HTTPRefusal.redirect(head, from: target, after: redirects)
            } catch {
                return server.wire == .legacy ? ended(error) : server.delegate.noted("it has no stream of notifications: \(error.cause)")
            }
            redirects += 1
            return open()
        }
        if status == 401 {
            if credentials != server.credentials { return open() }
            // A second refusal, of something fresh, is final.
            guard server.refusalsOfStream == 0 else {
                let failure = HTTPRefusal.failure(head, body, hiding: server.delegate.redacted)
                return server.wire == .legacy
                    ? ended(failure) : server.delegate.noted("it has no stream of notifications: \(failure.cause)")
            }
            server.refusalsOfStream += 1
            awaitsAuthorization = true
            return server.hold(nil, status: status, challenges: head.headers["WWW-Authenticate"])
        }
        server.refusalsOfStream = 0
        guard server.wire == .streamable else { return ended(HTTPRefusal.failure(head, body, hiding: server.delegate.redacted)) }
        if status == 404, wasOpen, let sessionID { return server.lostSession(sessionID, nil) }
        // 405: it has none. Other refusals will not change either, unless the server is in trouble.
        guard status >= 500 && status != 501 || status == 429 else {
            return server.delegate.noted("it has no stream of notifications (HTTP \(status))")
        }
        ended(HTTPRefusal.failure(head, body, hiding: server.delegate.redacted))
    }
}

extension RemoteServer {
    /// Opens the stream of what belongs to no request.
    func listen() {
        guard !isEnded else { return }
        listening?.stop()
        let listening = Listening(self)
        self.listening = listening
        listening.open()
    }
}
