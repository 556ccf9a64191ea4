import DequeModule

/// Counts what happened within the last stretch of time, exactly: no two windows that meet let twice as much through.
package struct SlidingWindow: Sendable {
    /// The oldest first; never more than the limit it was last asked about.
    private var events: Deque<Instant> = []

    package init() {}

    /// How long to wait before one more may happen; `nil` if it may now.
    package mutating func wait(now: Instant, _ limit: RateLimit) -> Duration? {
        while let first = events.first, first.advanced(by: limit.per) <= now { events.removeFirst() }
        guard events.count >= limit.calls else { return nil }
        // The limit may have become smaller: enough of them have to be over.
        return now.duration(to: events[events.count - limit.calls].advanced(by: limit.per))
    }

    package mutating func add(_ event: Instant, _ limit: RateLimit) {
        events.append(event)
        // What is under way already passes without a question.
        while events.count > limit.calls { events.removeFirst() }
    }
}
