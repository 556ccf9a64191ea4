package import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells when the file behind a path may have changed: saved in place, replaced by a rename, or reached through a symbolic link that
/// now leads elsewhere.
///
/// It looks at directories, not at the file: an editor that replaces a file leaves a watch on the file itself behind with the old one.
/// It may call when nothing changed; whoever reads the file compares. Belongs to the event loop.
package final class FileWatcher {
    /// How long a directory must be quiet before a change is reported: saving is often several steps.
    package static let settleTime = TimeAmount.milliseconds(60)
    /// A file that is written all the time is reported all the same, this long after the first change.
    package static let settleLimit = TimeAmount.milliseconds(400)
    /// How often the file is looked at where the system does not report changes.
    package static let pollInterval = TimeAmount.seconds(2)

    private let path: String
    private let eventLoop: any EventLoop
    private let changed: @Sendable () -> Void
    private var source: DirectoryEvents?
    private var poll: Scheduled<Void>?
    private var settling: Scheduled<Void>?
    private var firstChange: NIODeadline?
    private var isStopped = false

    /// - Parameters:
    ///   - path: an absolute path. The file need not exist.
    ///   - changed: called on the event loop.
    package init(path: String, on eventLoop: any EventLoop, changed: @escaping @Sendable () -> Void) {
        self.path = path
        self.eventLoop = eventLoop
        self.changed = changed
    }

    package func start() {
        source = DirectoryEvents(on: eventLoop) { [weak self] in self?.noticed() }
        if source?.watch(FilePathChain.entries(of: path)) != true {
            source = nil
            startPolling()
        }
    }

    package func stop() {
        isStopped = true
        source?.close()
        source = nil
        poll?.cancel()
        settling?.cancel()
    }

    private func noticed() {
        guard !isStopped else { return }
        let now = eventLoop.now
        let first = firstChange ?? now
        firstChange = first
        settling?.cancel()
        let quiet = min(now + Self.settleTime, first + Self.settleLimit)
        settling = eventLoop.assumeIsolated().scheduleTask(deadline: quiet) { self.settled() }
    }

    private func settled() {
        guard !isStopped else { return }
        firstChange = nil
        // A link on the way may lead elsewhere now, and a directory may have been made anew.
        if let source, !source.watch(FilePathChain.entries(of: path)) { startPolling() }
        changed()
    }

    private func startPolling() {
        guard poll == nil else { return }
        schedulePoll(last: FileSignature(path))
    }

    private func schedulePoll(last: FileSignature) {
        poll = eventLoop.assumeIsolated().scheduleTask(in: Self.pollInterval) {
            guard !self.isStopped else { return }
            let present = FileSignature(self.path)
            if present != last { self.noticed() }
            self.schedulePoll(last: present)
        }
    }
}

/// A name in a directory whose coming, going or changing may change what a path leads to.
struct DirectoryEntry: Hashable, Sendable {
    var directory: String
    var name: String
}

enum FilePathChain {
    /// Symbolic links followed, as the system does.
    static let linkLimit = 40

    /// Every symbolic link that is followed on the way to the file, and at the end the file itself, or the first thing on the way that
    /// does not exist.
    static func entries(of path: String) -> [DirectoryEntry] {
        var found: [DirectoryEntry] = []
        var rest = Array(path.split(separator: "/").reversed())
        var directory = ""
        var links = 0
        while let component = rest.popLast() {
            if component == "." { continue }
            if component == ".." {
                directory = directory.split(separator: "/").dropLast().map { "/" + $0 }.joined()
                continue
            }
            let name = String(component)
            let here = directory + "/" + name
            if let target = readLink(here), links < linkLimit {
                links += 1
                found.append(DirectoryEntry(directory: directory.isEmpty ? "/" : directory, name: name))
                if target.hasPrefix("/") { directory = "" }
                rest += target.split(separator: "/").reversed()
                continue
            }
            if rest.isEmpty || access(here, F_OK) != 0 {
                found.append(DirectoryEntry(directory: directory.isEmpty ? "/" : directory, name: name))
                break
            }
            directory = here
        }
        return found
    }

    private static func readLink(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let length = readlink(path, buffer.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.count)
            guard length >= 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<length]), as: UTF8.self)
        }
    }
}

/// What tells one state of a file from another without reading it.
private struct FileSignature: Hashable {
    private var identity: [Int]

    init(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            identity = []
            return
        }
        #if canImport(Darwin)
        let modified = status.st_mtimespec
        #else
        let modified = status.st_mtim
        #endif
        identity = [Int(status.st_ino), Int(status.st_size), Int(modified.tv_sec), Int(modified.tv_nsec)]
    }
}
