package import JSONRPC

/// The methods and notifications of all revisions that a hop treats in a way of its own.
package enum Method: String, CaseIterable, Sendable {
    case initialize
    case ping
    case discover = "server/discover"
    case toolsList = "tools/list"
    case toolsCall = "tools/call"
    case promptsList = "prompts/list"
    case promptsGet = "prompts/get"
    case resourcesList = "resources/list"
    case templatesList = "resources/templates/list"
    case resourcesRead = "resources/read"
    case subscribe = "resources/subscribe"
    case unsubscribe = "resources/unsubscribe"
    case complete = "completion/complete"
    case setLevel = "logging/setLevel"
    case listen = "subscriptions/listen"
    case tasksGet = "tasks/get"
    case tasksResult = "tasks/result"
    case tasksCancel = "tasks/cancel"
    /// Stateless era.
    case tasksUpdate = "tasks/update"
    case initialized = "notifications/initialized"
    case cancelled = "notifications/cancelled"
    case progress = "notifications/progress"
    case message = "notifications/message"
    case toolsListChanged = "notifications/tools/list_changed"
    case promptsListChanged = "notifications/prompts/list_changed"
    case resourcesListChanged = "notifications/resources/list_changed"
    case resourcesUpdated = "notifications/resources/updated"
    case rootsListChanged = "notifications/roots/list_changed"
    case elicitationComplete = "notifications/elicitation/complete"
    case taskStatus = "notifications/tasks/status"
    case acknowledged = "notifications/subscriptions/acknowledged"
    // Asked by servers.
    case rootsList = "roots/list"
    case sample = "sampling/createMessage"
    case elicit = "elicitation/create"
}

extension Method {
    fileprivate init?(_ text: UnsafeRawBufferPointer) {
        // A look at the length tells them apart; then one comparison, or two, decide. No string is made.
        switch text.count {
        case 4 where text.equals("ping"): self = .ping
        case 9 where text.equals("tasks/get"): self = .tasksGet
        case 10 where text.equals("tools/call"): self = .toolsCall
        case 10 where text.equals("tools/list"): self = .toolsList
        case 10 where text.equals("initialize"): self = .initialize
        case 10 where text.equals("roots/list"): self = .rootsList
        case 11 where text.equals("prompts/get"): self = .promptsGet
        case 12 where text.equals("tasks/result"): self = .tasksResult
        case 12 where text.equals("tasks/cancel"): self = .tasksCancel
        case 12 where text.equals("tasks/update"): self = .tasksUpdate
        case 12 where text.equals("prompts/list"): self = .promptsList
        case 14 where text.equals("resources/list"): self = .resourcesList
        case 14 where text.equals("resources/read"): self = .resourcesRead
        case 15 where text.equals("server/discover"): self = .discover
        case 16 where text.equals("logging/setLevel"): self = .setLevel
        case 18 where text.equals("elicitation/create"): self = .elicit
        case 19 where text.equals("completion/complete"): self = .complete
        case 19 where text.equals("resources/subscribe"): self = .subscribe
        case 20 where text.equals("subscriptions/listen"): self = .listen
        case 21 where text.equals("notifications/message"): self = .message
        case 21 where text.equals("resources/unsubscribe"): self = .unsubscribe
        case 22 where text.equals("notifications/progress"): self = .progress
        case 22 where text.equals("sampling/createMessage"): self = .sample
        case 23 where text.equals("notifications/cancelled"): self = .cancelled
        case 24 where text.equals("resources/templates/list"): self = .templatesList
        case 25 where text.equals("notifications/initialized"): self = .initialized
        case 26 where text.equals("notifications/tasks/status"): self = .taskStatus
        case 31 where text.equals("notifications/resources/updated"): self = .resourcesUpdated
        case 32 where text.equals("notifications/roots/list_changed"): self = .rootsListChanged
        case 32 where text.equals("notifications/tools/list_changed"): self = .toolsListChanged
        case 34 where text.equals("notifications/prompts/list_changed"): self = .promptsListChanged
        case 34 where text.equals("notifications/elicitation/complete"): self = .elicitationComplete
        case 36 where text.equals("notifications/resources/list_changed"): self = .resourcesListChanged
        case 40 where text.equals("notifications/subscriptions/acknowledged"): self = .acknowledged
        default: return nil
        }
    }
}

extension Message {
    /// The method of a request or notification; `nil` for answers and for methods we give no treatment of their own.
    package var method: Method? {
        let place = self[.method]
        var method: Method?
        withPlainString(place) { method = Method($0) }
        // Some encoders write "tools\/call".
        return method ?? string(place).flatMap(Method.init(rawValue:))
    }

    /// The method as its sender wrote it, for error texts.
    package var methodName: String { string(self[.method]) ?? "" }
}
