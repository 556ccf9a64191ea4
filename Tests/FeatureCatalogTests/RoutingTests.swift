import JSONRPC
import MCPProtocol
import NIOCore
import TestSupport
import Testing

@testable import FeatureCatalog

@Suite("Finding the tool that is called")
struct RoutingTests {
    private func route(_ name: String, _ catalog: Catalog) throws -> Route {
        let message = try Message(
            scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":\#(name)}}"#))
        return try catalog.route(.tools, message[.name], in: message)
    }

    @Test(
        "goes by the name that the message means, not by how it is written",
        arguments: [#""alpha__x""#, #""\u0061lpha__x""#, #""alpha\u005f_\u0078""#])
    func escapes(name: String) throws {
        let catalog = Catalog(try source("beta", ["x"]), try source("alpha", ["w", "x", "y"]))
        let route = try route(name, catalog)
        #expect(route.name.text == "x" && route.nameJSON == #""x""# && route.downstream == catalog[.tools].entries[2].downstream)
    }

    @Test("gives the server its own name as the server wrote it")
    func ownSpelling() throws {
        let definition = try tool(json: #"{"name":"a\/\u0062"}"#)
        let catalog = Catalog(
            CatalogSource(downstream: DownstreamID(5), key: "s", rules: ExposureRules(prefix: "s"), tools: [definition]))
        let route = try route(#""s__a_b""#, catalog)
        #expect(route.nameJSON == #""a\/\u0062""# && route.name.text == "a/b" && route.downstream == DownstreamID(5))
    }

    @Test(
        "fails for any other name",
        arguments: [
            #""""#, #""alpha""#, #""alpha__""#, #""x""#, #""ALPHA__X""#, #""alpha__x ""#, #""alpha__x\u0000""#, #""\ud800""#, "7", "null",
        ])
    func unknown(name: String) throws {
        let catalog = Catalog(try source("alpha", ["x"]))
        #expect(throws: UnknownFeature.self) { try route(name, catalog) }
        #expect(throws: UnknownFeature.self) { try route(name, .empty) }
    }

    @Test(
        "says what may have been meant",
        arguments: [
            ([], "git__status", "Unknown tool: git__status"),
            (["entirely__different"], "git__status", "Unknown tool: git__status"),
            (["git__status"], "git__sttus", "Unknown tool: git__sttus. Did you mean 'git__status'?"),
            (["git__status"], "GIT__STATUS", "Unknown tool: GIT__STATUS. Did you mean 'git__status'?"),
            (["git__log", "hg__log"], "log", "Unknown tool: log. Did you mean 'git__log' or 'hg__log'?"),
            (["a__x1", "a__x2", "a__x3", "a__x4"], "a__x", "Unknown tool: a__x. Did you mean 'a__x1' or 'a__x2' or 'a__x3'?"),
            // The nearest first, wherever it stands; the tail of a name is nearer than any error of typing.
            (
                ["git__stats", "git__status", "my__git__statu"], "git__statu",
                "Unknown tool: git__statu. Did you mean 'my__git__statu' or 'git__stats' or 'git__status'?"
            ),
            (["git__status"], "", "Unknown tool: "),
        ] as [([String], String, String)])
    func suggestions(names: [String], written: String, text: String) throws {
        let rules = ExposureRules(prefix: "")
        #expect(Catalog(try source("k", names, rules: rules)).target(written) == text)
    }

    @Test("compares no name of absurd length")
    func absurd() throws {
        let catalog = Catalog(try source("a", ["x"]))
        let long = String(repeating: "a__x", count: 1_000_000)
        #expect(catalog.target(long) == "Unknown tool: \(long)")
    }
}

@Suite("The table of names")
struct NameTableTests {
    private func find(_ name: String, in table: NameTable) -> Int? {
        var name = name
        return name.withUTF8 { table.position(of: UnsafeRawBufferPointer($0)) }
    }

    @Test("agrees with a dictionary", arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        func name() -> String {
            String((0..<Int.random(in: 0...5, using: &random)).map { _ in "abc_é".randomElement(using: &random) ?? "a" })
        }
        for count in [0, 1, 3, 4, 5, 8, 100, 1_000] {
            var names: [String] = []
            var model: [String: Int] = [:]
            for _ in 0..<count {
                let name = name()
                if model.updateValue(names.count, forKey: name) == nil {
                    names.append(name)
                } else {
                    model[name] = names.firstIndex(of: name)
                }
            }
            let table = NameTable(names)
            for (position, name) in names.enumerated() { #expect(find(name, in: table) == position) }
            for _ in 0..<500 {
                let name = name()
                #expect(find(name, in: table) == model[name], "seed \(seed), \(count) names, '\(name)'")
            }
        }
    }

    @Test("tells bytes apart, not what they look like")
    func bytes() {
        let table = NameTable(["\u{E9}"])
        #expect(find("\u{E9}", in: table) == 0)
        #expect(find("e\u{301}", in: table) == nil)
        #expect(table.position(of: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    }
}

@Suite("Patterns over names")
struct GlobTests {
    @Test(
        "match the whole name",
        arguments: [
            ("*", "", true), ("*", "anything", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a", "A", false),
            ("a", "ab", false),
            ("ab", "a", false), ("?", "a", true), ("?", "", false), ("?", "ab", false), ("??", "ab", true), ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ba", false), ("*a", "a", true), ("*a", "ba", true), ("*a", "ab", false), ("*a*", "bab", true), ("a*b", "ab", true),
            ("a*b", "acb", true), ("a*b", "acbc", false), ("a*b*c", "aXbXbc", true), ("a**b", "ab", true), ("*?", "", false),
            ("*?", "a", true),
            ("?*", "abc", true), ("*.b", "a.b", true), ("*.b", "a_b", false), ("delete_*", "delete_", true), ("delete_*", "delete", false),
            ("*aab", "aaaab", true), ("*ab?", "abab", false), ("*ab?", "ababc", true), ("[ab]", "a", false), ("[ab]", "[ab]", true),
            ("\\*", "\\x", true),
            ("?", "é", true), ("?", "e\u{301}", false), ("??", "e\u{301}", true),
        ])
    func table(pattern: String, name: String, matches: Bool) { #expect(Glob.matches(pattern, name) == matches) }

    @Test("agree with a matcher that tries everything", arguments: [UInt64(1), 2, 3])
    func model(seed: UInt64) {
        func matches(_ pattern: Substring, _ text: Substring) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "*" { return matches(pattern.dropFirst(), text) || !text.isEmpty && matches(pattern, text.dropFirst()) }
            return !text.isEmpty && (first == "?" || first == text.first) && matches(pattern.dropFirst(), text.dropFirst())
        }
        var random = SeededGenerator(seed: seed)
        func word(_ letters: String, _ count: Int) -> String {
            String((0..<Int.random(in: 0...count, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" })
        }
        var found = 0
        for _ in 0..<5_000 {
            let (pattern, text) = (word("ab*?", 6), word("ab", 7))
            let expected = matches(pattern[...], text[...])
            if expected { found += 1 }
            #expect(Glob.matches(pattern, text) == expected, "'\(pattern)' on '\(text)'")
        }
        #expect(found > 500 && found < 4_500, "both answers are tried")
    }

    @Test("take no longer for being spiteful")
    func spiteful() {
        let pattern = String(repeating: "*a", count: 60) + "b"
        #expect(!Glob.matches(pattern, String(repeating: "a", count: 2_000)))
    }
}
