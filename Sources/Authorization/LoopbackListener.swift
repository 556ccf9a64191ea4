import NIOCore
import NIOHTTP1
import NIOPosix

/// Listens on the loopback address for the redirect that ends a login (RFC 8252, 7.3). For one login; it hears whoever is on this
/// machine, pages in the browser included.
final class LoopbackListener: Sendable {
    static let path = "/callback"

    let port: Int
    /// At most one, what the login came to; and the end.
    let verdicts: AsyncStream<LoginAttempt.Verdict>
    private let channel: any Channel
    private let desk: NIOLoopBound<CallbackDesk>

    var redirectURI: String { "http://127.0.0.1:\(port)\(Self.path)" }

    private init(port: Int, channel: any Channel, desk: NIOLoopBound<CallbackDesk>, verdicts: AsyncStream<LoginAttempt.Verdict>) {
        self.port = port
        self.channel = channel
        self.desk = desk
        self.verdicts = verdicts
    }

    /// - Parameter port: 0 for any that is free.
    static func open(port: Int, on eventLoop: any EventLoop) async throws -> LoopbackListener {
        let (verdicts, verdict) = AsyncStream.makeStream(of: LoginAttempt.Verdict.self, bufferingPolicy: .bufferingOldest(1))
        let desk = try await eventLoop.submit { NIOLoopBound(CallbackDesk(verdict), eventLoop: eventLoop) }.get()
        let channel = try await ServerBootstrap(group: eventLoop)
            // Or a port that was just used for a login would not do for the next.
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture { try desk.value.admit(child) }
            }
            .bind(host: "127.0.0.1", port: port).get()
        guard let bound = channel.localAddress?.port else { throw ChannelError.unknownLocalAddress }
        return LoopbackListener(port: bound, channel: channel, desk: desk, verdicts: verdicts)
    }

    /// From now on a redirect of this attempt is taken; before, every request is a foreign one.
    func expect(_ attempt: LoginAttempt) async throws {
        let desk = desk
        try await channel.eventLoop.submit { desk.value.attempt = attempt }.get()
    }

    /// Closes it; answers that are on their way still arrive.
    func close() async {
        try? await channel.close().get()
        let desk = desk
        try? await channel.eventLoop.submit { desk.value.close() }.get()
    }
}

/// What all connections of a listener share. Belongs to the event loop.
private final class CallbackDesk {
    var attempt: LoginAttempt?
    private let verdict: AsyncStream<LoginAttempt.Verdict>.Continuation
    private var foreign = 0
    private var channels: [ObjectIdentifier: any Channel] = [:]

    init(_ verdict: AsyncStream<LoginAttempt.Verdict>.Continuation) { self.verdict = verdict }

    func admit(_ channel: any Channel) throws {
        guard channels.count < AuthorizationLimits.callbackConnections else { throw ChannelError.operationUnsupported }
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = AuthorizationLimits.callbackRequestLength
        limits.maxHeaderListSize = AuthorizationLimits.callbackRequestLength
        limits.maxHeaderFieldCount = 100
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withServerUpgrade: nil, withErrorHandling: true, withOutboundHeaderValidation: true,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
        try channel.pipeline.syncOperations.addHandler(
            IdleStateHandler(readTimeout: TimeAmount(AuthorizationLimits.callbackSilence)))
        try channel.pipeline.syncOperations.addHandler(CallbackHandler(self))
        let id = ObjectIdentifier(channel)
        channels[id] = channel
        channel.closeFuture.assumeIsolated().whenComplete { _ in self.channels[id] = nil }
    }

    /// - Returns: what to answer, and what to tell the login once that is sent.
    func answer(_ head: HTTPRequestHead) -> (page: CallbackPage, verdict: LoginAttempt.Verdict?) {
        let path = head.uri.prefix { $0 != "?" }
        guard path == LoopbackListener.path else { return (.unknown, nil) }
        guard head.method == .GET else { return (.busy, nil) }
        guard head.uri.utf8.count <= AuthorizationLimits.callbackRequestLength, let attempt else { return (.foreign, nil) }
        let verdict = attempt.judge(query: String(head.uri.dropFirst(path.count + 1)))
        switch verdict {
        case .code:
            self.attempt = nil  // a code is taken once
            return (.done, verdict)
        case .failed:
            self.attempt = nil
            return (.failed, verdict)
        case .foreign:
            foreign += 1
            guard foreign >= AuthorizationLimits.foreignCallbacks else { return (.foreign, nil) }
            self.attempt = nil
            let problem = AuthorizationProblem(
                .refused, "somebody on this machine, or a page in the browser, tries to guess the state of the login",
                hint: "look for it, then log in again")
            return (.foreign, .failed(problem))
        }
    }

    func tell(_ verdict: LoginAttempt.Verdict) {
        self.verdict.yield(verdict)
        self.verdict.finish()
    }

    func close() {
        verdict.finish()
        for channel in channels.values { channel.close(promise: nil) }
    }
}

/// One connection: answers its first request, and closes it.
private final class CallbackHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let desk: CallbackDesk
    private var hasAnswered = false

    init(_ desk: CallbackDesk) { self.desk = desk }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !hasAnswered else { return }
        hasAnswered = true
        let (page, verdict) = desk.answer(head)
        let body = context.channel.allocator.buffer(string: page.html)
        let headers: HTTPHeaders = [
            "Content-Type": "text/html; charset=utf-8", "Content-Length": "\(body.readableBytes)", "Connection": "close",
            "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        ]
        let answer = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: page.status), headers: headers)
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let desk = desk
        let channel = context.channel
        // The login ends the listener, and with it this connection: so it hears of it only when the person's page is sent.
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            if let verdict { desk.tell(verdict) }
            channel.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
