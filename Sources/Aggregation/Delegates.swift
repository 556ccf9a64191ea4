import FeatureCatalog
import JSONRPC
import Lifecycle
import NIOCore
import Transports

// What channels call, on the aggregator's own event loop: no task, no thread hop, so messages keep their order.

extension Aggregator {
    /// What `assumeIsolated` does, with the check that the event loop offers. That of the runtime looks the executor up by several dynamic
    /// casts, twice for each message.
    fileprivate nonisolated func onLoop<Result: Sendable>(_ body: (isolated Aggregator) -> Result) -> Result {
        eventLoop.preconditionInEventLoop()
        return withoutActuallyEscaping(body) { unsafeBitCast($0, to: ((Aggregator) -> Result).self)(self) }
    }

    // The same for what comes with every message, by functions that capture nothing: so nothing is allocated.

    fileprivate nonisolated func received(_ line: LineFraming.Line, onLoopFrom host: HostConnectionID) {
        eventLoop.preconditionInEventLoop()
        let body: @Sendable (isolated Aggregator, LineFraming.Line, HostConnectionID) -> Void = { $0.received($1, from: $2) }
        unsafeBitCast(body, to: ((Aggregator, LineFraming.Line, HostConnectionID) -> Void).self)(self, line, host)
    }

    fileprivate nonisolated func received(_ line: LineFraming.Line, onLoopFrom downstream: DownstreamID, launch: Int) {
        eventLoop.preconditionInEventLoop()
        let body: @Sendable (isolated Aggregator, LineFraming.Line, DownstreamID, Int) -> Void = { aggregator, line, downstream, launch in
            guard let downstream = aggregator.downstreams[downstream], downstream.launches == launch else { return }
            aggregator.received(line, from: downstream)
        }
        unsafeBitCast(body, to: ((Aggregator, LineFraming.Line, DownstreamID, Int) -> Void).self)(self, line, downstream, launch)
    }
}

struct HostDelegate: ConnectionDelegate {
    let aggregator: Aggregator
    let connection: HostConnectionID

    func received(_ line: LineFraming.Line) { aggregator.received(line, onLoopFrom: connection) }
    func readCompleted() { aggregator.onLoop { $0.readCompleted() } }
    func writabilityChanged(_ isWritable: Bool) {
        aggregator.onLoop { $0.hostWritabilityChanged(connection, isWritable: isWritable) }
    }
    func outputClosed() {
        aggregator.onLoop {
            $0.hostOutputClosed(connection)
            $0.flush()
        }
    }
    func inputClosed(unterminated: Int) {
        aggregator.onLoop {
            $0.hostInputClosed(connection, unterminated: unterminated)
            $0.flush()
        }
    }
}

struct DownstreamDelegate: ChildDelegate {
    let aggregator: Aggregator
    let downstream: DownstreamID
    /// Events of an earlier launch are not about the present one.
    let launch: Int

    func received(_ line: LineFraming.Line) { aggregator.received(line, onLoopFrom: downstream, launch: launch) }
    func readCompleted() { aggregator.onLoop { $0.readCompleted() } }
    func writabilityChanged(_ isWritable: Bool) {}
    func inputClosed(unterminated: Int) { performAndFlush { $0.inputClosed(of: $1, unterminated: unterminated) } }
    func outputClosed() { performAndFlush { aggregator, downstream in aggregator.outputClosed(of: downstream) } }
    func launched(processID: Int) { performAndFlush { $0.launched($1, processID: processID) } }
    func launchFailed(_ failure: LaunchFailure) { performAndFlush { $0.launchFailed($1, failure) } }
    func exited(_ status: ExitStatus) { performAndFlush { $0.exited($1, status) } }
    func errorOutputClosed() { performAndFlush { aggregator, downstream in aggregator.errorOutputClosed(of: downstream) } }
    func wroteToStandardError(_ bytes: ByteBuffer) { perform { $0.wroteToStandardError($1, bytes) } }

    private func perform(_ body: @Sendable (isolated Aggregator, Downstream) -> Void) {
        aggregator.onLoop { aggregator in
            guard let downstream = aggregator.downstreams[downstream], downstream.launches == launch else { return }
            body(aggregator, downstream)
        }
    }

    private func performAndFlush(_ body: @Sendable (isolated Aggregator, Downstream) -> Void) {
        perform { aggregator, downstream in
            body(aggregator, downstream)
            aggregator.flush()
        }
    }
}

struct DownstreamRemoteDelegate: RemoteDelegate {
    let aggregator: Aggregator
    let downstream: DownstreamID
    /// Events of an earlier connection are not about the present one.
    let launch: Int

    func received(_ body: ByteBuffer, on request: Int?, status: Int?, isStale: Bool) {
        perform { $0.received(body, from: $1, on: request, status: status, isStale: isStale) }
    }
    func redacted(_ text: String) -> String { aggregator.onLoop { $0.redact(text) } }
    func readCompleted() { aggregator.onLoop { $0.readCompleted() } }
    func isInFlight(_ request: Int) -> Bool { perform(otherwise: false) { $1.machine.isInFlight(request) } }
    func sent(_ request: Int) { perform { $1.machine.sent(request, now: $0.now) } }
    func failed(_ request: Int, _ failure: HTTPFailure, attempts: Int, mayRepeat: Bool) -> RemoteServer.Decision {
        perform(otherwise: .giveUp) { $0.failed(request, failure, attempts: attempts, mayRepeat: mayRepeat, of: $1) }
    }
    func unauthorized(status: Int, challenges: [String]) { perform { $0.unauthorized($1, status: status, challenges: challenges) } }
    func sessionLost() { perform { aggregator, downstream in aggregator.sessionLost(of: downstream) } }
    func lost(_ failure: HTTPFailure) { perform { $0.lost(failure, of: $1) } }
    func noted(_ text: String) { perform { aggregator, downstream in aggregator.debug("server '\(downstream.key)': \(text)") } }
    func ended() {
        perform { aggregator, downstream in
            aggregator.remoteEnded(downstream)
            aggregator.flush()
        }
    }

    private func perform(_ body: @Sendable (isolated Aggregator, Downstream) -> Void) { perform(otherwise: (), body) }

    private func perform<Result: Sendable>(
        otherwise: Result, _ body: @Sendable (isolated Aggregator, Downstream) -> Result
    ) -> Result {
        aggregator.onLoop { aggregator in
            guard let downstream = aggregator.downstreams[downstream], downstream.launches == launch else { return otherwise }
            return body(aggregator, downstream)
        }
    }
}
