import ConfigFile
import OrderedCollections
import Testing

@Suite("Variables and secrets")
struct ExpansionTests {
    @Test(
        "references are replaced in every string of a server",
        arguments: [
            ("${PORT}", "8080"), ("${env:PORT}", "8080"), ("a${PORT}b${USER}c", "a8080bannc"), ("${NOPE:-x}", "x"), ("${NOPE:-}", ""),
            ("${EMPTY}", ""), ("${EMPTY:-x}", "x"), ("${PORT:-x}", "8080"), ("${env:NOPE:-x}", "x"), ("${NOPE:-${PORT}}", "8080"),
            ("${NOPE:-a${NOPE:-b}c}", "abc"), ("${PORT:-${NOPE}}", "8080"), ("$${PORT}", "${PORT}"), ("$$${PORT}", "$${PORT}"),
            ("$PORT", "$PORT"), ("$$", "$$"), ("$", "$"), ("100$", "100$"), ("{PORT}", "{PORT}"), ("${DOLLAR}", "${TOKEN}"),
            ("}${PORT}}", "}8080}"),
            ("${userHome}/x", "/home/ann/x"), ("${workspaceFolder}", "/work"), ("${pathSeparator}", "/"), ("${NOPE:-é😀}", "é😀"),
            ("é${PORT}", "é8080"),
            ("~/x", "~/x"),
        ])
    func expanded(text: String, expected: String) throws {
        #expect(try server("command: x, args: ['\(text)']").command?.arguments == [expected])
        #expect(try server("command: x, env: { A: '\(text)' }").command?.environment == ["A": expected])
        #expect(try server("url: 'http://x', headers: { A: '\(text)' }").http?.headers == ["A": expected])
    }

    @Test("they work in command, cwd, URL, prefix and durations, but not in keys")
    func places() throws {
        let command = try server(
            "command: '${HOME}/x', cwd: '~/${USER}', prefix: '${USER}', timeout: '${NOPE:-5s}', env: { '${USER}': '1' }")
        #expect(command.command == Command(executable: "/home/ann/x", environment: ["${USER}": "1"], workingDirectory: "/home/ann/ann"))
        #expect(command.prefix == "ann" && command.timeout == .seconds(5))
        #expect(try server("url: 'http://x:${PORT}/${USER}'").http?.url == "http://x:8080/ann")
        #expect(try read("mcpServers: { '${USER}': { command: x } }").servers.keys == ["${USER}"])
    }

    @Test(
        "a reference that cannot be read is a problem",
        arguments: ["${PORT", "${", "a${NOPE:-b", "${}", "${1A}", "${A B}", "${A%%x}", "${env:}"])
    func malformed(text: String) {
        #expect(summary(problems("mcpServers: { s: { command: x, args: ['\(text)'] } }")) == ["invalidExpansion 1:39"])
    }

    @Test("defaults inside defaults have a limit")
    func depth() {
        func nested(_ levels: Int) -> String { String(repeating: "${NOPE:-", count: levels) + "x" + String(repeating: "}", count: levels) }
        #expect(codes("command: x, args: ['\(nested(8))']") == [])
        #expect(codes("command: x, args: ['\(nested(9))']") == ["invalidExpansion"])
        #expect(codes("command: x, args: ['\(nested(50_000))']") == ["invalidExpansion"])
    }

    @Test("a missing variable disables its server only, and leaves the reference where it is")
    func missing() throws {
        let config = try read(
            """
            mcpServers:
              a: { command: x }
              b:
                url: https://${HOST_NAME}/mcp
                headers: { Authorization: "Bearer ${NOPE}", X: "${NOPE}" }
                timeout: ${NOPE}
                prefix: ${NOPE}
                tools: { include: ["${NOPE}"] }
            """)
        #expect(config.servers["a"]?.unusable == nil)
        let b = try #require(config.servers["b"])
        #expect(
            b.unusable?.description
                == """
                mcp.yaml:4:10: error: server 'b' needs the environment variables HOST_NAME, NOPE, which are not set [missingVariable]
                  hint: set them, or give a default: ${HOST_NAME:-}
                """)
        #expect(b.http?.url == "https://${HOST_NAME}/mcp" && b.timeout == .seconds(120) && b.prefix == "b")
        #expect(config.secrets.isEmpty)
    }

    @Test("a disabled server needs no variables")
    func disabled() throws {
        #expect(try server("command: '${NOPE}', disabled: true").unusable == nil)
    }

    @Test("what only another host can fill in disables the server too")
    func unsupported() throws {
        let problem = try #require(try server("command: x, env: { A: '${input:token}' }").unusable)
        #expect(
            problem.code == .unsupportedVariable
                && problem.message == "server 's' refers to '${input:token}', which only another host can fill in")
    }

    @Test("values of variables, headers and environments are secrets, unless hiding them would only spoil the log")
    func secrets() throws {
        let config = try read(
            """
            mcpServers:
              a: { command: x, args: ["--token=${TOKEN}", "${HOME}", "${PORT}"], env: { A: literal-secret, B: debug, C: abc, PATH: /usr/bin } }
              b: { url: 'http://x', headers: { Authorization: "Bearer abcd1234", X: "${EMPTY:-fallback}" } }
            """)
        #expect(config.secrets == ["s3cr3t-token", "literal-secret", "Bearer abcd1234", "abcd1234", "fallback"])
    }

    @Test("no description shows a value")
    func descriptions() throws {
        let config = try read(
            """
            mcpServers:
              a: { command: x, args: ["${TOKEN}"], env: { A: "${TOKEN}" } }
              b: { url: "http://x/${TOKEN}", headers: { A: "${TOKEN}" }, oauth: { clientId: a, clientSecret: "${TOKEN}" }, headersHelper: "${TOKEN}" }
            """)
        var texts = ["\(config)", String(reflecting: config)]
        for server in config.servers.values {
            texts += [
                "\(server)", String(reflecting: server), "\(server.endpoint)", "\([server.endpoint])",
                "\(String(describing: Optional(server)))",
            ]
            if let http = server.http {
                texts += ["\(http)", "\(String(describing: http.oauth))", "\(String(describing: http.headersFrom))"]
            }
            if let command = server.command { texts += ["\(command)"] }
        }
        #expect(texts.allSatisfy { !$0.contains("s3cr3t") })
        #expect(texts.contains("ServerConfig(b, url)"))
    }

    @Test("no problem shows what a variable holds, or the value of a header or variable")
    func problemsShowNoValues() {
        let token = "${TOKEN}\\n"
        let found = problems(
            """
            mcpServers:
              a: { url: "ftp://${TOKEN}", headers: { A: "\(token)", "B b": "${TOKEN}" }, prefix: "${TOKEN} x", timeout: "${TOKEN}", type: "${TOKEN}" }
              b: { command: "x ${TOKEN}", inheritEnv: "${TOKEN}", tools: { include: ["${TOKEN}["], rename: { a: "${TOKEN}!" } } }
              c: { url: "http://x", headers: { A: "literal\\nsecret" }, start: "${TOKEN}", cwd: "~${TOKEN}" }
            """)
        #expect(found.count == 12)
        #expect(found.allSatisfy { !$0.description.contains("s3cr3t") && !$0.description.contains("literal") })
    }
}
