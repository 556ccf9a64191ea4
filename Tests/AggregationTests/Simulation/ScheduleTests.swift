import Foundation
import Lifecycle
import NIOCore
import NIOEmbedded
import Testing

@testable import Aggregation

/// What may never happen, whatever meets whatever: thousands of schedules of calls, faults and reloads, each in its own time.
///
/// `MCPAGG_SCHEDULES` says how many (`make schedules`), `MCPAGG_SCHEDULE` plays the one of this seed again and shows all of it. Tables of
/// the standard library are in another order in each run: `SWIFT_DETERMINISTIC_HASHING=1` makes one run exactly like another.
@Suite("Schedules of faults", .timeLimit(.minutes(60)))
struct ScheduleTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// As many as a test of every day has time for.
    private static let count = environment["MCPAGG_SCHEDULES"].flatMap(UInt64.init) ?? 500
    private static let first = environment["MCPAGG_SCHEDULE_FIRST"].flatMap(UInt64.init) ?? 1
    private static let shownFailures = 3

    struct Outcome: Sendable {
        let seed: UInt64
        let failures: [String]
        let trace: [String]
    }

    @Test("every request is answered once or cancelled, nothing runs twice, and nothing is left")
    func schedules() async throws {
        if let seed = Self.environment["MCPAGG_SCHEDULE"].flatMap(UInt64.init) {
            let outcome = try await Self.play(seed, isTalkative: true)
            print(outcome.trace.joined(separator: "\n"))
            return #expect(outcome.failures == [])
        }
        let seeds = Self.first..<Self.first + Self.count
        let failed = try await withThrowingTaskGroup(of: [Outcome].self) { group in
            let parts = UInt64(ProcessInfo.processInfo.activeProcessorCount)
            for part in 0..<parts {
                group.addTask {
                    var failed: [Outcome] = []
                    for seed in seeds where seed % parts == part {
                        let outcome = try await Self.play(seed)
                        if !outcome.failures.isEmpty { failed.append(outcome) }
                    }
                    return failed
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }.sorted { $0.seed < $1.seed }
        }
        for outcome in failed.prefix(Self.shownFailures) {
            print("the schedule of seed \(outcome.seed):\n" + outcome.trace.joined(separator: "\n"))
        }
        let summary = failed.map { "seed \($0.seed): \($0.failures.joined(separator: "; "))" }
        #expect(
            summary == [], "\(failed.count) of \(Self.count) schedules; MCPAGG_SCHEDULE=\(failed.first?.seed ?? 0) plays the first again")
    }

    @Test("a timer that is cancelled, or set anew, in the moment in which it is due does not fire")
    func dueTimers() async throws {
        let loop = NIOAsyncTestingEventLoop()
        let aggregator = try await loop.executeInContext { World(seed: 1, loop: loop).aggregator }
        try await loop.executeInContext {
            aggregator.assumeIsolated { aggregator in
                aggregator.ending = Aggregator.Ending(pace: .hurried)
                // The first of the two ends everything, the other timer with it.
                aggregator.set(.end, after: .seconds(1))
                aggregator.set(.listWait, after: .seconds(1))
            }
        }
        await loop.advanceTime(by: .seconds(1))
        #expect(await aggregator.isListWaitOver == false)
        #expect(await aggregator.timers.isEmpty)
    }

    private static func play(_ seed: UInt64, isTalkative: Bool = false) async throws -> Outcome {
        let loop = NIOAsyncTestingEventLoop()
        // Not at zero, where every clock stands that was never set.
        await loop.advanceTime(by: .hours(1))
        let (world, time) = try await loop.executeInContext {
            let world = World(seed: seed, loop: loop, isTalkative: isTalkative)
            return (NIOLoopBound(world, eventLoop: loop), world.begin())
        }
        await loop.advanceTime(by: time)
        let (failures, trace, isLeft) = try await loop.executeInContext {
            let (failures, trace, isLeft) = world.value.checkEnd()
            return (failures, trace, NIOLoopBound(isLeft, eventLoop: loop))
        }
        // What is on its way within this moment.
        await loop.run()
        // Whoever still holds it, a task, a timer or a channel, is left over.
        let isHeld = try await loop.executeInContext { isLeft.value() }
        await loop.shutdownGracefully()
        return Outcome(seed: seed, failures: failures + (isHeld ? ["the aggregator is still held by something"] : []), trace: trace)
    }
}
