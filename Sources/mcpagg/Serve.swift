import Aggregation
import ArgumentParser
import ConfigFile
import Lifecycle
import Logging
import NIOCore
import Resilience
import Transports
import UnixSignals

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve MCP on standard input and output (the default).",
        discussion: """
            For the config of an agent host. The config file is watched, and changes take effect while the host stays connected. Ends when \
            standard input is closed.
            """)

    /// How long the host may have to wait for the config file to be read, which takes about a millisecond.
    private static let firstReadWait = TimeAmount.milliseconds(200)

    @OptionGroup var global: GlobalOptions

    func run() async throws { try await Self.serve(global) }

    /// What signals do until they are trapped: those that end us do so, with the same exit code as later; the others nothing, for they
    /// ask for what is done in any case then.
    static func expectSignals() {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
        for number in [SIGHUP, SIGUSR1] { signal(number, SIG_IGN) }
    }

    /// - Parameter faults: to be made on purpose. Their log was asked for, so the config file has no say in what is logged.
    static func serve(_ global: GlobalOptions, faults: FaultPolicy? = nil) async throws {
        let surroundings = ProcessSurroundings()
        let location = try ConfigLocation.find(named: global.config, surroundings: surroundings)
        let streams = try StandardStreams.claim()
        var options = Aggregator.Options()
        options.followsConfiguredLogLevel = global.logLevel == nil && faults == nil
        options.faults = faults
        let running = Running(
            options: options, location: location, surroundings: surroundings, logLevel: global.logLevel?.level ?? .info)
        let aggregator = running.aggregator
        // Before there are servers: a signal must end them too.
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup, .sigusr1)
        let reader = ConfigFollower(location: location, aggregator: aggregator)
        let (changes, changed) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingNewest(16))
        // Watched before it is read, so that no change falls between the two.
        await aggregator.watch(location.path) { changed.yield(false) }
        changed.yield(true)
        let (firstRead, wasRead) = AsyncStream.makeStream(of: Void.self)
        let follow = Task {
            for await isForced in changes {
                await reader.read(isForced: isForced)
                wasRead.yield()
            }
        }
        // `initialize` tells the host's model what is wrong with the file; but it never waits for one that cannot be read.
        aggregator.eventLoop.scheduleTask(in: firstReadWait) { wasRead.yield() }
        for await _ in firstRead { break }
        await aggregator.connectHost(streams)
        let listen = Task {
            var interrupts = 0
            for await signal in signals {
                switch signal {
                case .sighup:
                    changed.yield(true)
                    continue
                case .sigusr1:
                    await aggregator.resetBreakers()
                    continue
                default: break
                }
                interrupts += 1
                if interrupts == 1 {
                    await aggregator.shutDown(pace: .hurried)
                } else {
                    await aggregator.shutDownNow()
                }
            }
        }
        try? await aggregator.ended.get()
        listen.cancel()
        follow.cancel()
        // It stayed, and would have begun to serve with the first good save; but it never could.
        if await aggregator.neverHadGoodConfig { throw ExitStatus.usage }
    }
}

/// Reads the config file when it may have changed, and hands on what is new. Beside the event loop: a file can be slow.
private actor ConfigFollower {
    private let location: ConfigLocation
    private let aggregator: Aggregator
    private var last: [UInt8]?

    init(location: ConfigLocation, aggregator: Aggregator) {
        self.location = location
        self.aggregator = aggregator
    }

    /// - Parameter isForced: look at it again although its bytes are the same.
    func read(isForced: Bool) async {
        do {
            let text = try location.read(isFollowed: true)
            guard isForced || text != last else { return await aggregator.retryFailed() }
            last = text
            await aggregator.apply(try location.parse(text), from: location.path)
        } catch {
            if error is ConfigUnreadable { last = nil }
            await aggregator.configBroken("\(error)")
        }
    }
}
