import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

// Resources belong to servers, and their URIs say nothing of us: who owns one is found out.
extension Aggregator {
    /// Who is asked for a resource, the likeliest first: who lists it, who mentioned it last, whose template fits it, then every other
    /// server that has resources.
    private func candidates(for uri: String) -> [DownstreamID] {
        var found: OrderedSet<DownstreamID> = []
        if let owner = presentCatalog.owner(ofResource: uri) { found.append(owner) }
        if let owner = ownership.owner(of: uri) { found.append(owner) }
        found.append(contentsOf: presentCatalog.owners(byTemplate: uri))
        let others = current.values.filter { downstreams[$0]?.introduction?.capabilities.resources == true }
        // Nobody is started for something that another one has.
        found.append(contentsOf: others.filter { downstreams[$0]?.life.isReady == true })
        found.append(contentsOf: others)
        return found.filter { downstreams[$0]?.isAvailable == true }
    }

    /// The one that certainly, or most likely, has the resource; known without asking.
    func owner(of uri: String) -> Downstream? {
        let known = presentCatalog.owner(ofResource: uri) ?? ownership.owner(of: uri) ?? presentCatalog.owners(byTemplate: uri).first
        return known.flatMap { downstreams[$0] }
    }

    /// The same, or the first that might have it.
    func likelyOwner(of uri: String) -> Downstream? { owner(of: uri) ?? candidates(for: uri).first.flatMap { downstreams[$0] } }

    // MARK: Reading

    func read(_ message: Message, _ request: HostRequest, host: HostConnection) {
        guard let message = resume(message, request, host: host) else { return }
        let uri = message.string(message[.uri]) ?? ""
        if let owner = owner(of: uri), !owner.isAvailable {
            return deliver(message, request, .read, to: owner, as: nil, host: host)
        }
        let hasOwner = owner(of: uri) != nil
        var candidates = candidates(for: uri)
        guard !candidates.isEmpty, let first = downstreams[candidates.removeFirst()] else {
            if waitForServers(message, request, host: host) { return }
            return host.answer(request, line: notFound(request, uri: uri))
        }
        var read = HostConnection.Read(message: message, candidates: candidates, asked: [first.id], hasOwner: hasOwner)
        if read.isForOne { read.candidates = [] }
        host.reads[request.id] = read
        deliver(message, request, .read, to: first, as: nil, host: host)
    }

    /// If the server does not have the resource, the next one is asked.
    /// - Returns: the answer for the host; `nil` if another server is asked. When none has the resource, the one that should have had
    ///   it knows best why not.
    func answerOfRead(_ answer: Message, _ forwarded: ForwardedRequest, host: HostConnection) -> Message? {
        // It is kept until the host comes back, which may have given the id to something else.
        if host.isAway(from: forwarded.request) { return answer }
        guard var read = host.reads.removeValue(forKey: forwarded.request.id), answer.isError else { return answer }
        let code = answer.errorSummary.code
        // Servers differ in how they say so; what else these codes may mean, another server may know better as well.
        guard code == ErrorCode.resourceNotFound.rawValue || code == ErrorCode.invalidParams.rawValue || code == 0 else { return answer }
        let isOnly = read.refusal == nil && read.candidates.isEmpty
        let refusal = read.refusal ?? answer
        read.refusal = refusal
        let request = unparked(forwarded.request, host: host)
        if let next = next(of: &read) {
            host.reads[request.id] = read
            // To this server it is as new as any other.
            host.waiting[request.id] = nil
            deliver(read.message, request, .read, to: next, as: nil, host: host)
            return nil
        }
        if read.hasOwner { return refusal }
        if !read.isForOne, waitForServers(read.message, request, host: host) { return nil }
        if isOnly { return refusal }
        let uri = read.message.string(read.message[.uri]) ?? ""
        return (try? Message(scanning: notFound(request, uri: uri))) ?? refusal
    }

    /// A server that was only guessed to have a resource cannot be asked: the next one is.
    /// - Returns: `false` if the failure is the answer.
    func readElsewhere(_ request: HostRequest, _ history: CallHistory?, host: HostConnection) -> Bool {
        guard history?.lastSent == nil, isGuess(request), var read = host.reads.removeValue(forKey: request.id) else { return false }
        let request = unparked(request, host: host)
        host.waiting[request.id] = nil
        host.histories[request.id] = history.map { CallHistory(began: $0.began) }
        if let next = next(of: &read) {
            host.reads[request.id] = read
            deliver(read.message, request, .read, to: next, as: nil, host: host)
            return true
        }
        // Those who could be asked do not have it.
        guard read.refusal != nil else { return false }
        host.answer(request, line: notFound(request, uri: read.message.string(read.message[.uri]) ?? ""))
        return true
    }

    /// Whom to ask for a resource when those before do not have it.
    private func next(of read: inout HostConnection.Read) -> Downstream? {
        while !read.candidates.isEmpty {
            guard let next = downstreams[read.candidates.removeFirst()], next.isAvailable else { continue }
            read.asked.insert(next.id)
            return next
        }
        guard !read.hasOwner, !read.isForOne else { return nil }
        // One may have become ready since the first was asked.
        let late = candidates(for: read.message.string(read.message[.uri]) ?? "").first { !read.asked.contains($0) }
        if let late { read.asked.insert(late) }
        return late.flatMap { downstreams[$0] }
    }

    /// It is a read for which another server can be asked, or was, because nobody says that this one has the resource.
    func isGuess(_ request: HostRequest) -> Bool {
        guard var read = hosts[request.connection]?.reads[request.id], !read.hasOwner else { return false }
        return read.refusal != nil || next(of: &read) != nil
    }

    private func notFound(_ request: HostRequest, uri: String) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("id", json: request.id.text)
            $0.object("error") {
                let code = request.era == .handshake ? ErrorCode.resourceNotFound : .invalidParams
                $0.member("code", code.rawValue)
                $0.member("message", "Resource not found: \(uri)\(hintOfStarting)")
                $0.object("data") { $0.member("uri", uri) }
            }
        }
    }

    /// Remembers from whom the URIs in a result came: a host may ask for them though no list has them.
    func remember(_ message: Message, of downstream: Downstream) {
        var left = Limits.rememberedURIs
        func visit(_ view: JSONView, depth: Int) {
            guard depth < Limits.rememberedDepth, left > 0 else { return }
            for (name, value) in view.members {
                if name == "uri", let uri = value.string {
                    left -= 1
                    ownership.saw(uri, from: downstream.id)
                } else {
                    visit(value, depth: depth + 1)
                }
            }
            for element in view.elements { visit(element, depth: depth + 1) }
        }
        visit(message.view(message[.result]), depth: 0)
    }

    // MARK: Subscriptions

    /// Each resource is subscribed to once at its server, however many hosts want to hear of it.
    func subscribe(_ message: Message, _ request: HostRequest, host: HostConnection) {
        let uri = message.string(message[.uri]) ?? ""
        let listener = Listener(host: host.id)
        if subscriptions[uri] != nil {
            subscriptions[uri]?.listeners.insert(listener)
            return host.answer(request, line: Composition.result(id: request.id, Composition.emptyResult))
        }
        guard subscriptions.count < Limits.subscriptions else {
            return refuse(request, .subscribe(uri: uri), "There are \(Limits.subscriptions) subscriptions already")
        }
        guard let owner = likelyOwner(of: uri) else {
            if waitForServers(message, request, host: host) { return }
            return host.answer(request, line: notFound(request, uri: uri))
        }
        guard owner.introduction?.capabilities.subscriptions != false else {
            let text = "Server '\(owner.key)' has no subscriptions"
            return host.answer(request, line: Composition.error(id: request.id, .methodNotFound, text))
        }
        if owner.machine.era == .stateless {
            subscribe(listener, to: uri, at: owner)
            // Answered before, the host might change the resource before the server listens.
            pendingSubscribes.append((request, uri, owner.id))
            host.waiting[request.id] = .subscribing(uri: uri)
            return set(.acknowledge(host.id, request.id), after: Limits.subscribeWait)
        }
        deliver(message, request, .subscribe(uri: uri), to: owner, as: nil, host: host)
    }

    func subscribed(_ uri: String, _ downstream: Downstream, _ request: HostRequest, isRefused: Bool) {
        guard !isRefused else { return }
        subscriptions[uri, default: Subscription(server: downstream.key)].listeners.insert(Listener(host: request.connection))
    }

    /// Without a request of the host's that the server's answer would answer.
    func subscribe(_ listener: Listener, to uri: String, at owner: Downstream) {
        let isFirst = subscriptions[uri] == nil
        subscriptions[uri, default: Subscription(server: owner.key)].listeners.insert(listener)
        if isFirst { follow(uri, at: owner, .subscribe) }
    }

    func unsubscribe(_ message: Message, _ request: HostRequest, host: HostConnection) {
        let uri = message.string(message[.uri]) ?? ""
        let listener = Listener(host: host.id)
        if let subscription = subscriptions[uri], subscription.listeners.contains(listener) {
            let owner = current[subscription.server].flatMap { downstreams[$0] }
            guard let owner, owner.life.isReady, owner.machine.era == .handshake else {
                // Also while the server is down: it is not to be told again when it is back.
                unsubscribe(listener, from: uri)
                return host.answer(request, line: Composition.result(id: request.id, Composition.emptyResult))
            }
            unsubscribed(uri, request)
            if subscriptions[uri] == nil { return deliver(message, request, .unsubscribe(uri: uri), to: owner, as: nil, host: host) }
        }
        // Not known to be subscribed to, but perhaps about to be: the server gets both in their order.
        if let owner = downstreams.values.first(where: { $0.machine.isSubscribing(to: uri) }) {
            return deliver(message, request, .unsubscribe(uri: uri), to: owner, as: nil, host: host)
        }
        host.answer(request, line: Composition.result(id: request.id, Composition.emptyResult))
    }

    func unsubscribed(_ uri: String, _ request: HostRequest) {
        subscriptions[uri]?.listeners.remove(Listener(host: request.connection))
        if subscriptions[uri]?.listeners.isEmpty == true { subscriptions[uri] = nil }
    }

    /// With the last listener its server is told.
    func unsubscribe(_ listener: Listener, from uri: String) {
        guard let subscription = subscriptions[uri], subscription.listeners.contains(listener) else { return }
        subscriptions[uri]?.listeners.remove(listener)
        guard subscription.listeners.count == 1 else { return }
        subscriptions[uri] = nil
        guard let owner = current[subscription.server].flatMap({ downstreams[$0] }) else { return }
        owner.lastCall = now
        follow(uri, at: owner, .unsubscribe)
    }

    /// The host is gone, or began anew: what only it wanted to hear of is no longer subscribed to.
    func endSubscriptions(of host: HostConnection) {
        for uri in Array(subscriptions.keys) { unsubscribe(Listener(host: host.id), from: uri) }
    }

    /// The server began anew and knows nothing of what hosts want to hear.
    func restoreSubscriptions(of downstream: Downstream) {
        askForPending(at: downstream)
        if downstream.machine.era == .stateless { return listen(to: downstream) }
        guard downstream.machine.introduction?.capabilities.subscriptions == true else { return }
        for (uri, subscription) in subscriptions where subscription.server == downstream.key { follow(uri, at: downstream, .subscribe) }
    }

    func follow(_ uri: String, at downstream: Downstream, _ method: Method) {
        guard downstream.life.isReady else { return }
        if downstream.machine.era == .stateless {
            // Many in one turn become one stream.
            changedListens.insert(downstream.id)
            return
        }
        guard let line = downstream.machine.ask(method, { $0.member("uri", uri) }) else { return }
        sendOwn(line, to: downstream)
    }

    /// Tells those who asked. The resource may be part of the one they subscribed to (2025-11-25, server/resources,
    /// "Subscriptions").
    func forwardResourceUpdated(_ message: Message, of downstream: Downstream) {
        guard let uri = message.string(message[.uri]) else { return }
        var told: Set<Listener> = []
        for (subscribed, subscription) in subscriptions where subscription.server == downstream.key && isPart(uri, of: subscribed) {
            for listener in subscription.listeners where told.insert(listener).inserted {
                guard let host = hosts[listener.host] else { continue }
                if let listen = listener.listen, host.listens[listen]?.pending.isEmpty == false {
                    host.listens[listen]?.missed.append(uri)
                    continue
                }
                if listener.listen == nil, downstream.machine.era == .handshake {
                    host.send(Splice(message))
                } else {
                    host.send(line: bridge.resourceUpdated(message, listener: listener.listen))
                }
            }
        }
    }

    /// `note://a/b` is part of `note://a`; `note://ab` is another resource.
    private func isPart(_ uri: String, of whole: String) -> Bool {
        guard uri.utf8.starts(with: whole.utf8) else { return false }
        guard let next = uri.utf8.dropFirst(whole.utf8.count).first else { return true }
        return whole.utf8.last == UInt8(ascii: "/") || "/?#".utf8.contains(next)
    }

    // MARK: Completion

    /// The arguments given so far can be told since 2025-06-18.
    private func withoutContext(_ message: Message) -> Message {
        let params = message.view(message[.params]).members
        guard params.contains(where: { $0.name == "context" }) else { return message }
        var splice = Splice(message)
        let rest = JSONWriter.object { writer in
            for (name, value) in params where name != "context" { writer.member(name, json: value.json) }
        }
        splice.replace(.params, with: .bytes(rest))
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    func complete(_ message: Message, _ request: HostRequest, host: HostConnection) {
        var name: String?
        let owner: Downstream?
        if message[.refName].isPresent {
            guard let route = try? presentCatalog.route(.prompts, message[.refName], in: message) else {
                if waitForServers(message, request, host: host) { return }
                let asked = message.string(message[.refName]) ?? ""
                return host.answer(
                    request, line: Composition.error(id: request.id, .invalidParams, "Unknown prompt: \(asked)\(hintOfStarting)"))
            }
            name = route.nameJSON
            owner = downstreams[route.downstream]
        } else {
            let uri = message.string(message[.refURI]) ?? ""
            owner = (try? presentCatalog.route(.templates, uri)).flatMap { downstreams[$0.downstream] } ?? self.owner(of: uri)
            if owner == nil, waitForServers(message, request, host: host) { return }
        }
        guard let owner, owner.introduction?.capabilities.completions == true else {
            // Nobody has a suggestion: that is an answer, not an error.
            let nothing = JSONWriter.object { $0.object("completion") { $0.array("values") { _ in } } }
            return answer(request, nothing, host: host)
        }
        // One that is not ready is asked anew when it is.
        let hasContext = owner.life.isReady ? owner.introduction.map { $0.revision >= .v2025_06_18 } ?? true : true
        deliver(hasContext ? message : withoutContext(message), request, .complete, to: owner, as: name, host: host)
    }
}
