import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Resilience

/// Who sent an HTTP request, and hears what becomes of it. Called on the event loop.
protocol ExchangeHandler: AnyObject {
    func received(_ head: HTTPResponseHead)
    /// - Returns: what to wait for before more of the body is taken; `nil` to go on.
    func received(_ bytes: ByteBuffer) -> EventLoopFuture<Void>?
    func finished()
    /// - Parameter wasSent: the request left us, at least in part.
    func failed(_ error: any Error, wasSent: Bool)
}

/// One HTTP request on its way. Belongs to the event loop, which the client calls it on.
final class Exchange: Sendable {
    private struct State {
        var handler: (any ExchangeHandler)?
        var wasSent = false
    }

    private let state: NIOLoopBoundBox<State>
    private let task: NIOLoopBoundBox<HTTPClient.Task<Void>?>

    private init(_ handler: any ExchangeHandler, on eventLoop: any EventLoop) {
        state = NIOLoopBoundBox(State(handler: handler), eventLoop: eventLoop)
        task = NIOLoopBoundBox(nil, eventLoop: eventLoop)
    }

    /// Sends a request.
    /// - Parameter timeLimit: for all of it, the answer's body included; `nil` for none.
    static func begin(
        _ request: HTTPClient.Request, with client: HTTPClient, on eventLoop: any EventLoop, timeLimit: Duration? = nil,
        handler: any ExchangeHandler
    ) -> Exchange {
        let exchange = Exchange(handler, on: eventLoop)
        let deadline = timeLimit.map { eventLoop.now + .nanoseconds($0.clampedNanoseconds) }
        exchange.task.value = client.execute(request: request, delegate: exchange, eventLoop: .delegate(on: eventLoop), deadline: deadline)
        return exchange
    }

    var wasSent: Bool { state.value.wasSent }

    /// Gives it up: the connection is closed, and its handler hears nothing more.
    func cancel() {
        state.value.handler = nil
        task.value?.cancel()
        task.value = nil
    }
}

extension Exchange: HTTPClientResponseDelegate {
    typealias Response = Void

    func didSendRequestHead(task: HTTPClient.Task<Void>, _ head: HTTPRequestHead) { state.value.wasSent = true }

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        state.value.handler?.received(head)
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        state.value.handler?.received(buffer) ?? task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
        let handler = state.value.handler
        state.value.handler = nil
        handler?.failed(error, wasSent: state.value.wasSent)
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) {
        let handler = state.value.handler
        state.value.handler = nil
        handler?.finished()
    }
}
