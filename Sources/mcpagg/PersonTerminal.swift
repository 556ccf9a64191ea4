import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The terminal of the person who typed the command: open for one question, whatever the standard streams are bound to.
final class PersonTerminal: Dialog {
    /// Bytes of one answer; a terminal itself takes less.
    private static let lineLimit = 64 * 1024
    /// How long a terminal may take nothing, in milliseconds: somebody may have stopped it. Others wait for this thread.
    private static let writeWait: CInt = 10_000

    private let descriptor: CInt
    /// A byte in it ends the wait for a line.
    private let wake: (read: CInt, write: CInt)

    var style: Style { Style(descriptor: descriptor) }

    /// - Returns: `nil` if nobody would see the question. A terminal that the process merely descends from does not count: an agent
    ///   that runs us with pipes must not have its screen written over, nor wait for an answer that cannot come.
    static func open() -> PersonTerminal? {
        let shown = [STDIN_FILENO, STDERR_FILENO].filter { isatty($0) == 1 }
        guard !shown.isEmpty else { return nil }
        let names = ["/dev/tty"] + shown.compactMap { ttyname($0).map { String(cString: $0) } }
        for name in names {
            #if canImport(Glibc)
            let descriptor = Glibc.open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
            #elseif canImport(Musl)
            let descriptor = Musl.open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
            #else
            let descriptor = Darwin.open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
            #endif
            guard descriptor >= 0 else { continue }
            var ends: [CInt] = [-1, -1]
            guard pipe(&ends) == 0 else {
                close(descriptor)
                return nil
            }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            // What was typed before the question was seen is no answer to it.
            tcflush(descriptor, TCIFLUSH)
            return PersonTerminal(descriptor: descriptor, wake: (ends[0], ends[1]))
        }
        return nil
    }

    private init(descriptor: CInt, wake: (read: CInt, write: CInt)) {
        self.descriptor = descriptor
        self.wake = wake
    }

    deinit { for descriptor in [descriptor, wake.read, wake.write] { close(descriptor) } }

    func say(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&waiting, 1, Self.writeWait) != 0 else { return }
                continue
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    func line() async -> String? {
        // On a thread of its own: a person may take any time.
        await withTaskCancellationHandler {
            try? await NIOThreadPool.singleton.runIfActive { self.waitForLine() }
        } onCancel: {
            var byte = UInt8(0)
            _ = write(wake.write, &byte, 1)
        }
    }

    private func waitForLine() -> String? {
        var line: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            var waiting = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, nfds_t(waiting.count), -1) > 0 else {
                if errno == EINTR { continue }
                return nil
            }
            if waiting[1].revents != 0 { return nil }
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            // Ctrl-D, or the terminal is gone.
            guard count > 0 else { return nil }
            line += chunk[..<count]
            if line.last == UInt8(ascii: "\n") { return String(decoding: line.dropLast(), as: UTF8.self) }
            guard line.count <= Self.lineLimit else { return nil }
        }
    }
}
