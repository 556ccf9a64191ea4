import ConfigFile
import FoundationEssentials
import JSONRPC
import Lifecycle
import NIOCore
import OrderedCollections
import Resilience
import Transports

// What becomes of requests that were sent and will not be answered (DESIGN, D7).
extension Aggregator {
    /// Whether a request may be sent again though it may have been carried out.
    /// - Parameter isRepeatable: the tool is marked as read-only or idempotent.
    func mayRepeat(_ purpose: ForwardedRequest.Purpose, isRepeatable: Bool, at downstream: Downstream) -> Bool {
        let policy = downstream.config.retry
        guard policy.attempts > 1 else { return false }
        return switch purpose {
        case .tool: policy.allows(isHarmless: isRepeatable)
        case .prompt, .read, .complete: policy.allows(isHarmless: true)
        // Tasks end with their server; subscriptions are restored.
        case .task, .subscribe, .unsubscribe: false
        }
    }

    /// A request is lost with its server: it waits for the next launch, if it may be sent again.
    /// - Parameter delivery: how far it got.
    /// - Returns: whether it is.
    func repeatWhenReady(_ forwarded: ForwardedRequest, _ delivery: Delivery = .unknown, of downstream: Downstream) -> Bool {
        guard ending == nil, let call = repetition(of: forwarded, delivery, at: downstream), let host = hosts[call.request.connection]
        else { return false }
        switch downstream.life.state {
        case .backingOff:
            guard options.restartsServers, downstream.breaker.wait(now: now) == nil, downstream.queue.count < Limits.waitingCalls
            else { return false }
            enqueue(call, for: downstream, host: host)
        case .stopped:
            // Whoever took its place has what it has.
            guard let successor = current[downstream.key], successor != downstream.id else { return false }
            dispatch(call)
        case .idle, .resting, .starting, .ready, .failed: return false
        }
        if delivery == .unknown { downstream.figures.repeated += 1 }
        debug("server '\(downstream.key)': a request that was in flight is sent again")
        return true
    }

    /// The transport says that a request will not be answered, of this one alone: it is sent again after a while, if it may.
    /// - Parameter attempts: of the transport.
    /// - Returns: whether it is.
    func repeatLater(_ forwarded: ForwardedRequest, _ failure: HTTPFailure, attempts: Int, of downstream: Downstream) -> Bool {
        guard ending == nil, failure.kind == .transient, failure.delivery == .unknown, downstream.breaker.wait(now: now) == nil else {
            return false
        }
        guard let call = repetition(of: forwarded, .unknown, attempts: attempts, at: downstream) else { return false }
        let delay = downstream.config.retry.backoff.delay(after: call.history.attempts, using: &random)
        guard now.advanced(by: delay) < call.deadline else { return false }
        hold(call, for: delay, of: downstream)
        downstream.figures.repeated += 1
        debug("server '\(downstream.key)': a request is sent again in \(delay.text): \(failure.cause)")
        return true
    }

    private func hold(_ call: WaitingCall, for delay: Duration, of downstream: Downstream) {
        guard let host = hosts[call.request.connection] else { return }
        var call = call
        call.server = downstream.id
        host.waiting[call.request.id] = .repeating
        host.repetitions[call.request.id] = call
        set(.repetition(host.id, call.request.id), after: delay)
    }

    func repetitionIsDue(_ id: RequestID, host: HostConnection) {
        if let call = host.repetitions.removeValue(forKey: id) { dispatch(call) }
    }

    private func repetition(
        of forwarded: ForwardedRequest, _ delivery: Delivery, attempts: Int = 1, at downstream: Downstream
    ) -> WaitingCall? {
        let history = forwarded.history.failed(attempts: attempts, sent: delivery == .unknown ? forwarded.sent : nil)
        let deadline = deadline(history, at: downstream)
        // A parked call is answered, as far as its host knows: the answers to its questions are about this attempt alone.
        guard forwarded.request.parking == nil, delivery != .unknown || forwarded.isHarmless, let bytes = forwarded.line,
            downstream.config.retry.repeats(after: history.attempts, delivery, isHarmless: true), now < deadline,
            let message = try? Message(scanning: bytes)
        else { return nil }
        return WaitingCall(message, forwarded.request, forwarded.purpose, history, deadline: deadline)
    }

    // MARK: Outcomes that are not known

    /// Answers a request that was sent, and whose outcome nobody knows.
    /// - Parameter what: a sentence, with the server's name.
    func failUnanswered(_ forwarded: ForwardedRequest, of downstream: Downstream, attempts: Int = 1, _ what: String) {
        let history = forwarded.history.failed(attempts: attempts, sent: forwarded.sent)
        let times = history.sendings > 1 ? "\(history.sendings) times, the last time " : ""
        let ago = forwarded.sent.duration(to: now).text
        fail(
            forwarded.request, forwarded.purpose, .outcomeUnknown,
            "\(what) It was sent \(times)\(ago) ago, and whether it had effects is not known; check before you repeat it.",
            history: history, of: downstream)
    }

    /// What is known of a request, for programs.
    func deliveryReport(_ history: CallHistory, at downstream: Downstream) -> ByteBuffer {
        JSONWriter.object { report in
            report.member("server", downstream.key)
            report.member("attempts", history.attempts)
            guard let sent = history.lastSent else { return report.member("sent", json: "false") }
            let ago = sent.duration(to: now).clampedNanoseconds
            report.member("sent", json: "true")
            let date = Date(timeIntervalSince1970: Double(surroundings.wallClock()) - Double(ago) / 1e9)
            report.member("sentAt", date.formatted(.iso8601))
            report.member("sentAgo_ms", Int(ago / 1_000_000))
        }
    }
}
