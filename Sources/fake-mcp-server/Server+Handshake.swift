import JSONRPC
import NIOCore

/// What only the handshake revisions have.
extension Server {
    func handshakeRequest(_ message: Message, method: String, id: RequestID) {
        let revision = behaviour.revision.text
        let stranger = Peer(era: .handshake, revision: revision, capabilities: .none, logLevel: nil)
        let request = Request(id: id, method: method, message: message, peer: session?.peer ?? stranger)
        if lockedEra == .handshake, method != "server/discover", message[.metaProtocolVersion].isPresent {
            return refuseParams(request, "this pipe has a session: no envelopes here")
        }
        switch method {
        case "initialize": initialize(request)
        case "ping": answer(request, result: .emptyObject)
        case "logging/setLevel" where behaviour.features.contains(.logging): setLevel(request)
        case "resources/subscribe" where behaviour.features.contains(.subscribe): subscribe(request, true)
        case "resources/unsubscribe" where behaviour.features.contains(.subscribe): subscribe(request, false)
        case "tasks/result" where behaviour.features.contains(.tasks): getTaskResult(request)
        case "tasks/list" where behaviour.features.contains(.tasks): list(tasks.all.map { $0.json(in: .handshake) }, as: "tasks", request)
        default: commonRequest(request)
        }
    }

    private func initialize(_ request: Request) {
        if behaviour.hangInitialize { return hold(request) }
        let message = request.message
        let revision = behaviour.revision.answer(to: message.string(message[.protocolVersion])).text
        let session = Session(revision: revision, capabilities: ClientCapabilities(request.params["capabilities"]))
        self.session = session
        let result = JSONWriter.object { result in
            result.member("protocolVersion", revision)
            result.object("capabilities") { capabilities in
                writeCapabilities(into: &capabilities, for: session.peer)
                if behaviour.features.contains(.tasks), session.peer.hasCoreTasks {
                    capabilities.member("tasks", json: #"{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#)
                }
            }
            result.object("serverInfo") { writeServerInfo(into: &$0) }
            if let instructions = behaviour.instructions { result.member("instructions", instructions) }
        }
        guard behaviour.startDelay.milliseconds > 0 else { return answer(request, result: result) }
        later(request, milliseconds: behaviour.startDelay.milliseconds) { [self] in answer(request, result: result) }
    }

    private func setLevel(_ request: Request) {
        let text = request.message.string(request.message[.level]) ?? ""
        guard let level = LogLevel(rawValue: text) else { return refuseParams(request, "Unknown log level: \(text)") }
        session?.logLevel = level
        answer(request, result: .emptyObject)
    }

    private func subscribe(_ request: Request, _ wanted: Bool) {
        guard let uri = request.params["uri"]?.string else { return refuseParams(request, "\(request.method) needs a uri") }
        if wanted {
            guard resources.has(uri) else { return refuseResource(request, uri) }
            session?.subscriptions.insert(uri)
        } else {
            session?.subscriptions.remove(uri)
        }
        answer(request, result: .emptyObject)
    }
}

extension ByteBuffer {
    static var emptyObject: ByteBuffer { ByteBuffer(string: "{}") }
}
