package import Resilience

/// Whether a downstream runs, and when it is started again.
package struct DownstreamLife: Sendable {
    /// A server that was ready for this long has proved that it works: earlier failures no longer count against it. One that
    /// crashes sooner is in a crash loop, and its delays grow.
    package static let stableAfter = Duration.seconds(10)

    package enum State: Hashable, Sendable {
        /// Not launched yet; can go to starting, resting, stopped.
        case idle
        /// Nothing runs, because nobody needs it, and what it offers is known; can go to starting, stopped.
        case resting
        /// Launched, not ready; can go to ready, backingOff, failed, stopped.
        case starting(attempt: Int)
        /// Calls may be sent; can go to starting, resting, backingOff, stopped.
        case ready(attempt: Int, since: Instant)
        /// Nothing runs, or what ran is being ended; launched again at `until`. Can go to starting, resting, stopped.
        case backingOff(attempt: Int, until: Instant)
        /// No attempt can succeed before the person changes something; can go to idle, stopped.
        case failed
        /// Removed from the config, or we are ending; final.
        case stopped
    }

    package private(set) var state = State.idle
    private let backoff: Backoff

    package init(backoff: Backoff = Backoff()) { self.backoff = backoff }

    /// Nothing more is to be waited for before a first list can be answered: it is ready, or has failed at least once.
    package var isSettled: Bool {
        switch state {
        case .idle: false
        case .starting(let attempt): attempt > 1
        case .resting, .ready, .backingOff, .failed, .stopped: true
        }
    }

    package var isReady: Bool {
        if case .ready = state { true } else { false }
    }

    /// - Returns: whether to launch now.
    package mutating func launch() -> Bool {
        switch state {
        case .idle, .resting: state = .starting(attempt: 1)
        case .backingOff(let attempt, _): state = .starting(attempt: attempt + 1)
        case .starting, .ready, .failed, .stopped: return false
        }
        return true
    }

    /// It ended for a reason that does not count against it: ``launch()`` may be called at once.
    package mutating func launchAgain() {
        if case .starting(let attempt) = state {
            state = attempt == 1 ? .idle : .backingOff(attempt: attempt - 1, until: Instant(nanoseconds: .min))
        }
    }

    /// It runs on, but has to be got to know again: meanwhile calls wait.
    package mutating func begins() {
        if case .ready(let attempt, _) = state { state = .starting(attempt: attempt + 1) }
    }

    package var isResting: Bool { state == .resting }

    package mutating func becameReady(now: Instant) {
        guard case .starting(let attempt) = state else { return }
        state = .ready(attempt: attempt, since: now)
    }

    /// Nobody needs it: what may run of it is ended, and ``launch()`` is called when somebody does.
    package mutating func rest() {
        switch state {
        case .idle, .ready, .backingOff: state = .resting
        case .starting, .resting, .failed, .stopped: break
        }
    }

    /// The connection is over, or never came about.
    /// - Parameter least: what the server wants us to wait at least.
    /// - Returns: how long to wait before the next launch; `nil` if there is nothing to launch.
    package mutating func lost(
        now: Instant, least: Duration = .zero, using random: inout some RandomNumberGenerator
    ) -> Duration? {
        let failures: Int
        switch state {
        case .starting(let attempt): failures = attempt
        case .ready(let attempt, let since): failures = since.duration(to: now) >= Self.stableAfter ? 1 : attempt
        case .idle, .resting, .backingOff, .failed, .stopped: return nil
        }
        let delay = max(backoff.delay(after: failures, using: &random), least)
        state = .backingOff(attempt: failures, until: now.advanced(by: delay))
        return delay
    }

    /// Trying again is pointless until the person changes something.
    package mutating func failedForGood() {
        if state != .stopped { state = .failed }
    }

    /// The person may have changed something.
    /// - Returns: whether it can be launched again.
    package mutating func retry() -> Bool {
        guard state == .failed else { return false }
        state = .idle
        return true
    }

    /// It need not wait any longer: somebody wants it now.
    package mutating func hurry(now: Instant) {
        if case .backingOff(let attempt, _) = state { state = .backingOff(attempt: attempt, until: now) }
    }

    /// What it did so far does not count against it any more.
    package mutating func forgive() {
        switch state {
        case .backingOff(_, let until): state = .backingOff(attempt: 0, until: until)
        case .starting: state = .starting(attempt: 1)
        case .ready(_, let since): state = .ready(attempt: 1, since: since)
        case .idle, .resting, .failed, .stopped: break
        }
    }

    /// Launches in a row that came to nothing, or ended soon after.
    package var failures: Int {
        switch state {
        case .backingOff(let attempt, _): attempt
        case .starting(let attempt): attempt - 1
        case .ready(let attempt, _): attempt - 1
        case .idle, .resting, .failed, .stopped: 0
        }
    }

    package mutating func stop() { state = .stopped }
}
