import JSONRPC

/// What the client declared: once in `initialize`, or in the envelope of one request.
struct ClientCapabilities {
    static let none = ClientCapabilities(nil)
    static let tasksExtension = "io.modelcontextprotocol/tasks"

    private let json: JSONView?

    init(_ json: JSONView?) { self.json = json }

    var hasTasksExtension: Bool { json?["extensions"]?[Self.tasksExtension]?.kind == .object }

    /// Whether the client takes a question. Methods that need no capability may always be asked.
    func allow(_ question: Question) -> Bool {
        switch question.need {
        case .form:
            // A bare {} means forms, which are older than URLs.
            guard let elicitation = json?["elicitation"], elicitation.kind == .object else { return false }
            return elicitation["form"] != nil || elicitation["url"] == nil
        case .url: return json?["elicitation"]?["url"] != nil
        case .sampling: return json?["sampling"] != nil
        case .samplingWithTools: return json?["sampling"]?["tools"] != nil
        case .roots: return json?["roots"] != nil
        case .nothing: return true
        }
    }
}
