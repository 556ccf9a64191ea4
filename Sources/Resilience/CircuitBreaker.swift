/// Whether calls go to a downstream at all, or fail at once because those before them did (DESIGN, D8).
package struct CircuitBreaker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Calls go through; can go to open.
        case closed
        /// None do before `until`; can go to halfOpen, closed.
        case open(until: Instant)
        /// One at a time may find out; can go to closed, open.
        case halfOpen
    }

    package private(set) var state = State.closed
    /// Since the last success.
    package private(set) var failuresInARow = 0
    private var lastFailure: Instant?
    /// How often it has opened.
    package private(set) var openings = 0

    package init() {}

    /// A downstream could not be reached, or was lost, or left a call without an answer. What a tool says is no failure.
    /// - Parameter sent: when what was lost was sent. What breaks many calls at once is one failure, not as many.
    /// - Returns: whether calls that wait for it are to be given up now.
    package mutating func failed(sent: Instant? = nil, now: Instant, _ policy: CircuitBreakerPolicy) -> Bool {
        if let sent, let lastFailure, sent <= lastFailure { return wait(now: now) != nil }
        lastFailure = now
        failuresInARow += 1
        switch state {
        case .closed where failuresInARow < policy.failures: return false
        // What was sent before it opened may still be failing.
        case .open: return true
        case .closed, .halfOpen:
            state = .open(until: now.advanced(by: policy.reset))
            openings += 1
            return true
        }
    }

    /// A call was answered, whatever the answer says.
    package mutating func succeeded() {
        state = .closed
        failuresInARow = 0
    }

    /// It has something that the failures so far may not have had: its time, or a new connection.
    package mutating func tryAgain() {
        if case .open = state { state = .halfOpen }
    }

    /// Everything so far is forgotten.
    package mutating func reset() { succeeded() }

    /// When a call may try again; `nil` if it may now.
    package func wait(now: Instant) -> Duration? {
        guard case .open(let until) = state, until > now else { return nil }
        return now.duration(to: until)
    }
}
