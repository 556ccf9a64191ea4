import Resilience

/// What keeps one bad server from hurting the others: see `Resilience` for what the values mean.
extension ServerValidation {
    static let attemptsRange = 1...20
    static let multiplierRange = 1.0...10.0
    static let failuresRange = 1...1000
    static let rateRange = 1...1_000_000

    func readPolicies(_ fields: inout Fields, _ config: inout ServerConfig) {
        readRetry(&fields, &config.retry)
        readCircuitBreaker(&fields, &config.circuitBreaker)
        config.rateLimit = rateLimit(&fields)
        config.maxConcurrentCalls = fields.integer("maxConcurrentCalls", in: Self.maxConcurrentCallsRange) ?? config.maxConcurrentCalls
        readHealthCheck(&fields, &config.healthCheck)
    }

    private func readRetry(_ fields: inout Fields, _ retry: inout RetryPolicy) {
        guard let node = fields.node("retry") else { return }
        if node.content == .boolean(false) {
            retry.attempts = 1
            return
        }
        guard var inner = Fields(node, "'retry' in \(fields.owner)", findings) else { return }
        retry.attempts = inner.integer("attempts", in: Self.attemptsRange) ?? retry.attempts
        let delayPlace = inner.node("delay")?.location
        let maxDelayPlace = inner.node("maxDelay")?.location
        let (delay, maxDelay) = (inner.duration("delay", atLeast: .zero), inner.duration("maxDelay", atLeast: .zero))
        retry.backoff.base = delay ?? retry.backoff.base
        retry.backoff.cap = maxDelay ?? max(retry.backoff.cap, retry.backoff.base)
        if maxDelay != nil, retry.backoff.cap < retry.backoff.base {
            if delay == nil {
                retry.backoff.base = retry.backoff.cap  // a small cap alone means small delays
            } else if let place = [delayPlace, maxDelayPlace].compactMap({ $0 }).max() {
                findings.add(
                    .conflictingKeys, at: place, "'maxDelay' in \(inner.owner) is shorter than 'delay'",
                    hint: "the first delay is 'delay', the longest 'maxDelay'")
            }
        }
        retry.backoff.multiplier = inner.number("multiplier", in: Self.multiplierRange) ?? retry.backoff.multiplier
        retry.backoff.jitter = inner.number("jitter", in: 0...1) ?? retry.backoff.jitter
        retry.replay = inner.choice("replay", RetryPolicy.Replay.self) ?? retry.replay
        inner.finish()
    }

    private func readCircuitBreaker(_ fields: inout Fields, _ policy: inout CircuitBreakerPolicy) {
        guard let node = fields.node("circuitBreaker"), var inner = Fields(node, "'circuitBreaker' in \(fields.owner)", findings) else {
            return
        }
        policy.failures = inner.integer("failures", in: Self.failuresRange) ?? policy.failures
        policy.reset = inner.duration("reset") ?? policy.reset
        inner.finish()
    }

    private func rateLimit(_ fields: inout Fields) -> RateLimit? {
        // `false` takes back a default.
        guard let node = fields.node("rateLimit"), node.content != .boolean(false) else { return nil }
        guard var inner = Fields(node, "'rateLimit' in \(fields.owner)", findings) else { return nil }
        let calls = inner.integer("calls", in: Self.rateRange)
        let per = inner.duration("per") ?? .seconds(60)
        if !inner.has("calls") {
            findings.add(
                .invalidValue, at: node.location, "\(inner.owner) does not say how many calls",
                hint: "write rateLimit: { calls: 60, per: 1m }")
        }
        inner.finish()
        return calls.map { RateLimit(calls: $0, per: per) }
    }

    private func readHealthCheck(_ fields: inout Fields, _ policy: inout HealthCheckPolicy?) {
        guard let node = fields.node("healthCheck"), node.content != .boolean(true) else { return }
        if node.content == .boolean(false) {
            policy = nil
            return
        }
        guard var inner = Fields(node, "'healthCheck' in \(fields.owner)", findings) else { return }
        var check = HealthCheckPolicy()
        check.every = inner.duration("every", atLeast: .seconds(1)) ?? check.every
        check.timeout = inner.duration("timeout") ?? check.timeout
        if let methods = inner.strings("methods"), let place = inner.node("methods")?.location {
            check.methods = methods.compactMap { inner.choice($0.text, $0.node, "methods") }
            if methods.isEmpty {
                findings.add(
                    .invalidValue, at: place, "'methods' in \(inner.owner) is empty", hint: "write healthCheck: false for no checks")
            }
            if let skip = check.methods.firstIndex(of: .skip), skip != check.methods.count - 1 {
                findings.add(.invalidValue, at: place, "'skip' in \(inner.owner) must be the last method: it ends the chain")
            }
        }
        inner.finish()
        policy = check
    }
}
