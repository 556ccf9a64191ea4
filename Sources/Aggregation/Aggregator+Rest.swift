import ConfigFile
import FeatureCatalog
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

// Servers that run only while somebody needs them.
extension Aggregator {
    /// Starts a server, unless nobody needs it yet and it is known what it offers. If the host can be answered without it, that is done
    /// first: twenty processes that start take the processor from us.
    func begin(_ downstream: Downstream) {
        guard downstream.config.unusable == nil else { return launch(downstream) }
        // Whether it is known depends on what hosts can do: that is found out with the first host's first message.
        guard clientCapabilities != nil else {
            if startsOnNeed(downstream) { return }
            return knewServers ? launchSoon(within: Limits.firstMessageWait) : launch(downstream)
        }
        guard startsOnNeed(downstream) else {
            return downstream.isRestored ? launchSoon(within: Limits.firstListWait) : launch(downstream)
        }
        guard isKnown(downstream), !isNeeded(downstream) else { return launch(downstream) }
        downstream.life.rest()
        debug("server '\(downstream.key)': is started when it is needed")
        settled(downstream)
    }

    /// Starts what was not to be started before it was known what hosts can do, and what is not known well enough for this host.
    func beginWaiting() {
        for downstream in Array(downstreams.values) where downstream.connection == nil {
            switch downstream.life.state {
            case .idle: begin(downstream)
            case .resting: if downstream.lastKnown == nil { wake(downstream) }
            case .starting, .ready, .backingOff, .failed, .stopped: break
            }
        }
    }

    private func launchSoon(within time: Duration) {
        if timers[.launch] == nil { set(.launch, after: time) }
    }

    /// Nothing is put off any longer.
    func launchAll() {
        for downstream in Array(downstreams.values) where downstream.life.state == .idle && downstream.connection == nil {
            if !startsOnNeed(downstream) || downstream.config.unusable != nil { launch(downstream) }
        }
    }

    /// The cache was there before us: there may be something in it.
    private var knewServers: Bool { options.cacheUse == .trust && openCache()?.isNew == false }

    private func startsOnNeed(_ downstream: Downstream) -> Bool {
        switch options.cacheUse {
        case .refresh: false
        case .trust: downstream.config.start == .lazy
        case .startOnNeed: true
        }
    }

    /// What it offers is known well enough for it not to run: who never runs never says that it changed.
    private func isKnown(_ downstream: Downstream) -> Bool {
        guard downstream.lastKnown != nil else { return false }
        guard downstream.isRestored, let learned = downstream.learnedAt else { return true }
        return surroundings.wallClock() - learned <= Limits.restAge
    }

    /// Somebody needs a server that rests.
    func wake(_ downstream: Downstream) {
        guard downstream.life.isResting else { return }
        guard downstream.connection == nil else {
            // What ran before is still being ended; somebody waits for that now.
            downstream.isWanted = true
            if downstream.child != nil { beginTeardown(of: downstream, pace: .hurried) }
            return
        }
        downstream.isWanted = false
        launch(downstream)
    }

    /// How long a request may wait for its server. The start of one that runs only while it is needed is part of what was asked for.
    func patience(with downstream: Downstream) -> Duration {
        guard !downstream.life.isReady, restTime(of: downstream) != nil else { return downstream.config.timeout }
        return max(downstream.config.timeout, downstream.config.startupTimeout)
    }

    /// Whether it need not run for its sake alone.
    func mayRest(_ downstream: Downstream) -> Bool { startsOnNeed(downstream) && isKnown(downstream) }

    /// Whether one that is down is not started again before somebody needs it.
    func waitsForNeed(_ downstream: Downstream) -> Bool { mayRest(downstream) && !isNeeded(downstream) }

    /// Somebody needs them all.
    package func startResting() {
        for downstream in Array(downstreams.values) { wake(downstream) }
        flush()
    }

    /// What ran of it is gone; it may be wanted by now.
    func launchIfWanted(_ downstream: Downstream) {
        switch downstream.life.state {
        case .resting: if downstream.isWanted { wake(downstream) }
        case .backingOff(_, let until): if until <= now { restart(downstream) }
        case .idle: launch(downstream)
        case .starting, .ready, .failed, .stopped: break
        }
    }

    /// It is time for another attempt, if somebody needs it.
    func restart(_ downstream: Downstream) {
        guard waitsForNeed(downstream) else { return launch(downstream) }
        downstream.life.rest()
    }

    // MARK: Unused

    /// How long a server that runs may be of no use before it is stopped; `nil` for as long as we run.
    func restTime(of downstream: Downstream) -> Duration? {
        guard options.restartsServers else { return nil }
        if startsOnNeed(downstream) { return downstream.config.idleTimeout ?? Limits.lazyIdleTime }
        // Of a connection to a server behind a URL there is nothing that would have to be stopped but its session.
        return downstream.child == nil ? nil : downstream.config.idleTimeout
    }

    /// Stops a server that nobody has needed for a while; the next one who does has it started again.
    /// - Returns: whether it was.
    func restIfUnused(_ downstream: Downstream) -> Bool {
        guard let time = restTime(of: downstream), downstream.life.isReady else { return false }
        guard !isNeeded(downstream) else {
            // From now on.
            downstream.lastCall = now
            return false
        }
        guard downstream.lastCall.duration(to: now) >= time else { return false }
        report(.info, "server '\(downstream.key)': stopped, because nobody has needed it for \(time.text); the next call starts it")
        // While it is known what it offers.
        keepOffers()
        downstream.isLost = true
        for timer in downstream.connectionTimers { cancel(timer) }
        downstream.healthCheck = nil
        downstream.figures.late += downstream.machine.lateAnswers
        downstream.inputStates = [:]
        // Nothing is in flight there.
        downstream.machine = DownstreamProtocol(identity: identity, level: downstream.machine.level)
        downstream.life.rest()
        beginTeardown(of: downstream)
        return true
    }

    /// Something would be lost if it did not run.
    private func isNeeded(_ downstream: Downstream) -> Bool {
        guard downstream.queue.isEmpty, downstream.machine.isQuiet, downstream.questions.isEmpty, downstream.earlyQuestions.isEmpty,
            downstream.taskQuestions.isEmpty, downstream.elicitations.isEmpty
        else { return true }
        // It said that a list changed, which nobody has read yet.
        if downstream.machine.relistDue != nil { return true }
        if subscriptions.values.contains(where: { $0.server == downstream.key }) { return true }
        let now = now
        if downstream.inputStates.values.contains(where: { hosts[$0.host] != nil && $0.asked.duration(to: now) < Limits.taskWait }) {
            return true
        }
        return hosts.values.contains { host in
            host.inputs.values.contains { $0.downstream == downstream.id }
                || host.parked.values.contains { $0.downstream == downstream.id }
                || host.tasks.values.contains { task in
                    task.downstream == downstream.id && !task.isOver && task.began.duration(to: now) < Limits.taskWait
                }
        }
    }
}

extension Downstream {
    /// What waits for something of its present connection.
    var connectionTimers: [Aggregator.Timer] { [.startup(id), .probe(id), .listenAgain(id), .health(id), .headers(id)] }
}
