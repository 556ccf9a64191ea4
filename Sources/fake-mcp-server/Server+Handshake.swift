import JSONRPC
import NIOCore

/// What only the handshake revisions have.
extension Server {
    /// - Returns: false if the method is none of theirs.
    func handshakeRequest(_ message: Message, method: String, id: RequestID) -> Bool {
        switch method {
        case "initialize": initialize(message, id: id)
        case "ping", "logging/setLevel": answer(id, result: ByteBuffer(string: "{}"))
        default: return false
        }
        return true
    }

    private func initialize(_ message: Message, id: RequestID) {
        if behaviour.hangInitialize { return later(id, .never, milliseconds: nil, isCall: false) }
        let requested = message.string(message.places[.protocolVersion])
        let result = JSONWriter.object { result in
            result.member("protocolVersion", behaviour.revision.answer(to: requested).text)
            result.object("capabilities") { capabilities in
                capabilities.object("logging") { _ in }
                capabilities.object("tools") { $0.member("listChanged", true) }
            }
            result.object("serverInfo") { info in
                info.member("name", behaviour.name)
                info.member("version", "1.0.0")
            }
        }
        guard behaviour.startDelay.milliseconds > 0 else { return answer(id, result: result) }
        later(id, .answer(result), milliseconds: behaviour.startDelay.milliseconds, isCall: false)
    }
}
