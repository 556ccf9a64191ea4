/// So much in each stretch of time, and no more: at once if nothing came for so long, else evenly.
///
/// What is used up comes back piece by piece. If it came back at once, a flood would get through in bursts, and whoever is in its way
/// would wait for each of them.
package struct Allowance: Hashable, Sendable {
    package let limit: Int
    package let stretch: Duration
    /// When all of it will have come back.
    private var whole: Instant?

    package init(_ limit: Int, per stretch: Duration) {
        self.limit = limit
        self.stretch = stretch
    }

    /// - Returns: whether there is one left.
    package mutating func take(now: Instant) -> Bool {
        let piece = stretch / limit
        let next = max(whole ?? now, now).advanced(by: piece)
        guard now.duration(to: next) <= stretch else { return false }
        whole = next
        return true
    }
}
