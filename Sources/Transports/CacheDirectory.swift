package import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A cache in a directory that is ours alone, made when something is first written to it. Several processes may use it at once.
package struct CacheDirectory: CacheFiles {
    /// Files under this name's end are not finished yet.
    package static let temporarySuffix = ".new"
    /// Absolute.
    private let path: String
    private let hardLink: @Sendable (String, String) -> CInt

    /// - Parameter hardLink: link(2); not every file system has it.
    package init(_ path: String, hardLink: @escaping @Sendable (String, String) -> CInt = { link($0, $1) }) {
        self.path = path
        self.hardLink = hardLink
    }

    package func read(_ name: String, limit: Int) throws(CacheProblem) -> ByteBuffer? {
        let descriptor = open("\(path)/\(name)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw Self.problem("cannot be opened")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.problem("cannot be looked at") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw CacheProblem("is no regular file") }
        // Somebody else could have put tools of their own into it.
        guard status.st_uid == geteuid() else { throw CacheProblem("belongs to another user (\(status.st_uid))") }
        guard status.st_mode & 0o022 == 0 else { throw CacheProblem("can be written by others") }
        guard status.st_size <= limit else { throw CacheProblem("is longer than \(limit) bytes") }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(Int(status.st_size))
        while bytes.readableBytes < Int(status.st_size) {
            var isRead = true
            let count = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: Int(status.st_size) - bytes.readableBytes) { room in
                let count = readSome(descriptor, UnsafeMutableRawBufferPointer(room))
                isRead = count >= 0
                return max(0, count)
            }
            guard isRead else { throw Self.problem("cannot be read") }
            if count == 0 { break }
        }
        return bytes
    }

    package func write(_ name: String, _ bytes: ByteBuffer, by temporary: String, replaces: Bool) throws(CacheProblem) {
        try makeDirectory()
        let (file, fresh) = ("\(path)/\(name)", "\(path)/\(temporary)\(Self.temporarySuffix)")
        guard try make(fresh, bytes) else { throw Self.problem("cannot be made") }
        if replaces {
            guard rename(fresh, file) == 0 else {
                let failure = Self.problem("cannot be replaced")
                unlink(fresh)
                throw failure
            }
        } else {
            let isNew = hardLink(fresh, file) == 0
            let (reason, failure) = (errno, Self.problem("cannot be made"))
            unlink(fresh)
            if isNew || reason == EEXIST { return }
            // Without links it is made under its own name: who reads it meanwhile finds half of it, and that it is none.
            guard [EPERM, ENOTSUP, EOPNOTSUPP, EMLINK, ENOSYS].contains(reason) else { throw failure }
            guard try make(file, bytes) || errno == EEXIST else { throw Self.problem("cannot be made") }
        }
    }

    /// Makes a file that was not there.
    /// - Returns: `false` if that cannot be; `errno` says why.
    private func make(_ file: String, _ bytes: ByteBuffer) throws(CacheProblem) -> Bool {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        // Not forced onto the disk: what a power failure leaves half is known by its checksum, and made again.
        let isWritten = bytes.withUnsafeReadableBytes { writeFully(descriptor, $0) }
        let failure = Self.problem("cannot be written")
        guard close(descriptor) == 0, isWritten else {
            unlink(file)
            throw failure
        }
        return true
    }

    package func remove(_ name: String) { unlink("\(path)/\(name)") }

    package func prune(_ suffix: String, keeping bounds: CacheBounds, now: Int64) {
        var files: [(name: String, bytes: Int, written: Int64)] = []
        for name in names() {
            var status = stat()
            guard lstat("\(path)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            #if canImport(Darwin)
            let written = Int64(status.st_mtimespec.tv_sec)
            #else
            let written = Int64(status.st_mtim.tv_sec)
            #endif
            if name.hasSuffix(Self.temporarySuffix) {
                if now - written > bounds.temporaryAge { unlink("\(path)/\(name)") }
            } else if name.hasSuffix(suffix) {
                files.append((name, Int(status.st_size), written))
            }
        }
        // The latest first: what stands behind the bounds goes.
        files.sort { ($0.written, $0.name) > ($1.written, $1.name) }
        var (count, bytes) = (0, 0)
        for file in files {
            count += 1
            bytes += file.bytes
            guard count > bounds.count || bytes > bounds.bytes || now - file.written > bounds.age else { continue }
            unlink("\(path)/\(file.name)")
        }
    }

    private func names() -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    /// Makes the directory, for us only, and the way to it.
    private func makeDirectory() throws(CacheProblem) {
        var status = stat()
        if stat(path, &status) != 0 {
            var made = ""
            for part in path.split(separator: "/") {
                made += "/\(part)"
                if mkdir(made, 0o700) == 0 || errno == EEXIST { continue }
                // A directory that we may not write to can be there all the same.
                guard access(made, F_OK) == 0 else {
                    throw CacheProblem("needs the directory '\(made)', which cannot be made: \(Self.reason)")
                }
            }
            guard stat(path, &status) == 0 else { throw CacheProblem("needs the directory '\(path)': \(Self.reason)") }
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw CacheProblem("needs the directory '\(path)', which is a file") }
        guard status.st_uid == geteuid() else {
            throw CacheProblem("would be in the directory '\(path)' of another user (\(status.st_uid))")
        }
        if status.st_mode & 0o077 != 0 {
            guard chmod(path, 0o700) == 0 else { throw CacheProblem("would be in the directory '\(path)', which is open to others") }
        }
    }

    // MARK: The C library

    private static var reason: String { String(cString: strerror(errno)) }

    /// Takes the present `errno`.
    private static func problem(_ what: String) -> CacheProblem { CacheProblem("\(what): \(reason)") }
}

// Outside the type, whose methods have the names of these functions.

private func readSome(_ descriptor: CInt, _ room: UnsafeMutableRawBufferPointer) -> Int {
    while true {
        let count = read(descriptor, room.baseAddress, room.count)
        if count < 0, errno == EINTR { continue }
        return count
    }
}

/// - Returns: whether all of it was written; `errno` says why not.
private func writeFully(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}
