import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections

// The merged list: when it is made, who waits for it, and who hears that it changed.
extension Aggregator {
    /// The catalog of what the servers offer now. Merged when somebody looks, so that twenty servers which get ready in one moment
    /// are merged once.
    var presentCatalog: Catalog {
        if isCatalogStale { merge() }
        return catalog
    }

    func catalogChanged() {
        isCatalogStale = true
        if timers[.announce] == nil { set(.announce, after: Limits.announceWait) }
    }

    private func merge() {
        isCatalogStale = false
        let sources = current.values.compactMap { id -> CatalogSource? in
            // Those that have said nothing yet, too: while they may still bring something, nothing may be taken for granted.
            guard let downstream = downstreams[id] else { return nil }
            let rules = downstream.config.tools
            return CatalogSource(
                downstream: id, key: downstream.key,
                rules: ExposureRules(
                    prefix: downstream.config.prefix, include: rules.include, exclude: rules.exclude, rename: rules.rename),
                features: downstream.features, freshness: downstream.freshness)
        }
        let style = NameStyle(separator: config.settings.separator, budget: config.settings.nameBudget)
        let known = Set(hosts.values.flatMap { Array($0.listedRevisions.keys) + $0.listedStateless })
        catalog = Catalog(merging: sources, style: style, after: catalog, known: known)
    }

    /// Tells the hosts, once per kind, if what they last got is not what they would get now.
    func announce() {
        let catalog = presentCatalog
        for host in hosts.values where host.machine.isOpen {
            var methods: [Method] = []
            for kind in FeatureKind.allCases {
                // A host that never asked for the list has nothing to throw away.
                guard let listed = host.listedRevisions[kind], listed != catalog[kind].revision else { continue }
                host.listedRevisions[kind] = catalog[kind].revision
                if !methods.contains(kind.changedMethod) { methods.append(kind.changedMethod) }
            }
            for method in methods { host.send(line: bridge.changed(method, listener: nil)) }
        }
        announceToListeners(catalog)
    }

    // MARK: Requests that came early

    /// A request that what is still starting may answer differently.
    struct EarlyRequest {
        enum Wish {
            case list(FeatureKind)
            /// Something that no server has yet.
            case message(Message)
        }

        var request: HostRequest
        var wish: Wish
    }

    /// Answers a list request. Only the first ones wait, for servers that are starting for the first time.
    func list(_ kind: FeatureKind, _ request: HostRequest, host: HostConnection) {
        guard !isListWaitOver, !areAllKnown else { return answerList(kind, request, host: host) }
        waitForServers(EarlyRequest(request: request, wish: .list(kind)), host: host)
    }

    /// Keeps a request for something that a server which is still starting may have.
    /// - Returns: `false` if there is no such server, or too many requests wait already.
    func waitForServers(_ message: Message, _ request: HostRequest, host: HostConnection) -> Bool {
        guard waitsForServers, early.count < Limits.earlyRequests else { return false }
        waitForServers(EarlyRequest(request: request, wish: .message(message)), host: host)
        return true
    }

    /// Servers are starting for the first time, and lists may still wait for them.
    private var waitsForServers: Bool { !isListWaitOver && !areAllSettled }

    private func waitForServers(_ early: EarlyRequest, host: HostConnection) {
        host.waiting[early.request.id] = .servers
        self.early.append(early)
        if options.limitsListWait, timers[.listWait] == nil { set(.listWait, after: config.settings.listWait) }
    }

    private func answerList(_ kind: FeatureKind, _ request: HostRequest, host: HostConnection) {
        let list = presentCatalog[kind]
        guard request.era == .handshake else {
            host.listedStateless.insert(kind)
            let result = bridge.stateless(list.result, freshness: list.freshness)
            return host.answer(request, line: Composition.result(id: request.id, result))
        }
        host.listedRevisions[kind] = list.revision
        host.answer(request, line: Composition.result(id: request.id, list.handshakeResult))
    }

    /// No list waits any longer, and no request for something that may still come.
    func endListWait() {
        isListWaitOver = true
        cancel(.listWait)
        let requests = early
        early = []
        for request in requests { proceed(request) }
    }

    /// More is known of servers: what waited for that goes out. What still nobody has comes back here.
    func proceedWithEarlyRequests() {
        guard !early.isEmpty else { return }
        let areAllKnown = areAllKnown
        let waiting = early
        early = []
        for request in waiting {
            if case .list = request.wish, !areAllKnown { early.append(request) } else { proceed(request) }
        }
    }

    private func proceed(_ early: EarlyRequest) {
        guard let host = hosts[early.request.connection] else { return }
        host.waiting[early.request.id] = nil
        switch early.wish {
        case .list(let kind): answerList(kind, early.request, host: host)
        case .message(let message): dispatch(message, early.request, host: host)
        }
    }

    // MARK: Settling

    /// Every server is ready, or has failed at least once; or there is no config to start any from.
    var areAllSettled: Bool {
        guard hasConfig else { return configProblem != nil }
        return current.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
            && replacements.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
    }

    /// The same, or it is known from an earlier run what it offers: lists are complete.
    private var areAllKnown: Bool {
        guard hasConfig else { return configProblem != nil }
        return current.values.allSatisfy { id in downstreams[id].map { $0.life.isSettled || $0.lastKnown != nil } ?? true }
            && replacements.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
    }

    /// This server became ready, or failed.
    func settled(_ downstream: Downstream) {
        if replacements[downstream.key] == downstream.id {
            // A change that does not work takes nothing away: what ran before goes on.
            if downstream.life.isReady || downstream.life.isResting || !isServing(downstream.key) {
                takeOver(downstream)
            } else {
                report(.error, "server '\(downstream.key)': its new config does not work; the server as it was before goes on")
            }
        }
        resumeSettledWaiters()
        guard areAllSettled else { return proceedWithEarlyRequests() }
        endListWait()
        guard !hasStarted else { return }
        hasStarted = true
        surroundings.releaseStart()
    }

    /// Waits until every server is ready, or has failed at least once, or need not be started; no longer if the task is cancelled.
    package func settled() async { await settled(nil) }

    /// Waits until it is known of every server what it offers, or that it has failed: names and owners depend on all of them. None is
    /// started for that of which it is known.
    package func known() async {
        if !areAllKnown { await settled() }
    }

    /// Starts a server if it is not needed until now, and waits until it is ready or has failed; no longer if the task is cancelled.
    package func settled(_ key: String?) async {
        if let downstream = key.flatMap({ current[$0] }).flatMap({ downstreams[$0] }) {
            wake(downstream)
            flush()
        }
        await withTaskCancellationHandler {
            await waitUntilSettled(key)
        } onCancel: {
            // All of them: nobody who is cancelled looks at the difference.
            eventLoop.execute { self.assumeIsolated { $0.resumeSettledWaiters(all: true) } }
        }
    }

    private func waitUntilSettled(_ key: String?) async {
        await withCheckedContinuation { continuation in
            // Looked at here, and not before: a task that prefers another executor may leave the actor on its way into this closure.
            guard !isSettled(key), !Task.isCancelled else { return continuation.resume() }
            settledWaiters.append((key, continuation))
        }
    }

    private func isSettled(_ key: String?) -> Bool {
        guard let key else { return areAllSettled }
        return current[key].flatMap { downstreams[$0] }?.life.isSettled ?? true
    }

    /// - Parameter all: also those who wait for something else.
    func resumeSettledWaiters(all: Bool = false) {
        let waiters = settledWaiters.filter { all || isSettled($0.key) }
        settledWaiters.removeAll { all || isSettled($0.key) }
        for waiter in waiters { waiter.continuation.resume() }
    }
}
