#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Finds the file that a command names, as a shell would.
package enum ExecutableSearch {
    package struct NotFound: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// - Parameters:
    ///   - command: a name to look up in `searchPath`, or a path if it contains a slash.
    ///   - searchPath: the child's `PATH`; the usual system directories if it has none.
    ///   - directory: what a relative path is relative to.
    package static func find(_ command: String, searchPath: String?, directory: String) throws(NotFound) -> String {
        if command.contains("/") {
            let path = command.hasPrefix("/") ? command : directory + "/" + command
            guard access(path, F_OK) == 0 else { throw NotFound(description: "there is no file '\(path)'") }
            guard isRunnable(path) else { throw NotFound(description: "'\(path)' is not an executable file") }
            return path
        }
        let searchPath = searchPath ?? "/usr/local/bin:/usr/bin:/bin"
        for entry in searchPath.split(separator: ":", omittingEmptySubsequences: false) {
            let path = (entry.isEmpty ? directory : entry.hasPrefix("/") ? String(entry) : directory + "/" + entry) + "/" + command
            if isRunnable(path) { return path }
        }
        throw NotFound(description: "there is no command '\(command)' in PATH")
    }

    private static func isRunnable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}
