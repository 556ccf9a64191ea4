import Testing

@Suite("The code keeps the rules of the house")
struct TidyTests {
    private static func problems(in directories: [String], _ rule: (String, String) -> [String]) throws -> [String] {
        let files = try directories.flatMap { try SourceTree.swiftFiles(in: $0) }
        // A tree that is empty or elsewhere keeps every rule.
        #expect(files.count > 50)
        return files.flatMap { rule($0.path, $0.text) }
    }

    @Test("modules import only what stands below them")
    func imports() throws { #expect(try Self.problems(in: ["Sources"], Rules.wrongImports) == []) }

    @Test("nothing prints: results and logs have their ways out")
    func prints() throws { #expect(try Self.problems(in: ["Sources"], Rules.prints) == []) }

    @Test("time and chance come in through the door")
    func clocks() throws { #expect(try Self.problems(in: ["Sources"], Rules.clocksAndChance) == []) }

    @Test("nothing traps on what others send, and nothing is hidden from the compiler")
    func words() throws { #expect(try Self.problems(in: ["Sources"], Rules.unsafeWords) == []) }

    @Test("no task runs on libdispatch, whose first thread wakes us up for ever")
    func tasks() throws { #expect(try Self.problems(in: ["Sources"], Rules.tasksAnywhere) == []) }

    @Test("no line is longer than a reader sees")
    func lines() throws { #expect(try Self.problems(in: ["Sources"], Rules.longLines) == []) }

    @Test("no source file is a book")
    func files() throws { #expect(try Self.problems(in: ["Sources"], Rules.tooLong) == []) }

    @Test("every page of docs is linked from the README")
    func pages() throws {
        guard SourceTree.exists("README.md") else {
            Issue.record("there is no README.md")
            return
        }
        let pages = try SourceTree.names(in: "docs").filter { !$0.hasPrefix(".") }.map { "docs/\($0)" }
        #expect(!pages.isEmpty)
        #expect(Rules.unlinked(pages, from: try SourceTree.file("README.md").text) == [])
    }
}

@Suite("The rules find what breaks them")
struct RuleTests {
    @Test(
        "an import that points up, or to nobody's module, is found",
        arguments: [
            ("Sources/JSONRPC/A.swift", "import Lifecycle", true),
            ("Sources/JSONRPC/A.swift", "package import NIOCore", false),
            ("Sources/JSONRPC/A.swift", "// import Lifecycle", false),
            ("Sources/Lifecycle/A.swift", "package import Transports", true),
            ("Sources/Lifecycle/A.swift", "import Glibc", true),
            ("Sources/Resilience/A.swift", "    import struct JSONRPC.Message", true),
            ("Sources/Transports/A.swift", "@preconcurrency import Glibc", false),
            ("Sources/Transports/A.swift", "import Foundation", true),
            ("Sources/Aggregation/A.swift", "@testable import mcpagg", true),
            ("Sources/mcpagg/A.swift", "import Aggregation", false),
            ("Sources/Unheard/A.swift", "import NIOCore", true),
            ("Sources/A.swift", "", true),
        ])
    func imports(path: String, text: String, isWrong: Bool) { #expect(Rules.wrongImports(path: path, text: text).isEmpty != isWrong) }

    @Test(
        "a print is found, and not what only looks like one",
        arguments: [
            ("print(1)", true), ("    debugPrint(x)", true), ("if a { print(\"x\") }", true), ("// print(1)", false),
            ("fingerprint(1)", false), ("page.print(1)", false), ("let url = \"http://print\"; print(url)", true),
        ])
    func prints(text: String, isWrong: Bool) { #expect(Rules.prints(path: "Sources/JSONRPC/A.swift", text: text).isEmpty != isWrong) }

    @Test(
        "a clock and a die of one's own are found below the program",
        arguments: [
            ("Sources/Lifecycle/A.swift", "let now = Date()", true), ("Sources/Aggregation/A.swift", "NIODeadline.now()", true),
            ("Sources/Aggregation/A.swift", "let clock = ContinuousClock()", true),
            ("Sources/Aggregation/A.swift", "ContinuousClock.now", true),
            ("Sources/Aggregation/A.swift", "var random = SystemRandomNumberGenerator()", true),
            ("Sources/Aggregation/A.swift", "try await Task.sleep(for: .seconds(1))", true),
            ("Sources/Resilience/A.swift", "Double.random(in: 0...1)", true),
            ("Sources/Resilience/A.swift", "Double.random(in: 0...1, using: &random)", false),
            ("Sources/Aggregation/A.swift", "eventLoop.now", false), ("Sources/mcpagg/A.swift", "SystemRandomNumberGenerator()", false),
        ])
    func clocks(path: String, text: String, isWrong: Bool) {
        #expect(Rules.clocksAndChance(path: path, text: text).isEmpty != isWrong)
    }

    @Test(
        "a task that would run anywhere is found",
        arguments: [
            ("Task { await a() }", true), ("let a = Task<Void, Never> { }", true), ("Task.detached { }", true),
            ("Task(priority: .high) { }", true), ("Task.detached(executorPreference: a) { }", false),
            ("Task(executorPreference: a) { }", false), ("var a: Task<Void, Never>?", false), ("try Task.checkCancellation()", false),
            ("group.addTask { }", false), ("// Task { }", false), ("DispatchQueue.global().async {}", true),
        ])
    func tasks(text: String, isWrong: Bool) { #expect(Rules.tasksAnywhere(path: "Sources/mcpagg/A.swift", text: text).isEmpty != isWrong) }

    @Test(
        "what traps or deceives is found",
        arguments: [
            ("let a = try! b()", true), ("let a = b as! C", true), ("fatalError(\"x\")", true),
            ("final class A: @unchecked Sendable {}", true),
            ("nonisolated(unsafe) var a = 1", true), ("@preconcurrency import NIO", true), ("@preconcurrency import Glibc", false),
            ("/// never fatalError", false), ("let a = try? b()", false), ("let a = b as? C", false),
        ])
    func words(text: String, isWrong: Bool) { #expect(Rules.unsafeWords(path: "Sources/JSONRPC/A.swift", text: text).isEmpty != isWrong) }

    @Test("lines and files are counted to the last one that is allowed")
    func sizes() {
        let longest = String(repeating: "é", count: Rules.lineLength)
        #expect(Rules.longLines(path: "a", text: "x\n\(longest)\n") == [])
        #expect(Rules.longLines(path: "a", text: "x\n\(longest)é\n") == ["a:2: has 141 characters"])
        #expect(Rules.longLines(path: "a", text: "\"\"\"\n\(longest)é\n\"\"\"\n\(longest)é\n") == ["a:4: has 141 characters"])
        let file = String(repeating: "x\n", count: Rules.fileLength)
        #expect(Rules.tooLong(path: "a", text: file) == [])
        #expect(Rules.tooLong(path: "a", text: file + "x") == ["a has 501 lines"])
    }

    @Test(
        "a page without a link to it is found",
        arguments: [
            ("see [it](docs/a.md)", []), ("see [it](./docs/a.md#part)", []), ("see docs/a.md", ["docs/a.md"]),
            ("[b](docs/b.md)", ["docs/a.md"]),
            ("[all](docs/)", ["docs/a.md"]),
        ] as [(String, [String])])
    func pages(text: String, unlinked: [String]) { #expect(Rules.unlinked(["docs/a.md"], from: text) == unlinked) }

    @Test("a directory of pages is linked as one")
    func directories() {
        #expect(Rules.unlinked(["docs/decisions/1.md"], from: "[notes](docs/decisions/)") == [])
        #expect(Rules.unlinked(["docs/decisions"], from: "[notes](docs/decisions/)") == [])
    }
}
