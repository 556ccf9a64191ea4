import JSONRPC
import NIOCore

/// The methods that both eras have, as far as the features offer them.
extension Server {
    func commonRequest(_ request: Request) {
        let features = behaviour.features
        switch request.method {
        case "tools/list" where features.contains(.tools): list(catalog.definitions(for: request.peer), as: "tools", request)
        case "tools/call" where features.contains(.tools): callTool(request)
        case "prompts/list" where features.contains(.prompts): list(prompts.definitions, as: "prompts", request)
        case "prompts/get" where features.contains(.prompts): getPrompt(request)
        case "resources/list" where features.hasResources: list(resources.definitions, as: "resources", request)
        case "resources/templates/list" where features.hasResources: list(resources.templates, as: "resourceTemplates", request)
        case "resources/read" where features.hasResources: readResource(request)
        case "completion/complete" where features.contains(.completions): complete(request)
        case "tasks/get" where features.contains(.tasks): getTask(request)
        case "tasks/cancel" where features.contains(.tasks): cancelTask(request)
        default: refuse(request, code: -32601, "Method not found: \(request.method)")
        }
    }

    /// What both eras declare.
    func writeCapabilities(into capabilities: inout JSONWriter, for peer: Peer) {
        let features = behaviour.features
        if features.contains(.logging) { capabilities.object("logging") { _ in } }
        if features.contains(.tools) { capabilities.object("tools") { $0.member("listChanged", true) } }
        if features.contains(.prompts) { capabilities.object("prompts") { $0.member("listChanged", true) } }
        if features.hasResources {
            capabilities.object("resources") { resources in
                resources.member("listChanged", true)
                if features.contains(.subscribe) { resources.member("subscribe", true) }
            }
        }
        if features.contains(.completions), peer.hasCompletionsCapability { capabilities.object("completions") { _ in } }
    }

    func writeServerInfo(into info: inout JSONWriter) {
        info.member("name", behaviour.name)
        info.member("version", "1.0.0")
    }

    // MARK: Pages

    /// Cursors are this and the index of the page's first entry.
    private static let cursorPrefix = "from-"

    func list(_ definitions: [String], as name: String, _ request: Request) {
        var first = 0
        let place = request.message[.cursor]
        if place.isPresent {
            guard let cursor = request.message.string(place), cursor.hasPrefix(Self.cursorPrefix),
                let index = Int(cursor.dropFirst(Self.cursorPrefix.count)), definitions.indices.contains(index)
            else { return refuseParams(request, "Unknown cursor") }
            first = index
        }
        let end = min(definitions.count, first + (behaviour.pageSize ?? definitions.count))
        let result = JSONWriter.object { result in
            result.array(name) { list in
                for definition in definitions[first..<end] { list.value(json: definition) }
            }
            if end < definitions.count { result.member("nextCursor", "\(Self.cursorPrefix)\(end)") }
        }
        answer(request, result: result)
    }

    // MARK: Changes

    enum List: String { case tools, prompts, resources }

    /// Tells whoever wants to know.
    func changed(_ list: List) {
        let method = "notifications/\(list.rawValue)/list_changed"
        if behaviour.era == .handshake || session != nil { notify(method) }
        notifyListens(method, where: { $0.lists.contains(list) })
    }

    func updated(_ uri: String) {
        let method = "notifications/resources/updated"
        if session?.subscriptions.contains(uri) == true { notify(method) { $0.member("uri", uri) } }
        notifyListens(method, where: { $0.uris.contains(uri) }, { $0.member("uri", uri) })
    }
}
