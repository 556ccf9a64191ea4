import ArgumentParser
import ConfigFile
import OrderedCollections
import Resilience

struct Chaos: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos", abstract: "Serve with faults between mcpagg and its servers, to test agents.",
        discussion: """
            As 'serve', but messages to and from the servers are dropped, delayed, duplicated and garbled, and servers are killed. Every \
            fault is logged to standard error, and all are counted at the end. What a host and mcpagg say to each other is never touched.

            Each P is a share of all messages, from 0 to 1, and together they are at most 1: no message has two faults. If one of them is \
            given, those that are not are 0. The same seed makes the same faults if the same messages come.

            A call that is duplicated runs twice, one that is garbled or whose server is killed may have run: use servers whose data you can \
            do without.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Repeats the faults of an earlier run; without it one is drawn, and shown.", valueName: "n"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Messages that vanish. (default: \(text(Shares.usual.drop)))", valueName: "P"))
    var drop: Share?

    @Option(
        help: ArgumentHelp("Messages that come later, so that others overtake them. (default: \(text(Shares.usual.delay)))", valueName: "P")
    )
    var delay: Share?

    @Option(help: ArgumentHelp("The longest delay, as 250ms, 2s or 1m.", valueName: "time"))
    var maxDelay = DelayArgument.standard

    @Option(help: ArgumentHelp("Messages that come twice. (default: \(text(Shares.usual.duplicate)))", valueName: "P"))
    var duplicate: Share?

    @Option(help: ArgumentHelp("Messages that come spoiled. (default: \(text(Shares.usual.garble)))", valueName: "P"))
    var garble: Share?

    @Option(
        help: ArgumentHelp(
            "Messages with which their server is killed, or the connections to it are cut. (default: \(text(Shares.usual.kill)))",
            valueName: "P"))
    var kill: Share?

    @Option(
        name: .customLong("server"), parsing: .singleValue,
        help: ArgumentHelp("A server it is about, by its name in the config file; may be repeated. (default: all)", valueName: "server"))
    var servers: [String] = []

    @Flag(help: "Make no faults while a server starts.")
    var spareHandshake = false

    typealias Shares = FaultPolicy.Shares

    private static func text(_ share: Double) -> String { "\(share)" }

    /// What was asked for.
    var shares: Shares {
        guard [drop, delay, duplicate, garble, kill].contains(where: { $0 != nil }) else { return .usual }
        return Shares(
            drop: drop?.value ?? 0, delay: delay?.value ?? 0, duplicate: duplicate?.value ?? 0, garble: garble?.value ?? 0,
            kill: kill?.value ?? 0)
    }

    func validate() throws {
        // A little more: 0.1 and 0.2 and 0.7 are not quite 1.
        guard shares.sum <= 1.000_000_1 else {
            throw ValidationError("the shares of all faults are \(shares.sum) together, and can be at most 1: no message has two faults")
        }
    }

    func run() async throws {
        try refuseUnknownServers()
        var random = SystemRandomNumberGenerator()
        // Short enough to be typed.
        let seed = seed ?? UInt64(UInt32.random(in: 0...UInt32.max, using: &random))
        let policy = FaultPolicy(
            seed: seed, shares: shares, maxDelay: maxDelay.duration, servers: Set(servers), sparesHandshake: spareHandshake)
        // Whatever is logged: without it the run could not be repeated.
        StandardError.write("mcpagg: chaos: the seed is \(seed); the same again: --seed \(seed)\n")
        try await Serve.serve(global, faults: policy)
    }

    /// A slip of the pen would make a run without faults. A file that cannot be read now is dealt with by who serves.
    private func refuseUnknownServers() throws {
        guard !servers.isEmpty else { return }
        let location = try ConfigLocation.find(named: global.config, surroundings: ProcessSurroundings())
        guard let config = try? location.parse(location.read(isFollowed: true)) else { return }
        for server in servers where config.servers[server] == nil { throw Failure.unknownServer(server, among: Array(config.servers.keys)) }
    }
}

/// A number from 0 to 1.
struct Share: ExpressibleByArgument {
    let value: Double

    init?(argument: String) {
        // No hexadecimal numbers, no infinity.
        guard argument.utf8.allSatisfy({ "0123456789.eE-+".utf8.contains($0) }), let value = Double(argument), (0...1).contains(value)
        else {
            return nil
        }
        self.value = value
    }
}

/// How long messages are held back.
struct DelayArgument: ExpressibleByArgument {
    static let standard = DelayArgument(duration: .milliseconds(500))
    /// In milliseconds. Nobody waits longer for an agent.
    private static let longest = 3_600_000.0
    private static let units: [(suffix: String, milliseconds: Double)] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]

    let duration: Duration

    private init(duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let unit = Self.units.first(where: { $0.suffix == argument.dropFirst(number.count) }), number.utf8.count <= 9,
            let count = Double(number)
        else { return nil }
        let milliseconds = count * unit.milliseconds
        guard (1...Self.longest).contains(milliseconds) else { return nil }
        duration = .milliseconds(Int64(milliseconds))
    }

    var defaultValueDescription: String { "500ms" }
}
