import Foundation
import Testing

/// Standard streams that are no pipes: scripts and people have them, hosts do not.
@Suite(.serialized)
struct FileStreamTests {
    private static let requests = """
        {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"h","version":"1"}}}
        {"jsonrpc":"2.0","method":"notifications/initialized"}
        {"jsonrpc":"2.0","id":2,"method":"tools/list"}
        {"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"alpha__payload","arguments":{"bytes":300000}}}
        {"jsonrpc":"2.0","id":4,"method":"ping"}

        """

    @Test("mcpagg < in > out answers everything that is in the file, and ends with 0")
    func files() async throws {
        let (code, text) = try await Self.inDirectory { directory in
            let output = directory.appending(path: "out")
            try Self.requests.write(to: directory.appending(path: "in"), atomically: true, encoding: .utf8)
            let program = try Self.start(directory, input: .file(directory.appending(path: "in").path), output: .file(output.path))
            return (try Self.end(of: program, directory), try String(contentsOf: output, encoding: .utf8))
        }
        #expect(code == 0)
        let lines = try text.split(separator: "\n").map { try JSON(String($0)) }
        #expect(lines.compactMap { $0["id"]?.text }.sorted() == ["1", "2", "3", "4"])
        #expect(lines.allSatisfy { $0["result"] != nil })
        #expect(lines.contains { $0.text.count > 300_000 })
    }

    @Test("with nothing to read it ends at once with 0, writes nothing and leaves nothing")
    func nothing() async throws {
        let (code, lines) = try await Self.inDirectory { directory in
            let program = try Self.start(directory, input: .file("/dev/null"), output: .pipe)
            return (try Self.end(of: program, directory), program.output.all)
        }
        #expect(code == 0)
        #expect(lines == [])
    }

    /// - Returns: the exit code, once no process is left.
    private static func end(of program: Program, _ directory: URL) throws -> Int32 {
        let code = try program.waitForExit()
        try program.wait("all processes to be gone") { Survivors.of(directory.path).isEmpty }
        return code
    }

    private static func start(_ directory: URL, input: Program.Connection, output: Program.Connection) throws -> Program {
        let config = "mcpServers: { alpha: { command: \"\(try BuiltPrograms.fakeServer())\" } }\n"
        try config.write(to: directory.appending(path: "mcp.yaml"), atomically: true, encoding: .utf8)
        return try Program(arguments: ["--config", "mcp.yaml"], directory: directory.path, input: input, output: output)
    }

    private static func inDirectory<Result: Sendable>(_ body: @escaping @Sendable (URL) throws -> Result) async throws -> Result {
        let directory = try Story.makeDirectory()
        defer {
            Survivors.kill(of: directory.path)
            try? FileManager.default.removeItem(at: directory)
        }
        return try await onThread { try body(directory) }
    }
}
