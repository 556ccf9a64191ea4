import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Transports

#if os(Linux)
/// Real processes. The limit is there so that what never comes is a failure.
@Suite("The guard", .timeLimit(.minutes(2)))
struct GuardTests {
    /// Says its number, holds on to the output, and has left its group, its session, its parent and its environment.
    static let daemon = "(env -i setsid sh -c 'echo $$; exec sleep 86400' &)"
    /// The same, and does not hear SIGTERM.
    static let deafDaemon = "(trap '' TERM; env -i setsid sh -c 'echo $$; exec sleep 86400' &)"

    @Test("finds what left its group, whatever it gave up", arguments: [daemon, deafDaemon], End.allCases)
    func leftGroup(daemon: String, end: End) async throws {
        var child = try await LaunchedChild.shell("\(daemon); read x; exit 0")
        let number = try #require(pid_t(try await child.events { if case .line = $0 { true } else { false } }.lines.first ?? ""))
        #expect(!ProcessStatus.isGone(number))
        switch end {
        case .terminated: try await child.perform { $0.send(.terminate) }
        case .killed: try await child.perform { $0.send(.kill) }
        case .byItself: try await child.send("")
        }
        // The output ends only when nobody holds it any more.
        let events = try await child.end()
        #expect(events.contains(.closed(unterminated: 0)))
        #expect(ProcessStatus.isGone(number))
    }

    enum End: CaseIterable, Sendable { case terminated, killed, byItself }

    @Test("ends with all that still runs", arguments: ["read x", "trap '' TERM; read x; sleep 86400", "\(deafDaemon); read x"])
    func end(script: String) async throws {
        let owner = try await Watched()
        var child = try await LaunchedChild("sh", ["-c", "\(script); true"], guardedBy: owner.box)
        try await child.launch()
        let number = pid_t(child.processID)
        let process = pid_t(try #require(try await owner.processID()))
        try await owner.end()
        #expect(ProcessStatus.isGone(number))
        // It was waited for, too.
        #expect(kill(process, 0) == -1 && errno == ESRCH)
        #expect(try await owner.deathCount() == 0)
    }

    @Test("is forked again for the next launch if somebody kills it, and that is said once")
    func killed() async throws {
        let owner = try await Watched()
        var first = try await LaunchedChild("cat", guardedBy: owner.box)
        try await first.launch()
        let process = pid_t(try #require(try await owner.processID()))
        kill(process, SIGKILL)
        // A launch that reaches it in this very moment fails, and is tried again like any other.
        await owner.death()
        var second = try await LaunchedChild("cat", guardedBy: owner.box)
        for text in ["first", "second"] {
            try await first.send(text)
            try await second.send(text)
            _ = try await first.events { $0 == .line(text) }
            _ = try await second.events { $0 == .line(text) }
        }
        #expect(try await owner.processID() != Int(process))
        #expect(try await owner.deathCount() == 1)
        for child in [first, second] { try await child.perform { $0.connection.closeOutput() } }
        #expect(try await first.end().status == .exited(0))
        #expect(try await second.end().status == .exited(0))
    }

    @Test("leaves neither zombies nor descriptors, however many children come and go")
    func many() async throws {
        let owner = try await Watched()
        for number in 0..<100 {
            var child = try await LaunchedChild("sh", ["-c", number.isMultiple(of: 2) ? "exit 3" : "sleep 86400 &"], guardedBy: owner.box)
            #expect(try await child.end().status == .exited(number.isMultiple(of: 2) ? 3 : 0))
        }
        let process = try #require(try await owner.processID())
        // Three that lead nowhere, its commands, and the pipe by which its end is seen.
        #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count == 5)
        try await owner.end()
        #expect(ProcessStatus.isGone(pid_t(process)))
    }

    @Test(
        "refuses an order that no system takes",
        arguments: [("x", 9_000_000, "shorten 'args' or 'env' in the config file"), ("a\0b", 1, nil)])
    func orders(text: String, count: Int, remedy: String?) async throws {
        var child = try await LaunchedChild("sh", ["-c", "true", String(repeating: text, count: count)])
        let events = try await child.end()
        #expect(events.count == 1 && events.failure != nil && events.failure?.remedy == remedy)
    }

    @Test(
        "says what the system says of a file that cannot be executed, and what to do",
        arguments: [
            ("\u{7F}ELF\0\0", "Exec format error", "it is no program for this machine; correct 'command' in the config file"),
            (
                "#!/no/such/interpreter\n", "No such file or directory",
                "see whether what its first line names behind '#!' is installed, and save the config file again"
            ),
        ])
    func notExecutable(text: String, cause: String, remedy: String) async throws {
        let directory = try TemporaryDirectory()
        try directory.write(text, to: "server", mode: 0o755)
        var child = try await LaunchedChild("./server", directory: directory.path)
        let failure = try #require(try await child.end().failure)
        #expect(failure == LaunchFailure(description: "it cannot be executed: \(cause)", remedy: remedy))
    }

    @Test("runs a script without a first line for it as other programs do: with the shell")
    func plainScript() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("echo \"$0 $1 $2\"\n", to: "server", mode: 0o755)
        var child = try await LaunchedChild("./server", ["one", "two"], directory: directory.path)
        #expect(try await child.end().lines.map { $0.replacing(directory.path, with: "") } == ["/./server one two"])
    }

    // MARK: Support

    /// A guard, and how often it was said that it was killed.
    private struct Watched: Sendable {
        let box: NIOLoopBoundBox<Guard>
        let deaths: NIOLoopBoundBox<Int>
        private let died: AsyncStream<Void>

        init() async throws {
            let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
            let (died, tell) = AsyncStream.makeStream(of: Void.self)
            self.died = died
            (box, deaths) = try await eventLoop.submit {
                let deaths = NIOLoopBoundBox(0, eventLoop: eventLoop)
                let owner = Guard(on: eventLoop) {
                    deaths.value += 1
                    tell.yield()
                }
                return (NIOLoopBoundBox(owner, eventLoop: eventLoop), deaths)
            }.get()
        }

        func processID() async throws -> Int? { try await box.eventLoop.submit { box.value.processID }.get() }
        func deathCount() async throws -> Int { try await box.eventLoop.submit { deaths.value }.get() }
        func death() async { for await _ in died { return } }
        /// A busy machine may take longer over it than mcpagg waits.
        func end() async throws { try await box.eventLoop.flatSubmit { box.value.end(within: .minutes(1)) }.get() }
    }
}
#endif
