import JSONRPC
import MCPProtocol
package import NIOCore
import Resilience

// Changes that a stateless server tells of (2026-07-28, basic/subscriptions).
extension DownstreamProtocol {
    /// Opens the stream on which a stateless server tells of changes, or another one in its place: what it tells of cannot be changed.
    /// - Parameter uris: resources that hosts want to hear of.
    package func listen(to uris: [String]) -> [ByteBuffer] {
        guard era == .stateless, let capabilities = introduction?.capabilities else { return [] }
        var filter = SubscriptionFilter()
        filter.kinds = capabilities.announced.intersection(capabilities.listed)
        filter.uris = uris
        guard listening?.filter != filter else { return [] }
        var messages: [ByteBuffer] = []
        if filter.isEmpty {
            let open = [listening?.id, overtaken].compactMap(\.self)
            (listening, overtaken, honoured) = (nil, nil, nil)
            return open.map { id in
                _ = requests.remove(id)
                return Self.cancellation(of: id, reason: "nothing is to be told any more")
            }
        }
        guard let id = requests.insert(.listen) else { return [] }
        messages.append(request(id, .listen) { params in params.object("notifications") { filter.write(to: &$0) } })
        // One that was never acknowledged is ended at once; the one before it still tells.
        if let old = listening?.id {
            if let older = overtaken {
                _ = requests.remove(old)
                messages.append(Self.cancellation(of: old, reason: "overtaken"))
                overtaken = older
            } else {
                overtaken = old
            }
        }
        listening = (id, filter)
        honoured = nil
        return messages
    }

    /// Nothing is waited for but changes.
    package var isQuiet: Bool {
        requests.entries.allSatisfy { waiting in
            if case .listen = waiting.entry { true } else { false }
        }
    }

    /// Whether the subscription asked for last names this resource.
    package func wantsToHear(of uri: String) -> Bool { listening?.filter.uris.contains(uri) == true }

    /// The server tells of changes under this id now.
    func acknowledged(_ message: Message) -> Action {
        let id = message.view(message[.meta])[MetaKey.subscriptionID]?.integer
        guard let id, id == listening?.id else { return .ignore("an acknowledgement of something it was not asked for") }
        let said = message.view(message[.params])["notifications"]
        let filter = said.flatMap { SubscriptionFilter($0) } ?? SubscriptionFilter()
        honoured = filter
        guard let old = overtaken else { return .listening(filter, then: []) }
        overtaken = nil
        _ = requests.remove(old)
        return .listening(filter, then: [Self.cancellation(of: old, reason: "another subscription has taken its place")])
    }

    /// The server ended what it told of changes on.
    func listenEnded(_ id: Int, refusal: String?) -> Action {
        if overtaken == id { overtaken = nil }
        guard listening?.id == id else { return .ignore("the end of an overtaken subscription") }
        // Refused before it told of anything; later an error is a loss like any other end.
        if let refusal, honoured == nil {
            // It stays as it is: asked again, the server would say so again.
            return .ignore("its refusal of 'subscriptions/listen': \(refusal)")
        }
        listening = nil
        // What changes until it tells again is not to be missed.
        for kind in readers.keys { readers[kind]?.changed() }
        return .listenEnded
    }
}
