import ArgumentParser

@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What mcpagg costs, against programs that do the least.",
        discussion: "See Benchmarks/README.md for what each figure means.",
        subcommands: [Run.self, Instructions.self], defaultSubcommand: Run.self)
}

struct ProgramOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The executable that is measured.", valueName: "path"))
    var mcpagg = ".build/release/mcpagg"

    @Option(help: ArgumentHelp("The server whose own start is compared.", valueName: "path"))
    var fakeServer = ".build/release/fake-mcp-server"

    @Option(help: ArgumentHelp("The targets.", valueName: "file"))
    var thresholds = "Benchmarks/thresholds.json"

    @Option(help: ArgumentHelp("Write the figures to this file, too.", valueName: "file"))
    var json: String?

    @Flag(help: "Fail if a target is missed.")
    var check = false
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Times, rates, memory.")

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case latency, throughput, payload, start, catalog, idle, http
    }

    @OptionGroup var programs: ProgramOptions

    @Option(help: ArgumentHelp("Calls of each program in each case with short messages.", valueName: "n"))
    var calls = 20_000

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Only these parts: \(Part.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "part"))
    var only: [Part] = []

    @Option(help: ArgumentHelp("The CPU to which all processes are pinned; the last one, unless this says otherwise.", valueName: "n"))
    var cpu: Int?

    @Option(help: ArgumentHelp("The most servers that are run as processes at a time.", valueName: "n"))
    var servers = 100

    func validate() throws {
        if calls < 1000 || calls > 10_000_000 { throw ValidationError("--calls must be from 1000 to 10000000") }
        if servers < 20 || servers > 1000 { throw ValidationError("--servers must be from 20 to 1000") }
    }

    func run() throws {
        let thresholds = try Thresholds.read(programs.thresholds).filter { !$0.isOfInstructions }
        let report = Report()
        let bench = try Workbench(programs: programs, report: report, calls: calls, cpu: cpu)
        let parts = only.isEmpty ? Part.allCases : only
        for part in Part.allCases where parts.contains(part) {
            switch part {
            case .latency: try bench.latency()
            case .throughput: try bench.throughput()
            case .payload: try bench.payload()
            case .start: try bench.start()
            case .catalog: try bench.catalog(servers: servers)
            case .idle: try bench.idle()
            case .http: try bench.http()
            }
        }
        let isMet = try report.conclude(thresholds, isWhole: only.isEmpty, json: programs.json)
        if programs.check && !isMet { throw ExitCode.failure }
    }
}
