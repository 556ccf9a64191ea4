import Foundation
import JSONRPC
import NIOCore
import NIOPosix
import Testing
import Transports

/// The testing library has one of its own.
typealias ExitStatus = Transports.ExitStatus

/// A directory of the test's own, removed with everything in it.
final class TemporaryDirectory {
    /// Without symbolic links in it.
    let path: String

    init() throws {
        let root = FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
        path = (root.hasSuffix("/") ? root : root + "/") + "mcpagg-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    subscript(_ name: String) -> String { path + "/" + name }

    func write(_ text: String, to name: String, mode: Int? = nil) throws {
        try Data(text.utf8).write(to: URL(filePath: self[name]))
        if let mode { try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self[name]) }
    }

    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: self[name], withIntermediateDirectories: true)
    }

    /// A named pipe.
    /// - Returns: both its ends, so that whoever opens another one does not wait.
    func pipe(_ name: String) throws -> FileHandle {
        guard mkfifo(self[name], 0o600) == 0 else { throw CocoaError(.fileWriteUnknown) }
        return try FileHandle(forUpdating: URL(filePath: self[name]))
    }

    /// - Parameter target: as it is to stand in the link.
    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: self[name], withDestinationPath: target)
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self[name]) }

    /// As rename(2) does it: whatever has the new name is replaced.
    func rename(_ old: String, to new: String) throws {
        guard Foundation.rename(self[old], self[new]) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}

/// A child, and what it told its owner.
struct LaunchedChild {
    enum Event: Hashable, Sendable {
        case launched(Int)
        case failed(LaunchFailure)
        case exited(ExitStatus)
        case line(String)
        case oversized
        case closed(unterminated: Int)
        case outputClosed
        case writable(Bool)
        case errorOutput(String)
        /// Put there by the test, or after each read if it says so.
        case mark
    }

    struct Ended: Error {}

    let eventLoop: any EventLoop
    private let child: NIOLoopBoundBox<ChildProcess?>
    private let pending: NIOLoopBoundBox<PendingWrites?>
    private let continuation: AsyncStream<Event>.Continuation
    private var iterator: AsyncStream<Event>.Iterator
    private(set) var processID = 0
    /// What comes once, and maybe while the test waits for something else.
    private var (hasExited, hasClosed) = (false, false)

    /// - Parameters:
    ///   - owner: without one, it has its own.
    ///   - prepare: called in the turn of the launch, before anything can have come of it.
    init(
        _ executable: String, _ arguments: [String] = [], environment: [String: String] = ["PATH": "/usr/bin:/bin"],
        directory: String = "/", guardedBy owner: NIOLoopBoundBox<Guard>? = nil, marksReads: Bool = false,
        prepare: @escaping @Sendable (ChildProcess) -> Void = { _ in }
    ) async throws {
        let eventLoop = owner?.eventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
        let child = NIOLoopBoundBox<ChildProcess?>.makeEmptyBox(valueType: ChildProcess.self, eventLoop: eventLoop)
        let pending = NIOLoopBoundBox<PendingWrites?>.makeEmptyBox(valueType: PendingWrites.self, eventLoop: eventLoop)
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self)
        let command = ChildProcess.Command(
            executable: executable, arguments: arguments, environment: environment, workingDirectory: directory)
        try await eventLoop.submit {
            let writes = PendingWrites()
            let launched = ChildProcess.launch(
                command, guardedBy: owner?.value ?? Guard(on: eventLoop) {}, on: eventLoop, pending: writes,
                delegate: Recorder(child: child, events: continuation, marksReads: marksReads))
            child.value = launched
            pending.value = writes
            prepare(launched)
        }.get()
        (self.eventLoop, self.child, self.pending, self.continuation) = (eventLoop, child, pending, continuation)
        iterator = stream.makeAsyncIterator()
    }

    static func shell(
        _ script: String, marksReads: Bool = false, prepare: @escaping @Sendable (ChildProcess) -> Void = { _ in }
    ) async throws -> LaunchedChild {
        try await LaunchedChild("sh", ["-c", script], marksReads: marksReads, prepare: prepare)
    }

    /// Does something with the child, in its loop.
    @discardableResult
    func perform<Result: Sendable>(_ body: @escaping @Sendable (ChildProcess) -> Result) async throws -> Result? {
        try await eventLoop.submit { [child, pending] in
            defer { pending.value?.flush() }
            return child.value.map(body)
        }.get()
    }

    func send(_ lines: String...) async throws {
        try await perform { child in for line in lines { child.connection.send(line: ByteBuffer(string: line)) } }
    }

    func mark() { continuation.yield(.mark) }

    /// - Throws: ``Ended`` if the time limit of the test is over.
    mutating func next() async throws -> Event {
        guard let event = await iterator.next(isolation: #isolation) else { throw Ended() }
        switch event {
        case .launched(let id): processID = id
        case .exited: hasExited = true
        case .closed: hasClosed = true
        case .failed: (hasExited, hasClosed) = (true, true)
        case .line, .oversized, .outputClosed, .writable, .errorOutput, .mark: break
        }
        return event
    }

    /// The events up to one like this, which is the last of them.
    mutating func events(until isLast: (Event) -> Bool) async throws -> [Event] {
        var events: [Event] = []
        while true {
            let event = try await next()
            events.append(event)
            if isLast(event) { return events }
        }
    }

    /// Waits until its number is known, which may be after its first lines.
    /// - Returns: everything until then that nobody waited for.
    @discardableResult
    mutating func launch() async throws -> [Event] {
        var events: [Event] = []
        while processID == 0 { events.append(try await next()) }
        return events
    }

    /// Waits until it is over, its pipes too.
    /// - Returns: everything until then that nobody waited for.
    @discardableResult
    mutating func end() async throws -> [Event] {
        var events: [Event] = []
        while !(hasExited && hasClosed) { events.append(try await next()) }
        try await perform { $0.close() }
        return events
    }
}

private struct Recorder: ChildDelegate {
    let child: NIOLoopBoundBox<ChildProcess?>
    let events: AsyncStream<LaunchedChild.Event>.Continuation
    let marksReads: Bool

    func launched(processID: Int) { events.yield(.launched(processID)) }
    func launchFailed(_ failure: LaunchFailure) { events.yield(.failed(failure)) }
    func exited(_ status: ExitStatus) { events.yield(.exited(status)) }
    func wroteToStandardError(_ bytes: ByteBuffer) { events.yield(.errorOutput(String(buffer: bytes))) }
    func received(_ line: LineFraming.Line) {
        switch line {
        case .complete(let bytes): events.yield(.line(String(buffer: bytes)))
        case .oversized: events.yield(.oversized)
        }
    }
    func readCompleted() { if marksReads { events.yield(.mark) } }
    func writabilityChanged(_ isWritable: Bool) { events.yield(.writable(isWritable)) }
    func inputClosed(unterminated: Int) { events.yield(.closed(unterminated: unterminated)) }
    func errorOutputClosed() {}
    func outputClosed() { events.yield(.outputClosed) }
}

extension [LaunchedChild.Event] {
    var lines: [String] { compactMap { if case .line(let text) = $0 { text } else { nil } } }
    var errorOutput: String { compactMap { if case .errorOutput(let text) = $0 { text } else { nil } }.joined() }
    var status: ExitStatus? { compactMap { if case .exited(let status) = $0 { status } else { nil } }.first }
    var failure: LaunchFailure? { compactMap { if case .failed(let failure) = $0 { failure } else { nil } }.first }
}
