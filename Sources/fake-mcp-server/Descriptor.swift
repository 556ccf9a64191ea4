#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The few system calls on descriptors this program needs.
enum Descriptor {
    static let standardInput: Int32 = 0
    static let standardOutput: Int32 = 1
    static let standardError: Int32 = 2

    enum Outcome { case bytes(Int), wouldBlock, ended }

    static func makeNonblocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        outcome { systemRead(descriptor, buffer.baseAddress, buffer.count) }
    }

    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Outcome {
        outcome { systemWrite(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// Writes everything, waiting as long as it takes.
    static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch write(descriptor, UnsafeRawBufferPointer(rebasing: rest)) {
            case .bytes(let count): rest = rest.dropFirst(count)
            case .wouldBlock: _ = wait([(descriptor, Int16(POLLOUT))], milliseconds: nil)
            case .ended: return
            }
        }
    }

    /// Waits until one of the descriptors is ready or the time is over; a negative descriptor is left out.
    /// - Returns: which of them are ready.
    static func wait(_ descriptors: [(Int32, Int16)], milliseconds: Int32?) -> [Bool] {
        var entries = descriptors.map { pollfd(fd: $0.0, events: $0.1, revents: 0) }
        guard poll(&entries, nfds_t(entries.count), milliseconds ?? -1) > 0 else { return descriptors.map { _ in false } }
        return entries.map { $0.revents != 0 }
    }

    /// A monotonic clock, in nanoseconds.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func outcome(_ call: () -> Int) -> Outcome {
        while true {
            let count = call()
            if count > 0 { return .bytes(count) }
            if count == 0 { return .ended }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .ended
            }
        }
    }
}

// The functions have the names of the calls they make.
private func systemRead(_ descriptor: Int32, _ start: UnsafeMutableRawPointer?, _ count: Int) -> Int { read(descriptor, start, count) }
private func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, start, count) }
