import Aggregation
import ArgumentParser
import JSONRPC
import NIOCore
import Resilience

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Start every server and say how each is.",
        discussion:
            "For each failure the cause and the remedy. Ends with 0 if all are ready, with 3 if only logins are missing, else with 4."
    )

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print a JSON object.")
    var json = false

    func run() async throws {
        let surroundings = ProcessSurroundings()
        do {
            let location = try ConfigLocation.find(named: global.config, surroundings: surroundings)
            let config = try location.load()
            let servers = try await Running.oneShot(
                global, location: location, config: config, surroundings: surroundings
            ) { running in
                await running.aggregator.settled()
                try Task.checkCancellation()
                return await running.aggregator.status()
            }
            if json { showJSON(servers) } else { show(servers) }
            if servers.contains(where: { $0.state == .down }) { throw ExitStatus.unreachable }
            if servers.contains(where: { $0.state == .authorizationNeeded }) { throw ExitStatus.authorizationNeeded }
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func show(_ servers: [ServerStatus]) {
        let style = Style(descriptor: StandardOutput.descriptor)
        var table = Table(["SERVER", "STATE", "MCP", "TOOLS", "START", "IS"], style: style)
        for server in servers {
            table.add([
                server.key, server.state.rawValue + (server.isLazy ? ", lazy" : ""), server.revision ?? "-",
                server.state == .ready ? "\(server.tools)" : "-",
                server.startTime.map(\.milliseconds) ?? "-", server.introduction ?? "-",
            ])
        }
        StandardOutput.write(table.text)
        for server in servers {
            var text = ""
            if let cause = server.cause { text += "  cause: \(Table.oneLine(cause))\n" }
            if let kind = server.failureKind { text += "  kind: \(kind)\n" }
            for problem in server.problems { text += "  problem: \(Table.oneLine(problem))\n" }
            if let hint = server.hint { text += "  hint: \(Table.oneLine(hint))\n" }
            if let noise = server.noise {
                let lines = server.noiseLines == 1 ? "1 line" : "\(server.noiseLines) lines"
                text += "  \(lines) on stdout that are no MCP messages, the first: \(Table.oneLine(noise))\n"
            }
            if server.state == .down, !server.errorLines.isEmpty {
                text += "  last lines on stderr:\n" + server.errorLines.map { "    \(Table.oneLine($0))\n" }.joined()
            }
            if !text.isEmpty { StandardOutput.write("\n\(style.bold(server.key))\n\(text)") }
        }
    }

    private func showJSON(_ servers: [ServerStatus]) {
        let report = JSONWriter.object { report in
            report.array("servers") { list in
                for server in servers {
                    list.object { entry in
                        entry.member("name", server.key)
                        entry.member("state", server.state.rawValue)
                        if server.isLazy { entry.member("start", "lazy") }
                        if let revision = server.revision { entry.member("protocolVersion", revision) }
                        if let introduction = server.introduction { entry.member("server", introduction) }
                        entry.member("tools", server.tools)
                        if let time = server.startTime { entry.member("start_ms", Int(time.clampedNanoseconds / 1_000_000)) }
                        if let http = server.http {
                            entry.member("transport", http.transport)
                            entry.object("http") { figures in
                                figures.member("session", json: http.hasSession ? "true" : "false")
                                figures.member("sessions_opened", http.sessionsOpened)
                                figures.member("requests_sent", http.requestsSent)
                                figures.member("requests_in_flight", http.requestsInFlight)
                            }
                        }
                        entry.object("circuit") { circuit in
                            circuit.member("state", server.circuit.state)
                            circuit.member("failures_in_a_row", server.circuit.failuresInARow)
                            circuit.member("opened", server.circuit.openings)
                            if let last = server.circuit.lastFailure { circuit.member("last_failure", last) }
                            if let next = server.circuit.nextAttempt {
                                circuit.member("next_attempt_ms", Int(next.clampedNanoseconds / 1_000_000))
                            }
                        }
                        if let cause = server.cause { entry.member("cause", cause) }
                        if let kind = server.failureKind { entry.member("failure", kind) }
                        if let hint = server.hint { entry.member("hint", hint) }
                        if !server.problems.isEmpty {
                            entry.array("problems") { list in
                                for problem in server.problems { list.value(problem) }
                            }
                        }
                        entry.array("stderr") { lines in
                            for line in server.errorLines { lines.value(line) }
                        }
                        entry.member("noiseLines", server.noiseLines)
                        if let noise = server.noise { entry.member("noise", noise) }
                    }
                }
            }
        }
        StandardOutput.write(String(buffer: report) + "\n")
    }
}

extension Duration {
    fileprivate var milliseconds: String { "\(clampedNanoseconds / 1_000_000) ms" }
}
