import Foundation

/// Plays one transcript with a program of its own, in a directory of its own.
///
/// However a story ends, this must be so then: stdin is closed, the program exits with 0, has written nothing that the transcript
/// does not show, and no process is left of it.
final class Story {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let transcript: Transcript
    private let isUpdating: Bool
    private let directory: URL
    private var arguments = ["--config", "mcp.yaml"]
    private var environment: [String: String] = [:]
    private var program: Program?
    private var bindings: Pattern.Bindings = [:]
    private var savesInPlace = false
    private var hasExited = false
    /// The transcript as it should be.
    private(set) var lines: [String]

    init(_ transcript: Transcript, isUpdating: Bool = false) throws {
        self.transcript = transcript
        self.isUpdating = isUpdating
        lines = transcript.lines
        directory = try Self.makeDirectory()
    }

    deinit {
        Survivors.kill(of: directory.path)
        try? FileManager.default.removeItem(at: directory)
    }

    /// Short, because error texts that are compared may hold it.
    static func makeDirectory() throws -> URL {
        let directory = FileManager.default.temporaryDirectory.appending(path: "mcpagg-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        return directory.resolvingSymlinksInPath()
    }

    func play() throws {
        var place = "at the start"
        do {
            for step in transcript.steps {
                switch step {
                case .save:
                    place = "saving a config"
                case .write(let line):
                    place = "at '> \(line.prefix(200))'"
                case .read(let block):
                    place = "at line \((block.first ?? 0) + 1)"
                case .event(_, let line):
                    place = "at line \(line)"
                }
                try perform(step)
            }
            place = "at the end"
            if !hasExited { try finish() }
        } catch {
            throw Failure(
                description: """
                    \(transcript.name)
                    \(place): \(error)
                    --- stdout
                    \(shown(program?.output))
                    --- stderr
                    \(shown(program?.errors))
                    \(shownRecords)
                    """)
        }
    }

    private func finish() throws {
        let program = try started()
        program.closeInput()
        try expectExit(0)
        try expectNoProcess()
    }

    private func shown(_ lines: Program.Lines?) -> String {
        (lines?.all ?? []).suffix(40).map { String($0.prefix(2_000)) }.joined(separator: "\n")
    }

    private var shownRecords: String {
        let records = (program?.records ?? [:]).sorted { $0.key < $1.key }
        return records.map { "--- \($0.key) received\n\(shown($0.value))" }.joined(separator: "\n")
    }

    private func started() throws -> Program {
        if let program { return program }
        let new = try Program(arguments: arguments, directory: directory.path, environment: environment)
        program = new
        for name in pendingRecords { try new.record(name, at: recordPath(name)) }
        return new
    }

    // MARK: Steps

    private func perform(_ step: Transcript.Step) throws {
        switch step {
        case .save(let config): try save(config)
        case .write(let line): try started().write(Array((Pattern.filled(line, bindings) + "\n").utf8))
        case .read(let block): try read(block)
        case .event(let event, _): try perform(event)
        }
    }

    private func perform(_ event: Transcript.Event) throws {
        switch event {
        case .arguments(let arguments):
            self.arguments += arguments
        case .environment(let name, let value):
            environment[name] = value
        case .saveInPlace:
            savesInPlace = true
        case .removeConfig:
            try FileManager.default.removeItem(at: configFile)
        case .closeInput:
            try started().closeInput()
        case .closeOutput:
            try started().closeOutput()
        case .signal(let signal):
            kill(try started().processID, signal)
        case .exit(let code):
            try expectExit(code)
        case .noProcessLeft:
            try expectNoProcess()
        case .received(let server, let pattern):
            try expect(server, toReceive: pattern)
        case .receivedTimes(let server, let method, let count):
            try expect(server, toReceive: method, times: count)
        case .log(let text):
            let program = try started()
            try program.wait("'\(text)' on stderr") { program.errors.all.contains { Pattern.matches("<*>\(text)<*>", $0) } }
        case .noLog(let text):
            let found = try started().errors.all.first { Pattern.matches("<*>\(text)<*>", $0) }
            if let found { throw Failure(description: "this is on stderr: \(found)") }
        case .writeLong(let length, let text):
            let parts = text.components(separatedBy: "<filler>").map { Array($0.utf8) }
            let filler = [UInt8](repeating: UInt8(ascii: "x"), count: length - parts.joined().count)
            try started().write(parts[0] + filler + parts.dropFirst().joined() + [UInt8(ascii: "\n")])
        case .writeUnterminated(let text):
            try started().write(Array(text.utf8))
        case .writeBytes(let bytes):
            try started().write(bytes)
        }
    }

    // MARK: Configs

    private var configFile: URL { directory.appending(path: "mcp.yaml") }
    private var pendingRecords: Set<String> = []
    private func recordPath(_ name: String) -> String { directory.appending(path: "\(name).received").path }

    private func save(_ template: String) throws {
        let fake = try BuiltPrograms.fakeServer()
        let text = template.replacing(/<fake (\w+)([^>]*)>/) { match in
            pendingRecords.insert(String(match.1))
            let flags =
                ["--name", String(match.1), "--record", recordPath(String(match.1))] + match.2.split(separator: " ").map(String.init)
            return "command: \"\(fake)\", args: [\(flags.map { "\"\($0)\"" }.joined(separator: ", "))]"
        }.replacingOccurrences(of: "<story>", with: directory.path)
        if let program {
            for name in pendingRecords { try program.record(name, at: recordPath(name)) }
        } else {
            for name in pendingRecords {
                guard mkfifo(recordPath(name), 0o600) == 0 || errno == EEXIST else { throw Failure(description: "mkfifo: errno \(errno)") }
            }
        }
        // As most editors do: a new file takes the place of the old one.
        try text.write(to: configFile, atomically: !savesInPlace, encoding: .utf8)
        savesInPlace = false
    }

    // MARK: Expectations

    private func read(_ block: [Int]) throws {
        let program = try started()
        var missing = block
        for _ in block {
            let text = try program.readLine()
            let actual = try JSON(text)
            if let index = missing.firstIndex(where: { (try? Pattern(transcript.expectation($0)))?.matches(actual, &bindings) ?? false }) {
                missing.remove(at: index)
                continue
            }
            guard isUpdating, let line = missing.first else {
                let expected = missing.map { transcript.expectation($0) }.joined(separator: "\n      or ")
                throw Failure(description: "\nexpected \(expected)\ngot      \(text)")
            }
            missing.removeFirst()
            let mark = lines[line].prefix { $0 != " " }
            let kept = try? Pattern(transcript.expectation(line)).adopting(actual)
            lines[line] = "\(mark) \((kept ?? actual).text)"
        }
    }

    private func expectExit(_ code: Int32) throws {
        let program = try started()
        hasExited = true
        let actual = try program.waitForExit()
        if let line = program.output.take() { throw Failure(description: "nobody expected \(line)") }
        guard actual == code else { throw Failure(description: "the exit code is \(actual)") }
    }

    private func expectNoProcess() throws {
        var left: [String] = []
        let program = try started()
        do {
            try program.wait("all processes to be gone") {
                left = Survivors.of(directory.path)
                return left.isEmpty
            }
        } catch {
            throw Failure(description: "still there: \(left.joined(separator: "\n"))")
        }
    }

    private func expect(_ server: String, toReceive pattern: Pattern) throws {
        let program = try started()
        try program.wait("'\(server)' to receive \(pattern.json.text)") {
            while let line = program.records[server]?.take() {
                if pattern.matches(try JSON(line), &bindings) { return true }
            }
            return false
        }
    }

    private func expect(_ server: String, toReceive method: String, times: Int) throws {
        let program = try started()
        func count() -> Int { program.records[server]?.all.count { (try? JSON($0))?["method"]?.string == method } ?? 0 }
        try program.wait("'\(server)' to receive \(method) \(times) times") { count() >= times }
        guard count() == times else { throw Failure(description: "'\(server)' received \(method) \(count()) times") }
    }
}
