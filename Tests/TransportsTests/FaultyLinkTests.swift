import NIOCore
import NIOPosix
import Resilience
import Testing
import Transports

@Suite("A faulty link", .timeLimit(.minutes(2)))
struct FaultyLinkTests {
    /// What a link did. Belongs to the event loop.
    private struct Witness: FaultDelegate {
        struct Seen {
            var isSpared = false
            var kills = 0
            var injected: [String] = []
            var delivered: [String] = []
            var passed = 0
        }

        let seen: NIOLoopBoundBox<Seen>

        var isSpared: Bool { seen.value.isSpared }
        func injected(_ what: String, _ direction: FaultPlan.Direction, _ message: ByteBuffer) {
            seen.value.injected.append("\(direction) \(String(buffer: message)): \(what)")
        }
        func kill() { seen.value.kills += 1 }
        func passed() { seen.value.passed += 1 }
    }

    private struct Bench {
        let injection: FaultInjection
        let witness: Witness
        let link: FaultyLink

        init(_ shares: FaultPolicy.Shares, maxDelay: Duration = .seconds(3600), on eventLoop: any EventLoop) {
            injection = FaultInjection(FaultPolicy(seed: 7, shares: shares, maxDelay: maxDelay), on: eventLoop)
            witness = Witness(seen: NIOLoopBoundBox(Witness.Seen(), eventLoop: eventLoop))
            link = FaultyLink(injection, server: "alpha", delegate: witness)
        }

        @discardableResult
        func pass(_ text: String, _ direction: FaultPlan.Direction = .toServer) -> FaultyLink.Outcome {
            link.pass(ByteBuffer(string: text), direction) { [witness] in witness.seen.value.delivered.append(String(buffer: $0)) }
        }
    }

    private static func run(_ body: @escaping @Sendable (any EventLoop) throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        try await eventLoop.submit { try body(eventLoop) }.get()
        try await group.shutdownGracefully()
    }

    @Test("drops, duplicates, garbles and kills, and tells of each")
    func faults() async throws {
        try await Self.run { eventLoop in
            let dropping = Bench(.init(drop: 1), on: eventLoop)
            #expect(dropping.pass("a") == .lost)
            #expect(dropping.witness.seen.value.delivered == [])
            #expect(dropping.witness.seen.value.injected == ["toServer a: dropped"])

            let doubling = Bench(.init(duplicate: 1), on: eventLoop)
            #expect(doubling.pass("a") == .passed)
            #expect(doubling.witness.seen.value.delivered == ["a", "a"])

            let garbling = Bench(.init(garble: 1), on: eventLoop)
            #expect(garbling.pass(#"{"jsonrpc":"2.0","id":1,"result":{}}"#, .fromServer) == .passed)
            #expect(garbling.witness.seen.value.delivered.count == 1)
            #expect(garbling.witness.seen.value.delivered != [#"{"jsonrpc":"2.0","id":1,"result":{}}"#])

            let killing = Bench(.init(kill: 1), on: eventLoop)
            #expect(killing.pass("a", .toServer) == .passed)
            #expect(killing.pass("b", .fromServer) == .lost)
            #expect(killing.witness.seen.value.delivered == ["a"])
            #expect(killing.witness.seen.value.kills == 2)
            #expect(killing.injection.tallies.map { "\($0.server): \($0.tally.messages) \($0.tally.kills)" } == ["alpha: 2 2"])
        }
    }

    @Test("does nothing to a server that is spared, and counts none of its messages")
    func spared() async throws {
        try await Self.run { eventLoop in
            let bench = Bench(.init(drop: 1), on: eventLoop)
            bench.witness.seen.value.isSpared = true
            #expect(bench.pass("a") == .passed)
            #expect(bench.injection.tallies.isEmpty)
            bench.witness.seen.value.isSpared = false
            #expect(bench.pass("b") == .lost)
            #expect(bench.witness.seen.value.delivered == ["a"])
        }
    }

    @Test("holds back no more messages than its limit: what is more passes at once")
    func heldMessages() async throws {
        try await Self.run { eventLoop in
            let bench = Bench(.init(delay: 1), on: eventLoop)
            for _ in 0..<FaultInjection.heldMessages { #expect(bench.pass("a") == .held) }
            #expect(bench.pass("b") == .passed)
            #expect(bench.witness.seen.value.delivered == ["b"])
            #expect(bench.injection.end())
            #expect(!bench.injection.end())
        }
    }

    @Test("holds back no more bytes than its limit")
    func heldBytes() async throws {
        try await Self.run { eventLoop in
            let bench = Bench(.init(delay: 1), on: eventLoop)
            let piece = String(repeating: "x", count: FaultInjection.heldBytes / 4)
            for _ in 0..<4 { #expect(bench.pass(piece) == .held) }
            #expect(bench.pass("b") == .passed)
            _ = bench.injection.end()
        }
    }

    @Test("hands on late what it held back, each in its time, and makes room by it")
    func late() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let all = eventLoop.makePromise(of: [String].self)
        try await eventLoop.submit {
            let bench = Bench(.init(delay: 1), maxDelay: .milliseconds(20), on: eventLoop)
            let count = FaultInjection.heldMessages
            for number in 0..<count {
                bench.link.pass(ByteBuffer(string: "\(number)"), .toServer) { bytes in
                    bench.witness.seen.value.delivered.append(String(buffer: bytes))
                    guard bench.witness.seen.value.delivered.count == count else { return }
                    #expect(bench.pass("one more") == .held)
                    #expect(bench.injection.end())
                    all.succeed(bench.witness.seen.value.delivered)
                }
            }
        }.get()
        let delivered = try await all.futureResult.get()
        let sent = (0..<FaultInjection.heldMessages).map { "\($0)" }
        #expect(delivered != sent && delivered.sorted() == sent.sorted())
        try await group.shutdownGracefully()
    }

    @Test("makes the same faults at two links of one server as at one")
    func shared() async throws {
        try await Self.run { eventLoop in
            let shares = FaultPolicy.Shares(drop: 0.3, duplicate: 0.3)
            let one = Bench(shares, on: eventLoop)
            let two = Bench(shares, on: eventLoop)
            // As while a server is replaced by a newer one.
            let twin = FaultyLink(two.injection, server: "alpha", delegate: two.witness)
            for number in 0..<200 {
                one.pass("\(number)")
                let link = number % 2 == 0 ? two.link : twin
                link.pass(ByteBuffer(string: "\(number)"), .toServer) { two.witness.seen.value.delivered.append(String(buffer: $0)) }
            }
            #expect(one.witness.seen.value.delivered == two.witness.seen.value.delivered)
        }
    }
}
