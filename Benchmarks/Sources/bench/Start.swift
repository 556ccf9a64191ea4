import CBench

extension Workbench {
    private static let starts = 20
    /// They take seconds.
    private static let slowStarts = 3
    private static let slowMilliseconds = 3000

    /// What is started, and what is asked of it.
    private struct Start {
        let name: String
        let command: [String]
        let lines: String
        let id: Int
        /// 0 if it is not asked for them.
        var tools = 0
        /// Filled by an earlier run, or nil if each start has an empty one.
        var cache: String?
        /// What the list must be, byte for byte.
        var list: [UInt8]?
    }

    private static let askForList = Host.initialize + Host.initialized + Host.list(id: 2)

    /// From exec until something is answered. Not pinned: what starts together should, if it can.
    func start() throws {
        report.begin("Start: exec until answered, the median of \(Self.starts) starts, not pinned")
        let loader = try Loader(longestLine: 16 << 20, calls: 1)
        let server = echoServer(tools: 20)
        let initializations = [
            Start(name: "bare", command: server, lines: Host.initialize, id: 1),
            Start(name: "fake", command: fakeServer, lines: Host.initialize, id: 1),
            Start(name: "relay", command: [program("raw-relay")] + server, lines: Host.initialize, id: 1),
            Start(name: "mcpagg", command: try mcpaggCommand([("a", Self.entry(server))]), lines: Host.initialize, id: 1),
        ]
        let times = try alternate(initializations, rounds: Self.starts) { try time($0, loader) }
        let samples = zip(initializations, times).map { ($0.name, $1) }
        report.add(Figure("start.initialize", "ms", samples, to: "bare"))
        report.add(Figure("start.initialize.fake", "ms", samples.filter { $0.0 == "fake" || $0.0 == "mcpagg" }, to: "fake"))
        try lists("1x20", servers: 1, server, loader)
        try lists("20x20", servers: 20, server, loader)
        try lists("20x20.slow", servers: 20, echoServer(tools: 20, delayMilliseconds: Self.slowMilliseconds), loader)
        try lists("1x10000", servers: 1, echoServer(tools: 10_000), loader, tools: 10_000)
        try lists("20x500", servers: 20, echoServer(tools: 500), loader, tools: 500)
    }

    /// The whole list, without and with what an earlier run left in the cache directory, beside the start of the fake server alone.
    private func lists(_ name: String, servers: Int, _ server: [String], _ loader: Loader, tools: Int = 20) throws {
        let command = try mcpaggCommand(Self.entries(servers, server))
        let isSlow = server.contains("--delay")
        var start = Start(name: "mcpagg", command: command, lines: Self.askForList, id: 2, tools: servers * tools)
        let cold = try alternate([start], rounds: isSlow ? Self.slowStarts : Self.starts / 2) { try time($0, loader) }[0]
        report.add(Figure("start.list.\(name).cold", "ms", [("mcpagg", cold)]))

        let cache = try scratch.directory("cache")
        let first = try child("mcpagg", command, cache: cache)
        start.list = try Host.begin(first, loader: loader, tools: servers * tools)
        // At leisure: what is kept for the next run is written by the time it has gone.
        first.end()
        start.cache = cache
        let fake = Start(name: "fake", command: fakeServer, lines: Host.initialize, id: 1)
        let warm = try alternate([fake, start], rounds: isSlow ? Self.slowStarts : Self.starts) { try time($0, loader) }
        report.add(Figure("start.list.\(name).warm", "ms", [("fake", warm[0]), ("mcpagg", warm[1])], to: "fake"))
    }

    static func entries(_ count: Int, _ server: [String]) -> [(key: String, entry: String)] {
        (0..<count).map { (key: key($0), entry: entry(server)) }
    }

    static func key(_ number: Int) -> String {
        let digits = String(number)
        return "s" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// In ms.
    private func time(_ start: Start, _ loader: Loader) throws -> Double {
        let cache = try start.cache ?? scratch.directory("cache")
        let begun = bench_now()
        let child = try child(start.name, start.command, cache: cache)
        let answer = try loader.ask(child, start.lines, beginning: Host.answer(to: start.id))
        let taken = Double(loader.answered - begun) / 1e6
        let tools = Host.tools(in: answer)
        guard tools == start.tools else { throw child.failed("it lists \(tools) tools, not \(start.tools)") }
        if let list = start.list, list != answer { throw child.failed("its list is not the one of the run before") }
        child.endHurried()
        return taken
    }
}
