import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

/// A subscription of a stateless host: what it wants to hear of, and what it knows.
struct Listen {
    var filter: SubscriptionFilter
    /// The revisions of the lists that it has been told of, or that there were when it began.
    var revisions: [FeatureKind: Int]
}

// `subscriptions/listen`, on both sides: what stateless hosts want to hear of, and how stateless servers are asked to tell.
extension Aggregator {
    // MARK: Hosts

    func listen(_ filter: SubscriptionFilter, _ message: Message, _ request: HostRequest, host: HostConnection) {
        guard host.listens.count < Limits.listens, filter.uris.count <= Limits.listenedResources else {
            let text = "A host may have \(Limits.listens) subscriptions, of \(Limits.listenedResources) resources each"
            return host.answer(request, line: Composition.error(id: request.id, .internalError, text))
        }
        let owners = filter.uris.map { subscribableOwner(of: $0) }
        if owners.contains(where: { $0 == nil }), waitForServers(message, request, host: host) { return }
        let known = zip(filter.uris, owners).compactMap { uri, owner in owner.map { (uri: uri, owner: $0) } }
        var honoured = filter
        honoured.uris = known.map(\.uri).filter { subscriptions[$0] != nil || subscriptions.count < Limits.subscriptions }
        let catalog = presentCatalog
        host.listens[request.id] = Listen(
            filter: honoured, revisions: Dictionary(uniqueKeysWithValues: filter.kinds.map { ($0, catalog[$0].revision) }))
        host.waiting[request.id] = .listening
        host.send(line: bridge.acknowledged(honoured, listener: request.id))
        for (uri, owner) in known where honoured.uris.contains(uri) {
            subscribe(Listener(host: host.id, listen: request.id), to: uri, at: owner)
        }
    }

    private func subscribableOwner(of uri: String) -> Downstream? {
        guard let owner = likelyOwner(of: uri) else { return nil }
        return owner.machine.introduction?.capabilities.subscriptions == true ? owner : nil
    }

    /// Tells those who listen of lists that are not what they were.
    func announceToListeners(_ catalog: Catalog) {
        for host in hosts.values {
            for (id, listen) in host.listens {
                var methods: [Method] = []
                for kind in FeatureKind.allCases where listen.filter.kinds.contains(kind) {
                    guard listen.revisions[kind] != catalog[kind].revision else { continue }
                    host.listens[id]?.revisions[kind] = catalog[kind].revision
                    if !methods.contains(kind.changedMethod) { methods.append(kind.changedMethod) }
                }
                for method in methods { host.send(line: bridge.changed(method, listener: id)) }
            }
        }
    }

    /// The host does not want to hear any more.
    func forgetListen(_ id: RequestID, host: HostConnection) {
        guard let listen = host.listens.removeValue(forKey: id) else { return }
        for uri in listen.filter.uris { unsubscribe(Listener(host: host.id, listen: id), from: uri) }
    }

    /// We tell of nothing any more: each subscription gets its answer.
    func endListens(of host: HostConnection) {
        for id in Array(host.listens.keys) {
            forgetListen(id, host: host)
            host.answer(HostRequest(connection: host.id, id: id), line: bridge.listenEnded(id))
        }
    }

    // MARK: Servers

    /// Asks a stateless server to tell of what hosts want to hear of now.
    func listen(to downstream: Downstream) {
        guard downstream.machine.phase == .ready, let connection = downstream.child?.process.connection else { return }
        let uris = subscriptions.filter { $0.value.server == downstream.key }.keys.sorted()
        for line in downstream.machine.listen(to: uris) { connection.send(line: line) }
        expectRelist(of: downstream)
    }
}
