import Aggregation
import ConfigFile
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import NIOPosix
import Transports
import UnixSignals

/// An aggregator that runs for one command.
struct Running {
    /// What `main` forked before there were threads, for the one aggregator of this process.
    @TaskLocal static var guardProcess: GuardProcess?

    let aggregator: Aggregator
    let surroundings: ProcessSurroundings

    /// - Parameter location: the config file, which a child of ours must not start from again.
    init(options: Aggregator.Options, location: ConfigLocation, surroundings: ProcessSurroundings, logLevel: Logger.Level) {
        self.surroundings = surroundings
        var logger = Logger(label: "mcpagg") { _ in LogOutput() }
        logger.logLevel = logLevel
        aggregator = Aggregator(
            on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next(),
            identity: Implementation(name: "mcpagg", version: Version.text),
            options: options,
            surroundings: Aggregator.Surroundings(
                environment: surroundings.environment, workingDirectory: surroundings.workingDirectory,
                marks: location.ancestryMark, tokenFile: try? StateDirectory(surroundings).credentials,
                // What faults were made in is not what the servers offer.
                cache: options.faults == nil ? CachePlace.files(surroundings) : nil,
                wallClock: { SystemTime.seconds }),
            guardProcess: Self.guardProcess,
            logger: logger,
            random: SystemRandomNumberGenerator())
    }

    /// Starts the configured servers, lets `body` ask them, and ends them whatever happens.
    ///
    /// It says itself what went wrong, once; so nothing less than a catastrophe is logged, unless the person asks.
    ///
    /// The first Ctrl-C cancels `body`, so that what it asked for is cancelled properly at the servers; a second one does not wait.
    /// - Parameter cacheUse: what servers offer is asked of them, or known from earlier runs as far as they are not needed.
    /// - Throws: what `body` throws, and ``ExitStatus/interrupted``.
    static func oneShot<Result: Sendable>(
        _ global: GlobalOptions, location: ConfigLocation, config: AggregatorConfig, surroundings: ProcessSurroundings,
        cacheUse: Aggregator.CacheUse = .refresh, body: @escaping @Sendable (Running) async throws -> Result
    ) async throws -> Result {
        var options = Aggregator.Options.oneShot
        options.cacheUse = cacheUse
        let running = Running(
            options: options, location: location, surroundings: surroundings, logLevel: global.logLevel?.level ?? .critical)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        await running.aggregator.apply(config)
        let work = Task { try await body(running) }
        let watch = Task { () -> ExitStatus in
            var status = ExitStatus.interrupted
            for await signal in signals {
                if work.isCancelled {
                    await running.aggregator.shutDownNow()
                } else {
                    status = signal == .sigint ? .interrupted : signal == .sigterm ? .terminated : .hungUp
                    work.cancel()
                }
            }
            return status
        }
        let outcome = await work.result
        await running.aggregator.shutDown(pace: .hurried)
        try? await running.aggregator.ended.get()
        watch.cancel()
        do {
            return try outcome.get()
        } catch is CancellationError {
            throw await watch.value
        }
    }
}
