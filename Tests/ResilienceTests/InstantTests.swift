import Resilience
import Testing

@Suite("Points in time")
struct InstantTests {
    @Test(
        "move by durations, and stop at the end of time",
        arguments: [
            (0, .nanoseconds(1), 1), (5, .zero, 5), (10, .seconds(2), 2_000_000_010), (10, .nanoseconds(-3), 7), (3, .nanoseconds(-10), -7),
            (0, Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999), 1),
            (.max, .nanoseconds(1), .max), (1, .nanoseconds(Int64.max), .max), (0, .nanoseconds(Int64.max), .max), (.max, .zero, .max),
            (0, .seconds(Int64.max), .max), (1_000, .seconds(Int64.max), .max), (-1, .seconds(Int64.max), .max - 1),
            (.max - 5, .nanoseconds(5), .max), (.max - 5, .nanoseconds(6), .max),
        ] as [(Int64, Duration, Int64)])
    func advanced(start: Int64, duration: Duration, end: Int64) {
        #expect(Instant(nanoseconds: start).advanced(by: duration) == Instant(nanoseconds: end))
    }

    @Test(
        "are as far apart as they were moved",
        arguments: [.zero, .nanoseconds(1), .seconds(1), .seconds(1_000_000_000), .nanoseconds(-5)] as [Duration])
    func distance(duration: Duration) {
        let start = Instant(nanoseconds: 123_456_789)
        #expect(start.duration(to: start.advanced(by: duration)) == duration)
    }

    @Test("are in order")
    func order() {
        let instants = [Int64.min, -1, 0, 1, .max].map { Instant(nanoseconds: $0) }
        #expect(instants.shuffledBackwards.sorted() == instants)
        #expect(!(instants[2] < instants[2]) && instants[1] < instants[2])
    }

    @Test(
        "count durations in whole nanoseconds, at most those of 292 years",
        arguments: [
            (.zero, 0), (.milliseconds(1), 1_000_000), (.seconds(-1), -1_000_000_000), (.milliseconds(-1_500), -1_500_000_000),
            (.nanoseconds(Int64.max), .max), (.nanoseconds(Int64.min), .min), (.seconds(9_223_372_036), 9_223_372_036_000_000_000),
            (.seconds(9_223_372_037), .max), (.seconds(-9_223_372_037), .min), (.seconds(Int64.max), .max), (.seconds(Int64.min), .min),
            (Duration(secondsComponent: 9_223_372_036, attosecondsComponent: 999_999_999_000_000_000), .max),
            (Duration(secondsComponent: -9_223_372_036, attosecondsComponent: -999_999_999_000_000_000), .min),
        ] as [(Duration, Int64)])
    func clamped(duration: Duration, nanoseconds: Int64) { #expect(duration.clampedNanoseconds == nanoseconds) }
}

extension [Instant] {
    fileprivate var shuffledBackwards: [Instant] { [self[3], self[0], self[4], self[2], self[1]] }
}
