import ArgumentParser

extension Serve {
    /// Reads what an agent host starts us with: `serve` or no command at all, and the options of every command.
    ///
    /// A host waits for us when it starts, and the parser looks at all commands and their types first: that was a third of what we did
    /// before our first byte. It still reads everything else.
    /// - Parameter arguments: all of the process, its name first.
    /// - Returns: what the parser would make of them; `nil` if that needs a look at more, as every mistake does.
    static func plain(_ arguments: [String]) -> sending Serve? {
        var config: String?
        var logLevel: LogLevelArgument?
        var isNamed = false
        var rest = arguments.dropFirst()
        /// The value of an option that has none yet.
        func value(of name: String, in argument: String) -> String? {
            let text: String?
            if argument == name {
                text = rest.popFirst()
            } else {
                text = argument.hasPrefix(name + "=") ? String(argument.dropFirst(name.count + 1)) : nil
            }
            guard let text, !text.isEmpty, !text.hasPrefix("-") else { return nil }
            return text
        }
        while let argument = rest.popFirst() {
            if argument == "serve", !isNamed {
                isNamed = true
            } else if config == nil, let path = value(of: "--config", in: argument) {
                config = path
            } else if logLevel == nil, let level = value(of: "--log-level", in: argument).flatMap({ LogLevelArgument(argument: $0) }) {
                logLevel = level
            } else {
                return nil
            }
        }
        var options = GlobalOptions()
        options.config = config
        options.logLevel = logLevel
        var command = Serve()
        command.global = options
        return command
    }
}
