import Aggregation
import ConfigFile
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import NIOPosix
import UnixSignals

/// An aggregator that runs for one command.
struct Running {
    let aggregator: Aggregator
    let surroundings: ProcessSurroundings

    init(options: Aggregator.Options, surroundings: ProcessSurroundings, logLevel: Logger.Level) {
        self.surroundings = surroundings
        var logger = Logger(label: "mcpagg") { _ in LogOutput() }
        logger.logLevel = logLevel
        aggregator = Aggregator(
            on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next(),
            identity: HostProtocol.Identity(name: "mcpagg", version: Version.text),
            options: options,
            surroundings: Aggregator.Surroundings(
                environment: surroundings.environment, workingDirectory: surroundings.workingDirectory),
            logger: logger,
            random: SystemRandomNumberGenerator())
    }

    /// Starts the configured servers, lets `body` ask them, and ends them whatever happens.
    ///
    /// The first Ctrl-C cancels `body`, so that what it asked for is cancelled properly at the servers; a second one does not wait.
    /// - Throws: what `body` throws, and ``ExitStatus/interrupted``.
    static func oneShot<Result: Sendable>(
        _ global: GlobalOptions, config: AggregatorConfig, surroundings: ProcessSurroundings,
        body: @escaping @Sendable (Running) async throws -> Result
    ) async throws -> Result {
        let running = Running(options: .oneShot, surroundings: surroundings, logLevel: global.logLevel?.level ?? .warning)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        await running.aggregator.apply(config)
        let work = Task { try await body(running) }
        let watch = Task {
            for await _ in signals {
                if work.isCancelled { await running.aggregator.shutDownNow() } else { work.cancel() }
            }
        }
        let outcome = await work.result
        await running.aggregator.shutDown(pace: .hurried)
        try? await running.aggregator.ended.get()
        watch.cancel()
        do {
            return try outcome.get()
        } catch is CancellationError {
            throw ExitStatus.interrupted
        }
    }
}
