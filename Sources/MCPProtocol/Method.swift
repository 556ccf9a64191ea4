package import JSONRPC

/// The methods and notifications of all revisions that a hop treats in a way of its own.
package enum Method: String, Sendable {
    case initialize
    case ping
    case discover = "server/discover"
    case toolsList = "tools/list"
    case toolsCall = "tools/call"
    case setLevel = "logging/setLevel"
    case initialized = "notifications/initialized"
    case cancelled = "notifications/cancelled"
    case progress = "notifications/progress"
    case message = "notifications/message"
    case toolsListChanged = "notifications/tools/list_changed"
}

extension Method {
    fileprivate init?(_ text: UnsafeRawBufferPointer) {
        // A look at the length tells them apart; then one comparison decides. No string is made.
        switch text.count {
        case 4 where text.equals("ping"): self = .ping
        case 10 where text.equals("tools/call"): self = .toolsCall
        case 10 where text.equals("tools/list"): self = .toolsList
        case 10 where text.equals("initialize"): self = .initialize
        case 15 where text.equals("server/discover"): self = .discover
        case 16 where text.equals("logging/setLevel"): self = .setLevel
        case 21 where text.equals("notifications/message"): self = .message
        case 22 where text.equals("notifications/progress"): self = .progress
        case 23 where text.equals("notifications/cancelled"): self = .cancelled
        case 25 where text.equals("notifications/initialized"): self = .initialized
        case 32 where text.equals("notifications/tools/list_changed"): self = .toolsListChanged
        default: return nil
        }
    }
}

extension Message {
    /// The method of a request or notification; `nil` for answers and for methods we give no treatment of their own.
    package var method: Method? {
        let place = places[.method]
        if let method = withPlainString(place, { Method($0) }) { return method }
        // Some encoders write "tools\/call".
        return string(place).flatMap(Method.init(rawValue:))
    }

    /// The method as its sender wrote it, for error texts.
    package var methodName: String { string(places[.method]) ?? "" }
}
