import ConfigFile
import Foundation
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import NIOPosix

@testable import Aggregation

/// An aggregator in this process with real servers, on an event loop of its own.
struct Workbench {
    let aggregator: Aggregator
    private let group: MultiThreadedEventLoopGroup

    /// Runs `body` with an aggregator, and ends it whatever happens.
    static func run<Result: Sendable>(
        options: Aggregator.Options = .oneShot, _ servers: [String], _ body: (Workbench) async throws -> Result
    ) async throws -> Result {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let bench = Workbench(
            aggregator: Aggregator(
                on: group.next(), identity: Implementation(name: "test", version: "1"), options: options,
                surroundings: Aggregator.Surroundings(environment: ProcessInfo.processInfo.environment, workingDirectory: "/"),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, random: SystemRandomNumberGenerator()),
            group: group)
        await bench.aggregator.apply(try config(servers))
        let outcome: Swift.Result<Result, any Error>
        do {
            outcome = .success(try await body(bench))
        } catch {
            outcome = .failure(error)
        }
        try await bench.end()
        try await group.shutdownGracefully()
        return try outcome.get()
    }

    func end() async throws {
        await aggregator.shutDown(pace: .hurried)
        try await aggregator.ended.get()
    }

    // MARK: Configs

    /// - Parameter servers: members of `mcpServers`, as ``fake(_:_:_:)`` makes them.
    static func config(_ servers: [String]) throws -> AggregatorConfig {
        try ConfigReader.read(
            Array("{\"mcpServers\":{\(servers.joined(separator: ","))}}".utf8), source: ConfigSource(name: "mcp.json"),
            context: ConfigContext(environment: [:], homeDirectory: "/", workingDirectory: "/"))
    }

    /// A server of this name.
    /// - Parameter more: further members of its entry, as JSON text.
    static func fake(_ name: String, _ flags: [String] = [], _ more: String = #""timeout":"1m""#) -> String {
        let arguments = (["--name", name] + flags).map { "\"\($0)\"" }.joined(separator: ",")
        return "\"\(name)\":{\"command\":\"\(fakeServer)\",\"args\":[\(arguments)],\(more)}"
    }

    /// The build puts it beside the bundle of the tests.
    static var fakeServer: String {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest/") }.flatMap { $0.components(separatedBy: ".xctest/").first }
        let executable = bundle.map { URL(filePath: $0) } ?? Bundle.main.executableURL ?? URL(filePath: CommandLine.arguments[0])
        return executable.deletingLastPathComponent().appending(path: "fake-mcp-server").path
    }

    // MARK: Calls

    /// - Returns: the text of the result.
    static func call(_ host: LocalHost, _ tool: String, arguments: String = "{}", token: Int? = nil) async throws -> String {
        let meta = token.map { ",\"_meta\":{\"progressToken\":\($0)}" } ?? ""
        let params = ByteBuffer(string: "{\"name\":\"\(tool)\",\"arguments\":\(arguments)\(meta)}")
        let answer = try await host.request(.toolsCall, params: params)
        let result = answer.view(answer[.result])
        if let text = result["content"]?.elements.first?["text"]?.string { return text }
        return answer.view(answer[.error])["message"]?.string ?? "neither text nor error"
    }
}

/// What an aggregator holds on to.
struct Holdings: Equatable {
    var timers = 0
    var downstreams = 0
    var replacements = 0
    var early = 0
    var unanswered = 0
    var callsInFlight = 0
    var settledWaiters = 0
}

extension Aggregator {
    func holdings() -> Holdings {
        Holdings(
            timers: timers.count, downstreams: downstreams.count, replacements: replacements.count, early: early.count,
            unanswered: hosts.values.reduce(0) { $0 + $1.waiting.count + $1.batches.count }
                + local.values.reduce(0) { $0 + $1.waiting.count },
            callsInFlight: downstreams.values.reduce(0) { $0 + $1.machine.requestsInFlight }, settledWaiters: settledWaiters.count)
    }
}
