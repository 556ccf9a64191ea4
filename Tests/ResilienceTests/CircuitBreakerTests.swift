import Resilience
import Testing

@Suite("A circuit breaker")
struct CircuitBreakerTests {
    let policy = CircuitBreakerPolicy(failures: 3, reset: .seconds(30))

    func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test("opens with the failure that is one too many, and not before")
    func opens() {
        var breaker = CircuitBreaker()
        let outcomes = [0, 1, 2].map { breaker.failed(now: at($0), policy) }
        #expect(outcomes == [false, false, true])
        #expect(breaker.state == .open(until: at(32)) && breaker.openings == 1)
        #expect(breaker.wait(now: at(12)) == .seconds(20) && breaker.wait(now: at(32)) == nil)
    }

    @Test("counts what was lost all at once as one failure")
    func lostTogether() {
        var breaker = CircuitBreaker()
        let outcomes = (0..<64).map { _ in breaker.failed(sent: at(1), now: at(5), policy) }
        #expect(!outcomes.contains(true) && breaker.failuresInARow == 1)
        _ = breaker.failed(sent: at(6), now: at(7), policy)
        #expect(breaker.failuresInARow == 2)
    }

    @Test("counts failures in a row: an answer between them begins anew")
    func inARow() {
        var breaker = CircuitBreaker()
        for second in 0..<10 {
            _ = breaker.failed(now: at(Int64(second)), policy)
            if second % 2 == 1 { breaker.succeeded() }
        }
        #expect(breaker.state == .closed)
    }

    @Test("is not kept open longer by what was sent before it opened")
    func lateFailures() {
        var breaker = CircuitBreaker()
        for second in [0, 0, 0, 20, 25] as [Int64] { _ = breaker.failed(now: at(second), policy) }
        #expect(breaker.state == .open(until: at(30)) && breaker.openings == 1)
    }

    @Test("half open, one failure opens it again, and one answer closes it")
    func halfOpen() {
        var breaker = CircuitBreaker()
        for _ in 0..<3 { _ = breaker.failed(now: at(0), policy) }
        breaker.tryAgain()
        #expect(breaker.state == .halfOpen && breaker.wait(now: at(0)) == nil)
        _ = breaker.failed(now: at(31), policy)
        #expect(breaker.state == .open(until: at(61)) && breaker.openings == 2)
        breaker.tryAgain()
        breaker.succeeded()
        #expect(breaker.state == .closed && breaker.failuresInARow == 0)
        _ = breaker.failed(now: at(62), policy)
        #expect(breaker.state == .closed)
    }

    @Test("that is closed has nothing to try again")
    func closed() {
        var breaker = CircuitBreaker()
        breaker.tryAgain()
        #expect(breaker.state == .closed)
    }
}

@Suite("A sliding window")
struct SlidingWindowTests {
    let limit = RateLimit(calls: 3, per: .seconds(10))

    func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test("lets as much through in any stretch of time as the limit says")
    func anyStretch() {
        var window = SlidingWindow()
        var passed: [Int64] = []
        for second in 0..<100 as Range<Int64> {
            guard window.wait(now: at(second), limit) == nil else { continue }
            window.add(at(second), limit)
            passed.append(second)
        }
        #expect(passed.prefix(7) == [0, 1, 2, 10, 11, 12, 20])
        for start in passed { #expect(passed.count { (start..<start + 10).contains($0) } <= 3) }
    }

    @Test("says exactly how long to wait")
    func wait() {
        var window = SlidingWindow()
        for second in [0, 4, 6] as [Int64] { window.add(at(second), limit) }
        let (early, due) = (window.wait(now: at(7), limit), window.wait(now: at(10), limit))
        #expect(early == .seconds(3) && due == nil)
    }

    @Test("obeys a limit that has become smaller")
    func smaller() {
        var window = SlidingWindow()
        for second in [0, 4, 6] as [Int64] { window.add(at(second), limit) }
        let wait = window.wait(now: at(7), RateLimit(calls: 1, per: .seconds(10)))
        #expect(wait == .seconds(9))
    }
}

@Suite("The decision to repeat")
struct RetryDecisionTests {
    @Test("is the table of what is known", arguments: [Delivery.notSent, .refused, .unknown], RetryPolicy.Replay.allCases)
    func table(delivery: Delivery, replay: RetryPolicy.Replay) {
        let policy = RetryPolicy(attempts: 3, replay: replay)
        for isHarmless in [true, false] {
            let expected = delivery != .unknown || replay == .always || replay == .safe && isHarmless
            #expect(policy.repeats(after: 1, delivery, isHarmless: isHarmless) == expected)
            #expect(policy.repeats(after: 2, delivery, isHarmless: isHarmless) == expected)
            #expect(!policy.repeats(after: 3, delivery, isHarmless: isHarmless))
        }
    }
}
