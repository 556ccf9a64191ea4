import Testing

@testable import Resilience

@Suite("The plan of faults")
struct FaultPlanTests {
    private static let everything = FaultPolicy.Shares(drop: 0.1, delay: 0.2, duplicate: 0.15, garble: 0.05, kill: 0.02)

    private static func fates(
        _ count: Int, seed: UInt64 = 7, _ shares: FaultPolicy.Shares = everything, server: String = "alpha",
        _ direction: FaultPlan.Direction = .toServer
    ) -> [FaultPlan.Fault?] {
        var plan = FaultPlan(FaultPolicy(seed: seed, shares: shares), server: server, direction)
        return (0..<count).map { _ in plan.next() }
    }

    @Test("is the same for the same seed, server and direction")
    func determinism() { #expect(Self.fates(500) == Self.fates(500)) }

    @Test("is the same on every machine: its beginning is written down here")
    func pinned() {
        let names = Self.fates(12, seed: 1, .init(drop: 0.5, duplicate: 0.3)).map { fault in
            switch fault {
            case .drop: "drop"
            case .duplicate: "duplicate"
            default: "-"
            }
        }
        #expect(
            names == ["duplicate", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "duplicate", "duplicate", "-", "-"])
    }

    @Test("is another one for another seed, server or direction")
    func differences() {
        let usual = Self.fates(500)
        #expect(Self.fates(500, seed: 8) != usual)
        #expect(Self.fates(500, server: "beta") != usual)
        #expect(Self.fates(500, server: "alphb") != usual)
        #expect(Self.fates(500, Self.everything, .fromServer) != usual)
    }

    @Test("does not change for the messages behind a fault that is made more rarely")
    func independence() {
        var fewer = Self.everything
        fewer.delay = 0.1
        for (more, less) in zip(Self.fates(500), Self.fates(500, fewer)) {
            if case .delay = more { continue }
            #expect(more == less)
        }
    }

    @Test("makes each fault as often as was asked for", arguments: [1, 7, 42] as [UInt64])
    func frequencies(seed: UInt64) {
        let count = 20_000
        var tally = FaultTally()
        for fault in Self.fates(count, seed: seed) { tally.count(fault) }
        #expect(tally.messages == count)
        for (counted, share) in [
            (tally.dropped, 0.1), (tally.delayed, 0.2), (tally.duplicated, 0.15), (tally.garbled, 0.05), (tally.kills, 0.02),
        ] {
            // Five standard deviations and more: with these seeds it holds for ever, and with most others.
            let deviation = (Double(count) * share * (1 - share)).squareRoot()
            #expect(abs(Double(counted) - Double(count) * share) < 5 * deviation)
        }
    }

    @Test("makes a fault of every message if its share is 1, and of none if it is 0")
    func extremes() {
        #expect(Self.fates(1_000, .init(drop: 1)).allSatisfy { $0 == .drop })
        #expect(Self.fates(1_000, .init(duplicate: 1)).allSatisfy { $0 == .duplicate })
        #expect(Self.fates(1_000, .init(kill: 1)).allSatisfy { $0 == .kill })
        #expect(Self.fates(1_000, .init()).allSatisfy { $0 == nil })
    }

    @Test("holds nothing back for longer than it may", arguments: [Duration.milliseconds(1), .milliseconds(250), .seconds(3600)])
    func delays(longest: Duration) {
        var plan = FaultPlan(FaultPolicy(seed: 3, shares: .init(delay: 1), maxDelay: longest), server: "alpha", .fromServer)
        var seen: Set<Duration> = []
        for _ in 0..<1_000 {
            guard case .delay(let delay) = plan.next() else {
                Issue.record("something else than a delay")
                return
            }
            #expect(delay > .zero && delay <= longest)
            seen.insert(delay)
        }
        #expect(seen.count > 500)
        #expect(seen.contains { $0 < longest / 4 } && seen.contains { $0 > longest * 3 / 4 })
    }

    @Test("is about the named servers, or about all")
    func servers() {
        #expect(FaultPolicy(seed: 1).concerns("alpha"))
        #expect(FaultPolicy(seed: 1, servers: ["alpha"]).concerns("alpha"))
        #expect(!FaultPolicy(seed: 1, servers: ["alpha"]).concerns("beta"))
    }

    @Test("has usual shares that are no more than all messages")
    func usual() { #expect(FaultPolicy.Shares.usual.sum < 0.25) }

    @Test("is counted in words")
    func words() {
        var tally = FaultTally()
        for fault in [nil, .drop, .delay(.seconds(1)), .duplicate, .duplicate, .garble(Garbling(seed: 1)), .kill] as [FaultPlan.Fault?] {
            tally.count(fault)
        }
        #expect("\(tally)" == "7 messages, 1 dropped, 1 delayed, 2 duplicated, 1 garbled, 1 with a kill")
    }
}
