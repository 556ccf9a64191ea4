/// A point on the event loop's clock, handed to the machines below `Aggregation`: they never read a clock themselves.
package struct Instant: Hashable, Comparable, Sendable {
    /// Since an origin that only the clock knows. 64 bits of nanoseconds last for 292 years.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Stops at the end of time instead of overflowing: a configured duration may be absurd.
    package func advanced(by duration: Duration) -> Self {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return Self(nanoseconds: overflow ? .max : sum)
    }

    package func duration(to other: Self) -> Duration { .nanoseconds(other.nanoseconds &- nanoseconds) }
}

extension Duration {
    /// Whole nanoseconds, at most those of 292 years.
    package var clampedNanoseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000) }
}
