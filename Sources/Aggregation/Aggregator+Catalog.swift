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
        catalog = Catalog(merging: sources, style: style, after: catalog)
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

    // MARK: Lists

    /// Answers `tools/list`. Only the first ones wait, for servers that are starting for the first time.
    func list(_ request: HostRequest, host: HostConnection) {
        guard !isListWaitOver, !areAllSettled else { return answerList(request, host: host) }
        host.waiting[request.id] = .list
        waitingLists.append(request)
        if options.limitsListWait, timers[.listWait] == nil { set(.listWait, after: config.settings.listWait) }
    }

    private func answerList(_ request: HostRequest, host: HostConnection) {
        let catalog = presentCatalog
        host.listedRevision = catalog.revision
        host.answer(request, line: Composition.result(id: request.id, catalog.toolsResult))
        answered(host)
    }

    /// No list waits any longer.
    func endListWait() {
        isListWaitOver = true
        cancel(.listWait)
        let lists = waitingLists
        waitingLists = []
        for request in lists {
            if let host = hosts[request.connection] { answerList(request, host: host) }
        }
    }

    // MARK: Settling

    /// Every server is ready, or has failed at least once.
    var areAllSettled: Bool {
        current.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
            && replacements.values.allSatisfy { downstreams[$0]?.life.isSettled ?? true }
    }

    /// This server became ready, or failed.
    func settled(_ downstream: Downstream) {
        if replacements[downstream.key] == downstream.id { takeOver(downstream) }
        guard areAllSettled else { return }
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
