package import Resilience

/// What has been tried so far for a request that is not answered.
package struct CallHistory: Hashable, Sendable {
    /// When the host asked for it.
    package var began: Instant
    /// Attempts that came to nothing; launches of its server that failed while it waited are such, too.
    package var attempts = 0
    /// How often it was sent so that it may have been carried out, and when the last time.
    package var sendings = 0
    package var lastSent: Instant?

    package init(began: Instant) { self.began = began }

    /// With one more that came to nothing.
    /// - Parameters:
    ///   - attempts: as many as that: a transport may have tried several times by itself.
    ///   - sent: when, if it may have been carried out.
    package func failed(attempts: Int = 1, sent: Instant? = nil) -> Self {
        var history = self
        history.attempts += attempts
        guard let sent else { return history }
        history.sendings += 1
        history.lastSent = sent
        return history
    }
}
