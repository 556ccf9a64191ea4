import ConfigFile
import OrderedCollections
import Testing

@Suite("JSON and YAML as texts")
struct SyntaxTests {
    @Test(
        "a broken JSON text is one problem at its place",
        arguments: [
            ("{", "invalidJSON 1:2"), (#"{"mcpServers": {} "a": 1}"#, "invalidJSON 1:19"), ("{'a': 1}", "invalidJSON 1:2"),
            ("{\"a\": 01}", "invalidJSON 1:7"), ("{\"a\": \"x\ny\"}", "invalidJSON 1:9"), ("{} {}", "invalidJSON 1:4"),
            ("{\n /* never", "invalidJSON 2:2"), (#"{"a": "\q"}"#, "invalidJSON 1:8"), ("mcpServers: {}", "invalidJSON 1:1"),
            ("# no\n{}", "invalidJSON 1:1"), (#"{"a": nul}"#, "invalidJSON 1:7"),
        ])
    func brokenJSON(text: String, expected: String) {
        #expect(summary(problems(text, "mcp.json")) == [expected])
    }

    @Test("JSON may have comments and trailing commas")
    func lenient() throws {
        #expect(
            try read("// a\n{ /* b */ \"mcpServers\": { \"a\": { \"command\": \"x\", \"args\": [\"1\",], }, }, }", "mcp.json").servers.count
                == 1)
    }

    @Test("half of a surrogate pair is refused; a replacement character that was written is not")
    func surrogates() throws {
        #expect(summary(problems(#"{"mcpServers": {"a": {"command": "x\ud800"}}}"#, "mcp.json")) == ["invalidJSON 1:34"])
        let config = try read(#"{"mcpServers": {"a": {"command": "x\uFFFD😀\ud83d\ude00"}}}"#, "mcp.json")
        #expect(config.servers["a"]?.command?.executable == "x\u{FFFD}😀😀")
    }

    @Test(
        "keys that come twice are named with both places",
        arguments: [
            ("mcp.json", #"{"mcpServers": {"a": {"command": "x", "command": "y"}}}"#, "1:39", "line 1, column 23"),
            ("mcp.yaml", "mcpServers:\n  a: { command: x }\n  a: { command: y }", "3:3", "line 2, column 3"),
        ])
    func duplicates(name: String, text: String, place: String, first: String) throws {
        let found = problems(text, name)
        #expect(summary(found) == ["duplicateKey \(place)"])
        #expect(try #require(found.first).message.hasSuffix("is there already, at \(first)"))
    }

    @Test(
        "a broken YAML text is a clear problem at its place",
        arguments: [
            ("mcpServers:\n\ta: { command: x }", "tabIndentation 2:1"), ("a: b\n\tc: d", "tabIndentation 2:1"),
            ("mcpServers: {}\n---\nmcpServers: {}", "severalDocuments 2:1"), ("mcpServers: {}\n...\n---\n{}", "severalDocuments 3:1"),
            ("mcpServers: {}\n1: x", "nonStringKey 2:1"), ("mcpServers: {}\n? [a, b]\n: x", "nonStringKey 2:3"),
            ("mcpServers: {}\n~: x", "nonStringKey 2:1"), ("mcpServers: {}\ntrue: x", "nonStringKey 2:1"),
            ("mcpServers: !!set {}", "unsupportedTag 1:13"), ("mcpServers: !mine {}", "unsupportedTag 1:13"),
            ("mcpServers: { a: { command: !!binary eA== } }", "unsupportedTag 1:29"), ("mcpServers: *a", "unknownAlias 1:13"),
            ("mcpServers: &a { a: *a }", "unknownAlias 1:21"), ("mcpServers: {", "invalidYAML 1:14"),
            ("a: b: c", "invalidYAML 1:5"), ("mcpServers: { a: { tools: [*] } }", "invalidYAML 1:29"),
            ("mcpServers:\n  a: \"x", "invalidYAML 2:8"), ("%YAML 3.0\n---\nmcpServers: {}", "invalidYAML 1:1"),
            ("mcpServers: @x", "invalidYAML 1:13"), ("mcpServers: \u{1}", "controlCharacter 1:13"),
            ("mcpServers: { a: { command: \"x\\0\" } }", "controlCharacter 1:29"),
        ])
    func brokenYAML(text: String, expected: String) {
        #expect(summary(problems(text)) == [expected])
    }

    @Test("the several places of one YAML mistake are named")
    func unclosed() {
        let found = problems("mcpServers:\n  a:\n    command: \"x\n").map(\.description)
        #expect(
            found == [
                """
                mcp.yaml:4:1: error: found unexpected end of stream while scanning a quoted scalar that begins at line 3, column 14 [invalidYAML]
                  hint: are the closing quotes missing?
                """
            ])
    }

    @Test("plain YAML scalars follow the core schema of YAML 1.2: words such as 'no' and 'on' are strings")
    func core() throws {
        let arguments = [
            "no", "on", "off", "yes", "y", "0b1", "1_000", "08:30", "1.2.3", "0x", "+", ".", "-0x1F", "infinity", "nan", "1e", "2026-07-28",
        ]
        for text in arguments {
            #expect(try server("command: \(text)").command?.executable == text, "\(text)")
        }
        for text in ["1", "-1", "+1", "0x1F", "0o17", "08", "1.5", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan", "true", "False"] {
            #expect(codes("command: \(text)") == ["wrongType"], "\(text)")
        }
        for text in ["~", "null", "Null", "NULL", ""] { #expect(codes("command: \(text)") == ["missingEndpoint"], "\(text)") }
        #expect(try server("command: x, maxConcurrentCalls: 0x1F").maxConcurrentCalls == 31)
        #expect(try server("command: x, maxConcurrentCalls: 0o17").maxConcurrentCalls == 15)
        #expect(try server("command: x, maxConcurrentCalls: 1e3").maxConcurrentCalls == 1000)
        #expect(try server("command: !!str 1, disabled: !!bool \"true\", args: [!!int 5, ! 6]").command?.arguments == ["5", "6"])
        #expect(codes("command: x, disabled: !!bool maybe") == ["unsupportedTag", "wrongType"])
    }

    @Test("anchors, aliases and merge keys work; own keys win over merged ones, the first source over later ones")
    func merging() throws {
        let config = try read(
            """
            x-a: &a { command: one, args: &args [x], timeout: 1s }
            x-b: &b { command: two, cwd: /b, timeout: 2s }
            mcpServers:
              s: { <<: [*a, *b], timeout: 3s }
              t: { timeout: 4s, <<: *b, args: *args }
            """)
        let s = try #require(config.servers["s"]), t = try #require(config.servers["t"])
        #expect(s.command == Command(executable: "one", arguments: ["x"], workingDirectory: "/b") && s.timeout == .seconds(3))
        #expect(t.command == Command(executable: "two", arguments: ["x"], workingDirectory: "/b") && t.timeout == .seconds(4))
    }

    @Test(
        "a merge key merges objects, once; in quotes it is an ordinary key",
        arguments: [
            ("<<: 5, command: x", ["invalidYAML"]), ("<<: {timeout: 1s}, <<: {timeout: 2s}, command: x", ["duplicateKey"]),
            ("'<<': 5, command: x", ["unknownKey"]),
        ])
    func merges(members: String, expected: [String]) {
        #expect(codes(members) == expected)
    }

    @Test("aliases of aliases do not make a small file large")
    func aliasBomb() {
        var text = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
        for level in 1...12 {
            text += "x-\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(problems(text + "mcpServers: {}").map(\.code) == [.tooManyValues])
        var merges = "x-0: &m0 { a: 1 }\n"
        for level in 1...30 { merges += "x-\(level): &m\(level) { <<: [*m\(level - 1), *m\(level - 1)] }\n" }
        #expect(problems(merges + "mcpServers: {}").map(\.code) == [.tooManyValues])
    }

    @Test("aliases do not get around the limit of depth")
    func aliasDepth() {
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(
            problems("x-a: &a \(deep)\nx-b: [\(deep.prefix(30))*a\(String(repeating: "]", count: 30))]\nmcpServers: {}").map(\.code) == [
                .tooDeep
            ])
    }

    @Test("64 levels are read, 65 are too deep", arguments: ["mcp.json", "mcp.yaml"])
    func depth(name: String) {
        func nested(_ levels: Int) -> String {
            "{\"mcpServers\": {}, \"x-a\": " + String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1) + "}"
        }
        #expect(problems(nested(64), name).isEmpty)
        #expect(problems(nested(65), name).map(\.code) == [.tooDeep])
        for open in ["[", "{\"a\":", "- ", "? "] {
            #expect(!problems(String(repeating: open, count: 200_000), name).isEmpty)
        }
    }

    @Test("too many values and too many bytes are refused", arguments: ["mcp.json", "mcp.yaml"])
    func size(name: String) {
        let many = "{\"x-a\": [" + String(repeating: "1,", count: 100_001) + "1], \"mcpServers\": {}}"
        #expect(problems(many, name).map(\.code) == [.tooManyValues])
        #expect(problems(String(repeating: " ", count: 1_048_577), name).map(\.code) == [.fileTooLarge])
        #expect(problems(String(repeating: " ", count: 1_048_576), name).map(\.code) == [.emptyFile])
    }
}
