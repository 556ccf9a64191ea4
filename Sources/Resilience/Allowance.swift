/// So much in each stretch of time, and no more. A stretch begins with the first that comes after the end of the one before.
package struct Allowance: Hashable, Sendable {
    package let limit: Int
    package let stretch: Duration
    private var begin: Instant?
    private var count = 0

    package init(_ limit: Int, per stretch: Duration) {
        self.limit = limit
        self.stretch = stretch
    }

    /// - Returns: whether there is one left.
    package mutating func take(now: Instant) -> Bool {
        if begin.map({ $0.duration(to: now) >= stretch }) ?? true { (begin, count) = (now, 0) }
        count += 1
        return count <= limit
    }
}
