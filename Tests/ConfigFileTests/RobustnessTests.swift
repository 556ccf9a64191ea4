import ConfigFile
import OrderedCollections
import TestSupport
import Testing

@Suite("Whatever the bytes are, the answer is a config or problems")
struct RobustnessTests {
    static let documents = [("mcp.json", richJSON), ("mcp.yaml", richYAML), ("mcp.yaml", richJSON), ("mcp.json", richYAML)]

    @Test("a file that ends too early, at any byte", arguments: documents)
    func truncated(name: String, text: String) {
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count { check(bytes.prefix(length), name) }
    }

    @Test("a file with one byte changed", arguments: documents)
    func mutated(name: String, text: String) {
        var random = SeededGenerator(seed: 42)
        let original = Array(text.utf8)
        let interesting = Array("{}[]\"'\\:,-#&*!|>%@`$~?\n\r\t 0e.\0\u{7F}".utf8) + [0x80, 0xC3, 0xED, 0xF4, 0xFF]
        for round in 0..<2000 {
            var bytes = original
            let index = Int.random(in: bytes.indices, using: &random)
            let byte = interesting.randomElement(using: &random) ?? 0
            switch round % 3 {
            case 0: bytes[index] = byte
            case 1: bytes.insert(byte, at: index)
            default: bytes.remove(at: index)
            }
            check(bytes, name)
        }
    }

    @Test("a million bytes of garbage", arguments: ["mcp.json", "mcp.yaml"], [UInt64(1), 2, 3])
    func garbage(name: String, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabet = seed == 1 ? Array(0...255) : seed == 2 ? Array(0x20...0x7E) : Array("{}[]\",: \n-ab&*!".utf8)
        let bytes = (0..<1_000_000).map { _ in alphabet.randomElement(using: &random) ?? 0 }
        #expect(!problems(bytes, name).isEmpty)
    }

    @Test(
        "a million bytes of one kind", arguments: ["mcp.json", "mcp.yaml"], ["a", "[", "- ", "a: ", "\"", "!", "&a ", "#\n", "\n", "{a: "])
    func monotony(name: String, unit: String) {
        #expect(!problems(String(repeating: unit, count: 1_000_000 / unit.utf8.count), name).isEmpty)
    }

    @Test(
        "a valid text that makes much work of little takes no long time", .timeLimit(.minutes(1)),
        arguments: [
            "mcpServers: {}\n" + (1...45_000).map { "x-\($0): 1\n" }.joined(),
            "mcpServers: {}\n" + (1...45_000).map { "unknown\($0): 1\n" }.joined(),
            "mcpServers: { s: { command: x, args: ['" + (1...100_000).map { "${A\($0)}" }.joined() + "'] } }",
            "mcpServers: { s: { command: x, args: ['" + String(repeating: "${A:-${B}}", count: 100_000) + "'] } }",
            "mcpServers: { s: { command: x, args: ['" + String(repeating: "${A:-", count: 150_000) + "'] } }",
            "mcpServers:\n" + (1...20_000).map { "  s\($0): { command: x, prefix: p }\n" }.joined(),
            "mcpServers: { s: { command: x, '" + String(repeating: "k", count: 900_000) + "': 1 } }",
            "x-s: &s { command: x }\nmcpServers:\n" + (1...8000).map { "  s\($0): *s\n" }.joined()
                + "aggregator: { defaults: { env: {" + (1...20_000).map { "A\($0): 1," }.joined() + "} } }",
        ])
    func quadratic(text: String) {
        check(Array(text.utf8), "mcp.yaml")
    }

    @Test("defaults that multiply are refused as aliases are")
    func multipliedDefaults() {
        let servers = (1...2000).map { "s\($0): { command: x }," }.joined()
        let defaults = (1...100).map { "A\($0): 1," }.joined()
        #expect(problems("mcpServers: { \(servers) }\naggregator: { defaults: { env: { \(defaults) } } }").map(\.code) == [.tooManyValues])
    }

    @Test("a problem shows a bounded part of the file, and no control characters")
    func bounded() {
        let long = problems("mcpServers: { s: { command: x, \(String(repeating: "k", count: 900)): 1 } }")
        #expect(long.map(\.message.count) == [ConfigProblem.textLimit + 1])
        #expect(
            problems("mcpServers: { s: { command: x, \"a\\eb\\n\": 1 } }").first?.message == "unknown key 'a\\u{1b}b\\u{a}' in server 's'")
        #expect(problems("mcpServers: { \"a\\n\": { command: x } }").map(\.code) == [.controlCharacter])
    }

    /// Problems are in order, and their places are inside the text.
    private func check(_ bytes: some Collection<UInt8>, _ name: String) {
        let found = problems(bytes, name)
        let lines = bytes.count { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } + 1
        #expect(found.map(\.location) == found.map(\.location).sorted())
        #expect(found.allSatisfy { (1...lines).contains($0.location.line) && $0.location.column >= 1 && !$0.message.isEmpty })
    }
}
