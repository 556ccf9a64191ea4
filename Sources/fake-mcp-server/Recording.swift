import NIOCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A file that lines are appended to as they are. It may be a named pipe: then a test reads each line as an event.
struct Recording {
    struct OpenError: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        var description: String { "cannot open \(path): \(String(cString: strerror(code)))" }
    }

    private static let mode: mode_t = 0o644
    private let descriptor: Int32?
    /// What each line begins with.
    private let beginning: String

    /// - Parameters:
    ///   - path: `nil` records nothing.
    ///   - namesProcess: begins each line with our process id and a space.
    init(path: String?, namesProcess: Bool) throws(OpenError) {
        beginning = namesProcess ? "\(getpid()) " : ""
        guard let path else {
            descriptor = nil
            return
        }
        let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, Self.mode)
        guard opened >= 0 else { throw OpenError(path: path, code: errno) }
        descriptor = opened
    }

    /// - Parameter line: without its line break. It goes out in one piece, so that two processes may share the file.
    func append(line: ByteBuffer) {
        guard let descriptor else { return }
        var whole = ByteBuffer()
        whole.reserveCapacity(beginning.utf8.count + line.readableBytes + 1)
        whole.writeString(beginning)
        whole.writeImmutableBuffer(line)
        whole.writeInteger(UInt8(ascii: "\n"))
        // A named pipe takes long lines (beyond PIPE_BUF) in pieces, and another process could write between them.
        _ = flock(descriptor, LOCK_EX)
        defer { _ = flock(descriptor, LOCK_UN) }
        whole.withUnsafeReadableBytes { Descriptor.writeAll(descriptor, $0) }
    }
}
