import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

// What servers ask of hosts: roots, sampling, elicitation. The way of a request, the other way round.
extension Aggregator {
    /// Puts a server's question to the host whose request made it ask; never to another, and never to several.
    /// - Parameter cause: the request that made it ask, if that is known.
    func ask(
        _ message: Message, _ id: RequestID, _ method: Method, of downstream: Downstream, cause: (id: Int, request: ForwardedRequest)? = nil
    ) {
        // A server that is being given up, because it started too late, may still be talking: a question of its would outlive it.
        guard !downstream.isLost else { return debug("server '\(downstream.key)': not asked for it, it is given up") }
        // A stream that is gone on with may tell again what was told.
        if downstream.remote != nil, downstream.questions[id] != nil {
            return debug("server '\(downstream.key)': asked \(id) again; it is open already")
        }
        guard downstream.questions[id] == nil, !downstream.earlyQuestions.contains(where: { $0.id == id }) else {
            return answer(id, of: downstream, .invalidRequest, "The id \(id) is in use by a question that is not answered yet")
        }
        guard downstream.questions.count + downstream.earlyQuestions.count < Limits.questions else {
            return answer(id, of: downstream, .internalError, "More than \(Limits.questions) questions are waiting for their answers")
        }
        let certain = cause ?? self.cause(of: message, at: downstream)
        let cause = certain ?? downstream.machine.newestRequest
        if let cause, cause.request.request.era == .stateless {
            guard let host = hosts[cause.request.request.connection] else {
                return answer(id, of: downstream, .internalError, "The host is gone")
            }
            return park(message, id, method, of: downstream, cause: cause, host: host)
        }
        guard let host = hostToAsk(because: cause?.request) else {
            // Many servers ask for the roots as soon as they are initialized, which may be before the host has said that it is.
            if hosts.values.contains(where: \.mayBecomeReady) { return downstream.earlyQuestions.append(message) }
            return answer(id, of: downstream, .internalError, "No host is there that could be asked")
        }
        let params = message[.params].isPresent ? message.view(message[.params]) : nil
        let revision = downstream.machine.introduction?.revision ?? .newestHandshake
        guard host.machine.capabilities.known(in: revision).allows(method, params: params) else {
            return answer(
                id, of: downstream, .methodNotFound, "The host, or this revision, does not support '\(method.rawValue)' of this kind")
        }
        let hostRevision = host.machine.revision ?? .newestHandshake
        guard method != .elicit || Downlevel.canElicit(params, in: hostRevision) else {
            return reply(id, of: downstream, Self.cancelledElicitation)
        }
        let token = message[.metaProgressToken]
        let question = HostConnection.Question(
            downstream: downstream.id, origin: .request(id), method: method, progressToken: token.isPresent ? message.text(token) : nil)
        guard let number = host.questions.insert(question) else {
            return answer(id, of: downstream, .internalError, "Too many questions are waiting for the host")
        }
        downstream.questions[id] = Downstream.OpenQuestion(
            host: host.id, place: .asked(number), method: method, hasCause: downstream.machine.requestsInFlight > 0, cause: cause?.id,
            isCauseCertain: certain != nil, asked: now, since: now)
        // A person is not asked twice for one call.
        if let cause, method != .rootsList { downstream.machine.wasAskedAbout(cause.id, isCertain: certain != nil) }
        // While a person is asked the server has a place for another.
        admitWaiting(at: downstream)
        if method == .elicit, let elicitation = params?["elicitationId"]?.string { downstream.sawElicitation(elicitation) }
        // The host knows the task by our name, or not at all.
        let task = cause?.request.followedTask.flatMap { id in
            host.tasks.first { $0.value.downstream == downstream.id && $0.value.idJSON == id }?.key
        }
        var message = bridge.relatedTask(in: message, task.map(JSONString.encoded))
        if method != .rootsList, message[.params].isPresent {
            let params = JSONView.whole(EraBridge.labelled(message.view(message[.params]), of: method, downstream.key))
            let older = method == .elicit ? Downlevel.elicitation(params, for: hostRevision) : nil
            var splice = Splice(message)
            splice.replace(.params, with: .bytes(older ?? params.json))
            message = (try? Message(scanning: splice.bytes)) ?? message
        }
        var splice = Splice(message)
        splice.replace(.id, with: .integer(number))
        splice.replace(.metaProgressToken, with: .integer(number))
        host.send(splice)
    }

    /// A server on stdio does not say for which of its requests it asks: the newest is the likeliest. Without one, any host will do
    /// that is ready for it.
    private func hostToAsk(because cause: ForwardedRequest?) -> HostConnection? {
        let asking = cause.flatMap { hosts[$0.request.connection] }
        return [asking].compactMap { $0 }.first { $0.machine.isOpen }
            ?? hosts.values.filter(\.machine.isOpen).min { $0.id.number < $1.id.number }
    }

    /// A host is ready: what servers asked before is put to it.
    func askEarlyQuestions() {
        for downstream in downstreams.values {
            let early = downstream.earlyQuestions
            downstream.earlyQuestions = []
            for message in early {
                if let id = message.id, let method = message.method { ask(message, id, method, of: downstream) }
            }
        }
    }

    func answer(_ id: RequestID, of downstream: Downstream, _ code: ErrorCode, _ text: String) {
        // A task can be told results only: this one says that nobody answered.
        if downstream.taskQuestions[id] != nil { return reply(id, of: downstream, Self.cancelledElicitation) }
        downstream.connection?.send(line: Composition.error(id: id, code, text))
    }

    /// The host answered; the server that asked gets the answer under its own id.
    func forwardHostAnswer(_ message: Message, to number: Int, host: HostConnection) {
        guard let question = host.questions.remove(number) else {
            return debug("ignored from the host: an answer to a question never asked")
        }
        let id: RequestID
        switch question.origin {
        case .input(let request, let key): return received(message, asInputOf: request, key: key, question, host: host)
        case .request(let own): id = own
        }
        guard let downstream = downstreams[question.downstream] else { return }
        closeQuestion(id, of: downstream)
        if downstream.taskQuestions[id] != nil {
            return reply(id, of: downstream, message.isResult ? message.slice(message[.result]) : Self.cancelledElicitation)
        }
        var splice = Splice(message)
        splice.replace(.id, with: id.replacement)
        downstream.connection?.send(splice)
    }

    func forwardHostProgress(_ message: Message, of number: Int, host: HostConnection) {
        guard let question = host.questions[number], let token = question.progressToken else {
            return debug("ignored from the host: progress of nothing that was asked")
        }
        var splice = Splice(message)
        splice.replace(.progressToken, with: .json(token))
        downstreams[question.downstream]?.connection?.send(splice)
    }

    // MARK: Time

    /// A question is settled. The time in which it was open does not count, however it ended.
    @discardableResult
    func closeQuestion(_ id: RequestID, of downstream: Downstream) -> Downstream.OpenQuestion? {
        guard downstream.questions[id] != nil else { return nil }
        countPause(of: id, at: downstream)
        downstream.lastCall = now
        return downstream.questions.removeValue(forKey: id)
    }

    /// For the requests for which a person is being asked, the time until now does not count.
    func countPauses(at downstream: Downstream) {
        for id in Array(downstream.questions.keys) { countPause(of: id, at: downstream) }
    }

    /// No longer than a host may take: one that never answers holds up nothing for ever.
    private func countPause(of id: RequestID, at downstream: Downstream) {
        guard let question = downstream.questions[id], let cause = question.cause, question.method != .rootsList else { return }
        let end = min(now, question.asked.advanced(by: config.settings.inputWait))
        guard question.since < end else { return }
        downstream.questions[id]?.since = end
        downstream.machine.paused(cause, isCertain: question.isCauseCertain, from: question.since, to: end)
    }

    /// Calls for which a person is being asked.
    func callsThatAsk(at downstream: Downstream) -> Int {
        Set(downstream.questions.values.compactMap { $0.method == .rootsList ? nil : $0.cause }).count { downstream.machine.isInFlight($0) }
    }

    // MARK: Taking back

    /// The server does not want the answer any more.
    /// - Parameter notice: its notification, whose reason the host gets to know.
    func withdraw(_ id: RequestID, _ notice: Message, of downstream: Downstream) {
        downstream.earlyQuestions.removeAll { $0.id == id }
        guard let question = closeQuestion(id, of: downstream), let host = hosts[question.host] else {
            return debug("server '\(downstream.key)': cancelled \(id), which no host is asked")
        }
        switch question.place {
        case .asked(let number):
            _ = host.questions.remove(number)
            var splice = Splice(notice)
            splice.replace(.requestID, with: .integer(number))
            host.send(splice)
        case .parked(let parking, let key): host.parked[parking]?.questions[key] = nil
        }
    }

    /// With the last request in flight its questions have lost their reason: the host stops asking, and the server hears so.
    func withdrawOrphanedQuestions(of downstream: Downstream) {
        guard downstream.machine.requestsInFlight == 0 else { return }
        // What it asked on its own account, roots at its start for example, was never about a request.
        withdrawQuestions(of: downstream, reason: "the request that led to this question is over", where: { $1.hasCause })
    }

    /// Nobody answers its questions any more.
    /// - Parameter tellsServer: the server still knows the questions by their ids.
    func withdrawQuestions(
        of downstream: Downstream, reason: String, tellsServer: Bool = true,
        where isMeant: (RequestID, Downstream.OpenQuestion) -> Bool = { _, _ in true }
    ) {
        for (id, open) in downstream.questions where isMeant(id, open) {
            closeQuestion(id, of: downstream)
            guard let host = hosts[open.host] else { continue }
            switch open.place {
            case .asked(let number):
                guard host.questions.remove(number) != nil else { continue }
                host.send(line: DownstreamProtocol.cancellation(of: number, reason: reason))
            case .parked(let parking, let key): host.parked[parking]?.questions[key] = nil
            }
            guard tellsServer else { continue }
            if open.method == .elicit {
                reply(id, of: downstream, Self.cancelledElicitation)
            } else {
                answer(id, of: downstream, .internalError, "It was taken back: \(reason)")
            }
        }
    }

    /// The host is gone, or began anew: it will not answer.
    func forgetQuestions(to host: HostConnection) {
        for (_, question) in Array(host.questions.entries) {
            guard case .request(let id) = question.origin, let downstream = downstreams[question.downstream] else { continue }
            closeQuestion(id, of: downstream)
            answer(id, of: downstream, .internalError, "The host is gone")
        }
        _ = host.questions.removeAll()
    }

    // MARK: Notifications

    /// The host's folders changed: servers that were told of them hear so.
    func forwardRootsChanged(_ message: Message) {
        for downstream in downstreams.values where downstream.machine.phase == .ready && downstream.wasToldOfRootsChanges {
            // Stateless servers hear of nothing between requests.
            guard downstream.machine.era == .handshake else { continue }
            downstream.connection?.send(Splice(message))
        }
    }
}

// The end of an elicitation at a URL (2025-11-25).
extension Aggregator {
    /// Told to the hosts that may have been asked, if the server did ask under this id.
    func forwardElicitationComplete(_ message: Message, of downstream: Downstream) {
        let id = message.view(message[.params])["elicitationId"]?.string
        guard let id, downstream.elicitations.remove(id) != nil else {
            return debug("server '\(downstream.key)': completed an elicitation that nobody was told of")
        }
        for host in hosts.values where host.machine.isOpen && host.machine.capabilities.elicitationURL { host.send(Splice(message)) }
    }
}
