import ArgumentParser
import CBench

/// Times are noisy; the instructions that a call costs in user space are nearly the same each time, whatever else the machine does.
struct Instructions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Instructions of a call, counted by valgrind.",
        discussion: "Each case is run with n and with 2n calls; the difference is what n calls cost.")

    @OptionGroup var programs: ProgramOptions

    @Option(help: ArgumentHelp("Calls of the shorter run.", valueName: "n"))
    var calls = 1000

    @Option(help: ArgumentHelp("Keep valgrind's files here, for callgrind_annotate.", valueName: "directory"))
    var keep: String?

    /// Of those that take long, fewer calls are enough.
    private static let bytesOfRun = 40_000_000

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
        let many = try counter.perCall("short.128", Call(), window: 128, calls: calls)
        report.add(Figure("instructions.call", "per call, 200 bytes each way", [("window 1", [one]), ("window 128", [many])]))
        for filler in Call.Filler.allCases {
            for size in [4096, 65_536, 1_000_000] {
                let count = min(calls, max(10, Self.bytesOfRun / size))
                let argument = try counter.perCall(
                    "argument.\(size).\(filler)", Call(argument: size, filler: filler), window: 1, calls: count)
                let result = try counter.perCall("result.\(size).\(filler)", Call(result: size, filler: filler), window: 1, calls: count)
                let bytes = Double(size - Call.smallPayload)
                let values = [("argument", [(argument - one) / bytes]), ("result", [(result - one) / bytes])]
                report.add(Figure("instructions.byte.\(size).\(filler)", "per byte", values))
            }
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

    init(bench: Workbench, mcpagg: String, keep: String?) throws {
        self.bench = bench
        guard let valgrind = Self.find("valgrind") else {
            throw BenchProblem(
                message: "there is no valgrind in PATH", hint: "install it (package valgrind); only instruction counts need it")
        }
        guard let strip = Self.find("strip") else {
            throw BenchProblem(message: "there is no strip in PATH", hint: "install it (package binutils)")
        }
        self.valgrind = valgrind
        if let keep, mkdir(keep, 0o755) != 0, errno != EEXIST { throw BenchProblem(message: "\(keep) cannot be made") }
        directory = try keep ?? bench.scratch.directory("valgrind")
        // Valgrind gives up at debug information it does not know; names of functions are left.
        executable = "\(directory)/mcpagg"
        let stripping = try bench.child("strip", [strip, "--strip-debug", "-o", executable, mcpagg])
        stripping.end()
        guard isExecutable(executable) else { throw stripping.failed("it made no copy of \(mcpagg)") }
    }

    func perCall(_ name: String, _ call: Call, window: Int, calls: Int) throws -> Double {
        let once = try total("\(name).1", call, window: window, calls: calls)
        let twice = try total("\(name).2", call, window: window, calls: 2 * calls)
        return Double(twice - once) / Double(calls)
    }

    private func total(_ name: String, _ call: Call, window: Int, calls: Int) throws -> Int {
        let server = bench.echoServer(for: call)
        let command = try bench.mcpaggCommand([("a", Workbench.entry(server))], executable: executable)
        let file = "\(directory)/callgrind.\(name)"
        let child = try bench.child(
            "mcpagg under valgrind", [valgrind, "--tool=callgrind", "--callgrind-out-file=\(file).%p", "--quiet"] + command)
        let pid = child.pid
        let loader = try Loader(longestLine: call.longestLine + call.tools * 1024 + 65_536, window: window, calls: 2 * calls)
        try Host.begin(child, loader: loader, tools: call.tools)
        _ = try loader.load(Way("mcpagg", child), call, calls: calls)
        child.end()
        // The processes that it forked have files of their own.
        let totals = try readText("\(file).\(pid)").split(separator: "\n").last { $0.hasPrefix("totals:") || $0.hasPrefix("summary:") }
        guard let count = totals?.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw child.failed("valgrind has counted nothing")
        }
        return count
    }

    private static func find(_ name: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { isExecutable($0) }
    }
}
