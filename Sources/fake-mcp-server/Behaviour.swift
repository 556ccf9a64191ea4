import ArgumentParser

/// What the flags ask for. Every default is the good behaviour.
struct Behaviour: ParsableArguments {
    @Option(help: "The name in serverInfo.")
    var name = "fake"

    @Option(help: "How many filler tools to add, named tool_0, tool_1 and so on; they answer as echo does.")
    var tools = 0

    @Option(help: "How many entries a page of any list holds; without it, all are on one page.")
    var pageSize: Int?

    @Option(help: "The newest handshake revision it accepts; an unknown or newer one is answered with this one.")
    var revision = Revision.newest

    @Option(
        help: """
            Which eras of the protocol it speaks: the revisions with initialize, 2026-07-28 alone, or both, decided by each message.
            """)
    var era = Era.Choice.handshake

    @Flag(help: "With both eras: the first request decides, and the other era is refused from then on.")
    var lockEra = false

    @Option(help: "How it answers server/discover; all but good apply in every era. The error has the code -32000.")
    var discover = DiscoverManners.good

    @Option(help: "Answers server/discover this much later, written like --start-delay.")
    var discoverDelay = Delay.none

    @Option(
        help: """
            What it offers, between commas. Of these, asking are the tools that ask the client back, executions and log_at; resources, \
            subscribe, prompts and tasks bring tools, too. All is all but misbehaving, which is the tool misbehave.
            """)
    var features: Features = [.tools, .logging]

    @Option(help: "The instructions it gives the client.")
    var instructions: String?

    @Option(help: "The ttlMs of what can be cached, in milliseconds. 2026-07-28 only.")
    var ttl = 0

    @Option(help: "The cacheScope of what can be cached. 2026-07-28 only.")
    var cacheScope = CacheScope.private

    @Option(help: "Ends each subscriptions/listen this much after it began, written like --start-delay. 2026-07-28 only.")
    var endListensAfter: Delay?

    @Option(help: "Answers initialize this much later: 250ms, 2s, 1m, or a bare number of milliseconds.")
    var startDelay = Delay.none

    @Flag(help: "Never answers initialize.")
    var hangInitialize = false

    @Option(help: "Exits at once, with this code.")
    var exitAtStart: Int32?

    @Option(help: "Exits with code 1 after this many calls have been answered.")
    var exitAfterCalls: Int?

    @Option(help: "Writes this many lines of noise to stdout before anything else.")
    var banner = 0

    @Flag(help: "Writes a line of invalid bytes before each answer.")
    var garbage = false

    @Flag(help: "Writes one byte per write.")
    var byteByByte = false

    @Option(help: "Writes this line to stderr at the start.")
    var stderrLine: String?

    @Option(help: "Writes this many bytes to stderr at the start, and waits until somebody has read them.")
    var stderrFlood = 0

    @Flag(help: "Is not ended by SIGTERM.")
    var ignoreSigterm = false

    @Flag(help: "Does not end when stdin does.")
    var ignoreStdinEof = false

    @Flag(help: "Starts a child of its own that sleeps, and holds on to stdin, stdout and stderr.")
    var grandchild = false

    @Option(help: "Appends each line it receives to this file or named pipe, as it came.")
    var record: String?

    @Option(help: "Appends each line it sends to this file or named pipe.")
    var recordSent: String?

    @Flag(
        help: """
            Several processes may write to one of these records: its lines are pieces of those lines that a named pipe takes at once, each \
            behind the process id and a space, or a plus if the next piece of that process belongs to it.
            """)
    var recordProcess = false

    func validate() throws {
        if let pageSize, pageSize < 1 { throw ValidationError("--page-size must be at least 1") }
        if let exitAfterCalls, exitAfterCalls < 1 { throw ValidationError("--exit-after-calls must be at least 1") }
        if ttl < 0 { throw ValidationError("--ttl must not be negative") }
        if tools < 0 || banner < 0 || stderrFlood < 0 { throw ValidationError("a count must not be negative") }
    }
}

/// A handshake revision of MCP.
struct Revision: ExpressibleByArgument {
    /// Oldest first; their names sort by age, too.
    private static let handshake = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
    static let newest = Revision(text: "2025-11-25")

    let text: String
    private init(text: String) { self.text = text }

    init?(argument: String) {
        guard Self.handshake.contains(argument) else { return nil }
        text = argument
    }

    static var allValueStrings: [String] { handshake }

    /// The answer of a server that accepts revisions up to this one: the revision asked for, or this one.
    func answer(to requested: String?) -> Revision {
        guard let requested, let known = Revision(argument: requested), known.text <= text else { return self }
        return known
    }
}

extension Revision: CustomStringConvertible {
    var description: String { text }
}

/// A time span as the command line writes it.
struct Delay: ExpressibleByArgument {
    static let none = Delay(milliseconds: 0)
    static let longest = 1e12  // in the unit it is written in; any factor of ours still fits into 64 bits
    let milliseconds: Int

    private init(milliseconds: Int) { self.milliseconds = milliseconds }

    init?(argument: String) {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1)]
        for (unit, factor) in units where argument.hasSuffix(unit) {
            guard let number = Double(argument.dropLast(unit.count)), number >= 0, number < Self.longest else { continue }
            milliseconds = Int(number * Double(factor))
            return
        }
        return nil
    }
}

extension Delay: CustomStringConvertible {
    var description: String { "\(milliseconds)ms" }
}
