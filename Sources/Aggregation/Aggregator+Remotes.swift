import Authorization
import ConfigFile
import DequeModule
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Resilience
import Transports

/// How a server behind a URL is spoken to: found out once, and true until it proves wrong (MCP 2026-07-28, basic/transports,
/// "Backward Compatibility").
struct KnownRemote {
    var wire: RemoteServer.Wire
    var era: Revision.Era
}

// Servers behind URLs: connecting to them, and what their transport tells of.
extension Aggregator {
    /// Connects to a server behind a URL.
    func connect(_ downstream: Downstream, _ endpoint: HTTPEndpoint) {
        let configured = endpoint.kind.map { $0 == .sse ? RemoteServer.Wire.legacy : .streamable }
        connect(downstream, endpoint, wire: configured ?? knownRemotes[endpoint.url]?.wire ?? .streamable)
    }

    private func connect(_ downstream: Downstream, _ endpoint: HTTPEndpoint, wire: RemoteServer.Wire) {
        do throws(HTTPFailure) {
            guard let target = HTTPTarget(endpoint.url) else {
                throw HTTPFailure(.configuration, .notSent, cause: "its URL cannot be used", hint: "correct 'url' in the config file")
            }
            let proxies = ProxyRules(environment: surroundings.environment)
            let proxy = try proxies.proxy(for: target.origin)
            let settings = HTTPClientFactory.Settings(
                caFile: endpoint.caFile, clientCertificate: endpoint.clientCertificate, clientKey: endpoint.clientKey, proxy: proxy)
            let client = try HTTPClientFactory.make(settings, for: target.origin, on: eventLoop)
            let server = RemoteServer(
                target, settings: settings, wire: wire, client: client, on: eventLoop, pending: pending,
                delegate: DownstreamRemoteDelegate(aggregator: self, downstream: downstream.id, launch: downstream.launches),
                beside: sideExecutor, random: random, messageLimit: Limits.messageLength)
            server.setReading(readsServers)
            server.faults = downstream.faults
            let clients = HTTPClients(settings, proxies: proxies, on: eventLoop)
            let access = RemoteAccess(endpoint, key: downstream.key, authorizer: authorizer(clients))
            server.lastDuty = access.lastDuty(clients)
            downstream.remote = Downstream.Remote(server: server, access: access)
        } catch {
            return giveUp(downstream, cause: error.cause, hint: error.hint)
        }
        set(.startup(downstream.id), after: downstream.config.startupTimeout)
        debug("server '\(downstream.key)': connecting")
        openAccess(to: downstream)
        shakeHands(with: downstream)
    }

    private func authorizer(_ clients: HTTPClients) -> Authorizer? {
        tokenStore().map { store in
            Authorizer(
                store: store, client: { try await clients.client(for: $0) }, on: eventLoop, now: surroundings.wallClock,
                beside: sideExecutor, random: random)
        }
    }

    /// Where logins are kept.
    func tokenStore() -> TokenStore? {
        surroundings.tokenFile.map { path in
            TokenStore(path: path) { text in self.eventLoop.execute { self.assumeIsolated { $0.report(.warning, text) } } }
        }
    }

    /// It may be one of the oldest servers: those know no `POST` to their URL.
    /// - Returns: whether that is tried now.
    func connectAsLegacy(_ downstream: Downstream, because refusal: String) -> Bool {
        guard let remote = downstream.remote, remote.mayBeLegacy, remote.server.wire == .streamable,
            case .http(let endpoint) = downstream.config.endpoint, endpoint.kind == nil, downstream.config.protocolEra != .stateless,
            case .starting = downstream.life.state
        else { return false }
        // It was another server before: perhaps it is down, perhaps replaced. The next attempt finds out.
        guard knownRemotes.removeValue(forKey: endpoint.url) == nil else { return false }
        debug("server '\(downstream.key)': takes no POST; trying the transport of MCP 2024-11-05")
        cancel(.probe(downstream.id))
        // Another launch: what the first connection still tells of is of no interest.
        downstream.launches += 1
        remote.server.end()
        downstream.machine = DownstreamProtocol(identity: identity, level: downstream.machine.level)
        connect(downstream, endpoint, wire: .legacy)
        downstream.remote?.refusal = refusal
        return true
    }

    func rememberedEra(of downstream: Downstream) -> Revision.Era? {
        guard case .http(let endpoint) = downstream.config.endpoint, let remote = downstream.remote else { return nil }
        if remote.server.wire == .legacy { return .handshake }
        return knownRemotes[endpoint.url]?.era
    }

    func rememberConnection(of downstream: Downstream) {
        guard case .http(let endpoint) = downstream.config.endpoint, let remote = downstream.remote, let era = downstream.machine.era else {
            return
        }
        if knownRemotes.count >= Limits.knownRemotes { knownRemotes.removeAll() }
        knownRemotes[endpoint.url] = KnownRemote(wire: remote.server.wire, era: era)
    }

    // MARK: Requests

    /// What the transport says of a request beside its body.
    func outgoing(_ message: Message, id: Int, name: String?, to remote: Downstream.Remote, era: Revision.Era) -> OutgoingRequest {
        guard era == .stateless else { return OutgoingRequest(id: id, method: message.methodName) }
        let own = name.flatMap { JSONView.whole(ByteBuffer(string: $0)).string }
        var request = OutgoingRequest(
            id: id, method: message.methodName,
            name: OutgoingRequest.nameMember(of: message).flatMap { own ?? message.string(message[$0]) },
            envelopeRevision: Revision.newestStateless.rawValue)
        if message.method == .toolsCall, let tool = request.name, let parameters = remote.parameters[tool] {
            let arguments = message.view(message[.arguments])
            request.parameters = parameters.compactMap { parameter in
                parameter.value(in: arguments).map { (parameter.name, $0) }
            }
        }
        return request
    }

    /// Leaves out tools whose annotations for headers cannot be followed (MCP 2026-07-28, server/tools, "x-mcp-header"), and remembers
    /// those of the others.
    func withKnownHeaders(_ tools: [JSONView], of downstream: Downstream) -> [JSONView] {
        guard downstream.remote != nil, downstream.machine.era == .stateless else { return tools }
        downstream.remote?.parameters = [:]
        return tools.filter { tool in
            do throws(HeaderParameter.Defect) {
                let parameters = try HeaderParameter.all(of: tool)
                if !parameters.isEmpty, let name = tool["name"]?.string { downstream.remote?.parameters[name] = parameters }
                return true
            } catch {
                let name = tool["name"]?.string ?? ""
                report(.warning, "server '\(downstream.key)': its tool '\(name.prefix(80))' is left out: \(error)")
                return false
            }
        }
    }

    /// The server takes a request for a mistake of ours, which learning anew what it offers and speaks may mend. Such errors are a matter
    /// between it and us: hosts never see them.
    /// - Returns: whether that is all there is to say to the host now.
    func isRefusal(_ message: Message, of downstream: Downstream, _ forwarded: ForwardedRequest, host: HostConnection) -> Bool {
        guard downstream.remote != nil, message.isError else { return false }
        let (code, text) = message.errorSummary
        let kind = code.flatMap(ErrorCode.init(rawValue:))
        guard kind == .headerMismatch || kind == .unsupportedProtocolVersion else { return false }
        let request = forwarded.request
        debug("server '\(downstream.key)': refused a request: \(text)")
        // Others may have been refused for the same reason just before: one look at the server serves all.
        let isKnown = downstream.life.isReady
        guard isKnown || downstream.isConnected, !host.isAway(from: request), var original = host.originals[request.id],
            !original.wasRepeated, downstream.queue.count < Limits.waitingCalls
        else {
            let why = redact("Server '\(downstream.key)' refused the request, which was not carried out: \(text)")
            host.answer(request, line: Composition.error(id: request.id, .internalError, why))
            if isKnown, host.originals[request.id] == nil { lookAgain(at: downstream, because: kind) }
            return true
        }
        original.wasRepeated = true
        host.originals[request.id] = original
        let call = WaitingCall(
            original.message, unparked(request, host: host), original.purpose, forwarded.history,
            deadline: deadline(forwarded.history, at: downstream))
        enqueue(call, for: downstream, host: host)
        guard isKnown else { return true }
        // It was sent before what we know now was learned: nothing new is to be found out.
        if let id = message.integerID, id < downstream.learned {
            admitWaiting(at: downstream)
        } else {
            lookAgain(at: downstream, because: kind)
        }
        return true
    }

    private func lookAgain(at downstream: Downstream, because refusal: ErrorCode?) {
        debug("server '\(downstream.key)': what it offers is read again")
        beginAgain(with: downstream, isOther: refusal == .unsupportedProtocolVersion && downstream.config.protocolEra == .auto)
    }

    /// Gets to know a server anew, while what it was asked before goes on.
    /// - Parameter isOther: perhaps it speaks another era now.
    private func beginAgain(with downstream: Downstream, isOther: Bool = false) {
        downstream.life.begins()
        downstream.launchedAt = now
        set(.startup(downstream.id), after: downstream.config.startupTimeout)
        for line in downstream.machine.renew(inAnyEra: isOther) {
            // The last of them is the request that begins it; ids of later requests are greater.
            downstream.learned = (try? Message(scanning: line))?.integerID ?? downstream.learned
            downstream.connection?.send(line: line)
        }
    }

    // MARK: What the transport tells

    func received(_ body: ByteBuffer, from downstream: Downstream, on request: Int?, status: Int?, isStale: Bool) {
        if let request, let status, downstream.machine.isOpening(request), [400, 404, 405].contains(status) {
            // One that knows the errors of the stateless era is no server of the oldest transport.
            let code = (try? Message(scanning: body))?.errorSummary.code.flatMap(ErrorCode.init(rawValue:))
            switch code {
            case .headerMismatch, .missingClientCapability, .unsupportedProtocolVersion: break
            default: downstream.remote?.mayBeLegacy = true
            }
        }
        received(body, from: downstream, Downstream.Arrival(request: request, isEvent: status == nil, isStale: isStale))
    }

    /// What was never sent, or refused, has certainly had no effects. It is not in flight any more.
    func takeWhatWasHeldBack(at downstream: Downstream, cause: String) -> [ForwardedRequest] {
        (downstream.remote?.server.requestsNotCarriedOut ?? []).compactMap { id in
            guard let forwarded = downstream.machine.forwarded(id) else { return nil }
            _ = downstream.machine.requestFailed(id, why: cause, now: now)
            return forwarded
        }
    }

    /// What came over HTTP is no message. In the place of an answer, it is one that will never come.
    /// - Returns: whether that is all there is to say.
    func unreadableBody(_ error: MessageError, _ text: ByteBuffer?, from downstream: Downstream, on request: Int?) -> Bool {
        let line = text.map { String(decoding: $0.readableBytesView.prefix(Limits.noiseLooked), as: UTF8.self) } ?? ""
        let shown = redact(line).oneLine.prefix(Limits.shownNoise)
        guard let request, downstream.machine.isInFlight(request) else {
            debug("server '\(downstream.key)': sent something that is \(error): \(shown)")
            return error.id == nil
        }
        let cause = "its answer is \(error); it begins with: \(shown)"
        _ = failed(request, HTTPFailure(.notMCP, .unknown, cause: cause, hint: nil), attempts: 1, mayRepeat: false, of: downstream)
        return true
    }

    func failed(
        _ id: Int, _ failure: HTTPFailure, attempts: Int, mayRepeat: Bool, of downstream: Downstream
    ) -> RemoteServer.Decision {
        if case .overload(let wait) = failure.kind {
            if downstream.machine.isCheck(id) {
                // Whoever has too much to do is well.
                perform(downstream.machine.checkAnswered(id), of: downstream)
                return .giveUp
            }
            if let wait, downstream.machine.forwarded(id) != nil {
                let until = now.advanced(by: min(wait, Limits.longestLeave))
                downstream.leaveAloneUntil = max(downstream.leaveAloneUntil ?? now, until)
            }
        }
        if failure.kind == .authorization, failure.status == 401 {
            let token = downstream.remote?.access.token
            downstream.remote?.access.refusedToken = token
        }
        if mayRepeat, let delay = delayBeforeRepeat(id, failure, attempts: attempts, of: downstream) { return .again(after: delay) }
        if downstream.machine.isOpening(id) {
            if failure.status.map({ [400, 404, 405].contains($0) }) == true { downstream.remote?.mayBeLegacy = true }
            // An outage says nothing of what a server speaks, and neither does a want of rights.
            guard failure.kind == .notMCP else {
                lost(failure, of: downstream)
                return .giveUp
            }
            downstream.remote?.hint = failure.hint
        }
        let forwarded = downstream.machine.forwarded(id)
        let action = downstream.machine.requestFailed(id, why: failure.cause, now: now)
        if case .answer(let request) = action {
            if !mayRepeat || !repeatLater(request, failure, attempts: attempts, of: downstream) {
                fail(request, failure, attempts: attempts, of: downstream)
            }
            withdrawOrphanedQuestions(of: downstream)
            requestEnded(at: downstream)
        } else {
            if forwarded == nil { debug("server '\(downstream.key)': \(failure.cause)") }
            perform(action, of: downstream)
        }
        return .giveUp
    }

    /// - Returns: when to send a request again that was certainly not carried out; `nil` for not at all.
    private func delayBeforeRepeat(_ id: Int, _ failure: HTTPFailure, attempts: Int, of downstream: Downstream) -> Duration? {
        guard failure.delivery != .unknown, downstream.breaker.wait(now: now) == nil else { return nil }
        var least = Duration.zero
        switch failure.kind {
        case .overload(let wait): least = wait ?? .zero
        case .transient: if downstream.machine.isOpening(id) { return nil }
        case .configuration, .authorization, .notMCP: return nil
        }
        let attempts = (downstream.machine.forwarded(id)?.history.attempts ?? 0) + attempts
        guard downstream.config.retry.repeats(after: attempts, failure.delivery, isHarmless: false) else { return nil }
        let delay = max(downstream.config.retry.backoff.delay(after: attempts, using: &random), least)
        let left = downstream.machine.timeLeft(id, now: now) ?? downstream.config.startupTimeout
        return delay < left ? delay : nil
    }

    private func fail(_ forwarded: ForwardedRequest, _ failure: HTTPFailure, attempts: Int, of downstream: Downstream) {
        let hint = hint(for: failure, of: downstream).map { " To mend it: \($0)." } ?? ""
        let what = "Server '\(downstream.key)' failed: \(failure.cause).\(hint)"
        let history = forwarded.history.failed(attempts: attempts)
        let again = history.sendings > 0 ? " again" : ""
        func refuse(_ kind: RequestFailure, _ consequence: String) {
            fail(forwarded.request, forwarded.purpose, kind, "\(what) \(consequence)", history: history, of: downstream)
        }
        switch failure.delivery {
        case _ where failure.kind == .authorization: refuse(.authorizationNeeded, "The request was not carried out\(again).")
        case .notSent: refuse(.unavailable, "The request was not sent\(again).")
        case .refused: refuse(.unavailable, "The request was not carried out\(again).")
        case .unknown: failUnanswered(forwarded, of: downstream, attempts: attempts, what)
        }
        switch failure.kind {
        case .transient, .notMCP: countFailure(of: downstream, failure.cause, sent: forwarded.sent)
        // It says itself when it wants to be asked again, or who has to do something.
        case .overload, .authorization, .configuration: break
        }
    }

    private func hint(for failure: HTTPFailure, of downstream: Downstream) -> String? {
        failure.hint ?? (failure.kind == .authorization ? authorizationHint(for: downstream) : nil)
    }

    /// The connection cannot be made, or does not go on.
    func lost(_ failure: HTTPFailure, of downstream: Downstream) {
        if case .starting = downstream.life.state, downstream.remote?.server.wire == .legacy, failure.kind == .notMCP,
            case .http(let endpoint) = downstream.config.endpoint
        {
            // It was remembered as one of the oldest, and is not any more.
            knownRemotes[endpoint.url] = nil
        }
        let kind: Downstream.Failure.Kind =
            switch failure.kind {
            case .configuration: .configuration
            case .authorization: .authorization
            case .overload: .overload
            case .transient, .notMCP: .transient
            }
        let before = downstream.remote?.refusal.map { "; before that, as Streamable HTTP, \($0)" } ?? ""
        var wait = Duration.zero
        if case .overload(let told?) = failure.kind { wait = min(told, Limits.longestLeave) }
        lose(downstream, cause: failure.cause + before, hint: hint(for: failure, of: downstream), kind: kind, wait: wait)
        beginTeardown(of: downstream)
    }

    /// The server has forgotten our session, so another one is begun. Calls in flight go on on their own streams.
    func sessionLost(of downstream: Downstream) {
        debug("server '\(downstream.key)': another session is begun")
        // Its questions were asked in the other one, and their ids mean nothing here.
        withdrawQuestions(of: downstream, reason: "the session with the server that asked is over", tellsServer: false)
        downstream.earlyQuestions = []
        beginAgain(with: downstream)
    }

    /// Nothing of the connection is left.
    func remoteEnded(_ downstream: Downstream) {
        downstream.remote = nil
        isOver(downstream)
        // Its time may have come while it was still being ended.
        launchIfWanted(downstream)
    }
}
