package import Resilience

/// What is to be done when a stream of events ends (MCP 2025-11-25, basic/transports, "Resumability and Redelivery").
///
/// A value: it waits for nothing itself.
package struct Resumption: Sendable {
    package enum Step: Hashable, Sendable {
        /// Ask for the stream again after this time, from ``lastEventID`` on.
        case connect(after: Duration)
        /// It does not come back.
        case lost
    }

    private let backoff: Backoff
    /// Attempts in a row that may bring nothing; `nil` for any number.
    private let limit: Int?
    /// The id of the last event; a stream without any cannot be gone on with.
    package private(set) var lastEventID: String?
    private var retry: Duration?
    private var failures = 0

    package init(limit: Int?, backoff: Backoff = Backoff(base: .milliseconds(250), cap: .seconds(30))) {
        self.limit = limit
        self.backoff = backoff
    }

    /// Something came.
    /// - Parameter isEvent: it was more than a comment, or an id that was known.
    package mutating func received(lastEventID: String?, retry: Duration?, isEvent: Bool) {
        if isEvent || lastEventID != self.lastEventID { failures = 0 }
        if let lastEventID { self.lastEventID = lastEventID }
        if let retry { self.retry = min(retry, HTTPLimits.longestRetry) }
    }

    /// The stream has ended, or could not be opened.
    package mutating func ended(using random: inout some RandomNumberGenerator) -> Step {
        failures += 1
        if let limit, failures > limit || lastEventID == nil { return .lost }
        let delay = backoff.delay(after: failures, using: &random)
        // What the server asks for is the least (2025-11-25: MUST); one that goes on failing gets more time.
        guard let retry else { return .connect(after: delay) }
        return .connect(after: failures > 1 ? max(retry, delay) : retry)
    }
}
