#if !os(Linux)
import NIOCore

/// Stands for systems whose way of reporting changes we do not use: the watcher polls instead.
final class DirectoryEvents {
    init(on eventLoop: any EventLoop, noticed: @escaping () -> Void) {}
    func watch(_ entries: [DirectoryEntry]) -> Bool { false }
    func close() {}
}
#endif
