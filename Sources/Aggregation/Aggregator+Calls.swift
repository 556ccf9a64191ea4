import ConfigFile
import DequeModule
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

// The way of a call: from the host to a server, and of its answer back.
extension Aggregator {
    /// Forwards a `tools/call`.
    func call(_ message: Message, _ request: HostRequest, host: HostConnection) {
        let route: Route
        do throws(UnknownTool) {
            route = try presentCatalog.route(message.places[.name], in: message)
        } catch {
            if waitsForServers, early.count < Limits.earlyRequests {
                return waitForServers(EarlyRequest(request: request, call: message), host: host)
            }
            if let downstream = downServer(ofTool: message.string(message.places[.name]) ?? "") {
                return fail(request, .unavailable, describeDown(downstream))
            }
            let starting = current.values.compactMap { downstreams[$0] }.filter { !$0.life.isSettled }.map { "'\($0.key)'" }
            let text = starting.isEmpty ? "\(error)" : "\(error) (\(starting.joined(separator: ", ")) may offer it, but is still starting)"
            return host.answer(request, line: Composition.error(id: request.id, .invalidParams, text))
        }
        guard let downstream = downstreams[route.downstream] else { return fail(request, .unavailable, "Its server is gone") }
        if downstream.life.isReady {
            send(message, request, to: downstream, as: route.toolJSON, host: host)
        } else {
            wait(message, request, for: downstream, host: host)
        }
    }

    /// The server that is down and whose prefix the name has: it may have the tool, though it never got to list it.
    private func downServer(ofTool name: String) -> Downstream? {
        let lowered = name.lowercased()
        return current.values.lazy.compactMap { self.downstreams[$0] }.first { downstream in
            guard downstream.failure != nil, !downstream.config.prefix.isEmpty else { return false }
            return lowered.hasPrefix((downstream.config.prefix + config.settings.separator).lowercased())
        }
    }

    private func send(_ message: Message, _ request: HostRequest, to downstream: Downstream, as toolJSON: String, host: HostConnection) {
        guard let connection = downstream.child?.process.connection else { return fail(request, .unavailable, describeDown(downstream)) }
        guard connection.backlog < Limits.serverBacklog else {
            return refuse(request, "Server '\(downstream.key)' does not read what it is sent")
        }
        let token = message.places[.metaProgressToken]
        let now = now
        let call = ForwardedCall(
            request: request,
            progressToken: message.isToken(token) ? message.text(token) : nil,
            idleTimeout: downstream.config.timeout,
            latest: downstream.config.maxTimeout.map { now.advanced(by: $0) })
        guard let id = downstream.machine.forward(call, now: now) else {
            return refuse(request, "Server '\(downstream.key)' has too many calls in flight")
        }
        host.waiting[request.id] = .sent(downstream.id, id)
        var splice = Splice(message)
        splice.replace(.id, with: .integer(id))
        splice.replace(.name, with: .json(toolJSON))
        if call.progressToken != nil { splice.replace(.metaProgressToken, with: .integer(id)) }
        connection.send(splice)
        expectExpiry(of: downstream, within: call.idleTimeout)
    }

    /// Keeps a call until its server is ready, or refuses it if that is not to be expected soon.
    private func wait(_ message: Message, _ request: HostRequest, for downstream: Downstream, host: HostConnection) {
        guard case .starting = downstream.life.state else { return fail(request, .unavailable, describeDown(downstream)) }
        guard downstream.queue.count < Limits.waitingCalls else {
            return refuse(request, "Server '\(downstream.key)' is starting, and too many calls wait for it already")
        }
        host.waiting[request.id] = .queued(downstream.id)
        downstream.queue.append((request, message))
    }

    /// The server is ready: what waited for it goes out.
    func sendQueue(of downstream: Downstream) {
        while let (request, message) = downstream.queue.popFirst() {
            guard let host = hosts[request.connection] else { continue }
            // Routed anew: the list that made the server ready may have changed its names.
            guard let route = try? presentCatalog.route(message.places[.name], in: message), route.downstream == downstream.id else {
                fail(request, .unavailable, "Server '\(downstream.key)' no longer offers this tool")
                continue
            }
            send(message, request, to: downstream, as: route.toolJSON, host: host)
        }
    }

    // MARK: Answers

    /// Answers a call with a result that tells the host's model what is wrong.
    func fail(_ request: HostRequest, _ kind: CallFailure, _ text: String) {
        guard let host = hosts[request.connection] else { return }
        let result = Composition.toolFailure(redact(text), metaKey: CallFailure.metaKey, metaValue: kind.rawValue)
        host.answer(request, line: Composition.result(id: request.id, result))
    }

    /// Answers a call that one of our limits keeps back.
    private func refuse(_ request: HostRequest, _ why: String) {
        fail(request, .unavailable, "\(why). The call was not sent; try again later.")
    }

    func forwardAnswer(_ message: Message, to call: ForwardedCall) {
        guard let host = hosts[call.request.connection] else { return }
        host.answer(call.request, with: message)
    }

    func forwardProgress(_ message: Message, to call: ForwardedCall, token: String) {
        guard let host = hosts[call.request.connection] else { return }
        var splice = Splice(message)
        splice.replace(.progressToken, with: .json(token))
        host.send(splice)
    }

    // MARK: Cancellation

    /// The host does not want the answer any more. It gets none, whatever the server does.
    func cancelRequest(_ id: RequestID, _ notice: Message, host: HostConnection) {
        guard let waiting = host.waiting[id] else { return debug("the host cancelled \(id), which is not in flight") }
        giveUp(id, waiting, host: host, notice: notice)
    }

    /// - Parameter notice: the host's own notification, whose reason the server gets to know too.
    func giveUp(_ id: RequestID, _ waiting: HostConnection.Waiting, host: HostConnection, notice: Message?) {
        var request = HostRequest(connection: host.id, id: id)
        switch waiting {
        case .servers:
            if let index = early.firstIndex(where: { $0.request.connection == host.id && $0.request.id == id }) {
                request = early.remove(at: index).request
            }
        case .queued(let downstreamID):
            if let downstream = downstreams[downstreamID],
                let index = downstream.queue.firstIndex(where: { $0.request.connection == host.id && $0.request.id == id })
            {
                request = downstream.queue.remove(at: index).request
            }
        case .sent(let downstreamID, let number):
            guard let downstream = downstreams[downstreamID], let call = downstream.machine.abandon(number) else { break }
            request = call.request
            if let notice {
                var splice = Splice(notice)
                splice.replace(.requestID, with: .integer(number))
                downstream.child?.process.connection.send(splice)
            } else {
                let line = DownstreamProtocol.cancellation(of: number, reason: "the host started a new session")
                downstream.child?.process.connection.send(line: line)
            }
            retireIfIdle(downstream)
        }
        host.forget(request)
    }

    // MARK: Time

    func expectExpiry(of downstream: Downstream, within timeout: Duration) {
        let due = now.advanced(by: timeout)
        if let next = downstream.nextExpiry, next <= due { return }
        downstream.nextExpiry = due
        set(.expiry(downstream.id), after: timeout)
    }

    func expireCalls(of downstream: Downstream) {
        let now = now
        downstream.nextExpiry = nil
        // It may have answered in time: we do not read it, because a host does not read us.
        if downstream.child?.process.connection.isReading == false { downstream.machine.extendDeadlines(now: now) }
        for (id, call) in downstream.machine.expire(now: now) {
            downstream.child?.process.connection.send(line: DownstreamProtocol.cancellation(of: id, reason: "timed out"))
            report(.warning, "server '\(downstream.key)': a call timed out")
            let isCapped = call.latest.map { $0 <= now } ?? false
            let (time, key) = isCapped ? (downstream.config.maxTimeout ?? call.idleTimeout, "maxTimeout") : (call.idleTimeout, "timeout")
            fail(
                call.request, .timedOut,
                """
                Server '\(downstream.key)' did not answer within \(time.text). The call was cancelled, but may have had effects all the \
                same; check before you repeat it. A longer '\(key)' can be set for this server in mcpagg's config file.
                """)
        }
        retireIfIdle(downstream)
        expectRelist(of: downstream)
        guard let next = downstream.machine.nextDeadline else { return }
        downstream.nextExpiry = next
        set(.expiry(downstream.id), after: now.duration(to: next))
    }
}

extension Duration {
    /// For people: "250 ms", "30 s", "2 min".
    var text: String {
        let milliseconds = clampedNanoseconds / 1_000_000
        if milliseconds < 1_000 { return "\(milliseconds) ms" }
        if milliseconds < 120_000 {
            let tenths = milliseconds / 100
            return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
        }
        return "\(milliseconds / 60_000) min"
    }
}
