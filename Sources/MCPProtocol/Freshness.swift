/// How long a list or a resource may be taken for granted, and by whom (2026-07-28, basic/utilities/caching).
package struct Freshness: Hashable, Sendable {
    /// Milliseconds.
    package var timeToLive: Int
    /// It is the same for everybody: `cacheScope` is "public".
    package var isPublic: Bool

    package init(timeToLive: Int, isPublic: Bool) {
        self.timeToLive = timeToLive
        self.isPublic = isPublic
    }

    /// Of what says nothing of it, the whole handshake era for one.
    package static let none = Freshness(timeToLive: 0, isPublic: false)
    /// Of nothing at all: merged with anything it gives the other.
    package static let whole = Freshness(timeToLive: .max, isPublic: true)

    /// Of two things together.
    package func merged(with other: Freshness) -> Freshness {
        Freshness(timeToLive: min(timeToLive, other.timeToLive), isPublic: isPublic && other.isPublic)
    }
}
