import Foundation

/// The executables under test, which the build puts beside the bundle of the tests.
enum BuiltPrograms {
    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "there is no \(path); 'swift build --build-tests' makes it" }
    }

    static func mcpagg() throws -> String { try path("mcpagg") }
    static func fakeServer() throws -> String { try path("fake-mcp-server") }

    private static func path(_ name: String) throws -> String {
        let path = directory.appending(path: name).path
        guard FileManager.default.isExecutableFile(atPath: path) else { throw Missing(path: path) }
        return path
    }

    private static var directory: URL {
        // On macOS a helper of the toolchain runs the tests, and the bundle is one of its arguments.
        let bundle = CommandLine.arguments.first { $0.contains(".xctest/") }.flatMap { $0.components(separatedBy: ".xctest/").first }
        let executable = bundle.map { URL(filePath: $0) } ?? Bundle.main.executableURL ?? URL(filePath: CommandLine.arguments[0])
        return executable.deletingLastPathComponent()
    }
}
