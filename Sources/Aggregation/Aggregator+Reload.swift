package import ConfigFile
import DequeModule
import FeatureCatalog
import Lifecycle
import Logging
import MCPProtocol
import OrderedCollections
import Transports

// From one config to the next. Servers that it does not concern keep running untouched.
extension Aggregator {
    /// Puts a config into effect: the first one, or the next.
    /// - Parameter path: the file it comes from, for the log.
    package func apply(_ next: AggregatorConfig, from path: String? = nil) {
        guard ending == nil else { return }
        let difference = ConfigDifference(from: config, to: next)
        let isFirst = !hasConfig
        if configProblem != nil { report(.notice, "the config file is good again") }
        (config, hasConfig, configProblem) = (next, true, nil)
        // Those of servers that are being ended too: they may still say something.
        secrets.formUnion(next.secrets)
        redact = Redaction(secrets.union(fetchedSecrets.values.joined().joined()))
        if options.followsConfiguredLogLevel { logger.logLevel = Logger.Level(rawValue: next.settings.logLevel.rawValue) ?? .info }
        for note in next.notes { debug("\(note)") }

        isCatalogStale = true
        for key in difference.removed {
            for id in [replacements.removeValue(forKey: key), current.removeValue(forKey: key)] {
                if let downstream = id.flatMap({ downstreams[$0] }) { retire(downstream) }
            }
        }
        for key in difference.adjusted {
            guard let server = next.servers[key] else { continue }
            for id in [replacements[key], current[key]] {
                if let downstream = id.flatMap({ downstreams[$0] }) { downstream.config.adopt(server) }
            }
        }
        var started: [Downstream] = []
        for key in difference.restarted {
            guard let server = next.servers[key] else { continue }
            if let overtaken = replacements[key].flatMap({ downstreams[$0] }) { retire(overtaken) }
            let replacement = makeDownstream(server)
            replacements[key] = replacement.id
            started.append(replacement)
        }
        var order: OrderedDictionary<String, DownstreamID> = [:]
        for (key, server) in next.servers where !server.isDisabled {
            if let id = current[key] {
                order[key] = id
            } else {
                let downstream = makeDownstream(server)
                order[key] = downstream.id
                started.append(downstream)
            }
        }
        current = order
        if let clientCapabilities { restoreOffers(for: clientCapabilities, preferredEra) }
        // What held calls up may be gone.
        for id in difference.adjusted.compactMap({ current[$0] }) {
            guard let downstream = downstreams[id] else { continue }
            cancel(.gate(id))
            admitWaiting(at: downstream)
            if downstream.life.isReady, downstream.healthCheck == nil { expectSilence(of: downstream) }
            if downstream.config.start == .eager, downstream.config.idleTimeout == nil { wake(downstream) }
        }
        // All at once, not one after another.
        for downstream in started { begin(downstream) }
        if clientCapabilities == nil { set(.hostWait, after: Limits.hostWait) }
        retryFailed()
        catalogChanged()
        if isFirst, let path { report(.info, "using the config file \(path)") }
        if !isFirst { report(.notice, "config reloaded: \(difference.summary)") }
        // A list that was asked for before the file was read waits as long as the file says.
        if timers[.listWait] != nil { set(.listWait, after: next.settings.listWait) }
        if areAllSettled { endListWait() }
        flush()
    }

    /// Launches the servers that wait for the person to change something: the file was saved, so perhaps something was installed.
    package func retryFailed() {
        for id in Array(current.values) + Array(replacements.values) {
            guard let downstream = downstreams[id], downstream.config.unusable == nil, downstream.life.retry() else { continue }
            launch(downstream)
        }
    }

    /// Watches a file on the aggregator's event loop for as long as it runs.
    /// - Parameter changed: called when the file may have changed.
    package func watch(_ path: String, changed: @escaping @Sendable () -> Void) {
        let watcher = FileWatcher(path: path, on: eventLoop, changed: changed)
        watcher.start()
        self.watcher = watcher
    }

    /// The file is broken as it is now; everything goes on as it was.
    /// - Parameter problems: with file, line and column.
    package func configBroken(_ problems: String) {
        guard problems != configProblem else { return }
        configProblem = problems
        let consequence = !hasConfig ? "no server is started until it is corrected" : "everything goes on with the last good one"
        report(.error, "the config file cannot be used; \(consequence)\n\(problems)")
        if areAllSettled { endListWait() }
        flush()
    }

    /// Whether the server that answers for this key now does so, or would.
    func isServing(_ key: String) -> Bool { current[key].flatMap { downstreams[$0] }?.isAvailable == true }

    /// The replacement is ready, or does no worse than its predecessor: from now on calls go to it.
    func takeOver(_ replacement: Downstream) {
        replacements[replacement.key] = nil
        let old = current[replacement.key].flatMap { downstreams[$0] }
        current[replacement.key] = replacement.id
        catalogChanged()
        if let old { retire(old) }
    }

    /// Takes a server out: it gets no new calls, finishes those it has, and ends.
    func retire(_ downstream: Downstream) {
        guard downstream.life.state != .stopped else { return }
        downstream.life.stop()
        cancel(.startup(downstream.id))
        cancel(.restart(downstream.id))
        // What it was never sent goes to whoever offers the tool now.
        for call in downstream.queue.removeAll() { dispatch(call) }
        retireIfIdle(downstream)
    }

    /// Ends a retired server once nothing is in flight there any more.
    func retireIfIdle(_ downstream: Downstream) {
        guard downstream.life.state == .stopped, downstream.isIdle else { return }
        // It is still to get what it asked for.
        guard !hosts.values.contains(where: { host in host.inputs.values.contains { $0.downstream == downstream.id } }) else { return }
        beginTeardown(of: downstream)
    }

    /// Nothing runs any more.
    func isOver(_ downstream: Downstream) {
        guard downstream.life.state == .stopped else { return }
        let id = downstream.id
        for timer in [Timer.startup(id), .restart(id), .teardown(id), .childEnd(id), .expiry(id), .headers(id), .health(id), .gate(id)] {
            cancel(timer)
        }
        downstreams[id] = nil
        endIfOver()
    }
}

extension ServerConfig {
    /// Takes over everything that a running server can take over.
    fileprivate mutating func adopt(_ next: ServerConfig) {
        let (endpoint, unusable) = (endpoint, unusable)
        self = next
        self.endpoint = endpoint
        self.unusable = unusable
    }
}

extension ConfigDifference {
    /// For the log.
    fileprivate var summary: String {
        let parts = [("added", added), ("removed", removed), ("restarting", restarted), ("adjusted", adjusted)]
            .filter { !$0.1.isEmpty }
            .map { "\($0.0) \($0.1.map { "'\($0)'" }.joined(separator: ", "))" }
        if !parts.isEmpty { return parts.joined(separator: "; ") }
        return isReordered ? "the order changed" : settingsChanged ? "settings changed" : "nothing to do"
    }
}
