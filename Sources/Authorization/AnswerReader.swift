import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Takes one answer of a server. Belongs to the event loop, which the client calls it on.
///
/// The client has an `async` way for this, but that starts tasks of its own, for which nobody can say where they run.
final class AnswerReader: HTTPClientResponseDelegate {
    private let answer: NIOLoopBoundBox<Web.Answer>
    private let wantsBody: Bool

    private init(wantsBody: Bool, on eventLoop: any EventLoop) {
        answer = .makeBoxSendingValue(Web.Answer(status: 0, headers: [:], body: ByteBuffer()), eventLoop: eventLoop)
        self.wantsBody = wantsBody
    }

    /// Gives up, and closes the connection, if the task is cancelled.
    /// - Parameter wantsBody: without it the connection is closed behind the headers.
    /// - Throws: `NIOTooManyBytesError` if the body is longer than ``AuthorizationLimits/answerLength``; what the client throws.
    static func answer(to request: HTTPClient.Request, from client: HTTPClient, wantsBody: Bool) async throws -> Web.Answer {
        let eventLoop = client.eventLoopGroup.any()
        let reader = AnswerReader(wantsBody: wantsBody, on: eventLoop)
        let exchange = client.execute(
            request: request, delegate: reader, eventLoop: .delegate(on: eventLoop),
            deadline: eventLoop.now + TimeAmount(AuthorizationLimits.requestTime))
        do {
            return try await withTaskCancellationHandler {
                try await exchange.get()
            } onCancel: {
                exchange.cancel()
            }
        } catch is HeadersSuffice {
            return try await eventLoop.submit { reader.answer.value }.get()
        }
    }

    private struct HeadersSuffice: Error {}

    func didReceiveHead(task: HTTPClient.Task<Web.Answer>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        answer.value.status = Int(head.status.code)
        answer.value.headers = head.headers
        return wantsBody ? task.eventLoop.makeSucceededVoidFuture() : task.eventLoop.makeFailedFuture(HeadersSuffice())
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Web.Answer>, _ part: ByteBuffer) -> EventLoopFuture<Void> {
        guard answer.value.body.readableBytes + part.readableBytes <= AuthorizationLimits.answerLength else {
            return task.eventLoop.makeFailedFuture(NIOTooManyBytesError(maxBytes: AuthorizationLimits.answerLength))
        }
        answer.value.body.writeImmutableBuffer(part)
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<Web.Answer>) -> Web.Answer { answer.value }
}
