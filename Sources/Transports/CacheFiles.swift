package import NIOCore

/// Why a file of the cache cannot be used, or not be written. Nothing depends on it: what it would have told is found out anew.
package struct CacheProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// Completes "it …".
    package let description: String
    /// It is about what was to be written: another try would end the same.
    package let isForGood: Bool

    package init(_ description: String, isForGood: Bool = false) {
        self.description = description
        self.isForGood = isForGood
    }
}

/// Files of which any may be gone at any time, and that other processes may replace at any time.
package protocol CacheFiles: Sendable {
    /// - Returns: `nil` if there is no such file.
    func read(_ name: String, limit: Int) throws(CacheProblem) -> ByteBuffer?

    /// Makes or replaces a file, as a whole: whoever reads it meanwhile gets what there was before.
    /// - Parameters:
    ///   - temporary: a name that nobody else uses.
    ///   - replaces: else one that is there already stays as it is.
    func write(_ name: String, _ bytes: ByteBuffer, by temporary: String, replaces: Bool) throws(CacheProblem)

    /// Removes a file, if it is there and can be removed.
    func remove(_ name: String)

    /// Removes what nobody has written for long, and the oldest of what is too much.
    /// - Parameters:
    ///   - suffix: of the names that count.
    ///   - now: seconds since 1970.
    func prune(_ suffix: String, keeping bounds: CacheBounds, now: Int64)
}

/// How much is kept, and for how long.
package struct CacheBounds: Hashable, Sendable {
    package var count: Int
    package var bytes: Int
    /// Seconds.
    package var age: Int64
    /// Of files that were never finished.
    package var temporaryAge: Int64

    package init(count: Int, bytes: Int, age: Int64, temporaryAge: Int64) {
        self.count = count
        self.bytes = bytes
        self.age = age
        self.temporaryAge = temporaryAge
    }
}
