import ConfigFile
import Crypto
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

/// A call of a stateless host whose server, of the handshake era, asks back while it works on it.
///
/// The call goes on at its server. The host's request is answered with what the server asks for, and with a `requestState` under which
/// the host's next request brings that and waits for the call again (2026-07-28, basic, "Multi round-trip requests").
struct ParkedCall {
    /// What the host's next request has to be the same in.
    struct Binding: Hashable {
        let method: String
        /// JSON text of the name or the URI.
        let subject: String
        let arguments: SHA256Digest?

        init(_ message: Message) {
            method = message.methodName
            subject = message.text(message[message[.name].isPresent ? .name : .uri])
            let place = message[.arguments]
            guard place.isPresent else {
                arguments = nil
                return
            }
            var hash = SHA256()
            message.slice(place).withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
            arguments = hash.finalize()
        }
    }

    struct Question {
        /// The server's own id of it; `nil` if it said so in an error, and the call is not at work any more.
        var id: RequestID?
        var method: Method
        var params: ByteBuffer
    }

    let downstream: DownstreamID
    /// Which launch of the server it is at work in: our ids begin anew with each.
    let launch: Int
    /// Our id of the call at its server; `nil` if it is to be sent anew.
    let number: Int?
    let binding: Binding
    /// What is to be asked, or was and is not answered, by the keys we gave it. No key is given twice.
    var questions: OrderedDictionary<String, Question> = [:]
    var keyCount = 0
    /// What the host has to come back with; `nil` while a request of it waits.
    var state: String?
    /// The host's request that waits for the call; `nil` while none does.
    var request: HostRequest?
    /// What the server answered while no request of the host waited.
    var answer: Message?
}

extension Aggregator {
    // MARK: The server asks

    /// Puts a server's question on the way to the stateless host whose call made it ask.
    func park(
        _ message: Message, _ id: RequestID, _ method: Method, of downstream: Downstream, cause: (id: Int, request: ForwardedRequest),
        host: HostConnection
    ) {
        let request = cause.request.request
        let params = message[.params].isPresent ? message.view(message[.params]) : nil
        let revision = downstream.machine.introduction?.revision ?? .newestHandshake
        guard let envelope = request.envelope, envelope.capabilities.known(in: revision).allows(method, params: params) else {
            return answer(
                id, of: downstream, .methodNotFound, "The host, or this revision, does not support '\(method.rawValue)' of this kind")
        }
        guard let parking = request.parking ?? beginParking(cause, downstream, host: host) else {
            return answer(
                id, of: downstream, .internalError, "Calls of this kind cannot be asked for more, or too many wait for it already")
        }
        let key = add(
            ParkedCall.Question(id: id, method: method, params: statelessParams(params, method, of: downstream)), to: parking, host: host)
        downstream.questions[id] = Downstream.OpenQuestion(
            host: host.id, place: .parked(parking, key: key), method: method, hasCause: true, cause: cause.id, isCauseCertain: true,
            asked: now, since: now)
        if host.parked[parking]?.request != nil { askSoon(parking, host: host) }
        // It keeps the server busy no longer.
        admitWaiting(at: downstream)
    }

    private func beginParking(_ cause: (id: Int, request: ForwardedRequest), _ downstream: Downstream, host: HostConnection) -> ParkingID? {
        let request = cause.request.request
        guard let original = host.originals[request.id], host.parked.count < Limits.parkedCalls else { return nil }
        let parking = host.nextParking()
        host.parked[parking] = ParkedCall(
            downstream: downstream.id, launch: downstream.launches, number: cause.id, binding: ParkedCall.Binding(original.message),
            request: request)
        downstream.machine.update(cause.id, now: now) { $0.request.parking = parking }
        host.parked[parking]?.request?.parking = parking
        return parking
    }

    private func add(_ question: ParkedCall.Question, to parking: ParkingID, host: HostConnection) -> String {
        let key = "q\(host.parked[parking]?.keyCount ?? 0)"
        host.parked[parking]?.keyCount += 1
        host.parked[parking]?.questions[key] = question
        return key
    }

    /// Without what only the handshake era has: nothing will follow under an `elicitationId`.
    private func statelessParams(_ params: JSONView?, _ method: Method, of downstream: Downstream) -> ByteBuffer {
        let stripped = JSONWriter.object { writer in
            for (key, name, value) in params?.entries ?? [] {
                switch name {
                case "elicitationId", "task": break
                case "_meta":
                    let kept = JSONWriter.object { $0.endToEndMembers(of: value) }
                    if kept.readableBytes > 2 { writer.member(name, json: kept) }
                default: writer.member(key: key, json: value.json)
                }
            }
        }
        return EraBridge.labelled(JSONView.whole(stripped), of: method, downstream.key)
    }

    // MARK: The host is asked

    /// Questions that a server asks at once go out together.
    private func askSoon(_ parking: ParkingID, host: HostConnection) {
        if timers[.ask(host.id, parking)] == nil { set(.ask(host.id, parking), after: Limits.questionWait) }
    }

    /// Answers the host's request with what its server asks for.
    func askParked(_ parking: ParkingID, host: HostConnection) {
        guard var call = host.parked[parking], let request = call.request, !call.questions.isEmpty else { return }
        let state = statePrefix + (0..<2).map { _ in String(random.next(), radix: 36) }.joined()
        let questions = call.questions.map { (key: $0.key, method: $0.value.method, params: $0.value.params) }
        let result = bridge.inputRequired(questions, state: state)
        if let number = call.number, let downstream = downstreams[call.downstream], downstream.launches == call.launch {
            downstream.machine.update(number, now: now) {
                $0.request.parking = parking
                $0.progressToken = nil
            }
        }
        // Out of the table while its request is answered: it is not the call's end.
        host.parked[parking] = nil
        host.answer(request, line: Composition.result(id: request.id, result))
        call.state = state
        call.request = nil
        host.parked[parking] = call
        set(.parked(host.id, parking), after: config.settings.inputWait)
    }

    // MARK: The host comes back

    static let unknownState = """
        'requestState' is unknown, was used already, has expired or belongs to another request. Nothing was run; the earlier call may \
        have had effects, so check before you begin anew.
        """

    /// Takes a request that brings what was asked for.
    /// - Returns: the request as it is to be sent on; `nil` if it has been dealt with.
    func resume(_ message: Message, _ request: HostRequest, host: HostConnection) -> Message? {
        guard request.era == .stateless, let state = message.string(message[.requestState]), state.hasPrefix(statePrefix) else {
            return message
        }
        guard let (parking, call) = host.parked.first(where: { $0.value.state == state }), call.binding == ParkedCall.Binding(message)
        else {
            host.answer(request, line: Composition.error(id: request.id, .invalidParams, Self.unknownState))
            return nil
        }
        cancel(.parked(host.id, parking))
        let view = message.view(message[.inputResponses])
        let responses = Dictionary(view.members.map { ($0.name, $0.value) }) { first, _ in first }
        guard let number = call.number else { return resend(message, request, call, parking, responses, host: host) }
        var resumed = request
        resumed.parking = parking
        host.parked[parking]?.state = nil
        host.parked[parking]?.request = resumed
        if let answer = call.answer {
            leaveQuestions(of: parking, host: host)
            host.answer(resumed, with: Splice(answer))
            return nil
        }
        host.waiting[request.id] = .sent(call.downstream, number)
        guard let downstream = downstreams[call.downstream], downstream.launches == call.launch,
            downstream.machine.forwarded(number) != nil
        else {
            let purpose: ForwardedRequest.Purpose = message.method == .toolsCall ? .tool : message.method == .promptsGet ? .prompt : .read
            fail(resumed, purpose, .outcomeUnknown, "Its server is gone. The call may have had effects; check before you repeat it.")
            return nil
        }
        let token = message[.metaProgressToken]
        downstream.machine.update(number, now: now) {
            $0.request = resumed
            $0.progressToken = message.isToken(token) ? message.text(token) : nil
        }
        wantLogs(of: downstream, request)
        for (key, question) in call.questions {
            guard let response = responses[key], response.kind == .object, let id = question.id else { continue }
            host.parked[parking]?.questions[key] = nil
            closeQuestion(id, of: downstream)
            reply(id, of: downstream, response.json)
        }
        if host.parked[parking]?.questions.isEmpty == false {
            // Some were not answered, or came meanwhile.
            askSoon(parking, host: host)
        }
        return nil
    }

    // MARK: A server that wants a URL visited first

    /// Turns a server's "visit this first" into what stateless hosts know; the call is sent anew when they come back.
    /// - Returns: `false` if this host cannot be asked to.
    func askToVisit(_ message: Message, of downstream: Downstream, _ request: HostRequest, host: HostConnection) -> Bool {
        guard request.envelope?.capabilities.elicitationURL == true, let original = host.originals[request.id] else { return false }
        let elicitations = message.view(message[.error])["data"]?["elicitations"]?.elements ?? []
        guard !elicitations.isEmpty, elicitations.count <= Limits.questions, host.parked.count < Limits.parkedCalls else { return false }
        let parking = host.nextParking()
        host.parked[parking] = ParkedCall(
            downstream: downstream.id, launch: downstream.launches, number: nil, binding: ParkedCall.Binding(original.message),
            request: request)
        for elicitation in elicitations {
            let params = statelessParams(elicitation, .elicit, of: downstream)
            _ = add(ParkedCall.Question(id: nil, method: .elicit, params: params), to: parking, host: host)
        }
        askParked(parking, host: host)
        return true
    }

    /// - Returns: the call as it is to be sent anew, if the person has agreed to everything.
    private func resend(
        _ message: Message, _ request: HostRequest, _ call: ParkedCall, _ parking: ParkingID, _ responses: [String: JSONView],
        host: HostConnection
    ) -> Message? {
        host.parked[parking] = nil
        guard call.questions.keys.allSatisfy({ responses[$0]?["action"]?.string == "accept" }) else {
            let text = "What the server wants visited first was not agreed to. Nothing was run."
            host.answer(request, line: Composition.error(id: request.id, .internalError, text))
            return nil
        }
        var splice = Splice(message)
        splice.remove([.inputResponses, .requestState])
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    // MARK: The end

    /// Nobody comes back for the call: its server is told, and its questions are settled.
    func endParking(_ parking: ParkingID, host: HostConnection, reason: String) {
        cancel(.parked(host.id, parking))
        cancel(.ask(host.id, parking))
        guard let call = host.parked.removeValue(forKey: parking), let downstream = downstreams[call.downstream] else { return }
        // First, or the answers to its questions would be taken for a reason to go on.
        if let number = call.number, call.answer == nil, call.launch == downstream.launches,
            let forwarded = downstream.machine.abandon(number)
        {
            debug("server '\(downstream.key)': a parked call is given up: \(reason)")
            downstream.connection?.send(line: DownstreamProtocol.cancellation(of: number, reason: reason))
            cancelTask(of: forwarded, at: downstream)
        }
        settleQuestions(of: downstream, in: parking, reason: reason)
        forgetQuestionsOfEndedTasks(at: downstream)
        requestEnded(at: downstream)
    }

    /// The call is over, or about to be. What its server still wants to know may be about another call: a server on stdio does not say.
    /// Without one nobody answers it.
    func leaveQuestions(of parking: ParkingID, host: HostConnection) {
        guard let call = host.parked[parking], let downstream = downstreams[call.downstream], !call.questions.isEmpty else { return }
        let heir = downstream.machine.forwarded.filter { entry in
            entry.id != call.number && entry.request.purpose.mayAsk && entry.request.request.connection == host.id
                && entry.request.request.era == .stateless
        }.max { $0.id < $1.id }
        guard let heir else {
            return settleQuestions(of: downstream, in: parking, reason: "the request that led to this question is over")
        }
        // A host that was asked may still answer, with what it brings for this call.
        guard call.request != nil else { return }
        guard let next = heir.request.request.parking ?? beginParking(heir, downstream, host: host) else {
            return settleQuestions(of: downstream, in: parking, reason: "too many requests wait for answers")
        }
        host.parked[parking]?.questions = [:]
        for question in call.questions.values {
            guard let id = question.id else { continue }
            let key = add(question, to: next, host: host)
            downstream.questions[id]?.place = .parked(next, key: key)
        }
        if host.parked[next]?.request != nil { askSoon(next, host: host) }
    }

    /// The attempt that made its server ask is over before the host was told of it, and another server is asked, or this one anew: what
    /// was to be asked has nothing to do with that.
    /// - Returns: the request for the next attempt.
    func unparked(_ request: HostRequest, host: HostConnection) -> HostRequest {
        guard let parking = request.parking else { return request }
        leaveQuestions(of: parking, host: host)
        cancel(.ask(host.id, parking))
        host.parked[parking] = nil
        var request = request
        request.parking = nil
        return request
    }

    /// What its server still wants to know nobody will answer.
    private func settleQuestions(of downstream: Downstream, in parking: ParkingID, reason: String) {
        withdrawQuestions(of: downstream, reason: reason) { _, question in
            if case .parked(parking, _) = question.place { true } else { false }
        }
    }

    /// - Parameter waitingToo: also of those for which a request waits now. It is answered by who ends its server.
    func endParkings(of host: HostConnection, waitingToo: Bool, reason: String) {
        for (parking, call) in host.parked where waitingToo || call.request == nil { endParking(parking, host: host, reason: reason) }
    }
}
