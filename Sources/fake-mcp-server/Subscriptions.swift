import JSONRPC
import NIOCore

/// One open `subscriptions/listen`.
struct Listen {
    let request: Request
    var lists: Set<Server.List> = []
    var uris: [String] = []
    var taskIDs: [String] = []
}

/// What the stateless era has in place of list notifications to everybody, and of `resources/subscribe`.
extension Server {
    private static let subscriptionID = "io.modelcontextprotocol/subscriptionId"

    private static let filters: [(name: String, list: List)] = [
        ("toolsListChanged", .tools), ("promptsListChanged", .prompts), ("resourcesListChanged", .resources),
    ]

    func listen(_ request: Request) {
        guard let wanted = request.params["notifications"], wanted.kind == .object else {
            return refuseParams(request, "subscriptions/listen needs notifications")
        }
        func strings(_ name: String) -> [String] { wanted[name]?.elements.compactMap(\.string) ?? [] }
        let features = behaviour.features
        var listen = Listen(request: request)
        for (name, list) in Self.filters where wanted[name]?.boolean == true && offers(list) { listen.lists.insert(list) }
        if features.contains(.subscribe) { listen.uris = strings("resourceSubscriptions") }
        if features.contains(.tasks), request.peer.capabilities.hasTasksExtension { listen.taskIDs = strings("taskIds") }

        listens.append(listen)
        hold(request, onCancel: { [self] in listens.removeAll { $0.request.id == request.id } })
        tagged("notifications/subscriptions/acknowledged", listen) { params in
            params.object("notifications") { honoured in
                for (name, list) in Self.filters where listen.lists.contains(list) { honoured.member(name, true) }
                if wanted["resourceSubscriptions"] != nil, features.contains(.subscribe) {
                    honoured.array("resourceSubscriptions") { uris in listen.uris.forEach { uris.value($0) } }
                }
                if !listen.taskIDs.isEmpty { honoured.array("taskIds") { ids in listen.taskIDs.forEach { ids.value($0) } } }
            }
        }
        guard let end = behaviour.endListensAfter else { return }
        whileHeld(request, milliseconds: end.milliseconds) { [self] in
            listens.removeAll { $0.request.id == request.id }
            let id = request.id.text
            answer(request, result: JSONWriter.object { $0.object("_meta") { $0.member(Self.subscriptionID, json: id) } })
        }
    }

    private func offers(_ list: List) -> Bool {
        switch list {
        case .tools: behaviour.features.contains(.tools)
        case .prompts: behaviour.features.contains(.prompts)
        case .resources: behaviour.features.hasResources
        }
    }

    func notifyListens(_ method: String, where wants: (Listen) -> Bool, _ params: (inout JSONWriter) -> Void = { _ in }) {
        for listen in listens where wants(listen) { tagged(method, listen, params) }
    }

    private func tagged(_ method: String, _ listen: Listen, _ params: (inout JSONWriter) -> Void) {
        notify(method) { writer in
            params(&writer)
            writer.object("_meta") { $0.member(Self.subscriptionID, json: listen.request.id.text) }
        }
    }
}
