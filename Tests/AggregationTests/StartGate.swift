import Foundation
import NIOPosix

/// Two named pipes: by one, servers say that they have been launched; before the other they wait until all may go on.
final class StartGate {
    private let directory: URL
    private let launched: FileHandle
    private let opening: FileHandle

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "mcpagg-gate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        launched = try Self.makePipe("launched", in: directory)
        opening = try Self.makePipe("opening", in: directory)
    }

    /// Open for both ways: so neither end waits for the other, and nobody sees an end.
    private static func makePipe(_ name: String, in directory: URL) throws -> FileHandle {
        let place = directory.appending(path: name)
        guard mkfifo(place.path, 0o600) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        return try FileHandle(forUpdating: place)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// A server of this name behind the gate.
    /// - Parameter more: further members of its entry, as JSON text.
    func server(_ name: String, _ more: String) -> String {
        let script = "echo > launched; read go < opening; exec \\\"$0\\\" --name \(name)"
        return #""\#(name)":{"command":"sh","args":["-c","\#(script)","\#(Workbench.fakeServer)"],"cwd":"\#(directory.path)",\#(more)}"#
    }

    /// Waits until so many are there, a minute at most for each.
    func reached(by count: Int) async throws {
        let pipe = launched.fileDescriptor
        try await NIOThreadPool.singleton.runIfActive {
            for _ in 0..<count {
                var readiness = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
                var byte: UInt8 = 0
                guard poll(&readiness, 1, 60_000) == 1, read(pipe, &byte, 1) == 1 else { throw POSIXError(.ETIMEDOUT) }
            }
        }
    }

    /// Each that waits takes one line.
    func open(to count: Int) throws { try opening.write(contentsOf: Data(repeating: UInt8(ascii: "\n"), count: count)) }
}
