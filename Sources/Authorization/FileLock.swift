#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A lock that all processes of this machine see, held by an open file. It ends with the process, however that ends.
///
/// The file stays: whoever removed it would let two processes hold two locks of one name.
final class FileLock: Sendable {
    private let descriptor: CInt

    private init(_ descriptor: CInt) { self.descriptor = descriptor }

    /// - Parameter pause: waits between two attempts.
    /// - Throws: ``AuthorizationProblem``: `storeBusy` after ``AuthorizationLimits/lockWait``.
    static func take(_ path: String, pause: (Duration) async throws -> Void) async throws(AuthorizationProblem) -> FileLock {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw TokenStore.unusable(path, "opened") }
        let lock = FileLock(descriptor)
        // Counted, not measured: a process that was asleep with the machine has not waited.
        let attempts = Int(AuthorizationLimits.lockWait / AuthorizationLimits.lockPause)
        for _ in 0..<attempts {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return lock }
            if errno == EINTR { continue }
            guard errno == EWOULDBLOCK else {
                let problem = TokenStore.unusable(path, "locked")
                lock.release()
                throw problem
            }
            do {
                try await pause(AuthorizationLimits.lockPause)
            } catch {
                lock.release()
                throw .cancelled
            }
        }
        lock.release()
        throw AuthorizationProblem(
            .storeBusy, "another mcpagg holds the lock '\(path)' for longer than \(AuthorizationLimits.lockWait.components.seconds) s",
            hint: "if there is none that works, end those that hang")
    }

    /// To be called once.
    func release() { close(descriptor) }
}
