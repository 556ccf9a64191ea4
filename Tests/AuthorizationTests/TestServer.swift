import NIOCore
import NIOHTTP1
import NIOPosix

/// A request as the servers of these tests see it.
struct Request: Sendable {
    var method: String
    var path: String
    var query: String
    var headers: [String: String]
    var body: String
}

struct Response: Sendable {
    var status = 200
    var headers: [(String, String)] = []
    var body = ""

    static func json(_ body: String, status: Int = 200) -> Response {
        Response(status: status, headers: [("Content-Type", "application/json")], body: body)
    }
    static func redirect(_ location: String, status: Int = 302) -> Response { Response(status: status, headers: [("Location", location)]) }
}

/// An HTTP server on a port of its own. It answers with what a function says, however long that takes.
struct TestServer: Sendable {
    let url: String
    private let channel: any Channel

    static func start(_ answer: @escaping @Sendable (Request) async -> Response) async throws -> TestServer {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    try child.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try child.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return TestServer(url: "http://127.0.0.1:\(channel.localAddress?.port ?? 0)", channel: channel)
    }

    func stop() async { try? await channel.close().get() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: @Sendable (Request) async -> Response
        private var head: HTTPRequestHead?
        private var body = ""

        init(_ answer: @escaping @Sendable (Request) async -> Response) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, "")
            case .body(let part): body += String(buffer: part)
            case .end:
                guard let head else { return }
                let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let request = Request(
                    method: head.method.rawValue, path: parts[0], query: parts.count > 1 ? parts[1] : "",
                    headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }, body: body)
                let (answer, channel) = (answer, context.channel)
                Task {
                    let response = await answer(request)
                    var headers = HTTPHeaders(response.headers)
                    headers.add(name: "Content-Length", value: "\(response.body.utf8.count)")
                    let head = HTTPResponseHead(
                        version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
                    channel.write(HTTPServerResponsePart.head(head), promise: nil)
                    channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: response.body))), promise: nil)
                    channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
                }
            }
        }
    }
}
