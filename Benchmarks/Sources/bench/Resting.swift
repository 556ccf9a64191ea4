import CBench

extension Workbench {
    /// Servers beside a host that says nothing.
    func idle() throws {
        let servers = 20, seconds = 10.0
        report.begin("Idle: \(servers) servers, \(seconds.short) s of silence")
        let mcpagg = try mcpagg(Self.entries(servers, echoServer(tools: 20, payload: Call.smallPayload)))
        let loader = try Loader(longestLine: 1 << 20, calls: 1)
        try Host.begin(mcpagg, loader: loader, tools: servers * 20)
        guard !Self.wakeups(mcpagg.pid).isEmpty else { return report.show("  this system does not tell") }
        // What follows a start is no silence: threads that have nothing more to do stay for some seconds.
        usleep(10_000_000)
        var below = [Int32](repeating: 0, count: 1024)
        below.removeLast(below.count - Int(bench_descendants(mcpagg.pid, &below, Int32(below.count))))
        // Guard and keepers are of mcpagg's own program.
        let own = below.filter { readLink("/proc/\($0)/exe") == readLink("/proc/\(mcpagg.pid)/exe") }
        func share(_ pids: [Int32]) -> Double { Double(pids.map { bench_memory_kb($0, "Pss:") }.reduce(0, +)) * 1024 / 1e6 }
        let before = ([mcpagg.pid] + own).map(Self.wakeups)
        usleep(UInt32(seconds * 1e6))
        let after = ([mcpagg.pid] + own).map(Self.wakeups)
        let woken = zip(before, after).map { Double(Self.woken($0, $1)) / seconds }
        let ofMcpagg = woken[0], ofOthers = woken.dropFirst().reduce(0, +)
        report.add(Figure("idle.wakeups", "per second", [("mcpagg", [ofMcpagg]), ("guard and keepers", [ofOthers])]))
        func resident() -> Double { Double(bench_memory_kb(mcpagg.pid, "VmRSS:")) * 1024 / 1e6 }
        report.add(Figure("idle.resident", "MB", [("mcpagg", [resident()])]))
        report.add(
            Figure("idle.share", "MB (shared pages divided)", [("mcpagg", [share([mcpagg.pid])]), ("guard and keepers", [share(own)])]))
        let call = Call(prefix: "\(Self.key(0))__")
        let load = try Loader(longestLine: call.longestLine, window: 128, calls: calls)
        _ = try load.load(Way("mcpagg", mcpagg), call, calls: calls)
        report.add(Figure("idle.resident.after-load", "MB", [("mcpagg", [resident()])]))
        mcpagg.end()
    }

    /// By thread, how often it has gone to sleep.
    private static func wakeups(_ pid: Int32) -> [Int32: Int64] {
        var found = [bench_wakeups](repeating: bench_wakeups(), count: 256)
        let count = max(0, bench_count_wakeups(pid, &found, Int32(found.count)))
        return Dictionary(uniqueKeysWithValues: found.prefix(Int(count)).map { ($0.thread, $0.count) })
    }

    /// A thread that has gone woke up to go.
    private static func woken(_ before: [Int32: Int64], _ after: [Int32: Int64]) -> Int64 {
        let grown = after.map { $0.value - before[$0.key, default: 0] }.reduce(0, +)
        return grown + Int64(before.keys.filter { after[$0] == nil }.count)
    }

    /// Whether a call, or a list, costs more when there is more to choose from.
    func catalog(servers: Int) throws {
        report.begin("Catalog: calls of all tools in turn, all on CPU \(cpu)")
        try compareCatalogs("tools", [10, 10_000].map { (name: "\($0)", servers: 1, tools: $0) })
        report.begin("Catalog: processes of 10 tools each, calls of one, all on CPU \(cpu)")
        let counts = [1, 10, 100, 1000].filter { $0 <= servers }
        try compareCatalogs("servers", counts.map { (name: "\($0)", servers: $0, tools: 10) })
    }

    private func compareCatalogs(_ name: String, _ catalogs: [(name: String, servers: Int, tools: Int)]) throws {
        pin(cpu)
        let loader = try Loader(longestLine: 16 << 20, calls: 1)
        let (most, least) = (catalogs.last?.name ?? "", catalogs.first?.name ?? "")
        var ways: [Way] = [], calls: [Call] = []
        for catalog in catalogs {
            let server = echoServer(tools: catalog.tools, payload: Call.smallPayload)
            let child = try mcpagg(Self.entries(catalog.servers, server), name: catalog.name)
            try Host.begin(child, loader: loader, tools: catalog.servers * catalog.tools)
            ways.append(Way(catalog.name, child))
            calls.append(Call(prefix: "\(Self.key(catalog.servers - 1))__", tools: catalog.tools))
        }
        let all = Array(ways.indices), rounds = max(5, self.calls / (2 * Self.block))
        func add(_ figure: String, _ unit: String, _ samples: [[Double]], isCompared: Bool = true) {
            let samples = zip(ways, samples).map { ($0.name, $1) }
            report.add(Figure("catalog.\(name).\(figure)", unit, samples, of: most, to: isCompared ? least : nil))
        }
        for (window, figure) in [(1, "p50"), (128, "cpu")] {
            let load = try Loader(longestLine: 4096, window: window, calls: Self.warmUp)
            for index in all { _ = try load.load(ways[index], calls[index], calls: Self.warmUp) }
            let blocks = try alternate(all, rounds: rounds) { try load.load(ways[$0], calls[$0], calls: Self.block) }
            if window == 1 {
                add(figure, "µs", blocks.map { $0.map(\.p50) })
            } else {
                add(figure, "ms CPU per 1000 calls", blocks.map { $0.map(\.cpuMicroseconds) })
            }
        }
        var id = 1_000_000
        let lists = try alternate(all, rounds: 10) { index in
            id += 1
            let begun = bench_now()
            guard let child = ways[index].child else { return 0.0 }
            let list = try loader.ask(child, Host.list(id: id), beginning: Host.answer(to: id))
            let tools = catalogs[index].servers * catalogs[index].tools
            guard Host.tools(in: list) == tools else { throw child.failed("it does not list \(tools) tools") }
            return Double(loader.answered - begun) / 1e6
        }
        add("list", "ms", lists, isCompared: false)
        let perTool = zip(catalogs, lists).map { catalog, times in
            times.map { $0 * 1000 / Double(catalog.servers * catalog.tools) }
        }
        add("list-per-tool", "µs", perTool, isCompared: false)
        end(ways)
    }
}
