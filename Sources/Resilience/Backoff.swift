/// Delay before something is tried again: `min(base · multiplier^(attempt - 1), cap)`, then varied by ± `jitter`.
///
/// By default about 250 ms, 500 ms, 1 s, 2 s, 4 s, 8 s, 16 s, and 30 s from attempt 8 on.
package struct Backoff: Hashable, Sendable {
    package var base: Duration
    package var cap: Duration
    /// At least 1.
    package var multiplier: Double
    /// Largest deviation as a share of the delay, 0 to 1.
    package var jitter: Double

    package init(base: Duration = .milliseconds(250), cap: Duration = .seconds(30), multiplier: Double = 2, jitter: Double = 0.1) {
        self.base = base
        self.cap = cap
        self.multiplier = multiplier
        self.jitter = jitter
    }

    /// - Parameter attempt: the attempt that just failed, counted from 1.
    package func delay(after attempt: Int, using random: inout some RandomNumberGenerator) -> Duration {
        var delay = min(base, cap)
        if multiplier > 1, delay > .zero {
            // Multiplied step by step: a power would overflow for a server that stays away for days.
            var step = 1
            while step < attempt, delay < cap {
                delay = delay * multiplier
                step += 1
            }
        }
        return min(delay, cap) * Double.random(in: (1 - jitter)...(1 + jitter), using: &random)
    }
}
