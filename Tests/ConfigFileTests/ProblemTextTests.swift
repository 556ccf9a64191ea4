import ConfigFile
import Testing

@Suite("What a person reads")
struct ProblemTextTests {
    @Test("all problems of a file are reported at once, in file order, each with place, code and hint")
    func report() throws {
        let text = """
            mcpServers:
              git:
                comand: uvx
                timeout: soon
              gh:
                command: [npx, -y, server]
                url: https://example.com
                prefix: git
                retry: { attempts: 50, replay: alway }
              web:
                url: example.com/mcp
                headers: { "X Y": z }
                env: { A: b }
            aggregator:
              logLevel: warn
              separator: ":"
            """
        let error = try #require(throws: ConfigProblems.self) { try read(text) }
        #expect(
            error.description == """
                mcp.yaml:2:3: error: server 'git' has neither 'command' nor 'url' [missingEndpoint]
                  hint: add the command that starts it, or the URL that reaches it
                mcp.yaml:3:5: error: unknown key 'comand' in server 'git' [unknownKey]
                  hint: did you mean 'command'?
                mcp.yaml:4:14: error: 'timeout' in server 'git' is no duration: 'soon' [invalidDuration]
                  hint: write it like "250ms", "30s", "2m" or "1h"
                mcp.yaml:6:14: error: 'command' in server 'gh' must be a string, this is a list [wrongType]
                  hint: write command: "npx" and put the rest into 'args'
                mcp.yaml:7:5: error: server 'gh' has both 'command' and 'url' [conflictingKeys]
                  hint: a server is either started by a command or reached by a URL
                mcp.yaml:8:13: error: servers 'git' and 'gh' both use the prefix 'git' [duplicatePrefix]
                  hint: give 'gh' another prefix, for example 'gh'
                mcp.yaml:9:24: error: 'attempts' in 'retry' in server 'gh' must be 1 to 20, this is 50 [outOfRange]
                mcp.yaml:9:36: error: 'alway' is no value for 'replay' in 'retry' in server 'gh' [invalidValue]
                  hint: did you mean 'always'?
                mcp.yaml:11:10: error: 'url' in server 'web' is no URL: 'example.com/mcp' [invalidURL]
                  hint: write it with its beginning, for example https://example.com/mcp
                mcp.yaml:12:16: error: 'X Y' in server 'web' is no name for a header [invalidHeader]
                  hint: names hold letters, digits and !#$%&'*+-.^_`|~
                mcp.yaml:15:13: error: 'warn' is no value for 'logLevel' in 'aggregator' [invalidValue]
                  hint: did you mean 'warning'?
                mcp.yaml:16:14: error: the separator must be 1 to 4 of the characters A-Z a-z 0-9 _ -, this is ':' [invalidSeparator]
                  hint: hosts accept no other characters in names; the usual one is "__"
                """)
    }

    @Test(
        "texts that do not parse say what people mostly did",
        arguments: [
            (
                "mcp.json", "{ 'mcpServers': {} }",
                "mcp.json:1:3: error: found ''', expected a member name in quotes [invalidJSON]\n  hint: JSON strings stand in double quotes"
            ),
            (
                "mcp.json", "{ \"mcpServers\": { \"a\": {} \"b\": {} } }",
                "mcp.json:1:27: error: found '\"', expected ',' or '}' [invalidJSON]\n  hint: a comma is missing in front of this"
            ),
            (
                "mcp.json", "mcpServers: {}",
                "mcp.json:1:1: error: found 'm', expected a value [invalidJSON]\n  hint: a YAML file needs the ending .yaml or .yml"
            ),
            (
                "mcp.yaml", "mcpServers:\n  a:\n\tcommand: x",
                "mcp.yaml:3:1: error: a tab stands here; YAML is indented by spaces [tabIndentation]\n  hint: replace tabs by spaces"
            ),
            (
                "mcp.yaml", "mcpServers:\n  a:\n    tools: { exclude: [*] }",
                """
                mcp.yaml:3:25: error: did not find expected alphabetic or numeric character while scanning an alias that begins at line 3, column 24 [invalidYAML]
                  hint: text that begins with '*' or '&' needs quotes
                """
            ),
            (
                "mcp.yaml", "mcpServers:\n  a:\n    command: x\n   args: []",
                """
                mcp.yaml:4:4: error: did not find expected key while parsing a block mapping that begins at line 2, column 3 [invalidYAML]
                  hint: look at the indentation of this line and the one above; text with special characters needs quotes
                """
            ),
        ])
    func syntax(name: String, text: String, expected: String) {
        #expect(problems(text, name).map(\.description) == [expected])
    }
}
