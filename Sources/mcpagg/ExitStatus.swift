import JSONRPC
import NIOCore

/// What the process says by its exit code; documented in docs/command-line.md.
enum ExitStatus: Int32, Error {
    case success = 0
    case unexpected = 1
    /// Wrong usage, or a config file that cannot be used.
    case usage = 2
    case authorizationNeeded = 3
    /// The server could not be reached, or did not answer in time.
    case unreachable = 4
    /// The tool reported an error, or does not exist.
    case tool = 5
    /// The call was sent, and whether it had effects is not known.
    case outcomeUnknown = 6
    // Ended by a signal, as shells count it: 128 and its number.
    case hungUp = 129
    case interrupted = 130
    case terminated = 143
}

/// An end that the person is told about.
struct Failure: Error {
    var status: ExitStatus
    /// Stable, for programs.
    var code: String
    var message: String
    var hint: String?
    /// JSON that says more, for programs.
    var detail: ByteBuffer?
    /// Tell it as a JSON object.
    var asJSON = false

    func tell() {
        guard asJSON else {
            let style = Style(descriptor: StandardError.descriptor)
            return StandardError.write("\(style.red("error:")) \(words(style))")
        }
        let envelope = JSONWriter.object { envelope in
            envelope.object("error") {
                $0.member("code", code)
                $0.member("message", message)
                if let hint { $0.member("hint", hint) }
                $0.member("exitCode", Int(status.rawValue))
                if let detail { $0.member("detail", json: detail) }
            }
        }
        StandardError.write(String(buffer: envelope) + "\n")
    }

    /// Tells it as something that does not end the command.
    func warn() {
        let style = Style(descriptor: StandardError.descriptor)
        StandardError.write("\(style.yellow("warning:")) \(words(style))")
    }

    /// Servers may have their words in it: what a terminal would obey goes.
    private func words(_ style: Style) -> String {
        let hint = hint.map { "\(style.bold("hint:")) \($0.withoutControls(butFor: "\n\t"))\n" }
        return message.withoutControls(butFor: "\n\t") + "\n" + (hint ?? "")
    }

    func json(_ asJSON: Bool) -> Failure {
        var copy = self
        copy.asJSON = asJSON
        return copy
    }
}
