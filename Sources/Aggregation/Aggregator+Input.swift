import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

/// A request of a host, kept as it came while its server works on it.
struct Original {
    var message: Message
    var purpose: ForwardedRequest.Purpose
    /// What the server calls what is asked for, as JSON text; `nil` to leave it.
    var nameJSON: String?
    /// It was sent once more already, because the server took the first for a mistake of ours.
    var wasRepeated = false
}

/// What a stateless server wants before it answers a request of a host of the handshake era.
struct InputRound {
    var downstream: DownstreamID
    var request: HostRequest
    var purpose: ForwardedRequest.Purpose
    /// Counts from 1.
    var number: Int
    /// What came, by the server's keys, in the order of the server.
    var responses: OrderedDictionary<String, ByteBuffer?>
    var state: ByteBuffer?
}

// A host of the handshake era in front of a stateless server: what the server wants to know, the host is asked for, and then the
// request is made again.
extension Aggregator {
    /// Takes a result that asks for something instead of saying something.
    func fetchInput(_ message: Message, of downstream: Downstream, _ forwarded: ForwardedRequest, host: HostConnection) {
        let request = forwarded.request
        func refuse(_ why: String) {
            let text = redact("Server '\(downstream.key)' answered with a request for input that cannot be met: \(why)")
            host.answer(request, line: Composition.error(id: request.id, .internalError, text))
        }
        guard host.originals[request.id] != nil else { return refuse("this request has none in its revision") }
        // Keys as they were written: what comes back stands under the same.
        let entries = message.view(message[.inputRequests]).entries.map { (name: String(buffer: $0.key), value: $0.value) }
        let state = message[.requestState].isPresent ? message.slice(message[.requestState]) : nil
        guard !entries.isEmpty || state != nil else { return refuse("it asks for nothing") }
        guard entries.count <= Limits.questions else { return refuse("it asks for more than \(Limits.questions) things") }
        guard Set(entries.map(\.name)).count == entries.count else { return refuse("it asks twice under one key") }
        let number = (host.inputs[request.id]?.number ?? 0) + 1
        guard number <= Limits.inputRounds else { return refuse("it has asked \(Limits.inputRounds) times before") }
        var questions: [(key: String, method: Method, params: JSONView?)] = []
        for (key, entry) in entries {
            let params = entry["params"]
            guard let method = entry["method"]?.string.flatMap(Method.init(rawValue:)), [.rootsList, .sample, .elicit].contains(method)
            else {
                return refuse("\(key) is no request that a host could answer")
            }
            guard host.machine.capabilities.allows(method, params: params) else {
                return refuse("the host does not support '\(method.rawValue)' of this kind")
            }
            questions.append((key, method, params))
        }
        let revision = host.machine.revision ?? .newestHandshake
        host.waiting[request.id] = .input(downstream.id)
        host.inputs[request.id] = InputRound(
            downstream: downstream.id, request: request, purpose: forwarded.purpose, number: number,
            responses: OrderedDictionary(entries.map { ($0.name, nil) }) { first, _ in first }, state: state)
        guard !questions.isEmpty else {
            return set(.inputRetry(host.id, request.id), after: Limits.inputRetryWait * number)
        }
        for question in questions {
            guard question.method != .elicit || Downlevel.canElicit(question.params, in: revision) else {
                host.inputs[request.id]?.responses[question.key] = Self.cancelledElicitation
                continue
            }
            let entry = HostConnection.Question(
                downstream: downstream.id, origin: .input(request, key: question.key), method: question.method, progressToken: nil)
            guard let id = host.questions.insert(entry) else {
                withdrawInput(request.id, host: host, reason: "too many questions are waiting")
                return refuse("too many questions are waiting for the host")
            }
            let params = handshakeParams(question.params, question.method, of: downstream, host: host, id: id)
            host.send(line: Composition.request(id: id, question.method, params: params))
        }
        // All of them may have been such as the host cannot be asked.
        sendInputIfComplete(request.id, host: host)
    }

    /// That nobody answered it.
    static let cancelledElicitation = JSONWriter.object { $0.member("action", "cancel") }

    /// With what hosts of the handshake era need beyond what a stateless server says.
    private func handshakeParams(_ params: JSONView?, _ method: Method, of downstream: Downstream, host: HostConnection, id: Int)
        -> ByteBuffer?
    {
        guard let params else { return nil }
        let isURL = method == .elicit && params["mode"]?.string == "url"
        let rewritten = JSONWriter.object { writer in
            for (key, name, value) in JSONView.whole(EraBridge.labelled(params, of: method, downstream.key)).entries {
                switch name {
                case "elicitationId" where isURL: break
                case "_meta": writer.object(name) { $0.endToEndMembers(of: value) }
                default: writer.member(key: key, json: value.json)
                }
            }
            // Required there. Nothing will follow under it: the next try tells the outcome.
            if isURL { writer.member("elicitationId", "mcpagg-\(host.id.number)-\(id)") }
        }
        guard method == .elicit, !isURL, let revision = host.machine.revision else { return rewritten }
        return Downlevel.elicitation(JSONView.whole(rewritten), for: revision) ?? rewritten
    }

    /// The host answered one of the questions.
    func received(
        _ message: Message, asInputOf request: HostRequest, key: String, _ question: HostConnection.Question, host: HostConnection
    ) {
        guard host.inputs[request.id] != nil else { return }
        if message.isResult {
            host.inputs[request.id]?.responses[key] = message.slice(message[.result])
        } else if question.method == .elicit {
            // Input can be results only; this one says that nobody answered.
            host.inputs[request.id]?.responses[key] = Self.cancelledElicitation
        } else {
            withdrawInput(request.id, host: host, reason: "another question of the same request failed")
            let error = message.view(message[.error])
            let line = JSONWriter.object {
                $0.member("jsonrpc", "2.0")
                $0.member("id", json: request.id.text)
                $0.member("error", json: error.json)
            }
            return host.answer(request, line: line)
        }
        sendInputIfComplete(request.id, host: host)
    }

    private func sendInputIfComplete(_ id: RequestID, host: HostConnection) {
        guard host.inputs[id]?.responses.values.contains(where: { $0 == nil }) == false else { return }
        sendInput(id, host: host)
    }

    /// Makes the request again, with what the server wanted.
    func sendInput(_ id: RequestID, host: HostConnection) {
        guard let round = host.inputs[id], let original = host.originals[id] else { return }
        guard let downstream = downstreams[round.downstream], downstream.machine.phase == .ready, downstream.isConnected else {
            let text = "Its server ended while the host was asked for input. The request may have had effects; check before you repeat it."
            return fail(round.request, round.purpose, .outcomeUnknown, text)
        }
        let responses = round.responses.compactMap { key, value in value.map { (key: key, result: $0) } }
        deliver(
            original.message, round.request, round.purpose, to: downstream, as: original.nameJSON, host: host,
            with: EraBridge.Input(responses: responses, state: round.state))
    }

    /// The host is not to answer what it was asked for this request.
    func withdrawInput(_ id: RequestID, host: HostConnection, reason: String) {
        cancel(.inputRetry(host.id, id))
        for (number, question) in Array(host.questions.entries) {
            guard case .input(let request, _) = question.origin, request.id == id else { continue }
            _ = host.questions.remove(number)
            host.send(line: DownstreamProtocol.cancellation(of: number, reason: reason))
        }
        if let round = host.inputs.removeValue(forKey: id) { downstreams[round.downstream]?.lastCall = now }
    }

    /// The server that wanted to know is gone, or began anew.
    func failInputs(of downstream: Downstream) {
        for host in hosts.values {
            for (id, round) in host.inputs where round.downstream == downstream.id {
                // One that was made again is in flight: who loses the server answers it.
                guard case .input = host.waiting[id] else { continue }
                withdrawInput(id, host: host, reason: "the server that asked has ended")
                let text = "Server '\(downstream.key)' ended while the host was asked for input. The request may have had effects; check."
                fail(round.request, round.purpose, .outcomeUnknown, text)
            }
        }
    }
}
