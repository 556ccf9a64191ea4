import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Starts what shows a person a page. It outlives us, and Ctrl-C is not for it.
struct BrowserLaunch: Sendable {
    let arguments: [String]
    /// Whether the person is told if it fails. A desktop has its own ways to say so.
    private let isNamed: Bool

    private init(arguments: [String], isNamed: Bool) {
        self.arguments = arguments
        self.isNamed = isNamed
    }

    /// - Parameter command: a line for the shell. The address is its `$1`; a line that does not mention it gets it as its last word.
    init(command: String) {
        let mentions = ["$1", "${1", "$@", "$*"].contains { command.contains($0) }
        self.init(arguments: ["/bin/sh", "-c", mentions ? command : command + " \"$1\"", "mcpagg"], isNamed: true)
    }

    /// - Returns: `nil` where there is no desktop: the same program would show the page in the terminal then.
    static func usual(_ environment: [String: String]) -> BrowserLaunch? {
        #if canImport(Darwin)
        return BrowserLaunch(arguments: ["/usr/bin/open"], isNamed: false)
        #else
        let marks = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        guard marks.contains(where: { environment[$0]?.isEmpty == false }) else { return nil }
        return BrowserLaunch(arguments: ["/bin/sh", "-c", "exec xdg-open \"$1\"", "mcpagg"], isNamed: false)
        #endif
    }

    /// - Parameter failed: called, on some thread, if it ends with another code than 0.
    func open(_ url: String, failed: @escaping @Sendable (Int32) -> Void) throws(LaunchError) {
        let child = try launch(arguments + [url])
        let isNamed = isNamed
        // On a thread that may wait as long as the browser is open; the process does not wait for it.
        NIOThreadPool.singleton.submit { _ in
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
            if code != 0, isNamed { failed(code) }
        }
    }

    struct LaunchError: Error, CustomStringConvertible {
        let description: String

        init(_ code: Int32) { description = String(cString: strerror(code)) }
    }

    private func launch(_ arguments: [String]) throws(LaunchError) -> pid_t {
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // What it prints is no result of ours.
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child = pid_t()
        let result = posix_spawn(&child, arguments[0], &actions, &attributes, &words, environ)
        guard result == 0 else { throw LaunchError(result) }
        return child
    }
}
