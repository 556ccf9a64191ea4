#if os(Linux)
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Changes in directories, from inotify. Its descriptor is one more input of the event loop: no thread, no wake-up while nothing
/// happens.
final class DirectoryEvents {
    /// Bytes of `struct inotify_event` before the name: watch, mask, cookie, length of the name; four of 32 bits each.
    private static let headerLength = 16
    /// Without `IN_MODIFY`: a file is saved when it is closed, and a log that lies in the same directory would wake us with each line.
    private static let mask = UInt32(
        IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

    private let eventLoop: any EventLoop
    private let noticed: () -> Void
    private var descriptor: CInt = -1
    private var channel: (any Channel)?
    /// The names that matter in each watched directory.
    private var names: [CInt: Set<String>] = [:]
    private var watches: [String: CInt] = [:]
    private var isClosed = false

    init(on eventLoop: any EventLoop, noticed: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.noticed = noticed
        descriptor = inotify_init1(CInt(IN_NONBLOCK) | CInt(IN_CLOEXEC))
        guard descriptor >= 0 else { return }
        NIOPipeBootstrap(group: eventLoop)
            .takingOwnershipOfDescriptor(input: descriptor)
            .assumeIsolated()
            .whenComplete { result in
                guard case .success(let channel) = result, !self.isClosed else { return self.close() }
                self.channel = channel
                try? channel.pipeline.syncOperations.addHandler(Handler { self.received($0) })
            }
    }

    /// Watches these names, and no others any more.
    /// - Returns: whether the system does it.
    func watch(_ entries: [DirectoryEntry]) -> Bool {
        guard descriptor >= 0 else { return false }
        var present: [CInt: Set<String>] = [:]
        var kept: [String: CInt] = [:]
        for entry in entries {
            // Asked for anew each time: a directory that was removed and made again is another one under the same path.
            let watch = inotify_add_watch(descriptor, entry.directory, Self.mask)
            guard watch >= 0 else { continue }
            kept[entry.directory] = watch
            present[watch, default: []].insert(entry.name)
        }
        for watch in Set(watches.values).subtracting(kept.values) { _ = inotify_rm_watch(descriptor, watch) }
        (watches, names) = (kept, present)
        return !present.isEmpty
    }

    func close() {
        isClosed = true
        if let channel {
            channel.close(promise: nil)
        } else if descriptor >= 0 {
            closeDescriptor(descriptor)
        }
        descriptor = -1
        channel = nil
    }

    private func received(_ bytes: ByteBuffer) {
        var bytes = bytes
        var concernsUs = false
        while bytes.readableBytes >= Self.headerLength {
            guard
                let watch = bytes.readInteger(endianness: .host, as: Int32.self),
                let mask = bytes.readInteger(endianness: .host, as: UInt32.self),
                bytes.readInteger(endianness: .host, as: UInt32.self) != nil,
                let length = bytes.readInteger(endianness: .host, as: UInt32.self),
                let padded = bytes.readSlice(length: Int(length))
            else { break }
            let name = String(decoding: padded.readableBytesView.prefix { $0 != 0 }, as: UTF8.self)
            // The last word about a watch we gave up, or whose directory is gone: that was said before.
            if mask & UInt32(IN_IGNORED) != 0 { continue }
            // Events about the directory itself, and "some events were lost", come without a name.
            if name.isEmpty || mask & UInt32(IN_Q_OVERFLOW) != 0 || names[watch]?.contains(name) == true { concernsUs = true }
        }
        if concernsUs { noticed() }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let received: (ByteBuffer) -> Void
        init(_ received: @escaping (ByteBuffer) -> Void) { self.received = received }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { received(unwrapInboundIn(data)) }
    }
}
#endif
