import ConfigFile
import OrderedCollections
import Resilience
import TestSupport

@testable import Aggregation

/// What happens in one run, and when: all of it follows from the seed.
struct Schedule {
    enum Step {
        case call(Call, cancelAfter: [Int])
        /// Several calls that travel together, if the host has batches.
        case batch([Call])
        case list(host: Int)
        case ping(host: Int)
        case listen(host: Int)
        case initializeAgain(host: Int)
        case stall(host: Int, for: Int)
        case reload(Generation)
        case brokenConfig
        /// What a signal of the person does who installed something.
        case retryFailed
        /// SIGUSR1.
        case resetBreakers
        case crash(server: String)
        case hang(server: String, for: Int?)
        case changeTools(server: String)
        case noise(server: String)
        /// One of several hosts goes early.
        case leave(host: Int)
    }

    enum End {
        case closeInput, vanish, terminate
        /// The host closes, and does not wait for the end.
        case closeThenTerminate(after: Int)
        case interruptTwice(after: Int)
    }

    /// The servers of the config file as it is at one time.
    struct Generation {
        var servers: [Server]
        var listWait: Duration
        var inputWait: Duration
    }

    struct Server {
        var key: String
        /// Another one is another command line.
        var version: Int
        var config: ServerConfig
    }

    static let keys = ["a", "b", "c", "d"]
    /// How long everything may take to come to rest.
    static let rest = 60_000

    var hosts = 1
    var first: Generation
    var steps: [(at: Int, step: Step)] = []
    /// Before the end nothing happens for so long that all is answered that ever will be.
    var rests: Bool
    var end: End
    var endsAt = 0
    var calls: [Call] = []

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed, of: "schedule")
        hosts = random.chance(15) ? 2 : 1
        first = Generation.draw(&random, after: nil)
        rests = random.chance(60)
        end = random.weighted([
            (45, .closeInput), (15, .vanish), (15, .terminate), (12, .closeThenTerminate(after: random.pick([0, 100, 1_500, 3_000]))),
            (13, .interruptTwice(after: random.pick([0, 1, 200, 900]))),
        ])
        // Much of it at nearly the same time: that is where things meet.
        let moments = (0..<random.within(1...6)).map { _ in random.pick([0, 0, 5, 100, 1_000, 3_000, 8_000, 15_000]) + random.below(20) }
        var generation = first
        let count = random.within(4...30)
        var times = (0..<count).map { _ in random.pick(moments) + random.below(random.pick([1, 5, 50, 2_000])) }
        times.sort()
        for time in times {
            let step = draw(&random, &generation)
            steps.append((time, step))
        }
        endsAt = (times.last ?? 0) + (rests ? Self.rest : random.pick([0, 0, 3, 50, 500, 3_000]))
    }

    private mutating func draw(_ random: inout SeededGenerator, _ generation: inout Generation) -> Step {
        let host = random.below(hosts)
        let key = random.pick(Self.keys)
        switch random.below(100) {
        case 0..<50:
            let call = call(&random, generation, host)
            var cancels: [Int] = []
            if random.chance(25) {
                let after = random.pick([0, 0, 1, 2, 3, 20, 400, 1_000, 4_000])
                cancels = random.chance(20) ? [after, after + random.below(5)] : [after]
            }
            return .call(call, cancelAfter: cancels)
        case 50..<54: return .batch((0..<random.within(2...4)).map { _ in call(&random, generation, host) })
        case 54..<59: return .list(host: host)
        case 59..<61: return .ping(host: host)
        case 61..<62: return .listen(host: host)
        case 62..<63: return .initializeAgain(host: host)
        case 63..<66: return .stall(host: host, for: random.pick([3, 50, 800, 4_000]))
        case 66..<77:
            generation = Generation.draw(&random, after: generation)
            return .reload(generation)
        case 77..<79: return .brokenConfig
        case 79: return .retryFailed
        case 80: return .resetBreakers
        case 81..<89: return .crash(server: key)
        case 89..<93: return .hang(server: key, for: random.pick([2, 100, 900, 5_000, nil]))
        case 93..<97: return .changeTools(server: key)
        case 97..<99: return .noise(server: key)
        default: return hosts > 1 ? .leave(host: 1) : .noise(server: key)
        }
    }

    private mutating func call(_ random: inout SeededGenerator, _ generation: Generation, _ host: Int) -> Call {
        let server = random.chance(95) ? generation.servers.isEmpty ? nil : random.pick(generation.servers) : nil
        let prefix = server?.config.prefix ?? random.pick(Self.keys)
        let tool = random.pick(Tool.allCases)
        let behaviours = (0..<3).map { index in
            index > 0 && random.chance(40) ? Behaviour.answer(after: random.below(30)) : Behaviour.draw(&random)
        }
        let call = Call(
            number: calls.count, host: host, name: "\(prefix)__\(tool.rawValue)", tool: tool,
            behaviours: behaviours + [.answer(after: 1)])
        calls.append(call)
        return call
    }
}

extension Schedule.Generation {
    static func draw(_ random: inout SeededGenerator, after previous: Self?) -> Self {
        let waits = [Duration.milliseconds(100), .seconds(1), .seconds(8)]
        var next = Self(servers: [], listWait: previous?.listWait ?? random.pick(waits), inputWait: .seconds(random.pick([1, 5, 20])))
        for key in Schedule.keys where random.chance(80) {
            let known = previous?.servers.first { $0.key == key }
            // Most of the file stays as it was.
            if let known, random.chance(60) {
                next.servers.append(known)
                continue
            }
            let version = random.chance(50) ? known?.version ?? 0 : (known?.version ?? 0) + 1
            var config = ServerConfig(
                key: key, endpoint: .command(Command(executable: "virtual", arguments: [key, "\(version)"])),
                prefix: random.chance(10) ? random.pick(["p", "", key + "2"]) : key)
            config.timeout = .milliseconds(random.pick([200, 1_000, 3_000]))
            config.maxTimeout = random.chance(30) ? config.timeout * random.pick([1, 3]) : nil
            config.startupTimeout = .milliseconds(random.pick([300, 1_000, 4_000]))
            config.retry.attempts = random.within(1...4)
            config.retry.backoff.base = .milliseconds(random.pick([1, 50, 500]))
            config.retry.backoff.cap = .milliseconds(random.pick([500, 2_000]))
            config.retry.replay = random.weighted([(60, .safe), (25, .always), (15, .never)])
            config.circuitBreaker.failures = random.within(1...5)
            config.circuitBreaker.reset = .milliseconds(random.pick([100, 1_000, 5_000]))
            config.rateLimit =
                random.chance(15) ? RateLimit(calls: random.within(1...3), per: .milliseconds(random.pick([100, 1_000]))) : nil
            config.maxConcurrentCalls = random.pick([1, 2, 16, 16])
            let every = Duration.milliseconds(random.pick([500, 3_000, 20_000]))
            config.healthCheck =
                random.chance(30)
                ? HealthCheckPolicy(every: every, methods: random.chance(50) ? [.ping] : [.ping, .skip], timeout: .milliseconds(200)) : nil
            config.protocolEra = random.weighted([(80, .auto), (15, .handshake), (5, .stateless)])
            config.start = random.chance(10) ? .lazy : .eager
            // Drawn aside, so that all else in a schedule is as it was without this. Shorter than a file may say: that servers are stopped
            // and started is to meet everything else.
            var aside = random
            if aside.chance(30) { config.start = .lazy }
            if aside.chance(40) { config.idleTimeout = .milliseconds(aside.pick([20, 300, 2_000, 10_000])) }
            config.isDisabled = random.chance(3)
            if random.chance(10) { config.tools.exclude = [Tool.drop.rawValue] }
            next.servers.append(Schedule.Server(key: key, version: version, config: config))
        }
        if random.chance(20) { next.servers.reverse() }
        return next
    }

    var config: AggregatorConfig {
        var config = AggregatorConfig()
        for server in servers { config.servers[server.key] = server.config }
        config.settings.listWait = listWait
        config.settings.inputWait = inputWait
        return config
    }
}
