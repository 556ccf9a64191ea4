import ArgumentParser
import CBench

/// Times are noisy; the instructions that a call costs in user space are nearly the same each time, whatever else the machine does.
struct Instructions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Instructions of a call, counted by valgrind.",
        discussion: "Valgrind's count is set to zero after a warm-up, and read after so many calls.")

    @OptionGroup var programs: ProgramOptions

    @Option(help: ArgumentHelp("Calls that are counted in each case.", valueName: "n"))
    var calls = 500

    @Option(help: ArgumentHelp("Keep valgrind's files here, for callgrind_annotate.", valueName: "directory"))
    var keep: String?

    /// Of those that take long, fewer calls are enough.
    private static let bytesOfRun = 10_000_000

    func validate() throws {
        if calls < 10 || calls > 1_000_000 { throw ValidationError("--calls must be from 10 to 1000000") }
    }

    func run() throws {
        let report = Report()
        let thresholds = try Thresholds.read(programs.thresholds).filter(\.isOfInstructions)
        let bench = try Workbench(programs: programs, report: report, calls: calls, cpu: nil)
        let counter = try InstructionCounter(bench: bench, mcpagg: programs.mcpagg, keep: keep)
        report.begin("Instructions in user space of one call, both directions")
        let one = try counter.perCall("short", Call(), window: 1, calls: calls)
        // By default some would wait for a place, more or fewer in each run.
        let many = try counter.perCall("short.128", Call(), window: 128, calls: calls, settings: ",\"maxConcurrentCalls\":128")
        let waiting = try counter.perCall("waiting", Call(), window: 128, calls: calls, settings: ",\"maxConcurrentCalls\":16")
        let values = [("window 1", [one]), ("window 128", [many]), ("112 of them waiting", [waiting])]
        report.add(Figure("instructions.call", "per call, 200 bytes each way", values))
        let lengths = Call.Filler.allCases.flatMap { filler in [4096, 65_536].map { ($0, filler) } } + [(1_000_000, .plain)]
        for (size, filler) in lengths {
            let count = min(calls, max(10, Self.bytesOfRun / size))
            let argument = try counter.perCall("argument.\(size).\(filler)", Call(argument: size, filler: filler), window: 1, calls: count)
            let result = try counter.perCall("result.\(size).\(filler)", Call(result: size, filler: filler), window: 1, calls: count)
            let bytes = Double(size - Call.smallPayload)
            let values = [("argument", [(argument - one) / bytes]), ("result", [(result - one) / bytes])]
            report.add(Figure("instructions.byte.\(size).\(filler)", "per byte", values))
        }
        let few = try counter.perCall("tools.10", Call(tools: 10), window: 1, calls: calls)
        let tools = try counter.perCall("tools.10000", Call(tools: 10_000), window: 1, calls: calls)
        report.add(Figure("instructions.tools", "per call", [("10", [few]), ("10000", [tools])], of: "10000", to: "10"))
        let isMet = try report.conclude(thresholds, isWhole: true, json: programs.json)
        if programs.check && !isMet { throw ExitCode.failure }
    }
}

struct InstructionCounter {
    private let bench: Workbench
    private let directory: String
    private let executable: String
    private let valgrind: String
    private let vgdb: String

    init(bench: Workbench, mcpagg: String, keep: String?) throws {
        self.bench = bench
        valgrind = try Self.find("valgrind", package: "valgrind")
        vgdb = try Self.find("vgdb", package: "valgrind")
        let strip = try Self.find("strip", package: "binutils")
        if let keep, mkdir(keep, 0o755) != 0, errno != EEXIST { throw BenchProblem(message: "\(keep) cannot be made") }
        directory = try keep ?? bench.scratch.directory("valgrind")
        // Valgrind gives up at debug information it does not know; names of functions are left.
        executable = "\(directory)/mcpagg"
        let stripping = try bench.child("strip", [strip, "--strip-debug", "-o", executable, mcpagg])
        stripping.end()
        guard isExecutable(executable) else { throw stripping.failed("it made no copy of \(mcpagg)") }
    }

    /// - Parameter settings: more members of the server's entry.
    func perCall(_ name: String, _ call: Call, window: Int, calls: Int, settings: String = "") throws -> Double {
        let server = bench.echoServer(for: call)
        let command = try bench.mcpaggCommand([("a", Workbench.entry(server, settings: settings))], executable: executable)
        // The processes that it forks have files of their own.
        let file = "\(directory)/callgrind.\(name)"
        let child = try bench.child(
            "mcpagg under valgrind", [valgrind, "--tool=callgrind", "--callgrind-out-file=\(file).%p", "--quiet"] + command)
        let pid = child.pid
        let loader = try Loader(longestLine: call.longestLine + call.tools * 1024 + 65_536, window: window, calls: calls)
        try Host.begin(child, loader: loader, tools: call.tools)
        let way = Way("mcpagg", child)
        _ = try loader.load(way, call, calls: calls)
        try tell(pid, "zero")
        _ = try loader.load(way, call, calls: calls)
        try tell(pid, "dump")
        child.end()
        let totals = try readText("\(file).\(pid).1").split(separator: "\n").last { $0.hasPrefix("totals:") || $0.hasPrefix("summary:") }
        guard let count = totals?.split(separator: " ").last.flatMap({ Int($0) }), count > 0 else {
            throw child.failed("valgrind has counted nothing")
        }
        return Double(count) / Double(calls)
    }

    /// The program sleeps then: all its answers are here.
    private func tell(_ pid: Int32, _ order: String) throws { try bench.child("vgdb", [vgdb, "--pid=\(pid)", order]).end() }

    private static func find(_ name: String, package: String) throws -> String {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        guard let found = path.split(separator: ":").map({ "\($0)/\(name)" }).first(where: isExecutable) else {
            throw BenchProblem(
                message: "there is no \(name) in PATH", hint: "install it (package \(package)); only instruction counts need it")
        }
        return found
    }
}
