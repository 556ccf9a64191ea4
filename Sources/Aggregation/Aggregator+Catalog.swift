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
            guard let downstream = downstreams[id], !downstream.tools.isEmpty else { return nil }
            let rules = downstream.config.tools
            return CatalogSource(
                downstream: id, key: downstream.key,
                rules: ExposureRules(
                    prefix: downstream.config.prefix, include: rules.include, exclude: rules.exclude, rename: rules.rename),
                tools: downstream.tools)
        }
        let style = NameStyle(separator: config.settings.separator, budget: config.settings.nameBudget)
        let isKnown = hosts.values.contains { $0.listedRevision != nil }
        catalog = Catalog(merging: sources, style: style, after: catalog, keepsNames: isKnown)
    }

    /// Tells the hosts, once, if what they last got is not what they would get now.
    func announce() {
        let revision = presentCatalog.revision
        for host in hosts.values where host.machine.isOpen {
            // A host that never asked for the list has nothing to throw away.
            guard let listed = host.listedRevision, listed != revision else { continue }
            host.listedRevision = revision
            host.send(line: Composition.notification(.toolsListChanged))
        }
    }

    // MARK: Requests that came early

    /// A request that what is still starting may answer differently.
    struct EarlyRequest {
        var request: HostRequest
        /// The call; `nil` for a list.
        var call: Message?
    }

    /// Answers `tools/list`. Only the first ones wait, for servers that are starting for the first time.
    func list(_ request: HostRequest, host: HostConnection) {
        guard waitsForServers else { return answerList(request, host: host) }
        waitForServers(EarlyRequest(request: request), host: host)
    }

    /// Servers are starting for the first time, and lists may still wait for them.
    var waitsForServers: Bool { !isListWaitOver && !areAllSettled }

    func waitForServers(_ early: EarlyRequest, host: HostConnection) {
        host.waiting[early.request.id] = .servers
        self.early.append(early)
        if options.limitsListWait, timers[.listWait] == nil { set(.listWait, after: config.settings.listWait) }
    }

    private func answerList(_ request: HostRequest, host: HostConnection) {
        let catalog = presentCatalog
        host.listedRevision = catalog.revision
        host.answer(request, line: Composition.result(id: request.id, catalog.toolsResult))
    }

    /// No list waits any longer, and no call for a tool that may still come.
    func endListWait() {
        isListWaitOver = true
        cancel(.listWait)
        let requests = early
        early = []
        for request in requests { proceed(request) }
    }

    /// A server got ready: calls that waited for its tools go out.
    func callEarlyTools() {
        let waiting = early
        early = []
        for request in waiting {
            if let call = request.call, (try? presentCatalog.route(call.places[.name], in: call)) != nil {
                proceed(request)
            } else {
                early.append(request)
            }
        }
    }

    private func proceed(_ early: EarlyRequest) {
        guard let host = hosts[early.request.connection] else { return }
        host.waiting[early.request.id] = nil
        if let call = early.call { self.call(call, early.request, host: host) } else { answerList(early.request, host: host) }
    }

    // MARK: Settling

    /// Every server is ready, or has failed at least once; or there is no config to start any from.
    var areAllSettled: Bool {
        guard hasConfig else { return configProblem != nil }
        return current.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
            && replacements.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
    }

    /// This server became ready, or failed.
    func settled(_ downstream: Downstream) {
        if replacements[downstream.key] == downstream.id {
            // A change that does not work takes nothing away: what ran before goes on.
            if downstream.life.isReady || !isServing(downstream.key) {
                takeOver(downstream)
            } else {
                report(.error, "server '\(downstream.key)': its new config does not work; the server as it was before goes on")
            }
        }
        guard areAllSettled else { return callEarlyTools() }
        endListWait()
        resumeSettledWaiters()
    }

    /// Waits until every server is ready, or has failed at least once; no longer if the task is cancelled.
    package func settled() async {
        await withTaskCancellationHandler {
            guard !areAllSettled, !Task.isCancelled else { return }
            await withCheckedContinuation { settledWaiters.append($0) }
        } onCancel: {
            // All of them: nobody who is cancelled looks at the difference.
            eventLoop.execute { self.assumeIsolated { $0.resumeSettledWaiters() } }
        }
    }

    func resumeSettledWaiters() {
        let waiters = settledWaiters
        settledWaiters = []
        for waiter in waiters { waiter.resume() }
    }
}
