import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

/// A subscription of a stateless host: what it wants to hear of, and what it knows.
struct Listen {
    var request: HostRequest
    var filter: SubscriptionFilter
    /// The revisions of the lists that it has been told of, or that there were when it began.
    var revisions: [FeatureKind: Int]
    /// Resources whose servers have not said yet whether they can be subscribed to. Only after that the host is told, and of anything.
    var pending: Set<String> = []
    /// What changed meanwhile.
    var missed: OrderedSet<String> = []
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
        let catalog = presentCatalog
        host.listens[request.id] = Listen(
            request: request, filter: filter, revisions: Dictionary(uniqueKeysWithValues: filter.kinds.map { ($0, catalog[$0].revision) }),
            pending: Set(filter.uris))
        host.waiting[request.id] = .listening
        for (uri, owner) in zip(filter.uris, owners) {
            guard let owner, subscriptions[uri] != nil || subscriptions.count < Limits.subscriptions else {
                decide(uri, isHonoured: false, request, host: host)
                continue
            }
            if subscriptions[uri] != nil, owner.machine.era == .handshake {
                subscribe(Listener(host: host.id, listen: request.id), to: uri, at: owner)
                decide(uri, isHonoured: true, request, host: host)
            } else if owner.machine.era == .stateless {
                // Its acknowledgement decides.
                let isKnown = subscriptions[uri] != nil && owner.machine.honoured?.uris.contains(uri) == true
                subscribe(Listener(host: host.id, listen: request.id), to: uri, at: owner)
                if isKnown { decide(uri, isHonoured: true, request, host: host) }
            } else if !askToSubscribe(uri, at: owner, request), !isExpected(owner, attempts: 0) {
                decide(uri, isHonoured: false, request, host: host)
            }
        }
        if filter.uris.isEmpty { return acknowledge(request.id, host: host) }
        guard host.listens[request.id]?.pending.isEmpty == false else { return }
        let starting = owners.compactMap { $0 }.filter { !$0.life.isReady }.map(\.config.startupTimeout)
        set(.acknowledge(host.id, request.id), after: max(starting.max() ?? .zero, Limits.subscribeWait))
    }

    /// The server is ready: what listeners wanted to hear of before it is asked for now.
    func askForPending(at downstream: Downstream) {
        for host in hosts.values where !host.listens.isEmpty {
            for (id, listen) in host.listens {
                let listener = Listener(host: host.id, listen: id)
                for uri in listen.pending.sorted() where subscriptions[uri]?.listeners.contains(listener) != true {
                    guard likelyOwner(of: uri)?.id == downstream.id else { continue }
                    if downstream.machine.era == .stateless {
                        subscribe(listener, to: uri, at: downstream)
                    } else if downstream.introduction?.capabilities.subscriptions != true
                        || !askToSubscribe(uri, at: downstream, listen.request)
                    {
                        decide(uri, isHonoured: false, listen.request, host: host)
                    }
                }
            }
        }
    }

    /// What no server has agreed to by now is not honoured.
    func endListenWait(_ id: RequestID, host: HostConnection) {
        answerSubscribes { $0.connection == host.id && $0.id == id }
        guard let pending = host.listens[id]?.pending else { return }
        for uri in pending { withhold(uri, HostRequest(connection: host.id, id: id), host: host) }
    }

    private func withhold(_ uri: String, _ request: HostRequest, host: HostConnection) {
        unsubscribe(Listener(host: host.id, listen: request.id), from: uri)
        decide(uri, isHonoured: false, request, host: host)
    }

    /// The server knows what to tell of, or is given no more time to say so.
    private func answerSubscribes(where isMeant: (HostRequest) -> Bool) {
        for (request, _, _) in pendingSubscribes where isMeant(request) {
            cancel(.acknowledge(request.connection, request.id))
            hosts[request.connection]?.answer(request, line: Composition.result(id: request.id, Composition.emptyResult))
        }
        pendingSubscribes.removeAll { isMeant($0.request) }
    }

    /// The server is gone. Started again, it is asked anew.
    func answerSubscribes(at downstream: Downstream) {
        let requests = Set(pendingSubscribes.filter { $0.downstream == downstream.id }.map(\.request))
        if !requests.isEmpty { answerSubscribes { requests.contains($0) } }
    }

    /// A stateless server says what it tells of.
    func serverAcknowledged(_ filter: SubscriptionFilter, of downstream: Downstream) {
        let asked = pendingSubscribes.filter { $0.downstream == downstream.id && downstream.machine.wantsToHear(of: $0.uri) }
        for (request, uri, _) in asked where !filter.uris.contains(uri) {
            unsubscribe(Listener(host: request.connection), from: uri)
            cancel(.acknowledge(request.connection, request.id))
            pendingSubscribes.removeAll { $0.request == request }
            let text = "Server '\(downstream.key)' does not tell of changes of \(uri)"
            hosts[request.connection]?.answer(request, line: Composition.error(id: request.id, .invalidParams, text))
        }
        let honoured = Set(asked.filter { filter.uris.contains($0.uri) }.map(\.request))
        answerSubscribes { honoured.contains($0) }
        for host in hosts.values {
            for (id, listen) in host.listens {
                let request = HostRequest(connection: host.id, id: id)
                for uri in listen.pending where subscriptions[uri]?.server == downstream.key {
                    guard downstream.machine.wantsToHear(of: uri) else { continue }  // asked for later than what was acknowledged
                    if filter.uris.contains(uri) {
                        decide(uri, isHonoured: true, request, host: host)
                    } else {
                        withhold(uri, request, host: host)
                    }
                }
            }
        }
    }

    /// - Returns: `false` if the server cannot be asked now.
    private func askToSubscribe(_ uri: String, at owner: Downstream, _ request: HostRequest) -> Bool {
        let forwarded = ForwardedRequest(
            request: request, purpose: .subscribe(uri: uri), progressToken: nil, idleTimeout: Limits.subscribeWait, latest: nil)
        guard owner.life.isReady, let connection = owner.connection, let id = owner.machine.forward(forwarded, now: now)
        else {
            return false
        }
        connection.send(line: Composition.request(id: id, .subscribe, params: JSONWriter.object { $0.member("uri", uri) }))
        expectExpiry(of: owner, within: Limits.subscribeWait)
        return true
    }

    /// A server has said whether a listener's resource can be subscribed to.
    func subscribed(_ uri: String, _ downstream: Downstream?, listener request: HostRequest, isRefused: Bool, host: HostConnection) {
        guard host.listens[request.id]?.pending.contains(uri) == true else {
            // The host does not want to hear of it any more.
            let isWanted = hosts.values.contains { host in host.listens.values.contains { $0.pending.contains(uri) } }
            if let downstream, !isRefused, !isWanted, subscriptions[uri] == nil { follow(uri, at: downstream, .unsubscribe) }
            return
        }
        if let downstream, !isRefused {
            subscriptions[uri, default: Subscription(server: downstream.key)].listeners.insert(
                Listener(host: host.id, listen: request.id))
        }
        decide(uri, isHonoured: !isRefused, request, host: host)
    }

    private func decide(_ uri: String, isHonoured: Bool, _ request: HostRequest, host: HostConnection) {
        host.listens[request.id]?.pending.remove(uri)
        if !isHonoured { host.listens[request.id]?.filter.uris.removeAll { $0 == uri } }
        if host.listens[request.id]?.pending.isEmpty == true { acknowledge(request.id, host: host) }
    }

    /// Tells the host what it will hear of, and what it would have heard already.
    private func acknowledge(_ id: RequestID, host: HostConnection) {
        guard let listen = host.listens[id] else { return }
        cancel(.acknowledge(host.id, id))
        host.send(line: bridge.acknowledged(listen.filter, listener: id))
        host.listens[id]?.missed = []
        for uri in listen.missed { host.send(line: bridge.changed(.resourcesUpdated, uri: uri, listener: id)) }
        announceToListeners(presentCatalog)
    }

    private func subscribableOwner(of uri: String) -> Downstream? {
        guard let owner = likelyOwner(of: uri) else { return nil }
        return owner.introduction?.capabilities.subscriptions == true ? owner : nil
    }

    /// Tells those who listen of lists that are not what they were.
    func announceToListeners(_ catalog: Catalog) {
        for host in hosts.values {
            for (id, listen) in host.listens where listen.pending.isEmpty {
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
        cancel(.acknowledge(host.id, id))
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

    func renewListens() {
        let changed = changedListens
        changedListens = []
        for id in changed { if let downstream = downstreams[id] { listen(to: downstream) } }
    }

    /// Asks a stateless server to tell of what hosts want to hear of now.
    func listen(to downstream: Downstream) {
        guard downstream.machine.phase == .ready, let connection = downstream.connection else { return }
        let uris = subscriptions.filter { $0.value.server == downstream.key }.keys.sorted()
        for line in downstream.machine.listen(to: uris) { connection.send(line: line) }
        expectRelist(of: downstream)
    }
}
