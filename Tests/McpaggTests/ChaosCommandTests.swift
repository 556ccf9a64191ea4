import ArgumentParser
import Resilience
import Testing

@testable import mcpagg

@Suite("The options of chaos")
struct ChaosCommandTests {
    private static func parsed(_ arguments: [String]) throws -> Chaos { try Chaos.parse(arguments) }

    @Test("make the usual faults if none is named")
    func usual() throws {
        let chaos = try Self.parsed(["--seed", "7"])
        #expect(chaos.seed == 7)
        #expect(chaos.shares == .usual)
        #expect(chaos.maxDelay.duration == .milliseconds(500))
        #expect(chaos.servers.isEmpty && !chaos.spareHandshake)
        #expect(try Self.parsed(["--server", "a", "--server", "b", "--spare-handshake"]).shares == .usual)
    }

    @Test(
        "make only the faults that are named, if any is",
        arguments: [
            (["--drop", "0.2"], FaultPolicy.Shares(drop: 0.2)), (["--delay=1"], .init(delay: 1)),
            (["--kill", "1e-3", "--garble", "0"], .init(kill: 0.001)),
            (["--duplicate", ".5", "--garble", "0.5"], .init(duplicate: 0.5, garble: 0.5)),
            (["--drop", "0.1", "--delay", "0.2", "--duplicate", "0.7"], .init(drop: 0.1, delay: 0.2, duplicate: 0.7)),
            (["--drop", "0"], .init()),
        ])
    func named(arguments: [String], shares: FaultPolicy.Shares) throws { #expect(try Self.parsed(arguments).shares == shares) }

    @Test(
        "are refused if they make no sense",
        arguments: [
            ["--drop", "1.1"], ["--drop", "-0.1"], ["--drop=-0.1"], ["--drop", "nan"], ["--drop", "inf"], ["--drop", "0x1p-2"],
            ["--drop", ""],
            ["--drop", "10%"], ["--drop", "0.6", "--kill", "0.6"], ["--seed", "x"], ["--seed", "-1"], ["--seed", "18446744073709551616"],
            ["--max-delay", "0s"], ["--max-delay", "2h"], ["--max-delay", "5"], ["--max-delay", "s"], ["--max-delay", "1.2.3s"],
            ["--max-delay", "999999999h"], ["--max-delay", "9999999999ms"], ["--max-delay", "-5s"], ["--unknown"], ["word"],
        ])
    func refused(arguments: [String]) { #expect(throws: (any Error).self) { try Self.parsed(arguments) } }

    @Test("take a delay with its unit", arguments: [("250ms", 250), ("1s", 1_000), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)])
    func delays(text: String, milliseconds: Int) throws {
        #expect(try Self.parsed(["--max-delay", text]).maxDelay.duration == .milliseconds(milliseconds))
    }

    @Test("may stand behind global ones")
    func moved() {
        #expect(GlobalOptions.moved(["mcpagg", "--config", "f", "chaos", "--seed", "7"]) == ["chaos", "--config", "f", "--seed", "7"])
    }
}
