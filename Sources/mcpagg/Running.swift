import Aggregation
import ConfigFile
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import Transports

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// An aggregator that runs for one command.
struct Running {
    /// Signals of a command that may wait: the first cancels it, the second does not wait for that, more say nothing more.
    static let signalLimit = 2

    let aggregator: Aggregator
    let surroundings: ProcessSurroundings

    /// - Parameter location: the config file, which a child of ours must not start from again.
    init(options: Aggregator.Options, location: ConfigLocation, surroundings: ProcessSurroundings, logLevel: Logger.Level) {
        self.surroundings = surroundings
        let start = Start.ours
        var logger = Logger(label: "mcpagg") { _ in LogOutput() }
        logger.logLevel = logLevel
        aggregator = Aggregator(
            on: start.eventLoop, beside: start.side,
            identity: Implementation(name: "mcpagg", version: Version.text),
            options: options,
            surroundings: Aggregator.Surroundings(
                environment: surroundings.environment, workingDirectory: surroundings.workingDirectory,
                marks: location.ancestryMark, tokenFile: try? StateDirectory(surroundings).credentials,
                // What faults were made in is not what the servers offer.
                cache: options.faults == nil ? CachePlace.files(surroundings) : nil,
                wallClock: { SystemTime.seconds }, releaseMemory: FreeMemory.release,
                // A command that is over at once would only have to get it again.
                releaseStart: { [isLasting = options.restartsServers] in if isLasting { FreeMemory.releaseStart() } }),
            guardProcess: start.guardProcess,
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
        let start = Start.ours
        let signals = try await interruptions(on: start.eventLoop)
        await running.aggregator.apply(config)
        let work = Task(executorPreference: start.side) { try await body(running) }
        let watch = Task(executorPreference: start.executor) { () -> ExitStatus in
            var status = ExitStatus.interrupted
            for await signal in signals {
                if work.isCancelled {
                    await running.aggregator.shutDownNow()
                    // Whatever the command is doing.
                    try? await running.aggregator.ended.get()
                    end(with: status)
                } else {
                    status = signal
                    work.cancel()
                }
            }
            return status
        }
        let outcome = await work.result
        await running.aggregator.endLocalQuestions()
        await running.aggregator.shutDown(pace: .hurried)
        try? await running.aggregator.ended.get()
        watch.cancel()
        releaseInterruptions()
        do {
            return try outcome.get()
        } catch is CancellationError {
            throw await watch.value
        }
    }

    /// Nothing is left to be ended: from now on these signals end us as they end others, even while nobody takes what we write.
    static func releaseInterruptions() {
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    }

    /// The signals by which a person or the system wants a command to end, as what it ends with.
    static func interruptions(on eventLoop: any EventLoop) async throws -> AsyncStream<ExitStatus> {
        let (signals, signal) = AsyncStream.makeStream(of: ExitStatus.self, bufferingPolicy: .bufferingOldest(signalLimit))
        try await SignalSource.open([SIGINT, SIGTERM, SIGHUP], on: eventLoop) { number in
            signal.yield(number == SIGINT ? .interrupted : number == SIGTERM ? .terminated : .hungUp)
        }
        return signals
    }
}
