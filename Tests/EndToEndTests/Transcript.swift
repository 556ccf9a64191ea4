import Foundation

/// A story: what is configured, what the host writes, what it must read, and what happens around it. One per file, in `Transcripts`.
///
/// | line | meaning |
/// |---|---|
/// | `# …` | a comment; the first one is the name of the story |
/// | `\| …` | a line of the config file, YAML. The first block is there at the start; each later one is saved over it |
/// | `> …` | the host writes this line, with what was read in place of names; such lines without another between them, in one write |
/// | `< …` | the host must read this line next, compared as JSON (see ``Pattern``) |
/// | `<~ …` | as `<`, but the lines of such a block may come in any order |
/// | `$ …` | something else happens, or must be so: see ``Step/Event`` |
///
/// In a config `<fake NAME …>` is a server: the members `command` and `args` of a `fake-mcp-server` of this name with these flags,
/// which also records what it receives. `<story>` is the directory of the story.
struct Transcript: Sendable {
    enum Step: Sendable {
        case save(String)
        case write(String)
        /// The line numbers of the expectations, counted from 0; more than one may come in any order.
        case read([Int])
        case event(Event, line: Int)
    }

    enum Event: Sendable {
        /// `arguments A B`: the command line, before the program starts. Without it, the program serves.
        case arguments([String])
        /// `environment NAME=VALUE`: before the program starts.
        case environment(name: String, value: String)
        /// `save in place`: the next config is written into the file there is, instead of replacing it.
        case saveInPlace
        /// `remove config`
        case removeConfig
        /// `close stdin`
        case closeInput
        /// `close stdout`: the host is gone for good.
        case closeOutput
        /// `signal TERM`
        case signal(CInt)
        /// `exit 0`: the program has written all that is in the transcript, and ends with this code.
        case exit(Int32)
        /// `no process left`: neither the program nor a child of a child.
        case noProcessLeft
        /// `NAME received {…}`: the server gets, or has got, such a message; what came before it is passed over.
        case received(server: String, pattern: Pattern)
        /// `NAME received METHOD 2 times`: so often until now, and not more often.
        case receivedTimes(server: String, method: String, count: Int)
        /// `log TEXT`: standard error gets, or has got, a line with this text in it.
        case log(String)
        /// `no log TEXT`: until now no line on standard error has this text in it.
        case noLog(String)
        /// `write line of 65 MiB: TEXT`: the host writes this, with `<filler>` in it made as long as is needed.
        case writeLong(bytes: Int, text: String)
        /// `write without end: TEXT`: the host writes this, and no line end.
        case writeUnterminated(String)
        /// `write bytes: FF 00 0A`: in hexadecimal.
        case writeBytes([UInt8])
    }

    struct FormatError: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    let lines: [String]
    let steps: [Step]

    init(_ text: String) throws {
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let first = lines.first, first.hasPrefix("# ") else {
            throw FormatError(description: "the first line is not the name of the story")
        }
        name = String(first.dropFirst(2))
        var steps: [Step] = []
        var config: [String] = []
        for (index, line) in lines.enumerated() {
            if !line.hasPrefix("|"), !config.isEmpty {
                steps.append(.save(config.joined(separator: "\n") + "\n"))
                config = []
            }
            let content = String(line.dropFirst(2))
            switch line.prefix(2) {
            case "", "# ", "#": continue
            case "| ": config.append(content)
            case "|": config.append("")
            case "> ":
                if case .write(let before)? = steps.last, lines[index - 1].hasPrefix("> ") {
                    steps[steps.count - 1] = .write("\(before)\n\(content)")
                } else {
                    steps.append(.write(content))
                }
            case "< ": steps.append(.read([index]))
            case "<~":
                if case .read(var block)? = steps.last, let last = block.last, lines[last].hasPrefix("<~"), last == index - 1 {
                    block.append(index)
                    steps[steps.count - 1] = .read(block)
                } else {
                    steps.append(.read([index]))
                }
            case "$ ": steps.append(.event(try Self.event(content, line: index + 1), line: index + 1))
            default: throw FormatError(description: "line \(index + 1) is of no known kind")
            }
        }
        if !config.isEmpty { steps.append(.save(config.joined(separator: "\n") + "\n")) }
        self.steps = steps
    }

    /// What stands behind `<` or `<~`.
    func expectation(_ line: Int) -> String { lines[line].split(separator: " ", maxSplits: 1).dropFirst().first.map(String.init) ?? "" }

    private static func event(_ text: String, line: Int) throws -> Event {
        switch text {
        case "save in place": return .saveInPlace
        case "remove config": return .removeConfig
        case "close stdin": return .closeInput
        case "close stdout": return .closeOutput
        case "no process left": return .noProcessLeft
        case "signal TERM": return .signal(SIGTERM)
        case "signal INT": return .signal(SIGINT)
        case "signal HUP": return .signal(SIGHUP)
        default: break
        }
        if let match = text.wholeMatch(of: /arguments (.+)/) { return .arguments(match.1.split(separator: " ").map(String.init)) }
        if let match = text.wholeMatch(of: /environment (\w+)=(.*)/) { return .environment(name: String(match.1), value: String(match.2)) }
        if let match = text.wholeMatch(of: /exit (\d+)/) { return .exit(Int32(match.1) ?? -1) }
        if let match = text.wholeMatch(of: /log (.+)/) { return .log(String(match.1)) }
        if let match = text.wholeMatch(of: /no log (.+)/) { return .noLog(String(match.1)) }
        if let match = text.wholeMatch(of: /(\w+) received (\{.*\})/) {
            return .received(server: String(match.1), pattern: try Pattern(String(match.2)))
        }
        if let match = text.wholeMatch(of: /(\w+) received (\S+) (\d+) times?/) {
            return .receivedTimes(server: String(match.1), method: String(match.2), count: Int(match.3) ?? -1)
        }
        if let match = text.wholeMatch(of: /write line of (\d+) MiB: (.+)/) {
            return .writeLong(bytes: (Int(match.1) ?? 0) << 20, text: String(match.2))
        }
        if let match = text.wholeMatch(of: /write without end: (.+)/) { return .writeUnterminated(String(match.1)) }
        if let match = text.wholeMatch(of: /write bytes: (.+)/) {
            return .writeBytes(match.1.split(separator: " ").compactMap { UInt8($0, radix: 16) })
        }
        throw FormatError(description: "line \(line): no known step '\(text)'")
    }
}
