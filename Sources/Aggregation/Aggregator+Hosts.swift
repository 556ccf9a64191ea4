import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import OrderedCollections
package import Transports

// What hosts send.
extension Aggregator {
    /// Serves the host on these streams. When it closes them, and its last requests are answered, the aggregator ends.
    package func connectHost(_ streams: StandardStreams) {
        connectHost { HostPipe.open(streams, on: eventLoop, delegate: $0, finished: $1) }
    }

    /// Serves a host on a channel that leads to this delegate.
    /// - Parameter open: makes the channels; calls its second argument on the event loop when they have been closed and all of the output
    ///   was taken.
    func connectHost(_ open: (HostDelegate, _ finished: @escaping @Sendable () -> Void) -> EventLoopFuture<HostPipe.Ends>) {
        let id = nextHostID()
        let connection = LineConnection(pending: pending)
        hosts[id] = HostConnection(id: id, output: .pipe(connection), machine: HostProtocol(identity: identity))
        let channel = open(HostDelegate(aggregator: self, connection: id)) { self.assumeIsolated { $0.hostIsGone(id) } }
        channel.whenComplete { result in
            self.assumeIsolated { aggregator in
                switch result {
                case .success(let ends): aggregator.open(id, ends)
                case .failure(let error):
                    aggregator.logger.critical("the standard streams cannot be used: \(error)")
                    aggregator.hostIsGone(id)
                }
            }
        }
    }

    private func open(_ id: HostConnectionID, _ ends: HostPipe.Ends) {
        guard let host = hosts[id], case .pipe(let connection) = host.output else { return }
        connection.open(input: ends.input, output: ends.output, descriptor: ends.descriptor)
        // It may be gone already.
        if !ends.output.isActive { connection.close() }
    }

    func nextHostID() -> HostConnectionID {
        hostCount += 1
        return HostConnectionID(hostCount)
    }

    // MARK: Lines

    func received(_ line: LineFraming.Line, from connection: HostConnectionID) {
        guard let host = hosts[connection] else { return }
        switch line {
        case .oversized(let line): unreadable(line.error(limit: Limits.messageLength), from: host)
        case .complete(let bytes):
            switch Incoming(scanning: bytes) {
            case .message(let message): received(message, from: host, batch: nil)
            case .batch(let elements): received(elements, from: host)
            case .unreadable(let error): unreadable(error, from: host)
            }
        }
    }

    private func unreadable(_ error: MessageError, from host: HostConnection) {
        var error = error
        // The request that waits under this id will get its own answer.
        if let id = error.id, host.waiting.contains(id) { error.id = nil }
        switch host.machine.unreadable(error) {
        case .answer(let line): host.send(line: line)
        default: break
        }
        report(.warning, "the host sent a line that is \(error)")
    }

    private func received(_ elements: [Result<Message, MessageError>], from host: HostConnection) {
        guard host.machine.revision?.hasBatches == true else {
            let error = MessageError(.notAMessage("batches exist in MCP revision 2025-03-26 alone"))
            return unreadable(error, from: host)
        }
        // An element that is no request, and so has no id to answer under, gets no answer: an error needs an id in this revision.
        let answers = elements.count { element in
            switch element {
            case .success(let message): message.isRequest
            case .failure(let error): error.id != nil && error.namesMethod
            }
        }
        let batch = answers == 0 ? nil : host.beginBatch(answers: answers)
        for element in elements {
            switch element {
            case .success(let message): received(message, from: host, batch: batch)
            case .failure(let error):
                report(.warning, "the host sent a batch with an element that is \(error)")
                guard let id = error.id, error.namesMethod else { continue }
                answerTwin(HostRequest(connection: host.id, id: id, batch: batch), of: host, with: "\(error)")
            }
        }
    }

    private func received(_ message: Message, from host: HostConnection, batch: Int?) {
        if message.isRequest, let id = message.id, let refusal = refusal(of: id, from: host) {
            return answerTwin(HostRequest(connection: host.id, id: id, batch: batch), of: host, with: refusal)
        }
        let wasNew = host.machine.session == .new
        // What it is told of servers depends on what they will be told of it.
        if needsAbilities, let host = HostProtocol.abilities(in: message) {
            restoreOffers(for: host.capabilities, host.era)
        }
        let action = host.machine.received(message, inBatch: batch != nil, instructions: instructions(), extensions: extensions())
        if case .stateless(let envelope, let action) = action {
            // Some hosts only try whether we know it, and shake hands all the same.
            if message.method == .discover, clientCapabilities == nil {
                probedCapabilities = envelope.capabilities
            } else {
                learn(envelope.capabilities, era: .stateless)
            }
            if let id = message.id { host.stateless.insert(id) }
            perform(action, message, from: host, batch: batch, envelope: envelope)
        } else {
            perform(action, message, from: host, batch: batch, envelope: nil, isFirst: wasNew)
        }
        if case .pipe(let connection) = host.output, !host.isPaused, connection.backlog > Limits.hostBacklog {
            host.isPaused = true
            connection.setReading(false)
        }
    }

    private func perform(
        _ action: HostProtocol.Action, _ message: Message, from host: HostConnection, batch: Int?, envelope: Envelope?,
        isFirst: Bool = false
    ) {
        func request(_ id: RequestID) -> HostRequest { HostRequest(connection: host.id, id: id, batch: batch, envelope: envelope) }
        switch action {
        case .stateless: break  // taken apart by who calls this
        case .answer(let line):
            guard let id = message.id else { return host.send(line: line) }
            host.answer(request(id), line: line)
        case .begin(let line):
            // What stateless requests are about lasts: they are no part of a session.
            if !isFirst { forgetSession(of: host) }
            learn(host.machine.capabilities, era: .handshake)
            host.send(line: line)
        case .opened:
            debug("the host is ready (MCP \(host.machine.revision?.rawValue ?? ""))")
            announce()
            askEarlyQuestions()
        case .forward(let kind, let id): forward(kind, message, request(id), host: host)
        case .list(let kind, let id): list(kind, request(id), host: host)
        case .resource(.subscribe, let id): subscribe(message, request(id), host: host)
        case .resource(.unsubscribe, let id): unsubscribe(message, request(id), host: host)
        case .resource(_, let id): read(message, request(id), host: host)
        case .listen(let id, let filter): listen(filter, message, request(id), host: host)
        case .task(let method, let id): forwardTask(method, message, request(id), host: host)
        case .complete(let id): complete(message, request(id), host: host)
        case .answered(let number): forwardHostAnswer(message, to: number, host: host)
        case .progress(let number): forwardHostProgress(message, of: number, host: host)
        case .rootsChanged: forwardRootsChanged(message)
        case .cancel(let id): cancelRequest(id, message, host: host)
        case .setLevel(let id, let level):
            for downstream in downstreams.values {
                if let line = downstream.machine.setLevel(level) { sendOwn(line, to: downstream) }
            }
            host.answer(request(id), line: Composition.result(id: id, Composition.emptyResult))
        case .ignore(let reason): debug("ignored from the host: \(reason)")
        }
    }

    /// Why a request under this id cannot be taken at all; `nil` if it can.
    private func refusal(of id: RequestID, from host: HostConnection) -> String? {
        if host.waiting.contains(id) { return "The id \(id) is in use by a request that is not answered yet" }
        if host.waiting.count >= Limits.hostRequests { return "More than \(Limits.hostRequests) requests are waiting for their answers" }
        return nil
    }

    /// Refuses a request without touching the other one that may be waiting under the same id.
    private func answerTwin(_ request: HostRequest, of host: HostConnection, with refusal: String) {
        host.refuseTwin(request, line: Composition.error(id: request.id, .invalidRequest, refusal))
    }

    /// What the host's model should know before it asks for anything.
    private func instructions() -> String? {
        let problem = configProblem.map {
            "mcpagg cannot read its config file as it is now. Tell the user:\n\($0)\nIt is read again when it is saved."
        }
        let servers = current.values.compactMap { downstreams[$0] }.compactMap { downstream in
            downstream.introduction?.instructions.map { (downstream.key, $0) }
        }
        let merged = Instructions.merged(servers, limit: config.settings.instructionsLimit)
        return problem ?? merged
    }

    /// The extensions that only pass through us, as servers declare them; the first to declare one says how.
    private func extensions() -> String? {
        let declared = current.values.compactMap { downstreams[$0]?.introduction?.capabilities.extensions }
        guard !declared.isEmpty else { return nil }
        var merged: OrderedDictionary<String, ByteBuffer> = [:]
        for text in declared {
            for (name, value) in JSONView.whole(ByteBuffer(string: text)).members where merged[name] == nil { merged[name] = value.json }
        }
        return String(buffer: JSONWriter.object { writer in for (name, json) in merged { writer.member(name, json: json) } })
    }

    // MARK: Coming and going

    /// Nothing of what the host asked for in its last session concerns it any more: it started anew.
    private func forgetSession(of host: HostConnection) {
        // First, or what is given up would be taken for an answer of its batch.
        host.batches = [:]
        giveUpAll(of: host) { !host.stateless.contains($0) }
        host.listedRevisions = [:]
        forgetQuestions(to: host)
        endSubscriptions(of: host)
    }

    private func giveUpAll(of host: HostConnection, where isMeant: (RequestID) -> Bool) {
        // First what was not sent: the end of another would make room for it.
        let ids = host.waiting.ids.filter(isMeant)
        for isSent in [false, true] {
            for id in ids {
                guard let waiting = host.waiting[id] else { continue }
                if case .sent = waiting, !isSent { continue }
                giveUp(id, waiting, host: host, notice: nil)
            }
        }
    }

    private func forgetEverything(of host: HostConnection) {
        forgetSession(of: host)
        giveUpAll(of: host) { _ in true }
        host.waiting = RequestIDTable()
        endParkings(of: host, waitingToo: true, reason: "the host is gone")
    }

    func hostWritabilityChanged(_ connection: HostConnectionID, isWritable: Bool) {
        guard let host = hosts[connection], case .pipe(let pipe) = host.output else { return }
        host.isStuck = !isWritable
        followHosts()
        guard isWritable, host.isPaused else { return }
        host.isPaused = false
        pipe.setReading(true)
    }

    /// Whether what servers send is read now. It goes to the hosts: while one of them takes nothing, the servers wait. Its own requests
    /// are read on, up to a limit, because it may be waiting for us to take them before it reads.
    var readsServers: Bool { !hosts.values.contains(where: \.isStuck) }

    /// Stops or starts reading what servers send.
    private func followHosts() {
        let reads = readsServers
        let now = now
        for downstream in downstreams.values {
            guard let connection = downstream.connection, connection.isReading != reads else { continue }
            connection.setReading(reads)
            // It was we who did not hear it.
            if reads { downstream.machine.extendDeadlines(now: now) }
        }
    }

    func hostInputClosed(_ connection: HostConnectionID, unterminated: Int) {
        guard let host = hosts[connection], !host.isInputClosed else { return }
        host.isInputClosed = true
        if unterminated > 0 { report(.warning, "the host's last line has no end; its \(unterminated) bytes are dropped") }
        endListens(of: host)
        debug("the host closed its end; \(host.waiting.count) requests are still to be answered")
        guard !host.waiting.isEmpty else { return leave(host) }
        set(.hostGrace(connection), after: Limits.hostGrace)
    }

    /// It takes nothing any more: whatever it still asks for would be done for nobody.
    func hostOutputClosed(_ connection: HostConnectionID) {
        guard let host = hosts[connection], case .pipe(let connection) = host.output else { return }
        connection.close()
    }

    /// Lets go of the hosts that will send nothing more and have got their last answer. At the end of every turn.
    func leaveServedHosts() {
        for host in hosts.values where host.isInputClosed && !host.hasLeft && host.waiting.isEmpty { leave(host) }
    }

    /// Nobody waits for anything from this host any more. With the last one we end.
    func leave(_ host: HostConnection) {
        cancel(.hostGrace(host.id))
        host.hasLeft = true
        if hosts.values.allSatisfy(\.hasLeft) { shutDown(pace: .patient) }
    }

    private func hostIsGone(_ connection: HostConnectionID) {
        guard let host = hosts[connection] else { return }
        forgetEverything(of: host)
        hosts[connection] = nil
        followHosts()
        if ending != nil {
            endIfOver()
        } else if hosts.values.allSatisfy(\.hasLeft) {
            shutDown(pace: .patient)
        }
        flush()
    }
}
