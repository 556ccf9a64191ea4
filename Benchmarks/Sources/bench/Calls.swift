import CBench

extension Workbench {
    /// One call after the other, with short messages.
    func latency() throws {
        let call = Call()
        for (suffix, place, layout) in layouts {
            report.begin("Latency: one call after the other, \(call.argument) bytes each way, \(place)")
            let ways = try ways(for: call, layout)
            let blocks = try blocks(ways, call, window: 1, rounds: calls / Self.block)
            addLatency("latency\(suffix)", ways, blocks)
            if blocks[0].map(\.p50).median >= blocks[1].map(\.p50).median {
                report.doubt("the server alone is not faster than behind the relay")
            }
            end(ways)
        }
    }

    /// Several calls in flight, and what they cost.
    func throughput() throws {
        for isBatching in [false, true] {
            let call = Call(isBatching: isBatching), kind = isBatching ? "-batched" : ""
            for (suffix, place, layout) in layouts {
                let writes = isBatching ? "as few writes as can be" : "a write for each message"
                report.begin("Throughput: calls in flight, \(call.argument) bytes each way, \(writes), \(place)")
                let ways = try ways(for: call, layout, isWideToo: !isBatching)
                for window in isBatching ? [128] : [1, 16, 128] {
                    let blocks = try blocks(ways, call, window: window, rounds: max(5, calls / Self.block), block: 2 * Self.block)
                    add("throughput\(kind)\(suffix).\(window)", "calls/s", ways, blocks, \.callsPerSecond)
                    if bench_cpu_ns(getpid()) > 0 {
                        let (ways, blocks) = (Array(ways.dropFirst()), Array(blocks.dropFirst()))
                        add("cpu\(kind)\(suffix).\(window)", "ms CPU per 1000 calls", ways, blocks, \.cpuMicroseconds)
                    }
                }
                end(ways)
            }
        }
    }

    /// Long messages in one direction, and the memory they take.
    func payload() throws {
        let cases: [(Int, Call.Filler)] = [(1, .plain), (1, .source), (1, .utf8), (10, .plain), (10, .source)]
        for direction in ["result", "argument"] {
            report.begin("Payloads: one \(direction) after the other, all on CPU \(cpu)")
            for (megabytes, filler) in cases {
                let long = megabytes * 1_000_000, short = Call.smallPayload
                let isResult = direction == "result"
                let call = Call(argument: isResult ? short : long, result: isResult ? long : short, filler: filler)
                let ways = try ways(for: call, .together(cpu))
                let mcpagg = ways[2].child?.pid ?? 0
                let resident = bench_memory_kb(mcpagg, "VmRSS:")
                let hasPeak = bench_forget_peak(mcpagg) != 0
                let name = "payload.\(direction).\(megabytes)MB.\(filler)"
                let blocks = try blocks(ways, call, window: 1, rounds: 10, block: 20 / megabytes, warmUp: 3)
                add(name, "MB/s", ways, blocks) { $0.callsPerSecond * call.megabytes }
                let peak = bench_memory_kb(mcpagg, "VmHWM:")
                // Of a short message it would be the program that is measured.
                if hasPeak, resident > 0, peak > 0, megabytes >= 10 {
                    let before = Double(resident) * 1024 / 1e6, most = Double(peak) * 1024 / 1e6
                    let values = [("before", [before]), ("peak", [most]), ("messages", [most / Double(megabytes)])]
                    report.add(Figure("\(name).memory", "(MB, MB, peak by message)", values))
                }
                end(ways)
            }
        }
    }

    /// A server over HTTP, in both eras, with both kinds of answers.
    func http() throws {
        var layouts: [(suffix: String, place: String, layout: Layout)] = [("", "all on CPU \(cpu)", .together(cpu))]
        if bench_cpus() > 1 {
            let other = cpu == 0 ? 1 : cpu - 1
            // A server that is called over HTTP is seldom on the host's own CPU.
            layouts.append(("-far", "the server on CPU \(other), the rest on CPU \(cpu)", .apart(ends: cpu, between: other)))
        }
        for (suffix, place, layout) in layouts {
            for (era, isStateless) in [("handshake", false), ("stateless", true)] {
                for kind in ["json", "sse"] {
                    report.begin("HTTP: \(era), \(kind), one call after the other, \(Call.smallPayload) bytes each way, \(place)")
                    try http("http\(suffix).\(era).\(kind)", kind, isStateless: isStateless, server: layout.between, others: layout.ends)
                }
            }
        }
    }

    private func http(_ name: String, _ kind: String, isStateless: Bool, server serverCPU: Int, others: Int) throws {
        let call = Call(prefix: "", isStateless: isStateless)
        pin(serverCPU)
        let server = try child("http-server", [program("http-server"), kind, "\(call.result)"])
        pin(others)
        let loader = try Loader(longestLine: 65_536, calls: 1)
        let port = Int(String(decoding: try loader.ask(server, "", beginning: ""), as: UTF8.self)) ?? 0
        let head = Self.head(port: port, isStateless: isStateless)
        let mcpagg = try mcpagg([("a", "{\"url\":\"http://127.0.0.1:\(port)/mcp\",\"prefix\":\"\"}")])
        try Host.begin(mcpagg, loader: loader, tools: 1, isStateless: isStateless)
        let ending = try call.ending(of: loader.ask(mcpagg, call.text, beginning: Host.answer(to: Int(Call.firstID))))
        let relay = try child("http-relay", [program("http-relay"), "\(port)", head])
        let ways = [try Way("direct", port: port, head: head), Way("relay", relay), Way("mcpagg", mcpagg, ending: ending)]
        let blocks = try blocks(ways, call, window: 1, rounds: max(5, calls / (2 * Self.block)), warmUp: Self.warmUp / 4)
        addLatency(name, ways, blocks, to: "direct")
        add("\(name).p50-to-relay", "µs", Array(ways.dropFirst()), Array(blocks.dropFirst()), to: "relay", \.p50)
        end(ways)
        server.end()
    }

    /// A request up to the value of Content-Length.
    private static func head(port: Int, isStateless: Bool) -> String {
        let own =
            isStateless
            ? "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: tool00000\r\n"
            : "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: 00112233445566778899aabbccddeeff\r\n"
        return "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nContent-Type: application/json\r\n"
            + "Accept: application/json, text/event-stream\r\n\(own)Content-Length: "
    }
}
