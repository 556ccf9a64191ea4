import FeatureCatalog
import MCPProtocol
import NIOCore
import Testing

@testable import Aggregation

/// Against real servers in processes of their own. The time limits are there so that what never ends is a failure.
@Suite("The aggregator in process", .serialized, .timeLimit(.minutes(2)))
struct AggregatorTests {
    private static let echo = #""tools":{"include":["echo"]}"#

    @Test("64 servers start at once, not one after another, and are listed in the order of the config")
    func manyServers() async throws {
        let count = 64
        let gate = try StartGate()
        try await Workbench.run((0..<count).map { gate.server("server\($0)", Self.echo) }) { bench in
            // If one waited for another, this would never end.
            try await gate.reached(by: count)
            try gate.open(to: count)
            await bench.aggregator.settled()
            let status = await bench.aggregator.status()
            #expect(status.filter { $0.state == .ready }.count == count)
            #expect(Set(status.compactMap(\.processID)).count == count)
            #expect(await bench.aggregator.mergedCatalog()[.tools].entries.map(\.name.text) == (0..<count).map { "server\($0)__echo" })
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let server: String
        var state = ServerStatus.State.down
        var cause: String?
        var hint: String?
        var errorLine: String?
        var noiseLines = 0
        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "works", server: Workbench.fake("x"), state: .ready),
        Case(
            name: "ends at once", server: Workbench.fake("x", ["--exit-at-start", "3", "--stderr-line", "no licence"]),
            cause: "it exited with code 3 before it was ready", errorLine: "no licence"),
        Case(
            name: "does not exist", server: #""x":{"command":"no-such-program-of-mcpagg"}"#, cause: "no-such-program-of-mcpagg",
            hint: "install it"),
        Case(
            name: "has no directory", server: Workbench.fake("x", [], #""cwd":"/no/such/directory""#),
            cause: "there is no directory '/no/such/directory'"),
        Case(name: "lacks a variable", server: Workbench.fake("x", [], #""env":{"A":"${NOT_SET}"}"#), cause: "NOT_SET"),
        Case(
            name: "never answers", server: Workbench.fake("x", ["--hang-initialize"], #""startupTimeout":"200ms""#),
            cause: "it did not answer 'initialize' within 200 ms", hint: "startupTimeout"),
        Case(name: "is disabled", server: Workbench.fake("x", [], #""disabled":true"#), state: .disabled),
        Case(name: "writes a banner", server: Workbench.fake("x", ["--banner", "3"]), state: .ready, noiseLines: 3),
    ]

    @Test("a status names the state of a server, the cause and what to do", arguments: cases)
    func status(of example: Case) async throws {
        let status = try await Workbench.run([example.server, Workbench.fake("other")]) { bench in
            await bench.aggregator.settled()
            return await bench.aggregator.status()
        }
        let server = try #require(status.first)
        #expect(server.key == "x")
        #expect(server.state == example.state)
        #expect((server.cause == nil) == (example.cause == nil), "\(server.cause ?? "no cause")")
        if let cause = example.cause { #expect(server.cause?.contains(cause) == true, "\(server.cause ?? "")") }
        if let hint = example.hint { #expect(server.hint?.contains(hint) == true, "\(server.hint ?? "")") }
        if let line = example.errorLine { #expect(server.errorLines == [line]) }
        #expect(server.noiseLines == example.noiseLines)
        // One that is down may still be on its way out.
        if example.state != .down { #expect((server.processID != nil) == (example.state == .ready)) }
        #expect(status.last?.state == .ready, "one bad server is one bad server")
    }

    @Test("a server that has not answered yet is starting")
    func starting() async throws {
        try await Workbench.run([Workbench.fake("x", ["--hang-initialize"])]) { bench in
            #expect(await bench.aggregator.status().map(\.state) == [.starting])
        }
    }

    @Test("waiting for servers to settle ends when its task is cancelled, before it begins or while it waits", arguments: [true, false])
    func settledIsCancelled(before: Bool) async throws {
        try await Workbench.run([Workbench.fake("x", ["--hang-initialize"])]) { bench in
            let wait = Task { await bench.aggregator.settled() }
            while !before, await bench.aggregator.holdings().settledWaiters == 0 { await Task.yield() }
            wait.cancel()
            await wait.value
            #expect(await bench.aggregator.holdings().settledWaiters == 0)
        }
    }

    @Test("a request whose task is cancelled is cancelled at its server too, and the next one works")
    func requestIsCancelled() async throws {
        try await Workbench.run([Workbench.fake("a")]) { bench in
            await bench.aggregator.settled()
            let (begun, hasBegun) = AsyncStream.makeStream(of: Void.self)
            let host = await LocalHost(bench.aggregator) { if $0.method == .progress { hasBegun.yield() } }
            let call = Task { try await Workbench.call(host, "a__hang", token: 1) }
            for await _ in begun { break }
            #expect(await bench.aggregator.holdings().callsInFlight == 1)
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            let holdings = await bench.aggregator.holdings()
            #expect((holdings.callsInFlight, holdings.unanswered) == (0, 0))
            let sum = try await Workbench.call(host, "a__add", arguments: #"{"a":1,"b":2}"#)
            #expect(sum == "3")
        }
    }

    @Test("a request of a task that is cancelled already is not sent")
    func cancelledBefore() async throws {
        try await Workbench.run([Workbench.fake("a")]) { bench in
            let host = await LocalHost(bench.aggregator)
            let call = Task {
                while !Task.isCancelled { await Task.yield() }
                return try await Workbench.call(host, "a__hang")
            }
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            #expect(await bench.aggregator.holdings().unanswered == 0)
        }
    }

    @Test("2,000 calls at once over four servers get each its own answer")
    func manyCalls() async throws {
        let names = ["a", "b", "c", "d"]
        try await Workbench.run(names.map { Workbench.fake($0) }) { bench in
            let host = await LocalHost(bench.aggregator)
            await bench.aggregator.settled()
            let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<2_000 {
                    // Some answer later than those behind them.
                    let (tool, arguments) =
                        number % 3 == 0 ? ("sleep", "{\"ms\":\(number % 40),\"text\":\"\(number)\"}") : ("echo", "{\"text\":\"\(number)\"}")
                    group.addTask { try await Workbench.call(host, "\(names[number % 4])__\(tool)", arguments: arguments) != "\(number)" }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wrong == 0)
            #expect(await bench.aggregator.holdings().unanswered == 0)
        }
    }

    @Test("100 configs in a row do not disturb the calls of a server that is the same in all of them")
    func manyConfigs() async throws {
        let steady = Workbench.fake("steady")
        try await Workbench.run([steady]) { bench in
            await bench.aggregator.settled()
            let processID = await bench.aggregator.status().first?.processID
            let host = await LocalHost(bench.aggregator)
            let calls = Task {
                var done = 0
                while !Task.isCancelled {
                    let text = try await Workbench.call(host, "steady__echo", arguments: "{\"text\":\"\(done)\"}")
                    guard text == "\(done)" else { throw Unexpected(text: text) }
                    done += 1
                }
                return done
            }
            for round in 0..<100 {
                let others = (0..<(round % 3)).map { Workbench.fake("other\($0)", ["--tools", "\(round % 5)"], Self.echo) }
                let servers = round % 2 == 0 ? [steady] + others : others + [steady]
                await bench.aggregator.apply(try Workbench.config(servers))
            }
            await bench.aggregator.apply(try Workbench.config([steady]))
            #expect(await bench.aggregator.status().map(\.processID) == [processID])
            #expect(processID != nil)
            let text = try await Workbench.call(host, "steady__echo", arguments: #"{"text":"after"}"#)
            #expect(text == "after")
            calls.cancel()
            // The last one may have been cancelled on its way; all before it had the right answers.
            do {
                let done = try await calls.value
                #expect(done > 0)
            } catch is CancellationError {}
        }
    }

    struct Unexpected: Error { let text: String }

    @Test("after the end no timer, server or unanswered request is left")
    func nothingIsLeft() async throws {
        let servers = [
            Workbench.fake("ready"), Workbench.fake("hangs", ["--hang-initialize"]), Workbench.fake("ends", ["--exit-at-start", "1"]),
            Workbench.fake("stubborn", ["--ignore-sigterm", "--ignore-stdin-eof"]),
        ]
        try await Workbench.run(options: Aggregator.Options(), servers) { bench in
            let (begun, hasBegun) = AsyncStream.makeStream(of: Void.self)
            let host = await LocalHost(bench.aggregator) { if $0.method == .progress { hasBegun.yield() } }
            let call = Task { try await Workbench.call(host, "ready__hang", token: 1) }
            for await _ in begun { break }
            #expect(await bench.aggregator.holdings() != Holdings())
            try await bench.end()
            let text = try await call.value
            #expect(text.contains("'ready' ended while it was working on this request"))
            #expect(await bench.aggregator.holdings() == Holdings())
        }
    }
}
