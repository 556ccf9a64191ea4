import Foundation
import NIOCore
import Testing

@testable import Transports

/// Real children. The limit is there so that what never comes is a failure.
@Suite("A child process", .timeLimit(.minutes(2)))
struct ChildProcessTests {
    @Test("hears what it is sent, and is heard, line by line")
    func echo() async throws {
        var child = try await LaunchedChild("/bin/cat")
        let long = String(repeating: "x", count: 10_000_000)
        try await child.send("one", #"{"two":2}"#)
        try await child.send(long, "last")
        try await child.perform { $0.connection.closeOutput() }
        let events = try await child.end()
        #expect(events.lines == ["one", #"{"two":2}"#, long, "last"])
        #expect(events.status == .exited(0))
        #expect(events.contains(.closed(unterminated: 0)))
        #expect(events.count { if case .launched(let id) = $0 { id > 1 } else { false } } == 1)
    }

    @Test("that ends in the middle of a line leaves no message, but a count")
    func unterminated() async throws {
        var child = try await LaunchedChild.shell(#"printf 'a\r\n\nb\nccc'"#)
        let events = try await child.end()
        #expect(events.lines == ["a", "b"])
        #expect(events.contains(.closed(unterminated: 3)))
    }

    @Test(
        "tells how it ended",
        arguments: [
            ("exit 0", ExitStatus.exited(0), "exited with code 0"), ("exit 7", .exited(7), "exited with code 7"),
            ("exit 255", .exited(255), "exited with code 255"),
            ("kill -TERM $$", .signaled(15), "was ended by signal 15 (Terminated)"),
            ("kill -KILL $$", .signaled(9), "was ended by signal 9 (Killed)"),
        ])
    func status(script: String, status: ExitStatus, text: String) async throws {
        var child = try await LaunchedChild.shell(script)
        let events = try await child.end()
        #expect(events.status == status && events.status?.description == text)
    }

    @Test("that closes its output is still there until it ends")
    func halfClosed() async throws {
        var child = try await LaunchedChild.shell("exec >&-; read x; echo \"$x\" >&2")
        let before = try await child.events { $0 == .closed(unterminated: 0) }
        #expect(before.status == nil)
        try await child.send("still here")
        _ = try await child.events { $0 == .errorOutput("still here\n") }
        try await child.end()
    }

    // MARK: Signals

    @Test("is ended by a signal", arguments: [(ChildProcess.Signal.terminate, 15), (.kill, 9)])
    func signals(signal: ChildProcess.Signal, number: Int) async throws {
        var child = try await LaunchedChild.shell("echo ready; read x")
        _ = try await child.events { $0 == .line("ready") }
        try await child.perform { $0.send(signal) }
        #expect(try await child.end().status == .signaled(number))
    }

    @Test("that will not hear SIGTERM is ended by SIGKILL")
    func stubborn() async throws {
        var child = try await LaunchedChild.shell("trap 'echo no' TERM; echo ready; while :; do read x || sleep 1000; done")
        _ = try await child.events { $0 == .line("ready") }
        try await child.perform { $0.send(.terminate) }
        _ = try await child.events { $0 == .line("no") }
        try await child.perform { $0.send(.kill) }
        #expect(try await child.end().status == .signaled(9))
    }

    @Test("gets a signal that was sent before it had a number", arguments: [(ChildProcess.Signal.terminate, 15), (.kill, 9)])
    func earlySignal(signal: ChildProcess.Signal, number: Int) async throws {
        var child = try await LaunchedChild.shell("read x") { $0.send(signal) }
        #expect(try await child.end().status == .signaled(number))
    }

    @Test("is signalled with all of its group", arguments: [ChildProcess.Signal.terminate, .kill])
    func group(signal: ChildProcess.Signal) async throws {
        var child = try await LaunchedChild.shell("sleep 1000 & sh -c 'echo ready; sleep 1000' & wait")
        _ = try await child.events { $0 == .line("ready") }
        try await child.launch()
        let group = pid_t(child.processID)
        #expect(group > 1 && !ProcessStatus.groupIsGone(group))
        try await child.perform { $0.send(signal) }
        // The output ends only when nobody holds it any more, grandchildren included.
        let events = try await child.end()
        #expect(events.contains(.closed(unterminated: 0)))
        #expect(ProcessStatus.groupIsGone(group))
    }

    @Test("takes what is left of its group with it when it ends by itself")
    func leftovers() async throws {
        var child = try await LaunchedChild.shell("sleep 1000 & echo ready")
        let events = try await child.end()
        #expect(events.lines == ["ready"] && events.status == .exited(0))
        #expect(events.contains(.closed(unterminated: 0)))
    }

    // MARK: Its surroundings

    @Test("has the environment it was given, and nothing else")
    func environment() async throws {
        let given = ["A": "1", "EMPTY": "", "QUOTED": "x=y 'z' \"é\"", "PATH": "/usr/bin:/bin"]
        var child = try await LaunchedChild("env", environment: given)
        #expect(try await child.end().lines.sorted() == given.map { "\($0.key)=\($0.value)" }.sorted())
        var bare = try await LaunchedChild("env", environment: [:])
        #expect(try await bare.end().lines == [])
    }

    @Test("has its arguments as they are, and its own directory")
    func arguments() async throws {
        let directory = try TemporaryDirectory()
        let script = #"pwd; echo "$0"; for a; do echo "[$a]"; done"#
        var child = try await LaunchedChild("sh", ["-c", script, "name", "", "a b", "*", "$PATH", "\"é"], directory: directory.path)
        #expect(try await child.end().lines == [directory.path, "name", "[]", "[a b]", "[*]", "[$PATH]", "[\"é]"])
    }

    @Test("may be named by a path from its own directory")
    func relative() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeDirectory("bin")
        try directory.write("#!/bin/sh\necho \"$0\"\n", to: "bin/server", mode: 0o755)
        var child = try await LaunchedChild("./bin/server", directory: directory.path)
        #expect(try await child.end().status == .exited(0))
    }

    @Test("is told of before it runs if it cannot", arguments: ["no-such-command", "/no/such/file", "./file", "./directory"])
    func missing(command: String) async throws {
        let directory = try TemporaryDirectory()
        try directory.write("text", to: "file", mode: 0o644)
        try directory.makeDirectory("directory")
        let messages = [
            "no-such-command": "there is no command 'no-such-command' in PATH",
            "/no/such/file": "there is no file '/no/such/file'",
        ]
        var child = try await LaunchedChild(command, directory: directory.path)
        let events = try await child.end()
        #expect(events.count == 1 && events.failure?.remedy?.contains("'command'") == true)
        if let message = messages[command] { #expect(events.failure?.description == message) }
    }

    @Test("needs a directory that is one", arguments: ["/no/such/directory", "/bin/sh"])
    func missingDirectory(directory: String) async throws {
        var child = try await LaunchedChild("sh", directory: directory)
        let failure = try #require(try await child.end().failure)
        #expect(failure.description == "there is no directory '\(directory)'" && failure.remedy?.contains("'cwd'") == true)
    }

    // MARK: Descriptors

    @Test("that writes to standard error without end is drained all the while")
    func errorOutput() async throws {
        var child = try await LaunchedChild.shell("head -c 10000000 /dev/zero >&2; echo done; read x")
        var events = try await child.events { $0 == .line("done") }
        try await child.send("end")
        events += try await child.end()
        // Both pipes are read; which of them is first at its end is not said.
        #expect(events.errorOutput.utf8.count <= 10_000_000 && events.errorOutput.utf8.count > 9_900_000)
    }

    #if os(Linux)
    @Test("has no descriptor of ours beside its three")
    func inherited() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("", to: "open")
        let handle = try FileHandle(forReadingFrom: URL(filePath: directory["open"]))
        defer { try? handle.close() }
        // A descriptor that says nothing of closing itself.
        _ = fcntl(handle.fileDescriptor, F_SETFD, 0)
        var child = try await LaunchedChild.shell("for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done; true")
        let descriptors = Set(try await child.end().lines.compactMap { Int($0) })
        #expect(descriptors.isSuperset(of: [0, 1, 2]))
        // A shell keeps its own above 9.
        #expect(descriptors.filter { $0 > 2 && $0 < 10 } == [])
        #expect(handle.fileDescriptor < 10 || !descriptors.contains(Int(handle.fileDescriptor)))
    }
    #endif
}
