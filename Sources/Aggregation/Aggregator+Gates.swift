import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience

// What can stand between a request and its server: a server that is not ready, its circuit, and limits on calls. Who cannot pass
// waits in the server's queue, or is refused.
extension Aggregator {
    /// Nothing does: the usual case, and no more than a look.
    func isFree(_ downstream: Downstream) -> Bool {
        downstream.breaker.state == .closed && downstream.queue.isEmpty && downstream.config.rateLimit == nil
            && downstream.leaveAloneUntil == nil && downstream.machine.openRequests < downstream.config.maxConcurrentCalls
    }

    /// Whether one more request may go to a server that is ready, behind which none waits.
    func mayPass(_ downstream: Downstream) -> Bool {
        if let until = downstream.leaveAloneUntil {
            guard until <= now else {
                set(.gate(downstream.id), after: now.duration(to: until))
                return false
            }
            downstream.leaveAloneUntil = nil
        }
        let inFlight = callsAtWork(at: downstream)
        switch downstream.breaker.state {
        case .closed: break
        case .open:
            guard downstream.breaker.wait(now: now) == nil else { return false }
            downstream.breaker.tryAgain()
            downstream.probeLimit = inFlight + 1
        case .halfOpen: guard inFlight < downstream.probeLimit else { return false }
        }
        guard inFlight < downstream.config.maxConcurrentCalls else { return false }
        if let limit = downstream.config.rateLimit, let wait = downstream.window.wait(now: now, limit) {
            set(.gate(downstream.id), after: wait)
            return false
        }
        return true
    }

    /// Calls that keep a server busy. One whose person is being asked does not; and what that person does may need the server.
    func callsAtWork(at downstream: Downstream) -> Int {
        max(0, downstream.machine.requestsInFlight - (downstream.questions.isEmpty ? 0 : callsThatAsk(at: downstream)))
    }

    /// Keeps a request until a place is free for it.
    func waitForTurn(
        _ message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, at downstream: Downstream, host: HostConnection
    ) {
        guard downstream.breaker.wait(now: now) == nil else {
            return fail(request, purpose, .unavailable, describeDown(downstream), of: downstream)
        }
        if let until = downstream.leaveAloneUntil, now.advanced(by: downstream.config.timeout) <= until {
            let why = "Server '\(downstream.key)' \(reasonToWait(for: downstream)), which is longer than the request may take"
            return refuse(request, purpose, why, of: downstream)
        }
        enqueue(message, request, purpose, for: downstream, host: host)
    }

    /// Keeps a request until its server is ready, or refuses it if that is not to be expected soon.
    func waitUntilReady(
        _ message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, for downstream: Downstream, host: HostConnection
    ) {
        // Tasks end with the server that has them.
        if case .task = purpose { return fail(request, purpose, downstream.unavailability, describeDown(downstream), of: downstream) }
        guard isExpected(downstream, attempts: host.histories[request.id]?.attempts ?? 0) else {
            return fail(request, purpose, downstream.unavailability, describeDown(downstream), of: downstream)
        }
        enqueue(message, request, purpose, for: downstream, host: host)
    }

    /// Whether a server that is not ready will be, so that a request may wait for it. The person's own request may be what tries it.
    func isExpected(_ downstream: Downstream, attempts: Int) -> Bool {
        guard ending == nil, downstream.breaker.wait(now: now) == nil else { return false }
        switch downstream.life.state {
        case .starting: break
        case .idle, .resting:
            // It was put off until somebody needs it.
            if downstream.life.isResting { wake(downstream) } else { launch(downstream) }
            guard downstream.life.state != .failed else { return false }
        case .backingOff(_, let until):
            let policy = downstream.config.retry
            guard options.restartsServers, attempts + 1 < policy.attempts else { return false }
            if downstream.breaker.state != .closed {
                restartNow(downstream)
            } else if now.advanced(by: downstream.config.timeout) <= until {
                return false
            }
        case .failed:
            // Somebody may have installed what was missing.
            guard options.restartsServers, downstream.failure?.kind == .configuration, downstream.config.unusable == nil,
                let failed = downstream.failure?.at, failed.advanced(by: downstream.config.circuitBreaker.reset) <= now,
                downstream.life.retry()
            else { return false }
            launch(downstream)
            guard case .starting = downstream.life.state else { return false }
        case .ready, .stopped: return false
        }
        downstream.breaker.tryAgain()
        return true
    }

    func restartNow(_ downstream: Downstream) {
        downstream.life.hurry(now: now)
        if downstream.connection == nil { set(.restart(downstream.id), after: .zero) }
    }

    private func enqueue(
        _ message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, for downstream: Downstream, host: HostConnection
    ) {
        let bytes = message.bytes.readableBytes
        let all = downstreams.values.reduce(into: (calls: 0, bytes: 0)) {
            $0.calls += $1.queue.count
            $0.bytes += $1.queue.bytes
        }
        let isFull = downstream.queue.count >= Limits.waitingCalls || downstream.queue.bytes + bytes > Limits.waitingBytes
        guard !isFull, all.calls < Limits.allWaitingCalls, all.bytes + bytes <= Limits.allWaitingBytes else {
            let whose = isFull ? "for it" : "for servers"
            let why = reasonToWait(for: downstream)
            return refuse(
                request, purpose, "Server '\(downstream.key)' \(why), and too many requests wait \(whose) already", of: downstream)
        }
        var history = host.histories.remove(request.id) ?? CallHistory(began: now)
        // That it cannot be sent now is an attempt that came to nothing.
        if case .backingOff = downstream.life.state { history.attempts += 1 }
        enqueue(WaitingCall(message, request, purpose, history, deadline: deadline(history, at: downstream)), for: downstream, host: host)
    }

    func enqueue(_ call: WaitingCall, for downstream: Downstream, host: HostConnection) {
        host.waiting[call.request.id] = .queued(downstream.id)
        downstream.queue.append(call)
        expectExpiry(of: downstream, at: call.deadline)
    }

    /// How long a request may wait to be sent, or to be sent again.
    func deadline(_ history: CallHistory, at downstream: Downstream) -> Instant {
        let idle = now.advanced(by: patience(with: downstream))
        return downstream.config.maxTimeout.map { min(history.began.advanced(by: $0), idle) } ?? idle
    }

    /// Sends what waits, as far as it may pass.
    func admitWaiting(at downstream: Downstream) {
        guard downstream.life.isReady, downstream.child?.isOutputClosed != true, !downstream.queue.isEmpty else { return }
        guard mayPass(downstream) else { return }
        // Out of its place while it is worked on: what comes back to it came after these.
        var queue = CallQueue()
        swap(&queue, &downstream.queue)
        while !queue.isEmpty, mayPass(downstream), let call = queue.popFirst() { dispatch(call) }
        downstream.queue.prepend(queue)
    }

    /// Routes anew what was kept: names may have changed meanwhile.
    func dispatch(_ call: WaitingCall) {
        guard let host = hosts[call.request.connection] else { return }
        host.waiting[call.request.id] = nil
        host.histories[call.request.id] = call.history
        dispatch(call.message, call.request, host: host)
    }

    /// A request is not in flight any more: there may be a place for another, or nothing left to wait for.
    func requestEnded(at downstream: Downstream) {
        admitWaiting(at: downstream)
        retireIfIdle(downstream)
        // All it still had to say has been said.
        if let child = downstream.child, child.isOutputClosed, child.teardown == nil, downstream.machine.requestsInFlight == 0 {
            set(.childEnd(downstream.id), after: Limits.exitWait)
        }
    }

    /// What has waited too long.
    func expireWaiting(at downstream: Downstream) {
        let now = now
        for call in downstream.queue.remove(where: { $0.deadline <= now }) {
            let isDown = !downstream.life.isReady && downstream.failure != nil
            let why = isDown ? describeDown(downstream) : "Server '\(downstream.key)' \(reasonToWait(for: downstream))."
            let time = call.history.began.duration(to: now).text
            let again = call.history.sendings > 0 ? " again" : ""
            fail(
                call.request, call.purpose, .unavailable, "\(why) The request waited for \(time) and was not sent\(again).",
                history: call.history, of: downstream)
        }
    }

    private func reasonToWait(for downstream: Downstream) -> String {
        guard downstream.life.isReady else { return downstream.failure == nil ? "is starting" : "is being started again" }
        if let until = downstream.leaveAloneUntil, until > now { return "wants to be left alone for \(now.duration(to: until).text)" }
        if downstream.breaker.state == .halfOpen { return "failed before, and a call that is to show whether it works again is under way" }
        if let limit = downstream.config.rateLimit, downstream.window.wait(now: now, limit) != nil {
            return "has had the \(limit.calls) calls of its 'rateLimit' in \(limit.per.text)"
        }
        return "works on as many calls as its 'maxConcurrentCalls' allows"
    }

    // MARK: The circuit

    /// Something that calls may be spared from now on.
    /// - Parameter sent: when what was lost was sent, if others may have been lost with it.
    func countFailure(of downstream: Downstream, _ cause: String, sent: Instant? = nil) {
        downstream.figures.failures += 1
        downstream.lastFailure = (cause, now)
        let wasOpen = downstream.breaker.wait(now: now) != nil
        guard downstream.breaker.failed(sent: sent, now: now, downstream.config.circuitBreaker) else { return }
        if !wasOpen, let wait = downstream.breaker.wait(now: now) {
            let count = downstream.breaker.failuresInARow
            report(.warning, "server '\(downstream.key)' has failed \(count) times in a row; calls to it fail at once for \(wait.text)")
        }
        for call in downstream.queue.removeAll() {
            fail(call.request, call.purpose, downstream.unavailability, describeDown(downstream), history: call.history, of: downstream)
        }
    }

    /// A call was answered.
    func countSuccess(of downstream: Downstream) {
        downstream.figures.answered += 1
        // Compared first: this is on the way of every answer.
        guard downstream.breaker.failuresInARow > 0 else { return }
        if downstream.breaker.state == .closed { downstream.breaker.succeeded() } else { closeCircuit(of: downstream) }
    }

    func closeCircuit(of downstream: Downstream) {
        report(.notice, "server '\(downstream.key)' answers calls again")
        downstream.breaker.succeeded()
        admitWaiting(at: downstream)
    }

    /// Says how each server is. Then everything that failed so far is forgotten, and what waits for its next attempt is tried now.
    package func resetBreakers() {
        reportCircuits()
        report(.notice, "all circuits are closed, and servers that are down are tried now")
        for id in Array(current.values) + Array(replacements.values) {
            guard let downstream = downstreams[id] else { continue }
            downstream.breaker.reset()
            downstream.leaveAloneUntil = nil
            downstream.life.forgive()
            if case .backingOff = downstream.life.state { restartNow(downstream) }
            admitWaiting(at: downstream)
        }
        retryFailed()
        flush()
    }
}

extension WaitingCall {
    init(
        _ message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, _ history: CallHistory, deadline: Instant
    ) {
        self.init(request: request, message: message, purpose: purpose, history: history, deadline: deadline)
    }
}

extension ForwardedRequest.Purpose {
    /// It is work for a server, and may have to wait its turn. What ends something, or looks at it, never does.
    var isWork: Bool {
        switch self {
        case .tool, .prompt, .read, .complete: true
        case .task, .subscribe, .unsubscribe: false
        }
    }
}
