import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transports

/// A watcher on a real file, in a real event loop.
private struct Watch {
    struct Ended: Error {}

    let eventLoop: any EventLoop
    private let watcher: NIOLoopBoundBox<FileWatcher?>
    private let continuation: AsyncStream<Void>.Continuation
    private var reports: AsyncStream<Void>.Iterator

    init(_ path: String, on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()) async throws {
        let watcher = NIOLoopBoundBox<FileWatcher?>.makeEmptyBox(valueType: FileWatcher.self, eventLoop: eventLoop)
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        try await eventLoop.submit {
            let new = FileWatcher(path: path, on: eventLoop) { continuation.yield() }
            new.start()
            watcher.value = new
        }.get()
        (self.eventLoop, self.watcher, self.continuation) = (eventLoop, watcher, continuation)
        reports = stream.makeAsyncIterator()
    }

    mutating func report() async throws {
        guard await reports.next(isolation: #isolation) != nil else { throw Ended() }
    }

    /// - Returns: how many reports came that nobody waited for.
    mutating func stop() async throws -> Int {
        try await eventLoop.submit { [watcher] in watcher.value?.stop() }.get()
        continuation.finish()
        var count = 0
        while await reports.next(isolation: #isolation) != nil { count += 1 }
        return count
    }
}

/// Every wait is for a report; the limit is there so that one that never comes is a failure.
@Suite("The file watcher", .timeLimit(.minutes(1)))
struct FileWatcherTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("reports a file that is written, replaced, removed and made again")
    func changes() async throws {
        try directory.write("1", to: "mcp.json")
        var watch = try await Watch(directory["mcp.json"])
        try directory.write("2", to: "mcp.json")
        try await watch.report()
        for number in 0..<3 {
            try directory.write("\(number)", to: ".mcp.json.new")
            try directory.rename(".mcp.json.new", to: "mcp.json")
            try await watch.report()
        }
        // What has come by a rename is watched like what was there.
        try directory.write("3", to: "mcp.json")
        try await watch.report()
        try directory.remove("mcp.json")
        try await watch.report()
        try directory.write("4", to: "mcp.json")
        try await watch.report()
        _ = try await watch.stop()
    }

    @Test("reports a file that was not there, nor its directories")
    func notThere() async throws {
        var watch = try await Watch(directory["a/b/mcp.json"])
        try directory.makeDirectory("a")
        try await watch.report()
        try directory.makeDirectory("a/b")
        try await watch.report()
        try directory.write("1", to: "a/b/mcp.json")
        try await watch.report()
        _ = try await watch.stop()
    }

    @Test("reports a link that leads elsewhere, and the file it leads to")
    func links() async throws {
        for name in ["one", "two"] {
            try directory.makeDirectory(name)
            try directory.write(name, to: "\(name)/file.json")
        }
        try directory.link("mcp.json", to: "one/file.json")
        var watch = try await Watch(directory["mcp.json"])
        try directory.write("1", to: "one/file.json")
        try await watch.report()
        try directory.link("new", to: directory["two/file.json"])
        try directory.rename("new", to: "mcp.json")
        try await watch.report()
        try directory.write("2", to: "two/file.json")
        try await watch.report()
        _ = try await watch.stop()
    }

    /// As Kubernetes changes a mounted ConfigMap: `mcp.json` → `..data/mcp.json`, `..data` → a directory named by its time.
    @Test("reports a link to a directory on the way that leads elsewhere")
    func directoryLinks() async throws {
        try directory.makeDirectory("..1")
        try directory.write("1", to: "..1/mcp.json")
        try directory.link("..data", to: "..1")
        try directory.link("mcp.json", to: "..data/mcp.json")
        var watch = try await Watch(directory["mcp.json"])
        for number in 2...4 {
            try directory.makeDirectory("..\(number)")
            try directory.write("\(number)", to: "..\(number)/mcp.json")
            try directory.link("..data_tmp", to: "..\(number)")
            try directory.rename("..data_tmp", to: "..data")
            try directory.remove("..\(number - 1)")
            try await watch.report()
        }
        _ = try await watch.stop()
    }

    @Test("reports a file in a directory that took the place of another", arguments: [true, false])
    func directoryReplaced(isRemoved: Bool) async throws {
        try directory.makeDirectory("config")
        try directory.write("1", to: "config/mcp.json")
        var watch = try await Watch(directory["config/mcp.json"])
        if isRemoved { try directory.remove("config") } else { try directory.rename("config", to: "old") }
        try await watch.report()
        try directory.makeDirectory("config")
        try directory.write("2", to: "config/mcp.json")
        try await watch.report()
        try directory.write("3", to: "config/mcp.json")
        try await watch.report()
        _ = try await watch.stop()
    }

    @Test("makes one report of many saves in a row")
    func coalesced() async throws {
        try directory.write("0", to: "mcp.json")
        var watch = try await Watch(directory["mcp.json"])
        let begin = ContinuousClock.now
        for number in 0..<100 { try directory.write("\(number)", to: "mcp.json") }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        try await watch.report()
        // A slow machine may need more than the limit for so many.
        let limit = Int(seconds / (Double(FileWatcher.settleTime.nanoseconds) / 1e9)) + 1
        #expect(try await watch.stop() <= limit)
        #expect(limit < 90)
    }

    @Test("reports a file that is written without pause")
    func withoutPause() async throws {
        try directory.write("0", to: "mcp.json")
        var watch = try await Watch(directory["mcp.json"])
        let path = directory["mcp.json"]
        let writes = Writes()
        defer { writes.isOver.store(true, ordering: .relaxed) }
        // On a thread of its own, and without a byte for the disk: tasks pause whenever others have the pool, and disks when they like.
        let writing = NIOThreadPool.singleton.runIfActive(eventLoop: watch.eventLoop) {
            while !writes.isOver.load(ordering: .relaxed) {
                try FileHandle(forWritingTo: URL(filePath: path)).close()
                writes.count.add(1, ordering: .relaxed)
            }
        }
        var reports = 0
        while reports < 2 || writes.count.load(ordering: .relaxed) < 2 {
            try await watch.report()
            reports += 1
        }
        writes.isOver.store(true, ordering: .relaxed)
        try await writing.get()
        _ = try await watch.stop()
    }

    private final class Writes: Sendable {
        let count = Atomic(0)
        let isOver = Atomic(false)
    }

    @Test("does not report what happens to others in the directory")
    func others() async throws {
        // The file itself is not written even before: another test may fork just then, and its child's copy of the descriptor would
        // have the system tell of the end of the writing only later.
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        var watch = try await Watch(directory["mcp.json"], on: eventLoop)
        var other = try await Watch(directory["mcp.json.bak"], on: eventLoop)
        try directory.write("1", to: "mcp.json.bak")
        try directory.write("1", to: "mcp")
        try await other.report()
        // Whatever the first had noticed, it would have told before the second, which asked later, in the same loop.
        #expect(try await watch.stop() == 0)
        _ = try await other.stop()
    }

    @Test("reports nothing any more once it is stopped")
    func stopped() async throws {
        try directory.write("0", to: "mcp.json")
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let watcher = try await eventLoop.submit { [path = directory["mcp.json"]] in
            let watcher = FileWatcher(path: path, on: eventLoop) { continuation.yield() }
            watcher.start()
            return NIOLoopBound(watcher, eventLoop: eventLoop)
        }.get()
        var other = try await Watch(directory["mcp.json"], on: eventLoop)
        try await eventLoop.submit { watcher.value.stop() }.get()
        try directory.write("1", to: "mcp.json")
        try await other.report()
        continuation.finish()
        var reports = stream.makeAsyncIterator()
        #expect(await reports.next(isolation: #isolation) == nil)
        _ = try await other.stop()
    }

    @Test("goes on after many small changes, whatever the length of the next name")
    func longName() async throws {
        try directory.write("0", to: "mcp.json")
        var watch = try await Watch(directory["mcp.json"])
        // Each change is read by itself, so that the reads are small ones.
        for number in 0..<20 {
            let mode = number.isMultiple(of: 2) ? 0o600 : 0o644
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: directory["mcp.json"])
            try await watch.report()
        }
        try directory.write("x", to: String(repeating: "long", count: 60))
        try directory.write("1", to: "mcp.json")
        try await watch.report()
        try directory.write("2", to: "mcp.json")
        try await watch.report()
        _ = try await watch.stop()
    }
}

@Suite("What a path goes through")
struct FilePathChainTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.makeDirectory("real/deep")
        try directory.write("", to: "real/file")
        try directory.link("toFile", to: "real/file")
        try directory.link("toDirectory", to: "real")
        try directory.link("absolute", to: directory["real/deep"])
        try directory.link("real/deep/up", to: "../../toFile")
        try directory.link("dangling", to: "real/nothing")
        try directory.link("loop", to: "loop")
    }

    /// The entries from the test's own directory.
    private func entries(_ path: String) -> [String] {
        FilePathChain.entries(of: path).map { "\($0.directory) \($0.name)".replacing(directory.path, with: "") }
    }

    @Test(
        "is each link, and at the end the file or what is missing",
        arguments: [
            ("real/file", ["/real file"]), ("real//./file", ["/real file"]), ("real/deep/../file", ["/real file"]),
            ("toFile", [" toFile", "/real file"]), ("toDirectory/file", [" toDirectory", "/real file"]),
            ("absolute/up", [" absolute", "/real/deep up", " toFile", "/real file"]),
            // What is behind a link to a directory is beside that directory's own parent.
            ("absolute/../file", [" absolute", "/real file"]),
            ("real/new", ["/real new"]), ("new/file", [" new"]), ("dangling", [" dangling", "/real nothing"]),
            ("real/file/x", ["/real/file x"]),
        ])
    func chain(path: String, expected: [String]) { #expect(entries(directory[path]) == expected) }

    @Test("ends though the links go round in circles")
    func circle() { #expect(entries(directory["loop"]).count == FilePathChain.linkLimit + 1) }

    @Test("begins at the root")
    func root() { #expect(FilePathChain.entries(of: "/no-such-file") == [DirectoryEntry(directory: "/", name: "no-such-file")]) }
}
