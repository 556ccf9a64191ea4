import DequeModule
import FeatureCatalog
import JSONRPC
import Lifecycle
import NIOCore
import Resilience

/// A request that waits until it may be sent.
struct WaitingCall {
    var request: HostRequest
    var message: Message
    var purpose: ForwardedRequest.Purpose
    var history: CallHistory
    /// It is not waited for any longer than that.
    var deadline: Instant
    /// Where it was tried last.
    var server: DownstreamID?
}

/// Requests that wait for one server, in the order in which they came, and what they weigh.
struct CallQueue {
    private(set) var calls: Deque<WaitingCall> = []
    private(set) var bytes = 0

    var isEmpty: Bool { calls.isEmpty }
    var count: Int { calls.count }

    mutating func append(_ call: WaitingCall) {
        calls.append(call)
        bytes += call.message.bytes.readableBytes
    }

    mutating func popFirst() -> WaitingCall? {
        guard let call = calls.popFirst() else { return nil }
        bytes -= call.message.bytes.readableBytes
        return call
    }

    /// - Returns: those that are meant; they are out of the queue.
    mutating func remove(where isMeant: (WaitingCall) -> Bool) -> [WaitingCall] {
        let removed = calls.filter(isMeant)
        guard !removed.isEmpty else { return [] }
        calls.removeAll(where: isMeant)
        bytes -= removed.reduce(0) { $0 + $1.message.bytes.readableBytes }
        return Array(removed)
    }

    mutating func removeAll() -> [WaitingCall] {
        defer { self = CallQueue() }
        return Array(calls)
    }

    /// Puts back what was taken out and could not be sent, before what came meanwhile.
    mutating func prepend(_ queue: CallQueue) {
        // The usual case, for each answer of a busy server.
        guard !isEmpty else {
            self = queue
            return
        }
        calls.prepend(contentsOf: queue.calls)
        bytes += queue.bytes
    }

    /// One launch of the server came to nothing.
    mutating func countAttempt() {
        for index in calls.indices { calls[index].history.attempts += 1 }
    }

    var earliestDeadline: Instant? { calls.lazy.map(\.deadline).min() }
}
