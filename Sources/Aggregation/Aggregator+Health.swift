import ConfigFile
import FeatureCatalog
import Lifecycle
import MCPProtocol
import NIOCore
import Resilience
import Transports

// Servers that nobody talks to: whether they are still well, and sessions that nobody needs (DESIGN, D8).
extension Aggregator {
    /// Looks after a server again when it may have been silent for long enough.
    func expectSilence(of downstream: Downstream) {
        downstream.healthCheck = nil
        let now = now
        var waits: [Duration] = []
        if let policy = downstream.config.healthCheck {
            waits.append(policy.every - downstream.lastHeard.duration(to: now))
        }
        if let time = restTime(of: downstream) ?? sessionIdleTime(of: downstream) {
            waits.append(time - downstream.lastCall.duration(to: now))
        }
        guard let wait = waits.min() else { return }
        set(.health(downstream.id), after: max(wait, Limits.shortestSilence))
    }

    func healthDue(_ downstream: Downstream) {
        guard downstream.life.isReady, let connection = downstream.connection else { return }
        if downstream.healthCheck == nil, restIfUnused(downstream) { return }
        guard let policy = downstream.config.healthCheck else {
            rest(downstream)
            return expectSilence(of: downstream)
        }
        if let index = downstream.healthCheck {
            // We do not read it, because a host does not read us: that says nothing of the server.
            guard connection.isReading else { return set(.health(downstream.id), after: policy.timeout) }
            if let id = downstream.machine.endCheck() {
                connection.send(line: DownstreamProtocol.cancellation(of: id, reason: "timed out"))
            }
            return check(downstream, from: index + 1)
        }
        rest(downstream)
        // While it works on something its silence means nothing, and a session that rests is not woken for this.
        let isBusy = !downstream.isIdle || !downstream.questions.isEmpty
        guard !isBusy, downstream.remote?.server.isResting != true, downstream.lastHeard.duration(to: now) >= policy.every else {
            if isBusy { downstream.lastHeard = now }
            return expectSilence(of: downstream)
        }
        check(downstream, from: 0)
    }

    private func check(_ downstream: Downstream, from index: Int) {
        guard let policy = downstream.config.healthCheck, let connection = downstream.connection else { return }
        guard index < policy.methods.count else {
            let methods = policy.methods.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            lose(downstream, cause: "it was silent, and did not answer \(methods)", hint: nil)
            return beginTeardown(of: downstream)
        }
        guard let method = policy.methods[index].asked, let line = downstream.machine.check(method) else {
            // It is taken as healthy: as if it had said something now.
            downstream.lastHeard = now
            return expectSilence(of: downstream)
        }
        downstream.healthCheck = index
        set(.health(downstream.id), after: policy.timeout)
        connection.send(line: line)
    }

    func checked(_ downstream: Downstream, isHealthy: Bool) {
        guard let index = downstream.healthCheck, downstream.life.isReady else { return }
        if isHealthy { expectSilence(of: downstream) } else { check(downstream, from: index + 1) }
    }

    // MARK: Sessions that nobody needs

    private func sessionIdleTime(of downstream: Downstream) -> Duration? {
        guard downstream.remote?.server.hasSession == true else { return nil }
        return downstream.config.idleTimeout ?? Limits.sessionIdleTime
    }

    /// Ends the session of a server that had no call for a while; the next one begins another.
    private func rest(_ downstream: Downstream) {
        guard let time = sessionIdleTime(of: downstream), downstream.lastCall.duration(to: now) >= time, downstream.isIdle,
            downstream.questions.isEmpty, !subscriptions.values.contains(where: { $0.server == downstream.key })
        else { return }
        debug("server '\(downstream.key)': its session is ended, because it had no call for \(time.text)")
        downstream.remote?.server.rest()
    }
}

extension HealthCheckPolicy.Method {
    /// What is asked; `nil` for nothing.
    fileprivate var asked: Method? {
        switch self {
        case .ping: .ping
        case .toolsList: .toolsList
        case .promptsList: .promptsList
        case .resourcesList: .resourcesList
        case .skip: nil
        }
    }
}
