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
    /// What each piece begins with; `nil` for whole lines as they are.
    private let process: String?

    /// - Parameters:
    ///   - path: `nil` records nothing.
    ///   - namesProcess: as the option `--record-process` says it.
    init(path: String?, namesProcess: Bool) throws(OpenError) {
        process = namesProcess ? String(getpid()) : nil
        guard let path else {
            descriptor = nil
            return
        }
        let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, Self.mode)
        guard opened >= 0 else { throw OpenError(path: path, code: errno) }
        descriptor = opened
    }

    /// Adds a line in one write, so that two processes may share a file; or in pieces that name us, so that they may share a named pipe.
    /// - Parameter line: without its line break.
    func append(line: ByteBuffer) {
        guard let descriptor else { return }
        guard let process else { return Self.write([line], to: descriptor) }
        // A named pipe takes this much in one piece, whoever else writes to it, and whatever becomes of us behind it.
        let length = Int(PIPE_BUF) - process.utf8.count - 2
        var rest = line
        while rest.readableBytes > length, let piece = rest.readSlice(length: length) {
            Self.write([ByteBuffer(string: "\(process)+"), piece], to: descriptor)
        }
        Self.write([ByteBuffer(string: "\(process) "), rest], to: descriptor)
    }

    private static func write(_ parts: [ByteBuffer], to descriptor: Int32) {
        var whole = ByteBuffer()
        whole.reserveCapacity(parts.reduce(1) { $0 + $1.readableBytes })
        for part in parts { whole.writeImmutableBuffer(part) }
        whole.writeInteger(UInt8(ascii: "\n"))
        whole.withUnsafeReadableBytes { Descriptor.writeAll(descriptor, $0) }
    }
}
