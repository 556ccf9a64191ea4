/// So much in each stretch of time, and no more: at once if nothing came for so long, else evenly.
///
/// What is used up comes back piece by piece. If it came back at once, a flood would get through in bursts, and whoever is in its way
/// would wait for each of them.
package struct Allowance: Hashable, Sendable {
    /// In nanoseconds, worked out once: a flood asks a hundred thousand times a second.
    private let piece: Int64
    private let stretch: Int64
    /// When all of it will have come back.
    private var whole = Int64.min

    package init(_ limit: Int, per stretch: Duration) {
        self.stretch = stretch.clampedNanoseconds
        piece = self.stretch / Int64(max(1, limit))
    }

    /// - Returns: whether there is one left.
    package mutating func take(now: Instant) -> Bool {
        let (next, isBeyondTime) = max(whole, now.nanoseconds).addingReportingOverflow(piece)
        guard !isBeyondTime, next - now.nanoseconds <= stretch else { return false }
        whole = next
        return true
    }
}
