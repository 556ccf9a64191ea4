import Crypto
import JSONRPC
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The file of tokens: JSON, for its owner only, replaced as a whole. Several processes may use one file at once.
package struct TokenStore: Sendable {
    /// Absolute. To be watched, if one wants to know of logins and logouts.
    package let path: String
    /// Tells the person what was put right, or could not be.
    let warn: @Sendable (String) -> Void

    /// - Parameter path: absolute; in a directory that is ours alone, which need not exist.
    package init(path: String, warn: @escaping @Sendable (String) -> Void = { _ in }) {
        self.path = path
        self.warn = warn
    }

    private var directory: String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

    // MARK: Reading

    /// What tells one state of the file from another without reading it; each write makes a new file.
    struct Signature: Hashable, Sendable {
        fileprivate var numbers: [Int]
    }

    /// - Returns: `nil` if there is no file.
    var signature: Signature? {
        var status = stat()
        return lstat(path, &status) == 0 ? Self.signature(of: status) : nil
    }

    private static func signature(of status: stat) -> Signature {
        #if canImport(Darwin)
        let modified = status.st_mtimespec
        #else
        let modified = status.st_mtim
        #endif
        return Signature(
            numbers: [Int(status.st_dev), Int(status.st_ino), Int(status.st_size), Int(modified.tv_sec), Int(modified.tv_nsec)])
    }

    /// - Returns: nothing kept, and no signature, if there is no file.
    func read() throws(AuthorizationProblem) -> (credentials: Credentials, signature: Signature?) {
        guard let (text, signature) = try contents() else { return (Credentials(), nil) }
        do throws(Credentials.Unreadable) {
            return (try Credentials(text), signature)
        } catch {
            let message = "the file of tokens '\(path)' \(error.reason)"
            if error.isOfAnotherVersion {
                throw AuthorizationProblem(.storeUnusable, message, hint: "use the mcpagg that wrote it, or move the file away")
            }
            throw AuthorizationProblem(.storeBroken, message, hint: "the next 'mcpagg login' puts it aside; then log in again")
        }
    }

    private func contents() throws(AuthorizationProblem) -> (ByteBuffer, Signature)? {
        // A link is not followed: what replaces the file when it is written would take the place of the link, not of what it leads to.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            if errno == ELOOP || errno == EMLINK {
                throw AuthorizationProblem(
                    .storeUnusable, "the file of tokens '\(path)' is a symbolic link, which is not followed",
                    hint: "put the file itself there; the directory may be a link")
            }
            throw Self.unusable(path, "read")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.unusable(path, "read") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw AuthorizationProblem(.storeUnusable, "the file of tokens '\(path)' is no regular file", hint: "remove it")
        }
        // Somebody else could have put servers of their own into it.
        guard status.st_uid == geteuid() else {
            throw AuthorizationProblem(
                .storeUnusable, "the file of tokens '\(path)' belongs to another user (\(status.st_uid))",
                hint: "remove it, and log in again")
        }
        if status.st_mode & 0o077 != 0 {
            guard fchmod(descriptor, 0o600) == 0 else { throw Self.unusable(path, "closed to others") }
            warn("others could read the file of tokens '\(path)'; now only you can")
        }
        guard status.st_size <= AuthorizationLimits.storeLength else {
            throw AuthorizationProblem(
                .storeBroken, "the file of tokens '\(path)' is longer than \(AuthorizationLimits.storeLength) bytes",
                hint: "the next 'mcpagg login' puts it aside; then log in again")
        }
        var text = ByteBuffer()
        while text.readableBytes <= AuthorizationLimits.storeLength {
            var isRead = true
            let count = text.writeWithUnsafeMutableBytes(minimumWritableBytes: 64 * 1024) { buffer in
                let count = readSome(descriptor, buffer)
                isRead = count >= 0
                return max(0, count)
            }
            // Not the same as an end: what is half read would look like a broken file.
            guard isRead else { throw Self.unusable(path, "read") }
            if count == 0 { break }
        }
        return (text, Self.signature(of: status))
    }

    // MARK: Writing

    /// Changes what is kept. What `change` sees is what all processes have written so far.
    /// - Parameters:
    ///   - rescue: a broken file is put aside first, and a new one begun.
    ///   - pause: waits for other processes.
    ///   - change: if it throws, nothing is changed.
    @discardableResult
    func update<Value>(
        rescue: Bool = false, pause: (Duration) async throws -> Void,
        _ change: (inout Credentials) throws(AuthorizationProblem) -> Value
    ) async throws(AuthorizationProblem) -> Value {
        try makeDirectory()
        let lock = try await FileLock.take(path + ".lock", pause: pause)
        defer { lock.release() }
        var before: Credentials
        do {
            before = try read().credentials
        } catch let problem where rescue && problem.code == .storeBroken {
            try putAside(problem)
            before = Credentials()
        }
        var after = before
        let value = try change(&after)
        if after != before { try replace(with: after.json) }
        return value
    }

    /// Only one process at a time refreshes a token; another one's refresh goes on meanwhile.
    func lockRefresh(of key: Credentials.GrantKey, pause: (Duration) async throws -> Void) async throws(AuthorizationProblem) -> FileLock {
        try makeDirectory()
        let name = SHA256.hash(data: Array("\(key.issuer) \(key.resource)".utf8)).prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }
        return try await FileLock.take("\(path).\(name.joined()).lock", pause: pause)
    }

    /// Everything is on the disk before the name leads there. A power failure leaves the old file or the new one.
    private func replace(with text: ByteBuffer) throws(AuthorizationProblem) {
        guard text.readableBytes <= AuthorizationLimits.storeLength else {
            throw AuthorizationProblem(.storeUnusable, "the file of tokens '\(path)' would be longer than it may be")
        }
        // We hold the lock, so what is there under this name is what a crash left.
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Self.unusable(temporary, "made") }
        let isWritten = text.withUnsafeReadableBytes { writeFully(descriptor, $0) } && fsync(descriptor) == 0
        let problem = Self.unusable(temporary, "written")
        close(descriptor)
        guard isWritten else {
            unlink(temporary)
            throw problem
        }
        guard rename(temporary, path) == 0 else {
            let problem = Self.unusable(path, "replaced")
            unlink(temporary)
            throw problem
        }
        let handle = open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        if handle >= 0 {
            fsync(handle)
            close(handle)
        }
    }

    /// Keeps a broken file under another name: there may be something in it that the person can use.
    private func putAside(_ problem: AuthorizationProblem) throws(AuthorizationProblem) {
        let names = [path + ".broken"] + (2...AuthorizationLimits.brokenFiles).map { "\(path).broken-\($0)" }
        guard let name = names.first(where: { access($0, F_OK) != 0 }) else {
            throw AuthorizationProblem(.storeBroken, problem.message, hint: "remove it, or the '\(path).broken' files beside it")
        }
        guard rename(path, name) == 0 else { throw Self.unusable(path, "put aside") }
        warn("\(problem.message); it is kept as '\(name)', and a new one is begun")
    }

    /// Makes the directory, for us only, and the way to it.
    private func makeDirectory() throws(AuthorizationProblem) {
        var made = ""
        for part in directory.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o700) == 0 || errno == EEXIST { continue }
            // A directory that we may not write to can be there all the same.
            guard access(made, F_OK) == 0 else { throw Self.unusable(made, "made") }
        }
        var status = stat()
        guard stat(directory, &status) == 0 else { throw Self.unusable(directory, "used") }
        // One that all share, as /tmp, has the sticky bit, and is not ours to close.
        if status.st_uid == geteuid(), status.st_mode & 0o077 != 0, status.st_mode & S_ISVTX == 0 {
            guard chmod(directory, 0o700) == 0 else { throw Self.unusable(directory, "closed to others") }
            warn("others could look into the directory of tokens '\(directory)'; now only you can")
        }
    }

    /// Takes the present `errno`.
    static func unusable(_ path: String, _ verb: String) -> AuthorizationProblem {
        AuthorizationProblem(.storeUnusable, "'\(path)' cannot be \(verb): \(String(cString: strerror(errno)))")
    }
}

/// - Returns: the number of bytes; -1 for an error.
private func readSome(_ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
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
