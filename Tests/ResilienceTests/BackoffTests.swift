import Resilience
import TestSupport
import Testing

@Suite("Back-off")
struct BackoffTests {
    private func delay(_ backoff: Backoff, after attempt: Int, seed: UInt64 = 1) -> Duration {
        var random = SeededGenerator(seed: seed)
        return backoff.delay(after: attempt, using: &random)
    }

    @Test(
        "doubles up to the cap",
        arguments: [
            (1, 250), (2, 500), (3, 1_000), (4, 2_000), (5, 4_000), (6, 8_000), (7, 16_000), (8, 30_000), (9, 30_000), (100_000, 30_000),
            (Int.max, 30_000),
            // No attempt has failed yet: as after the first.
            (0, 250), (-1, 250), (Int.min, 250),
        ])
    func doubles(attempt: Int, milliseconds: Int) { #expect(delay(Backoff(jitter: 0), after: attempt) == .milliseconds(milliseconds)) }

    @Test(
        "goes by its settings",
        arguments: [
            (
                Backoff(base: .seconds(1), cap: .seconds(100), multiplier: 3, jitter: 0),
                [1_000, 3_000, 9_000, 27_000, 81_000, 100_000, 100_000]
            ),
            (Backoff(base: .seconds(1), cap: .seconds(9), multiplier: 1.5, jitter: 0), [1_000, 1_500, 2_250, 3_375]),
            // Always the same, however often.
            (Backoff(base: .seconds(1), cap: .seconds(9), multiplier: 1, jitter: 0), [1_000, 1_000, 1_000]),
            (Backoff(base: .seconds(9), cap: .seconds(2), multiplier: 2, jitter: 0), [2_000, 2_000]),
            (Backoff(base: .seconds(2), cap: .seconds(2), multiplier: 2, jitter: 0), [2_000, 2_000]),
            (Backoff(base: .zero, cap: .seconds(2), multiplier: 2, jitter: 0), [0, 0, 0]),
        ])
    func settings(backoff: Backoff, milliseconds: [Int]) {
        #expect((1...milliseconds.count).map { delay(backoff, after: $0) } == milliseconds.map { .milliseconds($0) })
    }

    @Test("has an end for an attempt of any number", arguments: [Backoff(base: .zero), Backoff(multiplier: 1), Backoff(multiplier: 1.01)])
    func absurd(backoff: Backoff) {
        for attempt in [1_000_000, Int.max] {
            #expect(delay(backoff, after: attempt) <= .seconds(33))
        }
    }

    @Test("stays within the jitter, and uses all of it", arguments: [0.1, 0.25, 1])
    func jitter(jitter: Double) {
        let backoff = Backoff(base: .seconds(10), cap: .seconds(1_000), jitter: jitter)
        var random = SeededGenerator(seed: 42)
        let delays = (0..<2_000).map { _ in backoff.delay(after: 2, using: &random) / .seconds(20) }
        #expect(delays.allSatisfy { $0 >= 1 - jitter - 1e-9 && $0 <= 1 + jitter + 1e-9 })
        #expect((delays.min() ?? 1) < 1 - jitter * 0.95 && (delays.max() ?? 1) > 1 + jitter * 0.95)
        let mean = delays.reduce(0, +) / Double(delays.count)
        #expect(abs(mean - 1) < jitter * 0.1)
    }

    @Test("is the same for the same chance, and only for that")
    func seeded() {
        #expect(delay(Backoff(), after: 3, seed: 5) == delay(Backoff(), after: 3, seed: 5))
        #expect(delay(Backoff(), after: 3, seed: 5) != delay(Backoff(), after: 3, seed: 6))
    }
}
