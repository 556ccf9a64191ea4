import ConfigFile
package import FeatureCatalog
import Lifecycle
import MCPProtocol
import OrderedCollections
import Resilience
import Transports

/// What `mcpagg status` says about one server.
package struct ServerStatus: Sendable {
    package enum State: String, Sendable {
        case starting, ready, down, disabled
        /// It is started when somebody needs it.
        case resting
        /// The person has to log in.
        case authorizationNeeded = "authorization needed"
    }

    package var key: String
    package var state: State
    /// It is started only when it is needed.
    package var isLazy = false
    /// MCP revision spoken with it, once that is agreed.
    package var revision: String?
    /// What it calls itself: name and version.
    package var introduction: String?
    package var processID: Int?
    /// How a server behind a URL is reached.
    package var http: HTTPFigures?
    /// Tools it offers to hosts.
    package var tools: Int
    /// From launch to the first tool list.
    package var startTime: Duration?
    package var cause: String?
    /// What is wrong with it although it is ready: lists that cannot be read.
    package var problems: [String] = []
    package var hint: String?
    /// What can be done about its failure: `configuration`, `authorization`, `crash loop`, `transient` or `overload`.
    package var failureKind: String?
    package var circuit = CircuitFigures()
    /// The end of what it wrote to standard error.
    package var errorLines: [String]
    /// Lines on its standard output that are no messages, and the first of them.
    package var noiseLines: Int
    package var noise: String?
}

extension ServerStatus {
    /// It cannot be used now, though it should be.
    package var isOut: Bool { state == .down || state == .authorizationNeeded }
}

/// What became of calls so far, and whether more are sent.
package struct CircuitFigures: Sendable {
    /// `closed`, `open` or `half open`.
    package var state = "closed"
    package var failuresInARow = 0
    package var openings = 0
    /// The last that counted.
    package var lastFailure: String?
    /// Until the next launch, or the next call that is let through; `nil` if nothing has to be waited for.
    package var nextAttempt: Duration?
    package var sent = 0
    package var answered = 0
    package var failures = 0
    package var timeouts = 0
    package var repeated = 0
    /// Answers that came too late.
    package var late = 0
    package var waiting = 0
}

/// What was done so far to reach a server behind a URL.
package struct HTTPFigures: Sendable {
    /// `http` or `sse`.
    package var transport: String
    package var hasSession: Bool
    package var sessionsOpened: Int
    package var requestsSent: Int
    package var requestsInFlight: Int
}

extension Aggregator {
    /// One entry per server of the config file, in its order.
    package func status() -> [ServerStatus] {
        let offered = presentCatalog[.tools].entries.reduce(into: [:]) { $0[$1.server, default: 0] += 1 }
        return config.servers.values.map { server in
            guard !server.isDisabled, let id = current[server.key], let downstream = downstreams[id] else {
                return ServerStatus(key: server.key, state: .disabled, tools: 0, errorLines: [], noiseLines: 0)
            }
            let state: ServerStatus.State =
                switch downstream.life.state {
                case .idle, .starting: .starting
                case .resting: downstream.failure == nil ? .resting : .down
                case .ready: .ready
                case .backingOff, .failed, .stopped: downstream.failure?.kind == .authorization ? .authorizationNeeded : .down
                }
            return ServerStatus(
                key: server.key, state: state, isLazy: server.start == .lazy,
                revision: downstream.machine.introduction?.revision.rawValue,
                introduction: downstream.machine.introduction.map { redact("\($0.name) \($0.version)") },
                processID: downstream.child?.process.processID,
                http: downstream.remote.map { remote in
                    HTTPFigures(
                        transport: remote.server.wire == .legacy ? "sse" : "http", hasSession: remote.server.hasSession,
                        sessionsOpened: remote.server.sessionsOpened, requestsSent: remote.server.requestsSent,
                        requestsInFlight: downstream.machine.requestsInFlight)
                },
                tools: offered[server.key] ?? 0,
                startTime: downstream.startTime,
                cause: downstream.failure.map { redact($0.cause) },
                problems: FeatureKind.allCases.compactMap { kind in
                    downstream.listFailures[kind].map { redact("its \(kind.noun)s could not be listed: \($0)") }
                },
                hint: downstream.failure?.hint.map { redact($0) },
                failureKind: downstream.failure?.kind.rawValue,
                circuit: circuit(of: downstream),
                errorLines: downstream.errorOutput.tail(Limits.shownErrorLines).map { redact($0) },
                noiseLines: downstream.noise.lines,
                noise: downstream.noise.first.map { redact($0) })
        }
    }

    private func circuit(of downstream: Downstream) -> CircuitFigures {
        var circuit = CircuitFigures()
        switch downstream.breaker.state {
        case .closed: break
        case .open: circuit.state = "open"
        case .halfOpen: circuit.state = "half open"
        }
        circuit.failuresInARow = downstream.breaker.failuresInARow
        circuit.openings = downstream.breaker.openings
        circuit.lastFailure = downstream.lastFailure.map { redact($0.cause) }
        circuit.nextAttempt = downstream.breaker.wait(now: now)
        if case .backingOff(_, let until) = downstream.life.state {
            let launch = max(.zero, now.duration(to: until))
            circuit.nextAttempt = circuit.nextAttempt.map { min($0, launch) } ?? launch
        }
        let figures = downstream.figures
        (circuit.sent, circuit.answered, circuit.failures) = (figures.sent, figures.answered, figures.failures)
        (circuit.timeouts, circuit.repeated) = (figures.timeouts, figures.repeated)
        circuit.late = figures.late + (downstream.isLost ? 0 : downstream.machine.lateAnswers)
        circuit.waiting = downstream.queue.count
        return circuit
    }

    /// A line for each server, for whoever looks after a running mcpagg.
    func reportCircuits() {
        for server in status() where server.state != .disabled {
            let circuit = server.circuit
            var text = "server '\(server.key)': \(server.state.rawValue), circuit \(circuit.state)"
            text += ", \(circuit.sent) calls sent, \(circuit.answered) answered, \(circuit.timeouts) timed out, \(circuit.late) too late"
            text += ", \(circuit.repeated) sent again, \(circuit.waiting) waiting, \(circuit.failures) failures"
            if let last = circuit.lastFailure { text += ", the last: \(last)" }
            if let next = circuit.nextAttempt { text += "; next attempt in \(next.text)" }
            report(.notice, text)
        }
    }

    /// What is offered to hosts now.
    package func mergedCatalog() -> Catalog { presentCatalog }
}
