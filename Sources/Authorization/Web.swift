import AsyncHTTPClient
import JSONRPC
import NIOCore
import NIOHTTP1
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Requests to authorization servers, bounded in time and length. Follows no redirect by itself.
struct Web: Sendable {
    /// The client for a URL: one that checks the certificate of this very host.
    let client: @Sendable (_ url: String) async throws -> HTTPClient
    let eventLoop: any EventLoop

    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        /// Empty if it was not asked for.
        var body: ByteBuffer

        /// The body, if it is a JSON object.
        var object: JSONView? {
            guard let view = try? JSONView(validating: body), view.kind == .object else { return nil }
            return view
        }

        /// A redirect that would keep method and body.
        var isRedirect: Bool { status == 307 || status == 308 }
        /// It may be otherwise the next time.
        var isOutage: Bool { status >= 500 || status == 429 || status == 408 }
    }

    /// - Parameter wantsBody: without it the connection is closed behind the headers: the body may be a stream that never ends.
    func send(
        _ method: HTTPMethod, _ address: WebAddress, headers: [(name: String, value: String)] = [], body: ByteBuffer? = nil,
        wantsBody: Bool = true
    ) async throws(AuthorizationProblem) -> Answer {
        let headers = HTTPHeaders([("User-Agent", "mcpagg")] + headers.map { ($0.name, $0.value) })
        do {
            return try await within(AuthorizationLimits.requestTime) {
                let request = try HTTPClient.Request(
                    url: address.text, method: method, headers: headers, body: body.map { .byteBuffer($0) })
                return try await AnswerReader.answer(to: request, from: try await client(address.text), wantsBody: wantsBody)
            }
        } catch _ where Task.isCancelled {
            throw .cancelled
        } catch is NIOTooManyBytesError {
            throw AuthorizationProblem(.badAnswer, "\(address.origin) answers with more than \(AuthorizationLimits.answerLength) bytes")
        } catch {
            throw AuthorizationProblem(
                .unreachable, "\(address.origin) cannot be reached: \(Self.text(of: error))", hint: "look after the network, and try again")
        }
    }

    /// A document. Redirects are followed as long as they stay within the origin.
    func get(_ address: WebAddress) async throws(AuthorizationProblem) -> Answer {
        var address = address
        for _ in 0...AuthorizationLimits.redirects {
            // The version tells servers of metadata what they talk to (MCP 2025-03-26, basic/authorization, 2.3.1).
            let answer = try await send(
                .GET, address, headers: [("Accept", "application/json"), ("MCP-Protocol-Version", Self.protocolVersion)])
            guard (301...303).contains(answer.status) || answer.isRedirect else { return answer }
            address = try Self.target(of: answer, from: address)
        }
        throw AuthorizationProblem(.badAnswer, "\(address.origin) sends us from one address to the next")
    }

    /// Where a redirect leads.
    /// - Throws: if it leaves the origin: whoever is there is not the one we asked.
    static func target(of answer: Answer, from address: WebAddress) throws(AuthorizationProblem) -> WebAddress {
        guard let location = answer.headers.first(name: "Location"), let target = address.resolve(location) else {
            throw AuthorizationProblem(.badAnswer, "\(address.origin) sends us elsewhere, but to no address")
        }
        guard target.origin == address.origin else {
            throw AuthorizationProblem(
                .contradiction, "\(address.origin) sends us to \(target.origin), and redirects are followed only within an origin")
        }
        return target
    }

    static let protocolVersion = "2025-11-25"

    // MARK: Time

    /// Ends by itself after a while.
    func pause(_ duration: Duration) async throws {
        let timer = eventLoop.scheduleTask(in: TimeAmount(duration)) {}
        try await withTaskCancellationHandler {
            try await timer.futureResult.get()
        } onCancel: {
            timer.cancel()
        }
    }

    struct TimeOver: Error {}

    /// - Throws: ``TimeOver``, and what `body` throws.
    func within<Value: Sendable>(_ duration: Duration, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await pause(duration)
                throw TimeOver()
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    // MARK: Words

    private static func text(of error: any Error) -> String {
        switch error {
        case is TimeOver: "no complete answer within \(AuthorizationLimits.requestTime.components.seconds) s"
        case let error as HTTPClientError where error == .deadlineExceeded:
            "no answer within \(AuthorizationLimits.requestTime.components.seconds) s"
        case let error as HTTPClientError where error == .connectTimeout: "no connection in time"
        case let error as HTTPClientError: error.shortDescription
        case let error as NIOConnectionError:
            if error.connectionErrors.isEmpty {
                "the name '\(error.host)' cannot be resolved"
            } else {
                error.connectionErrors.first.map { text(of: $0.error) } ?? "connection failed"
            }
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError where error.errnoCode == ECONNRESET: "connection reset"
        default: AuthorizationProblem.quote("\(error)")
        }
    }
}
