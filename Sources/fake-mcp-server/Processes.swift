#if canImport(Darwin)
@preconcurrency import Darwin
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Glibc
#endif

/// What concerns the process itself and its own children.
enum Processes {
    /// A day: longer than any test, and still an end if everything else fails.
    private static let grandchildSeconds = "86400"

    struct SpawnError: Error, CustomStringConvertible {
        let code: Int32
        var description: String { "cannot start sleep: \(String(cString: strerror(code)))" }
    }

    /// A closed pipe is an error of write here, never the end of the process.
    static func prepareSignals(ignoringTermination: Bool) {
        signal(SIGPIPE, SIG_IGN)
        if ignoringTermination { signal(SIGTERM, SIG_IGN) }
    }

    /// Starts a child that sleeps. It inherits all descriptors on purpose: a reader of our stdout sees no end while it lives.
    @discardableResult
    static func spawnGrandchild() throws -> pid_t {
        var pid: pid_t = 0
        let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup(grandchildSeconds)]
        defer { arguments.forEach { free($0) } }
        let code = posix_spawnp(&pid, "sleep", nil, nil, arguments + [nil], environ)
        guard code == 0 else { throw SpawnError(code: code) }
        return pid
    }

    static var environment: [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        var entry: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
        while let text = entry?.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            found.append((String(parts[0]), parts.count > 1 ? String(parts[1]) : ""))
            entry = entry?.successor()
        }
        return found
    }

    static var directory: String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }

    static func exit(_ code: Int32) -> Never {
        // Not exit: nothing is buffered in this process, and a crash must not run anything either.
        _exit(code)
    }

    static func crash() {
        kill(getpid(), SIGKILL)
    }
}
