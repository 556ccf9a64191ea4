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

// The way of a request: from the host to a server, and of its answer back.
extension Aggregator {
    /// Forwards a `tools/call` or `prompts/get` to whoever has what it names.
    func forward(_ kind: FeatureKind, _ message: Message, _ request: HostRequest, host: HostConnection) {
        guard let message = resume(message, request, host: host) else { return }
        let route: Route
        do throws(UnknownFeature) {
            route = try presentCatalog.route(kind, message[.name], in: message)
        } catch {
            if waitForServers(message, request, host: host) { return }
            if let downstream = downServer(ofPrefixIn: message.string(message[.name]) ?? "") {
                return fail(request, kind.purpose, downstream.unavailability, describeDown(downstream), of: downstream)
            }
            // One that is to be sent again, and nobody has it any more: it may have been carried out before.
            if host.histories[request.id]?.lastSent != nil { return fail(request, kind.purpose, .unavailable, "\(error).") }
            return host.answer(request, line: Composition.error(id: request.id, .invalidParams, "\(error)\(hintOfStarting)"))
        }
        guard let downstream = downstreams[route.downstream] else { return refuse(request, kind.purpose, "Its server is gone") }
        deliver(
            message, request, kind.purpose, to: downstream, as: route.nameJSON, host: host, asTask: route.needsTask,
            isRepeatable: route.isRepeatable)
    }

    /// The server that is down and whose prefix the name has: it may have what is asked for, though it never got to list it.
    private func downServer(ofPrefixIn name: String) -> Downstream? {
        let lowered = name.lowercased()
        return current.values.lazy.compactMap { self.downstreams[$0] }.first { downstream in
            guard downstream.failure != nil, !downstream.config.prefix.isEmpty else { return false }
            return lowered.hasPrefix((downstream.config.prefix + config.settings.separator).lowercased())
        }
    }

    /// Sends a request to its server, or keeps it until the server is ready.
    /// - Parameters:
    ///   - nameJSON: what the server calls the thing, where the host's name stands; `nil` to leave it.
    ///   - isRepeatable: the server says of its tool that calling it twice does no harm.
    func deliver(
        _ message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, to downstream: Downstream, as nameJSON: String?,
        host: HostConnection, with input: EraBridge.Input? = nil, asTask: Bool = false, isRepeatable: Bool = false
    ) {
        // A server that is to end still gets what it has asked for.
        let goesOn = input != nil && downstream.machine.phase == .ready && downstream.isConnected
        guard downstream.life.isReady || goesOn, let connection = downstream.connection else {
            return waitUntilReady(message, request, purpose, for: downstream, host: host)
        }
        // It is about to end, and what was not sent may be sent to whoever comes after it.
        if downstream.child?.isOutputClosed == true, input == nil, purpose.isWork {
            return waitForTurn(message, request, purpose, at: downstream, host: host)
        }
        // What is under way already is not held back.
        if !isFree(downstream), purpose.isWork, !host.waiting.contains(request.id), !downstream.queue.isEmpty || !mayPass(downstream) {
            return waitForTurn(message, request, purpose, at: downstream, host: host)
        }
        guard connection.backlog < Limits.serverBacklog else {
            return refuse(request, purpose, "Server '\(downstream.key)' does not read what it is sent", of: downstream)
        }
        let era = downstream.machine.era ?? .handshake
        if era == .handshake, request.era == .stateless, message[.requestState].isPresent {
            return host.answer(request, line: Composition.error(id: request.id, .invalidParams, Self.unknownState))
        }
        // What is called may change what was just subscribed to.
        if era == .stateless, changedListens.contains(downstream.id) { renewListens() }
        // One that asked for a task itself follows it itself.
        let wantsTask = message[.task].isPresent && host.knowsTasks(request)
        let hasTasks = downstream.machine.introduction?.capabilities.tasks == true
        if wantsTask, !hasTasks || era == .stateless {
            let text = "Server '\(downstream.key)' cannot run this as a task"
            return host.answer(request, line: Composition.error(id: request.id, .methodNotFound, text))
        }
        let now = now
        downstream.lastCall = now
        let forwarded = entry(for: message, request, purpose, at: downstream, host: host, now: now)
        forwarded.serverEra = era
        forwarded.wantsTask = wantsTask
        forwarded.runsAsTask = asTask && !wantsTask && hasTasks
        if case .task(let method) = purpose {
            forwarded.followedTask = nameJSON
            if method == .tasksResult { forwarded.idleTimeout = downstream.config.maxTimeout ?? Limits.taskWait }
        }
        // What brings something that was asked for is about one attempt alone.
        if input == nil, request.parking == nil, !wantsTask, purpose.isWork, message[.requestState].isAbsent {
            forwarded.line = message.bytes
            forwarded.isHarmless = mayRepeat(purpose, isRepeatable: isRepeatable, at: downstream)
        }
        guard let id = downstream.machine.forward(forwarded, now: now) else {
            return refuse(request, purpose, "Server '\(downstream.key)' has too many requests in flight", of: downstream)
        }
        if !downstream.inputStates.isEmpty, let state = message.string(message[.requestState]) { downstream.inputCame(state) }
        host.waiting[request.id] = .sent(downstream.id, id)
        downstream.figures.sent += 1
        if let limit = downstream.config.rateLimit, purpose.isWork { downstream.window.add(now, limit) }
        if era == .stateless || era != request.era, purpose.mayAsk, host.originals[request.id] == nil {
            host.originals[request.id] = Original(message: message, purpose: purpose, nameJSON: nameJSON)
        }
        if era == .handshake, request.envelope != nil { wantLogs(of: downstream, request) }
        let splice = bridge.request(
            message, id: id, name: nameJSON.map { (purpose.nameMember, $0) },
            wantsProgress: forwarded.progressToken != nil, isStateless: request.era == .stateless,
            envelope: era == .stateless ? host.envelope(for: request, withTasks: forwarded.runsAsTask) : nil, input: input,
            runsAsTask: forwarded.runsAsTask, keepsTask: wantsTask)
        if let remote = downstream.remote {
            connection.send(splice, as: outgoing(message, id: id, name: nameJSON, to: remote, era: era))
        } else {
            connection.send(splice)
        }
        expectExpiry(of: downstream, at: forwarded.deadline(from: now))
    }

    /// What is kept of a request while its server works on it.
    private func entry(
        for message: Message, _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, at downstream: Downstream,
        host: HostConnection, now: Instant
    ) -> ForwardedRequest {
        let token = message[.metaProgressToken]
        let forwarded = ForwardedRequest(
            request: request, purpose: purpose, progressToken: message.isToken(token) ? message.text(token) : nil,
            idleTimeout: downstream.config.timeout, latest: nil)
        (forwarded.history.began, forwarded.sent) = (now, now)
        if !host.histories.isEmpty, let history = host.histories[request.id] {
            forwarded.history = history
            // It begins anew: what it would tell is behind what the host knows already.
            if history.lastSent != nil { forwarded.progressToken = nil }
        }
        forwarded.latest = downstream.config.maxTimeout.map { forwarded.history.began.advanced(by: $0) }
        return forwarded
    }

    /// A stateless host wants log messages while this request is open: its server is to be as talkative as that.
    func wantLogs(of downstream: Downstream, _ request: HostRequest) {
        guard let level = request.envelope?.logLevel, downstream.machine.level.map({ level < $0 }) ?? true else { return }
        if let line = downstream.machine.setLevel(level) { sendOwn(line, to: downstream) }
    }

    /// Sends a request of our own, which is given up if it is not answered.
    func sendOwn(_ line: ByteBuffer, to downstream: Downstream) {
        downstream.connection?.send(line: line)
        expectExpiry(of: downstream, within: DownstreamProtocol.listTimeout)
    }

    /// Routes a request by its method.
    func dispatch(_ message: Message, _ request: HostRequest, host: HostConnection) {
        switch message.method {
        case .toolsCall: forward(.tools, message, request, host: host)
        case .promptsGet: forward(.prompts, message, request, host: host)
        case .complete: complete(message, request, host: host)
        case .resourcesRead: read(message, request, host: host)
        case .subscribe: subscribe(message, request, host: host)
        case .unsubscribe: unsubscribe(message, request, host: host)
        case .listen:
            let filter = SubscriptionFilter(message.view(message[.params])["notifications"] ?? message.view(.absent))
            listen(filter ?? SubscriptionFilter(), message, request, host: host)
        default: break  // nothing else is ever kept
        }
    }

    /// For the answer to somebody who asks for what is not there, or not there yet.
    var hintOfStarting: String {
        let starting = current.values.compactMap { downstreams[$0] }.filter { !$0.life.isSettled }.map { "'\($0.key)'" }
        return starting.isEmpty ? "" : " (\(starting.joined(separator: ", ")) may have it, but is still starting)"
    }

    // MARK: Answers

    /// Answers a request that no server has answered: a tool call with a result that tells the host's model what is wrong, anything
    /// else with an error.
    /// - Parameter history: what was tried at the server, if more is known of it than the host's connection remembers.
    func fail(
        _ request: HostRequest, _ purpose: ForwardedRequest.Purpose, _ kind: RequestFailure, _ text: String,
        history: CallHistory? = nil, of downstream: Downstream? = nil
    ) {
        guard let host = hosts[request.connection] else { return }
        let history = history ?? host.histories[request.id]
        if purpose == .read, ending == nil, readElsewhere(request, history, host: host) { return }
        var (kind, text) = (kind, text)
        // It may have been carried out all the same, before it was to be sent again.
        if let history, let sent = history.lastSent, kind == .unavailable || kind == .authorizationNeeded {
            kind = .outcomeUnknown
            text += " It was sent before, \(sent.duration(to: now).text) ago, and whether it had effects is not known."
        }
        if case .subscribe(let uri) = purpose, request.era == .stateless {
            return subscribed(uri, nil, listener: request, isRefused: true, host: host)
        }
        text = redact(text)
        if let parking = request.parking { leaveQuestions(of: parking, host: host) }
        var meta = [(key: RequestFailure.metaKey, json: ByteBuffer(string: JSONString.encoded(kind.rawValue)))]
        if let downstream {
            meta.append((RequestFailure.deliveryKey, deliveryReport(history ?? CallHistory(began: now), at: downstream)))
        }
        if purpose == .tool {
            answer(request, Composition.toolFailure(text, meta: meta), host: host)
        } else {
            let data = JSONWriter.object { for (key, json) in meta { $0.member(key, json: json) } }
            host.answer(request, line: Composition.error(id: request.id, .internalError, text, data: data))
        }
    }

    /// Answers with a result that we composed, in the form of the handshake era.
    func answer(_ request: HostRequest, _ result: ByteBuffer, host: HostConnection) {
        let line = Composition.result(id: request.id, result)
        guard request.era == .stateless, let message = try? Message(scanning: line),
            let splice = bridge.result(message, from: .handshake, to: .stateless, isCacheable: false)
        else { return host.answer(request, line: line) }
        host.answer(request, with: splice)
    }

    /// Answers a request that one of our limits keeps back.
    func refuse(_ request: HostRequest, _ purpose: ForwardedRequest.Purpose, _ why: String, of downstream: Downstream? = nil) {
        let wasSent = hosts[request.connection]?.histories[request.id]?.lastSent != nil
        let what = wasSent ? "The request was not sent again." : "The request was not sent; try again later."
        fail(request, purpose, .unavailable, "\(why). \(what)", of: downstream)
    }

    func forwardAnswer(_ message: Message, of downstream: Downstream, to forwarded: ForwardedRequest) {
        guard let host = hosts[forwarded.request.connection] else { return }
        let era = forwarded.serverEra
        if era == .stateless, forwarded.hostEra == .handshake, message.isResult, message[.resultType].isPresent {
            if forwarded.purpose == .read { host.reads[forwarded.request.id] = nil }
            switch message.string(message[.resultType]) {
            case "complete": break
            case "task" where forwarded.runsAsTask: break
            case "input_required": return fetchInput(message, of: downstream, forwarded, host: host)
            case let type:
                let text = "Server '\(downstream.key)' answered with a result of the unknown type '\(type ?? "")'"
                return host.answer(forwarded.request, line: Composition.error(id: forwarded.request.id, .internalError, redact(text)))
            }
        }
        if isRefusal(message, of: downstream, forwarded, host: host) { return }
        if needsTask(message, forwarded), !host.isAway(from: forwarded.request), let original = host.originals[forwarded.request.id] {
            let request = unparked(forwarded.request, host: host)
            return deliver(original.message, request, .tool, to: downstream, as: original.nameJSON, host: host, asTask: true)
        }
        var message = message
        switch forwarded.purpose {
        case .tool where forwarded.task != nil: message = bridge.relatedTask(in: message, nil)
        case .tool: message = withTaskNamed(message, of: downstream, forwarded, host: host)
        case .task(let method): message = withTaskRenamed(message, method, of: downstream, host: host)
        case .prompt, .complete: break
        case .read:
            guard let answer = answerOfRead(message, forwarded, host: host) else { return }
            message = answer
        case .subscribe(let uri) where forwarded.hostEra == .stateless:
            return subscribed(uri, downstream, listener: forwarded.request, isRefused: message.isError, host: host)
        case .subscribe(let uri): subscribed(uri, downstream, forwarded.request, isRefused: message.isError)
        case .unsubscribe(let uri): unsubscribed(uri, forwarded.request)
        }
        if message.mentionsURI, message.isResult { remember(message, of: downstream) }
        if message.isError, message.errorSummary.code == ErrorCode.urlElicitationRequired.rawValue {
            if askToVisit(message, of: downstream, forwarded.request, host: host) { return }
            // The server may say of these, too, that they are complete.
            let elicitations = message.view(message[.error])["data"]?["elicitations"]?.elements ?? []
            for id in elicitations.prefix(Limits.elicitations).compactMap({ $0["elicitationId"]?.string }) { downstream.sawElicitation(id) }
        }
        if let parking = forwarded.request.parking { leaveQuestions(of: parking, host: host) }
        send(message, of: downstream, from: era, to: forwarded, host: host)
    }

    /// Puts a server's answer into the terms of the host.
    private func send(
        _ message: Message, of downstream: Downstream, from era: Revision.Era, to forwarded: ForwardedRequest, host: HostConnection
    ) {
        let request = forwarded.request
        if message.isError {
            let error = bridge.error(message, from: era, to: request.era, isRead: forwarded.purpose == .read)
            return host.answer(request, with: Splice(withoutForeignError(error, for: host, request, label: downstream.key)))
        }
        if era == .stateless, request.era == .stateless, let state = message.string(message[.requestState]),
            message.string(message[.resultType]) == "input_required"
        {
            downstream.askedForInput(state, host: host.id, now: now)
        }
        let message = downlevelled(message, from: era, forwarded, for: host)
        let isCacheable = forwarded.purpose == .read
        if isCacheable, era == .stateless, message[.requestState].isPresent, let original = host.originals[request.id] {
            // The next try brings what is meant for this server alone.
            ownership.saw(original.message.string(original.message[.uri]) ?? "", from: downstream.id)
        }
        guard let splice = bridge.result(message, from: era, to: request.era, isCacheable: isCacheable, label: downstream.key) else {
            let line = Composition.error(id: request.id, .internalError, "The server's result is no object")
            return host.answer(request, line: line)
        }
        host.answer(request, with: splice)
    }

    func forwardProgress(_ message: Message, to forwarded: ForwardedRequest, token: String) {
        guard let host = hosts[forwarded.request.connection] else { return }
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
            let waiting = downstreams[downstreamID]?.queue.remove { $0.request.connection == host.id && $0.request.id == id }
            request = waiting?.first?.request ?? request
        case .repeating:
            request = host.repetitions.removeValue(forKey: id)?.request ?? request
            cancel(.repetition(host.id, id))
        case .sent(let downstreamID, let number):
            guard let downstream = downstreams[downstreamID], let forwarded = downstream.machine.abandon(number) else { break }
            request = forwarded.request
            cancelTask(of: forwarded, at: downstream)
            if let notice {
                var splice = Splice(bridge.endToEnd(notice))
                splice.replace(.requestID, with: .integer(number))
                downstream.connection?.send(splice)
            } else {
                let line = DownstreamProtocol.cancellation(of: number, reason: "the host started a new session")
                downstream.connection?.send(line: line)
            }
            // After the cancellation: the answers to its questions are not to be taken for a reason to go on.
            if let parking = request.parking { endParking(parking, host: host, reason: "the request was cancelled") }
            withdrawOrphanedQuestions(of: downstream)
            forgetQuestionsOfEndedTasks(at: downstream)
            requestEnded(at: downstream)
        case .input(let downstreamID):
            request = host.inputs[id]?.request ?? request
            withdrawInput(id, host: host, reason: "the request that led to this question is over")
            if let downstream = downstreams[downstreamID] { retireIfIdle(downstream) }
        case .listening: forgetListen(id, host: host)
        case .subscribing(let uri):
            request = pendingSubscribes.first { $0.request.connection == host.id && $0.request.id == id }?.request ?? request
            pendingSubscribes.removeAll { $0.request == request }
            cancel(.acknowledge(host.id, id))
            unsubscribe(Listener(host: host.id), from: uri)
        }
        host.forget(request)
    }

    // MARK: Time

    func expectExpiry(of downstream: Downstream, within timeout: Duration) {
        expectExpiry(of: downstream, at: now.advanced(by: timeout))
    }

    func expectExpiry(of downstream: Downstream, at due: Instant) {
        if let next = downstream.nextExpiry, next <= due { return }
        downstream.nextExpiry = due
        set(.expiry(downstream.id), after: max(.zero, now.duration(to: due)))
    }

    func expireCalls(of downstream: Downstream) {
        let now = now
        downstream.nextExpiry = nil
        // It may have answered in time: we do not read it, because a host does not read us.
        if downstream.connection?.isReading == false { downstream.machine.extendDeadlines(now: now) }
        countPauses(at: downstream)
        for (id, expired) in downstream.machine.expire(now: now) {
            cancelTask(of: expired, at: downstream)
            downstream.connection?.send(line: DownstreamProtocol.cancellation(of: id, reason: "timed out"))
            report(.warning, "server '\(downstream.key)': a request timed out")
            downstream.figures.timeouts += 1
            countFailure(of: downstream, "it did not answer a call in time", sent: expired.sent)
            let isCapped = expired.latest.map { $0 <= now } ?? false
            let (time, key) =
                isCapped ? (downstream.config.maxTimeout ?? expired.idleTimeout, "maxTimeout") : (expired.idleTimeout, "timeout")
            fail(
                expired.request, expired.purpose, .timedOut,
                """
                Server '\(downstream.key)' did not answer within \(time.text). The request was cancelled, but may have had effects all \
                the same; check before you repeat it. A longer '\(key)' can be set for this server in mcpagg's config file.
                """,
                history: expired.history.failed(sent: expired.sent), of: downstream)
        }
        expireWaiting(at: downstream)
        withdrawOrphanedQuestions(of: downstream)
        forgetQuestionsOfEndedTasks(at: downstream)
        requestEnded(at: downstream)
        expectRelist(of: downstream)
        guard let next = [downstream.machine.nextDeadline, downstream.queue.earliestDeadline].compactMap({ $0 }).min() else { return }
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

extension FeatureKind {
    /// What a request that names one of these is for.
    var purpose: ForwardedRequest.Purpose { self == .prompts ? .prompt : .tool }
}

// What depends on the host's revision. Only results of hosts that need it are looked into.
extension Aggregator {
    /// The result in a form that the host's revision has.
    private func downlevelled(_ message: Message, from era: Revision.Era, _ forwarded: ForwardedRequest, for host: HostConnection)
        -> Message
    {
        guard forwarded.hostEra == .handshake, let revision = host.machine.revision else { return message }
        guard revision < .v2025_06_18 || era == .stateless, forwarded.purpose == .tool || forwarded.purpose == .prompt else {
            return message
        }
        guard let result = Downlevel.result(message.view(message[.result]), for: revision) else { return message }
        var splice = Splice(message)
        splice.replace(.result, with: .bytes(result))
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    /// An error code means something only to who has it in its revision (MCP 2025-11-25, client/elicitation, "URL Elicitation Required").
    private func withoutForeignError(_ message: Message, for host: HostConnection, _ request: HostRequest, label: String) -> Message {
        guard message.errorSummary.code == ErrorCode.urlElicitationRequired.rawValue else { return message }
        let isKnown = request.era == .handshake && host.machine.revision == .v2025_11_25 && host.machine.capabilities.elicitationURL
        guard !isKnown else { return labelledVisits(message, label) }
        let error = message.view(message[.error])
        let urls = error["data"]?["elicitations"]?.elements.compactMap { $0["url"]?.string } ?? []
        let text = "\(error["message"]?.string ?? "The server wants something visited first"): \(urls.joined(separator: " "))"
        let line = Composition.error(id: message.id, .internalError, text)
        return (try? Message(scanning: line)) ?? message
    }
}

extension Aggregator {
    /// With the server's name in what the person is to read.
    private func labelledVisits(_ message: Message, _ label: String) -> Message {
        let error = JSONWriter.object { writer in
            for (name, value) in message.view(message[.error]).members {
                guard name == "data", value.kind == .object else {
                    writer.member(name, json: value.json)
                    continue
                }
                writer.object(name) { data in
                    for (name, value) in value.members {
                        guard name == "elicitations" else {
                            data.member(name, json: value.json)
                            continue
                        }
                        data.array(name) { list in
                            for elicitation in value.elements {
                                list.value(
                                    json: elicitation.kind == .object
                                        ? EraBridge.labelled(elicitation, of: .elicit, label) : elicitation.json)
                            }
                        }
                    }
                }
            }
        }
        var splice = Splice(message)
        splice.replace(.error, with: .bytes(error))
        return (try? Message(scanning: splice.bytes)) ?? message
    }
}

extension ForwardedRequest.Purpose {
    /// Where a request of this kind says what it is about.
    fileprivate var nameMember: Message.Member {
        switch self {
        case .complete: .refName
        case .task: .taskID
        case .tool, .prompt, .read, .subscribe, .unsubscribe: .name
        }
    }
}
