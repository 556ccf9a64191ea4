import Foundation

/// The files of this repository, as they lie beside this one.
enum SourceTree {
    struct File: Sendable, CustomStringConvertible {
        /// From the root of the repository, with slashes.
        let path: String
        let text: String
        var description: String { path }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// All Swift files below a directory, by path.
    static func swiftFiles(in directory: String) throws -> [File] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: directory).path)
        return try names.filter { $0.hasSuffix(".swift") }.sorted().map { try file("\(directory)/\($0)") }
    }

    static func file(_ path: String) throws -> File {
        File(path: path, text: try String(contentsOf: root.appending(path: path), encoding: .utf8))
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appending(path: path).path) }

    static func names(in directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.appending(path: directory).path).sorted()
    }
}
