import Lifecycle
import Resilience
import TestSupport
import Testing

@Suite("The life of a downstream")
struct DownstreamLifeTests {
    typealias State = DownstreamLife.State

    /// Doubles from a second on, without chance, so that every delay is known.
    private static let backoff = Backoff(base: .seconds(1), cap: .seconds(8), multiplier: 2, jitter: 0)
    private static let now = Instant(nanoseconds: 1_000_000_000_000)

    enum Event: CaseIterable, Sendable { case launch, becameReady, lost, failedForGood, retry, rest, stop }

    /// Lives in every state, each reached by events alone.
    private static func life(in state: State) throws -> DownstreamLife {
        var life = DownstreamLife(backoff: backoff)
        var random = SeededGenerator(seed: 1)
        switch state {
        case .idle: break
        case .resting: life.rest()
        case .starting(let attempt):
            for number in 1...attempt {
                _ = life.launch()
                if number < attempt { _ = life.lost(now: now, using: &random) }
            }
        case .ready(let attempt, let since):
            life = try self.life(in: .starting(attempt: attempt))
            life.becameReady(now: since)
        case .backingOff(let attempt, _):
            life = try self.life(in: .starting(attempt: attempt))
            _ = life.lost(now: now, using: &random)
        case .failed: life.failedForGood()
        case .stopped: life.stop()
        }
        try #require(life.state == state)
        return life
    }

    private static let starting = State.starting(attempt: 2)
    private static let ready = State.ready(attempt: 2, since: now)
    private static let backingOff = State.backingOff(attempt: 2, until: now.advanced(by: .seconds(2)))

    @Test(
        "every event in every state leads where the picture says",
        arguments: [
            // Launched, ready, lost, failed for good, retried, put to rest, stopped: the state after each of them.
            (.idle, [.starting(attempt: 1), .idle, .idle, .failed, .idle, .resting, .stopped]),
            (.resting, [.starting(attempt: 1), .resting, .resting, .failed, .resting, .resting, .stopped]),
            (starting, [starting, ready, backingOff, .failed, starting, starting, .stopped]),
            (ready, [ready, ready, backingOff, .failed, ready, .resting, .stopped]),
            (backingOff, [.starting(attempt: 3), backingOff, backingOff, .failed, backingOff, .resting, .stopped]),
            (.failed, [.failed, .failed, .failed, .failed, .idle, .failed, .stopped]),
            (.stopped, [.stopped, .stopped, .stopped, .stopped, .stopped, .stopped, .stopped]),
        ] as [(State, [State])])
    func transitions(from state: State, to expected: [State]) throws {
        for (event, next) in zip(Event.allCases, expected) {
            var life = try Self.life(in: state)
            var random = SeededGenerator(seed: 1)
            switch event {
            case .launch:
                let launches = life.launch()
                #expect(launches == (next != state), "launch")
            case .becameReady: life.becameReady(now: Self.now)
            case .lost:
                let delay = life.lost(now: Self.now, using: &random)
                #expect(delay == (next == state ? nil : .seconds(2)), "lost")
            case .failedForGood: life.failedForGood()
            case .retry:
                let retries = life.retry()
                #expect(retries == (next != state), "retry")
            case .rest: life.rest()
            case .stop: life.stop()
            }
            #expect(life.state == next, "\(event)")
            let isReady = if case .ready = next { true } else { false }
            #expect(life.isReady == isReady, "\(event)")
        }
    }

    @Test(
        "a first list waits for those that were never heard of, and for no others",
        arguments: [
            (.idle, false), (.resting, true), (.starting(attempt: 1), false), (.starting(attempt: 2), true), (ready, true),
            (backingOff, true),
            (.failed, true), (.stopped, true),
        ] as [(State, Bool)])
    func settled(state: State, isSettled: Bool) throws { #expect(try Self.life(in: state).isSettled == isSettled) }

    @Test("the delays of a server that never gets ready grow up to the cap")
    func refusals() throws {
        var life = DownstreamLife(backoff: Self.backoff)
        var random = SeededGenerator(seed: 1)
        var now = Self.now
        for seconds in [1, 2, 4, 8, 8, 8] {
            let launches = life.launch()
            #expect(launches)
            let delay = try #require(life.lost(now: now, using: &random))
            #expect(delay == .seconds(seconds))
            now = now.advanced(by: delay)
            if case .backingOff(_, let until) = life.state { #expect(until == now) } else { Issue.record("\(life.state)") }
        }
    }

    @Test("so do those of one that is ready for a moment each time, until it has been ready for long enough")
    func crashLoop() throws {
        var life = DownstreamLife(backoff: Self.backoff)
        var random = SeededGenerator(seed: 1)
        var now = Self.now
        let stable = DownstreamLife.stableAfter
        let short = stable - .nanoseconds(1)
        for (uptime, seconds) in [(short, 1), (.zero, 2), (short, 4), (stable, 1), (short, 2), (.seconds(86_400), 1), (.zero, 2)] {
            let launches = life.launch()
            #expect(launches)
            life.becameReady(now: now)
            now = now.advanced(by: uptime)
            let delay = try #require(life.lost(now: now, using: &random))
            #expect(delay == .seconds(seconds), "up for \(uptime)")
            now = now.advanced(by: delay)
        }
    }

    @Test("one that failed for good begins anew when it may be tried again")
    func begunAnew() throws {
        var life = try Self.life(in: .starting(attempt: 4))
        life.failedForGood()
        let answers = [life.launch(), life.retry(), life.launch()]
        #expect(answers == [false, true, true])
        #expect(life.state == .starting(attempt: 1))
    }
}

@Suite("Ending a child")
struct TeardownTests {
    /// All steps still to come, each with its wait in milliseconds, the last one with none.
    private func steps(_ teardown: inout Teardown) -> [String] {
        var steps: [String] = []
        while let (step, wait) = teardown.advance() { steps.append("\(step) \(wait.map { "\($0)" } ?? "")") }
        return steps
    }

    @Test(
        "its input is closed, then it is asked to end, then made to; each step once",
        arguments: [
            (Teardown.Pace.patient, ["closeInput 2.0 seconds", "terminate 2.0 seconds", "kill "]),
            (.hurried, ["closeInput 0.4 seconds", "terminate 0.6 seconds", "kill "]),
            (.init(closeInput: .zero, terminate: .seconds(7)), ["closeInput 0.0 seconds", "terminate 7.0 seconds", "kill "]),
        ])
    func steps(pace: Teardown.Pace, expected: [String]) {
        var teardown = Teardown(pace: pace)
        #expect(steps(&teardown) == expected)
        #expect(teardown.advance() == nil)
    }

    @Test("a hurry shortens what is to come, and repeats nothing")
    func hurry() {
        var teardown = Teardown(pace: .patient)
        #expect(teardown.advance()?.step == .closeInput)
        teardown.hurry()
        #expect(steps(&teardown) == ["terminate 0.6 seconds", "kill "])
        teardown.hurry()
        #expect(teardown.advance() == nil)
    }
}
