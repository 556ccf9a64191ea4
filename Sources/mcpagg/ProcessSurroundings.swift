#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// What our own process was started with. Read once, here, and handed down.
struct ProcessSurroundings: Sendable {
    let environment: [String: String]
    /// "" if there is none.
    let homeDirectory: String
    /// Absolute.
    let workingDirectory: String

    init() {
        var found: [String: String] = [:]
        var entry = environ
        while let variable = entry.pointee {
            let text = String(cString: variable)
            if let equals = text.firstIndex(of: "=") { found[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
            entry += 1
        }
        environment = found
        homeDirectory = found["HOME"] ?? ""
        let directory = getcwd(nil, 0)
        workingDirectory = directory.map { String(cString: $0) } ?? "/"
        free(directory)
    }
}
