package import JSONRPC
package import MCPProtocol

extension HostProtocol {
    /// What a request says that its host can do, if it is the kind that begins a conversation: to be known before it is answered,
    /// because the answer depends on it.
    /// - Returns: the era that the host speaks, too; `nil` for any other message.
    package static func abilities(in message: Message) -> (capabilities: ClientCapabilities, era: Revision.Era)? {
        guard message.isRequest else { return nil }
        switch message.method {
        case .initialize:
            guard let asked = message.string(message[.protocolVersion]) else { return nil }
            let declared = message.view(message[.params])["capabilities"]
            return (ClientCapabilities(declared, revision: .negotiated(asked: asked)), .handshake)
        case .discover:
            guard message[.meta].isPresent, let envelope = try? Envelope(message.view(message[.meta])) else { return nil }
            return (envelope.capabilities, .stateless)
        default: return nil
        }
    }
}
