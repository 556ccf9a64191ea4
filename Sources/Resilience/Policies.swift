/// When and how often a call is sent again (DESIGN, D7).
package struct RetryPolicy: Hashable, Sendable {
    package enum Replay: String, CaseIterable, Sendable {
        /// A call that was sent and not answered is repeated only if its tool is annotated as read-only or idempotent.
        case safe
        /// The person vouches that every tool of this server may run twice.
        case always
        /// Nothing that was sent is ever sent again.
        case never
    }

    /// Attempts in all, the first one included; 1 means no retry.
    package var attempts: Int
    package var backoff: Backoff
    package var replay: Replay

    package init(
        attempts: Int = 3,
        backoff: Backoff = Backoff(base: .milliseconds(500), cap: .seconds(30), multiplier: 2, jitter: 0.25),
        replay: Replay = .safe
    ) {
        self.attempts = attempts
        self.backoff = backoff
        self.replay = replay
    }
}

/// When calls to a downstream fail fast instead of being sent (DESIGN, D8).
package struct CircuitBreakerPolicy: Hashable, Sendable {
    /// Failures in a row that open the circuit.
    package var failures: Int
    /// How long it stays open before a call may probe the downstream again.
    package var reset: Duration

    package init(failures: Int = 5, reset: Duration = .seconds(30)) {
        self.failures = failures
        self.reset = reset
    }
}

/// How many calls may be sent in a sliding window of time.
package struct RateLimit: Hashable, Sendable {
    package var calls: Int
    package var per: Duration

    package init(calls: Int, per: Duration) {
        self.calls = calls
        self.per = per
    }
}

/// How an idle connection is checked.
package struct HealthCheckPolicy: Hashable, Sendable {
    package enum Method: String, CaseIterable, Sendable {
        case ping
        case toolsList = "tools/list"
        case promptsList = "prompts/list"
        case resourcesList = "resources/list"
        /// Ends the chain: a server that answered none of the methods before it is taken as healthy.
        case skip
    }

    package var every: Duration
    /// Tried in order until one is answered.
    package var methods: [Method]
    package var timeout: Duration

    package init(every: Duration = .seconds(60), methods: [Method] = [.ping, .skip], timeout: Duration = .seconds(5)) {
        self.every = every
        self.methods = methods
        self.timeout = timeout
    }
}
