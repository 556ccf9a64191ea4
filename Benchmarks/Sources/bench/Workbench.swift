import CBench

/// Where processes run.
enum Layout {
    /// All on one CPU: what is measured is work, and no CPU that has to wake up first.
    case together(Int)
    /// The host and the server on one CPU, what stands between them on another one.
    case apart(ends: Int, between: Int)
    /// As the system likes.
    case free

    var ends: Int { if case .together(let cpu) = self { cpu } else if case .apart(let ends, _) = self { ends } else { -1 } }
    var between: Int { if case .apart(_, let between) = self { between } else { ends } }
}

/// The programs, and how they are started.
final class Workbench {
    let report: Report
    let calls: Int
    let scratch: Scratch
    /// All processes are pinned here, unless a case says otherwise.
    let cpu: Int
    let isPinning: Bool
    private let programs: ProgramOptions
    private let directory = directoryOfProgram()

    /// Calls of one block: enough that the 99th percentile of one is no single call.
    static let block = 1000
    /// Calls that are not counted: they find cold caches, and are looked at more closely.
    static let warmUp = 2000

    init(programs: ProgramOptions, report: Report, calls: Int, cpu: Int?) throws {
        for path in [programs.mcpagg, programs.fakeServer] where !isExecutable(path) {
            throw BenchProblem(message: "there is no executable \(path)", hint: "run `make release`, or name another one")
        }
        let last = Int(bench_cpus()) - 1
        if let cpu, cpu < 0 || cpu > last { throw BenchProblem(message: "there is no CPU \(cpu)", hint: "they are 0 to \(last)") }
        (self.programs, self.report, self.calls, self.cpu) = (programs, report, calls, cpu ?? last)
        scratch = try Scratch()
        isPinning = bench_pin(0, Int32(self.cpu)) != 0
        bench_pin(0, -1)
        if !isPinning { report.doubt("processes cannot be pinned to a CPU on this system") }
    }

    /// On one CPU, and on two if there are two: with a word for the name of a figure, and one for people.
    var layouts: [(suffix: String, place: String, layout: Layout)] {
        let together = [("", "all on CPU \(cpu)", Layout.together(cpu))]
        guard bench_cpus() > 1 else { return together }
        let other = cpu == 0 ? 1 : cpu - 1
        return together + [("-apart", "host and server on CPU \(cpu), the rest on CPU \(other)", .apart(ends: cpu, between: other))]
    }

    // MARK: Commands

    func program(_ name: String) -> String { "\(directory)/\(name)" }

    func echoServer(tools: Int = 1, payload: Int = 0, filler: Call.Filler = .plain, delayMilliseconds: Int = 0, cpu: Int = -1) -> [String] {
        var command = [program("echo-server"), "--tools", "\(tools)", "--payload", "\(payload)", "--filler", "\(filler.rawValue)"]
        if delayMilliseconds > 0 { command += ["--delay", "\(delayMilliseconds)"] }
        return cpu < 0 ? command : command + ["--cpu", "\(cpu)"]
    }

    func echoServer(for call: Call, cpu: Int = -1) -> [String] {
        echoServer(tools: call.tools, payload: call.result, filler: call.filler, cpu: cpu) + (call.isBatching ? ["--batching", "1"] : [])
    }

    var fakeServer: [String] { [programs.fakeServer] }

    /// - Parameter servers: the entries of `mcpServers`, as JSON.
    func mcpaggCommand(_ servers: [(key: String, entry: String)], executable: String? = nil) throws -> [String] {
        let config = scratch.next("mcp.json")
        let entries = servers.map { "\"\($0.key)\":\($0.entry)" }.joined(separator: ",")
        try writeText("{\"mcpServers\":{\(entries)}}", to: config)
        return [executable ?? programs.mcpagg, "--config", config]
    }

    static func entry(_ command: [String], settings: String = "") -> String {
        let arguments = command.dropFirst().map { "\"\($0)\"" }.joined(separator: ",")
        return "{\"command\":\"\(command[0])\",\"args\":[\(arguments)]\(settings)}"
    }

    // MARK: Processes

    /// Nothing of the person's own has a say: no settings, no cache, no proxy.
    func child(_ name: String, _ command: [String], cache: String? = nil) throws -> Child {
        let home = try scratch.directory("home")
        let environment = ["PATH": "/usr/bin:/bin", "HOME": home, "XDG_CACHE_HOME": cache ?? "\(home)/.cache", "TMPDIR": scratch.path]
        return try Child(name, command, environment: environment, log: scratch.next("\(name).log"))
    }

    /// mcpagg, which starts where we are pinned to.
    func mcpagg(_ servers: [(key: String, entry: String)], name: String = "mcpagg", cache: String? = nil) throws -> Child {
        try child(name, try mcpaggCommand(servers), cache: cache)
    }

    /// The ways of a call over pipes: to the server, to it through the relay, to it through mcpagg.
    /// - Parameter isWideToo: also through an mcpagg that lets the server have all calls at once, where usually those beyond
    ///   `maxConcurrentCalls` wait.
    func ways(for call: Call, _ layout: Layout, isWideToo: Bool = false) throws -> [Way] {
        let server = echoServer(for: call, cpu: isPinning ? layout.ends : -1)
        pin(layout.ends)
        let bare = try child("bare", server)
        pin(layout.between)
        let relay = try child("relay", [program("raw-relay")] + server)
        var children = [bare, relay, try mcpagg([("a", Self.entry(server))])]
        if isWideToo { children.append(try mcpagg([("a", Self.entry(server, settings: ",\"maxConcurrentCalls\":10000"))], name: "wide")) }
        pin(layout.ends)
        let loader = try Loader(longestLine: call.tools * 1024 + 65_536, calls: 1)
        for child in children { try Host.begin(child, loader: loader, tools: call.tools) }
        return children.map { Way($0.name, $0) }
    }

    /// Where we run, and where what we start begins to.
    func pin(_ cpu: Int) { if isPinning { bench_pin(0, Int32(cpu)) } }

    func end(_ ways: [Way]) {
        ways.forEach { $0.end() }
        pin(-1)
    }

    // MARK: Measuring

    /// Blocks of the same calls on each way, in turns, after a warm-up in which all payloads are compared.
    func blocks(
        _ ways: [Way], _ call: Call, window: Int, rounds: Int, block: Int = Workbench.block, warmUp: Int = Workbench.warmUp
    ) throws -> [[Block]] {
        let loader = try Loader(longestLine: call.longestLine, window: window, calls: max(block, warmUp))
        for way in ways { _ = try loader.load(way, call, calls: warmUp, isCompared: true) }
        return try alternate(ways, rounds: rounds) { try loader.load($0, call, calls: block) }
    }

    func add(
        _ name: String, _ unit: String, _ ways: [Way], _ blocks: [[Block]], to reference: String = "relay", _ value: (Block) -> Double
    ) {
        let samples = zip(ways, blocks).map { way, blocks in (way.name, blocks.map(value)) }
        report.add(Figure(name, unit, samples, to: reference))
    }

    func addLatency(_ name: String, _ ways: [Way], _ blocks: [[Block]], to reference: String = "relay") {
        add("\(name).p50", "µs", ways, blocks, to: reference, \.p50)
        add("\(name).p90", "µs", ways, blocks, to: reference, \.p90)
        add("\(name).p99", "µs", ways, blocks, to: reference, \.p99)
    }
}
