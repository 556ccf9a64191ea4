import ConfigFile
import OrderedCollections
import Testing

@Suite("Names, prefixes and rules")
struct NameTests {
    @Test(
        "the prefix is the server's name, made acceptable to hosts",
        arguments: [
            ("git", "git"), ("awslabs.docs-mcp", "awslabs_docs-mcp"), ("My Server", "My_Server"), ("21st-dev", "s_21st-dev"),
            ("_x", "s__x"),
            ("天气", "s___"),
        ])
    func derived(key: String, prefix: String) throws {
        let config = try read("mcpServers: { '\(key)': { command: x } }")
        #expect(config.servers[key]?.prefix == prefix)
        #expect(config.notes.map(\.code) == (key == prefix ? [] : [.derivedPrefix]))
    }

    @Test(
        "a prefix of one's own must be acceptable as it is",
        arguments: [("a.b", false), ("1a", false), ("_a", false), ("é", false), ("a b", false), ("a-b_C9", true), ("''", true)])
    func prefix(text: String, isValid: Bool) {
        #expect(codes("command: x, prefix: \(text)") == (isValid ? [] : ["invalidPrefix"]))
    }

    @Test("a prefix leaves room for the separator and a name")
    func length() throws {
        let long = String(repeating: "a", count: 34)
        #expect(try server("command: x, prefix: \(long)").prefix == long)
        #expect(codes("command: x, prefix: \(long)a") == ["invalidPrefix"])
        #expect(problems("mcpServers: { \(long)a: { command: x } }").map(\.code) == [.invalidPrefix])
        #expect(problems("mcpServers: { \(long)a: { command: x, prefix: b } }").isEmpty)
        #expect(problems("mcpServers: { \(long)a: { command: x } }\naggregator: { nameBudget: 49 }").isEmpty)
        #expect(problems("mcpServers: { \(long): { command: x } }\naggregator: { separator: ____ }").map(\.code) == [.invalidPrefix])
    }

    @Test(
        "no two servers have the same prefix, in upper or lower case",
        arguments: [
            ("git: { command: x }, gh: { command: x, prefix: git }", ["duplicatePrefix 1:62"]),
            ("git: { command: x }, Git: { command: x }", ["duplicatePrefix 1:36"]),
            ("a.b: { command: x }, a_b: { command: x }", ["duplicatePrefix 1:36"]),
            ("a: { command: x, prefix: '' }, b: { command: x, prefix: '' }", []),
            ("a: { command: x, prefix: p }, b: { command: x, prefix: p, disabled: true }", []),
            ("a: { command: '${NOPE}', prefix: p }, b: { command: x, prefix: p }", ["duplicatePrefix 1:78"]),
        ])
    func duplicates(servers: String, expected: [String]) {
        #expect(summary(problems("mcpServers: { \(servers) }")) == expected)
    }

    @Test("the suggested prefix is free")
    func suggestion() {
        let found = problems("mcpServers: { gh: { command: x }, a: { command: x, prefix: b }, b: { command: x }, GH: { command: x } }")
        #expect(found.map(\.hint) == ["give 'b' another prefix, for example 'b2'", "give 'GH' another prefix, for example 'GH2'"])
    }

    @Test("a server needs a name")
    func empty() {
        #expect(summary(problems("mcpServers: { '': { command: x } }")) == ["invalidValue 1:15"])
    }

    @Test(
        "the separator is made of characters that hosts accept",
        arguments: [("__", true), ("-", true), ("x9_-", true), ("''", false), (":", false), ("_____", false), ("é", false), ("' '", false)])
    func separator(text: String, isValid: Bool) {
        let found = problems("mcpServers: {}\naggregator: { separator: '\(text == "''" ? "" : text == "' '" ? " " : text)' }")
        #expect(found.map(\.code) == (isValid ? [] : [.invalidSeparator]))
    }

    @Test(
        "patterns know * and ? only",
        arguments: [
            ("'*'", true), ("get_*", true), ("'?et'", true), ("a.b/c-d:e", true), ("é", true), ("''", false), ("'!x'", false),
            ("'[ab]'", false),
            ("'{a,b}'", false), ("'a b'", false), ("'a|b'", false), ("'^a$'", false), ("'a\\*'", false), ("5", false),
        ])
    func patterns(pattern: String, isValid: Bool) {
        for rule in ["include", "exclude"] {
            #expect(codes("command: x, tools: { \(rule): [\(pattern)] }").isEmpty == isValid)
        }
    }

    @Test(
        "new names are acceptable to hosts, short enough, and unique",
        arguments: [
            ("{ a: b, c: d }", []), ("{ a: 'b c' }", ["invalidRename"]), ("{ a: '' }", ["invalidRename"]), ("{ a: 5 }", ["wrongType"]),
            ("{ a: b, c: B }", ["invalidRename"]), ("{ 'a*': b }", ["invalidRename"]), ("{ '': b }", ["invalidRename"]),
            ("[a]", ["wrongType"]),
            ("{ a: 9b }", []), ("{ a: \(String(repeating: "x", count: 45)) }", []),
            ("{ a: \(String(repeating: "x", count: 46)) }", ["invalidRename"]),
        ])
    func renames(value: String, expected: [String]) {
        #expect(codes("command: x, tools: { rename: \(value) }") == expected)
    }

    @Test("without a prefix a new name must begin with a letter")
    func renameWithoutPrefix() {
        #expect(codes("command: x, prefix: '', tools: { rename: { a: 9b } }") == ["invalidRename"])
    }

    @Test(
        "other hosts' words for the rules have the same meaning",
        arguments: [
            ("includeTools: [a], excludeTools: [b]", ToolRules(include: ["a"], exclude: ["b"])),
            ("enabled_tools: [a], disabled_tools: [b]", ToolRules(include: ["a"], exclude: ["b"])),
            ("disabledTools: [b]", ToolRules(exclude: ["b"])), ("tools: [a, 'b*']", ToolRules(include: ["a", "b*"])),
            ("tools: { include: [] }", ToolRules(include: [])),
            ("tools: { exclude: [c] }, includeTools: [a]", ToolRules(include: ["a"], exclude: ["c"])),
        ])
    func dialects(members: String, expected: ToolRules) throws {
        #expect(try server("command: x, \(members)").tools == expected)
    }

    @Test(
        "one rule in two words is a problem",
        arguments: [
            "tools: { include: [a] }, includeTools: [b]", "tools: [a], enabled_tools: [b]", "excludeTools: [a], disabledTools: [b]",
        ])
    func conflicts(members: String) {
        #expect(codes("command: x, \(members)") == ["conflictingKeys"])
    }
}
