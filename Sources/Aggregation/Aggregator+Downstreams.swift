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

// Starting servers, hearing them, and what happens when they are lost.
extension Aggregator {
    func makeDownstream(_ config: ServerConfig) -> Downstream {
        downstreamCount += 1
        let id = DownstreamID(downstreamCount)
        let downstream = Downstream(id: id, config: config, machine: DownstreamProtocol(identity: identity, level: wantedLevel))
        downstreams[id] = downstream
        addFaults(to: downstream)
        return downstream
    }

    /// The most talkative level that any host asked for: servers are set to it, and each host gets what it wants of that.
    private var wantedLevel: LogLevel? { hosts.values.compactMap(\.machine.logLevel).min() }

    // MARK: Launch

    func launch(_ downstream: Downstream) {
        guard ending == nil, downstream.connection == nil else { return }
        guard downstream.life.launch() else { return }
        if let problem = downstream.config.unusable {
            let subject = "server '\(downstream.key)' "
            let cause = problem.message.hasPrefix(subject) ? "it " + problem.message.dropFirst(subject.count) : problem.message
            return giveUp(downstream, cause: cause, hint: problem.hint)
        }
        downstream.launches += 1
        downstream.isLost = false
        downstream.launchedAt = now
        downstream.startTime = nil
        downstream.errorOutput = ErrorOutputRing()
        downstream.noise = Downstream.Noise()
        downstream.isKnownToChatter = false
        downstream.machine = DownstreamProtocol(identity: identity, level: wantedLevel)
        switch downstream.config.endpoint {
        case .command(let command): launch(downstream, command)
        case .http(let endpoint): connect(downstream, endpoint)
        }
    }

    /// Sends `initialize` or `server/discover`, as soon as it is known what hosts can do for servers, which is said in the first,
    /// once, and which era they prefer.
    func shakeHands(with downstream: Downstream) {
        guard let clientCapabilities, let line = downstream.machine.opened(clientCapabilities, era: eraChoice(for: downstream)) else {
            return
        }
        if downstream.machine.phase == .discovering { set(.probe(downstream.id), after: Limits.probeWait) }
        downstream.wasToldOfRootsChanges = clientCapabilities.rootsListChanged
        downstream.spokenFor = (clientCapabilities, preferredEra)
        downstream.connection?.send(line: line)
    }

    private func eraChoice(for downstream: Downstream) -> DownstreamProtocol.EraChoice {
        switch downstream.config.protocolEra {
        case .handshake: .only(.handshake)
        case .stateless: .only(.stateless)
        // A server that speaks both is spoken to as the host speaks to us: between the eras something is always lost.
        case .auto: downstream.endedWhenProbed ? .only(.handshake) : .preferring(rememberedEra(of: downstream) ?? preferredEra)
        }
    }

    /// It does not answer what it was asked about its era.
    func probeTimedOut(_ downstream: Downstream) {
        // It may have answered: we do not read it, because a host does not read us.
        guard downstream.connection?.isReading != false else { return set(.probe(downstream.id), after: Limits.probeWait) }
        guard let line = downstream.machine.discoveryTimedOut() else { return }
        debug("server '\(downstream.key)': did not answer 'server/discover'")
        downstream.connection?.send(line: line)
    }

    /// The first host said what it can do, or none does in time. A host that comes later than that is still learned of: servers
    /// that are started again are told.
    func learn(_ capabilities: ClientCapabilities, era: Revision.Era, isAssumed: Bool = false) {
        guard clientCapabilities == nil || areCapabilitiesAssumed else { return }
        clientCapabilities = capabilities
        preferredEra = era
        areCapabilitiesAssumed = isAssumed
        cancel(.hostWait)
        restoreOffers(for: capabilities, era)
        beginWaiting()
        for downstream in downstreams.values where downstream.connection != nil { shakeHands(with: downstream) }
    }

    /// Nothing can be tried before the person changes something.
    func giveUp(_ downstream: Downstream, cause: String, hint: String?) {
        downstream.life.failedForGood()
        fail(downstream, cause: cause, hint: hint, kind: .configuration)
        isOver(downstream)
    }

    func startupTimedOut(_ downstream: Downstream) {
        guard case .starting = downstream.life.state else { return }
        // It may have answered long ago: we do not read it, because a host does not read us.
        guard downstream.connection?.isReading != false else {
            return set(.startup(downstream.id), after: downstream.config.startupTimeout)
        }
        let what =
            switch downstream.machine.phase {
            case .idle where downstream.remote != nil: "could not be asked"
            case _ where downstream.remote?.server.awaitsEndpoint == true: "did not send its 'endpoint' event"
            case .initializing: "did not answer 'initialize'"
            case .discovering: "did not answer 'server/discover'"
            case .idle, .listing, .ready: "did not list what it offers"
            }
        lose(
            downstream, cause: "it \(what) within \(downstream.config.startupTimeout.text)",
            hint: "a longer 'startupTimeout' can be set for it in the config file")
        beginTeardown(of: downstream)
    }

    // MARK: Lines

    func received(_ line: LineFraming.Line, from downstream: Downstream) {
        switch line {
        case .oversized(let line): unreadable(line.error(limit: Limits.messageLength), text: nil, from: downstream)
        case .complete(let bytes):
            guard let faults = downstream.faults else { return received(bytes, from: downstream) }
            received(bytes, from: downstream, through: faults)
        }
    }

    func received(_ bytes: ByteBuffer, from downstream: Downstream, _ arrival: Downstream.Arrival = Downstream.Arrival()) {
        switch Incoming(scanning: bytes) {
        case .message(let message): received(message, from: downstream, arrival)
        case .batch(let elements):
            for element in elements {
                switch element {
                case .success(let message): received(message, from: downstream, arrival)
                case .failure(let error): unreadable(error, text: bytes, from: downstream, arrival)
                }
            }
        case .unreadable(let error): unreadable(error, text: bytes, from: downstream, arrival)
        }
    }

    private func received(_ message: Message, from downstream: Downstream, _ arrival: Downstream.Arrival) {
        let now = now
        downstream.lastHeard = now
        switch downstream.machine.received(message, now: now) {
        case .answer(let forwarded):
            // Unused from now on, not from when it was called.
            downstream.lastCall = now
            countSuccess(of: downstream)
            forwardAnswer(message, of: downstream, to: forwarded)
            if downstream.questions.isEmpty == false { withdrawOrphanedQuestions(of: downstream) }
            requestEnded(at: downstream)
        case .progress(let forwarded, let token):
            guard downstream.progress.take(now: now) else { return tooMuchChatter(of: downstream, "reports of progress") }
            // It is well, as far as one can be before an answer: the others need not wait for that.
            if downstream.breaker.state == .halfOpen { closeCircuit(of: downstream) }
            forwardProgress(message, to: forwarded, token: token)
        case .log:
            guard downstream.logs.take(now: now) else { return tooMuchChatter(of: downstream, "log messages") }
            forwardLog(message, of: downstream)
        case .taskEnded(let forwarded, let answer):
            downstream.lastCall = now
            countSuccess(of: downstream)
            forwardAnswer(answer, of: downstream, to: forwarded)
            forgetQuestionsOfEndedTasks(at: downstream)
            requestEnded(at: downstream)
        case .taskStatus: forwardTaskStatus(message, of: downstream)
        case .lateProgress(let id): forwardTaskProgress(message, id, of: downstream)
        case .taskAsks(let id, let requests): taskAsks(id, requests, of: downstream)
        case .ask(let id, let method):
            guard !arrival.isStale else {
                return debug("server '\(downstream.key)': asked \(id) in a session that is over; the answer would go into another one")
            }
            let cause = arrival.request.flatMap { id in downstream.machine.forwarded(id).map { (id: id, request: $0) } }
            ask(message, id, method, of: downstream, cause: cause)
        case .withdraw(let id): withdraw(id, message, of: downstream)
        case .notify(.resourcesUpdated): forwardResourceUpdated(message, of: downstream)
        case .notify: forwardElicitationComplete(message, of: downstream)
        case let action: perform(action, of: downstream)
        }
    }

    /// Does what concerns the server alone, whatever message led to it.
    func perform(_ action: DownstreamProtocol.Action, of downstream: Downstream) {
        guard let connection = downstream.connection else { return }
        downstream.remote?.server.revision = downstream.machine.introduction?.revision
        switch action {
        case .taskGoesOn(let id, let pause, let lines):
            for line in lines { connection.send(line: line) }
            followTask(id, of: downstream, after: pause)
        case .answer, .progress, .log, .ask, .withdraw, .notify, .taskEnded, .taskAsks, .taskStatus, .lateProgress:
            break  // dealt with by who has the message
        case .send(let lines):
            for line in lines { connection.send(line: line) }
            expectExpiry(of: downstream, within: DownstreamProtocol.listTimeout)
        case .listed(let kind, let features, let freshness, let lines):
            downstream.listFailures[kind] = nil
            for line in lines { connection.send(line: line) }
            take(features, freshness, kind, of: downstream)
            expectRelist(of: downstream)
        case .listFailed(let kind, let reason, let lines):
            downstream.listFailures[kind] = reason
            for line in lines { connection.send(line: line) }
            report(.warning, "server '\(downstream.key)': \(reason)")
            expectRelist(of: downstream)
        case .unusable(let reason):
            if connectAsLegacy(downstream, because: reason) { return }
            lose(downstream, cause: reason, hint: downstream.remote?.hint)
            beginTeardown(of: downstream)
        case .misaddressed(let forwarded):
            let cause = "its answer carries the id as a string, though it was asked under a number"
            report(.warning, "server '\(downstream.key)': \(cause)")
            failUnanswered(forwarded, of: downstream, "Server '\(downstream.key)' answered, but \(cause).")
            requestEnded(at: downstream)
        case .listChanged: expectRelist(of: downstream)
        case .listening(let filter, let lines):
            for line in lines { connection.send(line: line) }
            serverAcknowledged(filter, of: downstream)
        case .listenEnded: set(.listenAgain(downstream.id), after: Limits.listenAgainWait)
        case .checked(let isHealthy): checked(downstream, isHealthy: isHealthy)
        case .late: debug("server '\(downstream.key)': an answer came after its call was given up")
        case .ignore(let reason): debug("server '\(downstream.key)': ignored \(reason)")
        }
        if downstream.machine.phase == .ready { becameReady(downstream) }
    }

    /// A line that is no message. Banners are common: the first one is reported, the others are counted.
    private func unreadable(
        _ error: MessageError, text: ByteBuffer?, from downstream: Downstream, _ arrival: Downstream.Arrival = Downstream.Arrival()
    ) {
        // A stray event is none in the place of the answer: that may follow it.
        let answered = arrival.isEvent ? nil : arrival.request
        if downstream.remote != nil, unreadableBody(error, text, from: downstream, on: answered) { return }
        downstream.noise.lines += 1
        if downstream.noise.first == nil {
            // Secrets go before it is cut: of a part nobody could tell that it is one.
            let line = text.map { String(decoding: $0.readableBytesView.prefix(Limits.noiseLooked), as: UTF8.self) } ?? "\(error)"
            let shown = String(redact(line).oneLine.prefix(Limits.shownNoise))
            downstream.noise.first = shown
            report(.warning, "server '\(downstream.key)' writes lines on stdout that are no MCP messages; the first is: \(shown)")
        } else {
            debug("server '\(downstream.key)': skipped a line that is \(error)")
        }
        guard let id = error.id, !error.namesMethod else { return }
        let action = downstream.machine.unusableAnswer(id, why: "\(error)", now: now)
        guard case .answer(let forwarded) = action else { return perform(action, of: downstream) }
        failUnanswered(forwarded, of: downstream, "Server '\(downstream.key)' answered, but its answer cannot be used: it is \(error).")
        requestEnded(at: downstream)
    }

    private func tooMuchChatter(of downstream: Downstream, _ what: String) {
        guard !downstream.isKnownToChatter else { return }
        downstream.isKnownToChatter = true
        let much = "more than \(Limits.chatter) \(what) in \(Limits.chatterStretch.text)"
        report(.warning, "server '\(downstream.key)' sends \(much); what is beyond that is dropped")
    }

    private func forwardLog(_ message: Message, of downstream: Downstream) {
        guard let level = message.string(message[.level]).flatMap(LogLevel.init(rawValue:)) else {
            return debug("server '\(downstream.key)': ignored a log message without a level")
        }
        var splice = Splice(message)
        if let logger = message.string(message[.logger]) {
            splice.replace(.logger, with: .json(JSONString.encoded("\(downstream.key)/\(logger)")))
        } else if message[.logger].isAbsent {
            splice.insert("\"logger\":\(JSONString.encoded(downstream.key))", into: .params)
        }
        // A stateless host hears of what happens to its requests, and only if it wants to. Which of them it is about is not said.
        let asking = downstream.machine.forwarded.compactMap { entry -> HostConnectionID? in
            let request = entry.request.request
            guard let wanted = request.envelope?.logLevel, level >= wanted else { return nil }
            // A parked one is answered, as far as its host knows.
            if let parking = request.parking, hosts[request.connection]?.parked[parking]?.request == nil { return nil }
            return request.connection
        }
        for host in hosts.values {
            let isWanted = host.machine.isOpen && host.machine.logLevel.map { level >= $0 } ?? true
            if isWanted || asking.contains(host.id) { host.send(splice) }
        }
    }

    private func take(_ features: [JSONView], _ freshness: Freshness, _ kind: FeatureKind, of downstream: Downstream) {
        let features = kind == .tools ? withKnownHeaders(features, of: downstream) : features
        var definitions: [FeatureDefinition] = []
        var defects: [FeatureDefinition.Defect] = []
        for feature in features {
            do throws(FeatureDefinition.Defect) {
                definitions.append(try FeatureDefinition(feature, kind: kind))
            } catch {
                defects.append(error)
            }
        }
        if let first = defects.first {
            report(
                .warning, "server '\(downstream.key)' lists \(defects.count) \(kind.noun)s that are left out; the first: \(first)")
        }
        // Nobody is told of this alone: it is for those who ask next.
        if downstream.freshness.updateValue(freshness, forKey: kind) ?? .none != freshness { isCatalogStale = true }
        // A server that says so for nothing costs nobody else anything.
        let isSame = definitions.elementsEqual(downstream.features[kind] ?? []) { $0.json == $1.json }
        // Those before are part of the merged list: their memory is shared.
        guard !isSame || downstream.features[kind] == nil else { return }
        downstream.features[kind] = definitions
        guard !isSame else { return }
        offerChanged(of: downstream)
        if current[downstream.key] == downstream.id { catalogChanged() }
    }

    /// Reads a changed list again, at the pace the machine allows.
    func expectRelist(of downstream: Downstream) {
        // Whatever was due before: one list that changes all the time does not hold up the others.
        guard let due = downstream.machine.relistDue else { return }
        // A server may say so with every message; the timer that is set already will do.
        if timers[.relist(downstream.id)] != nil, downstream.relistDue == due { return }
        downstream.relistDue = due
        set(.relist(downstream.id), after: max(.zero, now.duration(to: due)))
    }

    func readListAgain(of downstream: Downstream) {
        let lines = downstream.machine.relist(now: now)
        // Without room for a request there is no use in trying at once: the next answer of its makes some.
        guard !lines.isEmpty else { return }
        for line in lines { downstream.connection?.send(line: line) }
        expectExpiry(of: downstream, within: DownstreamProtocol.listTimeout)
        // Another list may be due later.
        expectRelist(of: downstream)
    }

    private func becameReady(_ downstream: Downstream) {
        guard case .starting = downstream.life.state else { return }
        cancel(.startup(downstream.id))
        downstream.life.becameReady(now: now)
        downstream.failure = nil
        let time = downstream.launchedAt.map { $0.duration(to: now) } ?? .zero
        downstream.startTime = time
        let revision = downstream.machine.introduction?.revision.rawValue ?? "?"
        let tools = downstream.features[.tools]?.count ?? 0
        rememberConnection(of: downstream)
        learnedOffer(of: downstream)
        report(.info, "server '\(downstream.key)': ready after \(time.text) (MCP \(revision), lists \(tools) tools)")
        (downstream.lastCall, downstream.lastHeard) = (now, now)
        expectSilence(of: downstream)
        restoreSubscriptions(of: downstream)
        settled(downstream)
        // What it failed of before may be over; one call at a time finds out.
        downstream.leaveAloneUntil = nil
        downstream.breaker.tryAgain()
        downstream.probeLimit = callsAtWork(at: downstream) + 1
        admitWaiting(at: downstream)
    }

    // MARK: Loss

    /// The connection is of no use any more: what waits for it is answered, and a restart is planned. Once per launch.
    /// - Parameters:
    ///   - kind: with `configuration` or `authorization` there is no use in a restart before the person has done something.
    ///   - wait: what the server wants us to wait at least.
    func lose(
        _ downstream: Downstream, cause: String, hint: String?, kind: Downstream.Failure.Kind = .transient, wait: Duration = .zero
    ) {
        guard !downstream.isLost else { return }
        downstream.isLost = true
        for timer in downstream.connectionTimers { cancel(timer) }
        downstream.healthCheck = nil
        downstream.figures.late += downstream.machine.lateAnswers
        withdrawQuestions(of: downstream, reason: "the server that asked has ended")
        downstream.earlyQuestions = []
        downstream.taskQuestions = [:]
        forgetTasks(of: downstream)
        failInputs(of: downstream)
        answerSubscribes(at: downstream)
        downstream.elicitations = []
        downstream.inputStates = [:]
        let held = takeWhatWasHeldBack(at: downstream, cause: cause)
        let lost = downstream.machine.closed()
        if downstream.life.state != .stopped {
            let delay = downstream.life.lost(now: now, least: wait, using: &random)
            let isFinal = kind == .configuration || kind == .authorization
            if isFinal || !options.restartsServers { downstream.life.failedForGood() }
            let isLooping = kind == .transient && downstream.life.failures > 1 && downstream.remote == nil
            fail(downstream, cause: cause, hint: hint, kind: isLooping ? .crashLoop : kind)
            if let delay, options.restartsServers, !isFinal { set(.restart(downstream.id), after: delay) }
        }
        for forwarded in held where !repeatWhenReady(forwarded, .notSent, of: downstream) {
            let again = forwarded.history.sendings > 0 ? " again" : ""
            fail(
                forwarded.request, forwarded.purpose, downstream.unavailability,
                "Server '\(downstream.key)' is down: \(cause). The request was not carried out\(again).",
                history: forwarded.history.failed(), of: downstream)
        }
        let cause = ending == nil ? cause : "mcpagg is ending, and ended it"
        for forwarded in lost where !repeatWhenReady(forwarded, of: downstream) {
            failUnanswered(
                forwarded, of: downstream,
                "Server '\(downstream.key)' ended while it was working on this request: \(cause).\(lastErrorLines(downstream))")
        }
    }

    /// Records and reports why a server is not running, and answers what waited for it.
    private func fail(_ downstream: Downstream, cause: String, hint: String?, kind: Downstream.Failure.Kind) {
        downstream.failure = Downstream.Failure(kind: kind, cause: cause, hint: hint, at: now)
        var text = "server '\(downstream.key)' is down: \(cause)"
        if case .backingOff(_, let until) = downstream.life.state {
            text += "; next attempt in \(now.duration(to: until).text)" + (mayRest(downstream) ? ", if somebody needs it" : "")
        }
        if let hint { text += " (\(hint))" }
        report(.error, text + "." + lastErrorLines(downstream))
        countFailure(of: downstream, cause)
        // What waits for it goes on doing so while there is hope for it.
        downstream.queue.countAttempt()
        var isOut = true
        if case .backingOff = downstream.life.state { isOut = false }
        let attempts = downstream.config.retry.attempts
        // Others may have what it was only guessed to have.
        for call in downstream.queue.remove(where: { isOut || $0.history.attempts >= attempts || isGuess($0.request) }) {
            fail(call.request, call.purpose, downstream.unavailability, describeDown(downstream), history: call.history, of: downstream)
        }
        settled(downstream)
    }

    /// Why a call to it cannot be made now.
    func describeDown(_ downstream: Downstream) -> String {
        guard let failure = downstream.failure else {
            guard let wait = downstream.breaker.wait(now: now) else { return "Server '\(downstream.key)' is not running." }
            let last = downstream.lastFailure.map { ", the last time because \($0.cause)" } ?? ""
            return """
                Server '\(downstream.key)' has failed \(downstream.breaker.failuresInARow) times in a row\(last). Calls to it fail at once \
                for now; the next one is tried in \(wait.text).\(lastErrorLines(downstream))
                """
        }
        var text = "Server '\(downstream.key)' is down: \(failure.cause)."
        if let hint = failure.hint { text += " To mend it: \(hint)." }
        if case .backingOff(_, let until) = downstream.life.state {
            let wait = max(.zero, now.duration(to: until))
            let time = min(wait, downstream.breaker.wait(now: now) ?? wait).text
            if waitsForNeed(downstream) {
                text += " A call in \(time) or later starts it again."
            } else {
                text += " It is started again in \(time)"
                text += downstream.breaker.state == .closed ? "." : " at the latest; a call after that tries it."
            }
        }
        return text + lastErrorLines(downstream)
    }

    private func lastErrorLines(_ downstream: Downstream) -> String {
        let lines = downstream.errorOutput.tail(Limits.shownErrorLines)
        return lines.isEmpty ? "" : " Its last lines on standard error: " + lines.joined(separator: " | ")
    }
}
