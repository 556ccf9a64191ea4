import ConfigFile
import OrderedCollections
import Resilience
import Testing

@Suite("A file as a whole")
struct WholeFileTests {
    @Test("the example of the design means what it says")
    func everything() throws {
        let config = try read(richYAML)
        #expect(Array(config.servers.keys) == ["git", "linear", "off"])
        let git = try #require(config.servers["git"])
        #expect(
            git.endpoint
                == .command(
                    Command(
                        executable: "uvx", arguments: ["mcp-server-git", "8080", "é"],
                        environment: ["GIT_AUTHOR_NAME": "ann", "NO_COLOR": "1"], workingDirectory: "/home/ann/src/project",
                        inheritedEnvironment: .only(["PATH", "HOME"]))))
        #expect(git.prefix == "git" && git.timeout == .seconds(120) && git.startupTimeout == .seconds(30))
        let linear = try #require(config.servers["linear"])
        #expect(linear.http?.headers == ["Authorization": "Bearer s3cr3t-token"])
        #expect(linear.http?.kind == .http && linear.prefix == "lin")
        #expect(linear.tools == ToolRules(include: ["*"], exclude: ["delete_*"], rename: ["list_issues": "issues"]))
        #expect(linear.timeout == .seconds(60) && linear.maxTimeout == .seconds(3600))
        #expect(
            linear.retry
                == RetryPolicy(
                    attempts: 4, backoff: Backoff(base: .milliseconds(250), cap: .seconds(20), multiplier: 1.5, jitter: 0.5),
                    replay: .always))
        #expect(linear.circuitBreaker == CircuitBreakerPolicy(failures: 3, reset: .seconds(10)))
        #expect(linear.rateLimit == RateLimit(calls: 60, per: .seconds(60)) && linear.maxConcurrentCalls == 4)
        #expect(linear.healthCheck == HealthCheckPolicy(every: .seconds(90), methods: [.toolsList, .skip], timeout: .seconds(3)))
        #expect(linear.protocolEra == .stateless && linear.start == .lazy && linear.idleTimeout == .seconds(600))
        #expect(config.servers["off"]?.isDisabled == true)
        #expect(config.settings.listWait == .seconds(5) && config.settings.logLevel == .debug && config.settings.instructionsLimit == 100)
        #expect(config.settings.separator == "_-" && config.settings.nameBudget == 60)
    }

    @Test("what is left out has its documented default")
    func defaults() throws {
        let config = try read("mcpServers: { a: { command: x } }")
        let server = try #require(config.servers["a"])
        #expect(server == ServerConfig(key: "a", endpoint: .command(Command(executable: "x"))))
        #expect(server.timeout == .seconds(120) && server.maxConcurrentCalls == 64 && server.rateLimit == nil)
        #expect(config.settings == AggregatorSettings())
        #expect(config.notes.isEmpty && config.secrets.isEmpty)
    }

    @Test("the same document in JSON and YAML gives the same config")
    func sameConfig() throws {
        #expect(try read(richJSON, "mcp.json") == read(richYAML))
    }

    @Test("a JSON text read as YAML gives the same config, and the same problems at the same places")
    func sameProblems() throws {
        let valid = removingComments(richJSON)
        #expect(try read(valid, "mcp.json") == read(valid, "mcp.yaml"))
        let wrong = """
            {
              "mcpServers": {
                "é": { "comand": "x" }, "b": { "command": ["x"], "timeout": "-1s" },
                "c": { "url": "ftp://x", "command": "x", "args": {} }, "C": { "command": "", "command": "y" }
              },
              "agregator": {}
            }
            """
        let expected = [
            "missingEndpoint 3:5", "unknownKey 3:12", "wrongType 3:47", "invalidDuration 3:65", "conflictingKeys 4:30",
            "wrongType 4:54", "duplicatePrefix 4:60", "invalidCommand 4:78", "duplicateKey 4:82", "unknownKey 6:3",
        ]
        #expect(summary(problems(wrong, "mcp.json")) == expected)
        #expect(
            problems(wrong, "mcp.json").map(\.message) == problems(wrong, "mcp.yaml").map(\.message)
                && summary(problems(wrong, "mcp.yaml")) == expected)
    }

    @Test(
        "a file that says nothing shows the smallest one that does",
        arguments: [
            ("", "mcp.json", "emptyFile"), ("  \n\t", "mcp.json", "emptyFile"), ("// later\n/* or so */", "mcp.json", "emptyFile"),
            ("", "mcp.yaml", "emptyFile"), ("# later\n", "mcp.yaml", "emptyFile"), ("---\n", "mcp.yml", "emptyFile"),
            ("\u{FEFF}", "mcp.yaml", "emptyFile"), ("[]", "mcp.json", "notAnObject"), ("just words", "mcp.yaml", "notAnObject"),
            ("- a", "mcp.yaml", "notAnObject"), ("null", "mcp.json", "notAnObject"), ("{}", "mcp.json", "missingServers"),
            ("aggregator: {}", "mcp.yaml", "missingServers"),
        ])
    func nothing(text: String, name: String, code: String) throws {
        let found = problems(text, name)
        #expect(found.map(\.code.rawValue) == [code])
        let hint = try #require(found.first?.hint)
        #expect(hint.hasPrefix("the smallest file is "))
        #expect(throws: Never.self) { try read(String(hint.dropFirst("the smallest file is ".count)), name) }
    }

    @Test("no servers at all are fine", arguments: ["mcpServers: {}", "mcpServers:", "servers: {}", "mcpServers: {}\naggregator:"])
    func noServers(text: String) throws {
        #expect(try read(text).servers.isEmpty)
    }

    @Test("'servers' is another word for 'mcpServers', but not both")
    func servers() throws {
        #expect(try read("servers: { a: { command: x } }").servers.count == 1)
        #expect(summary(problems("mcpServers: {}\nservers: {}")) == ["conflictingKeys 2:1"])
        #expect(summary(problems("servers: {}\nmcpServers: {}")) == ["conflictingKeys 2:1"])
    }

    @Test("top-level keys that begin with x- and those of hosts are accepted, others are not")
    func topLevel() throws {
        let config = try read("x-common: &c { command: x }\ninputs: []\n$schema: y\nmcpServers: { a: *c }")
        #expect(
            config.notes.map(\.message) == [
                "'inputs' in the file is ignored: it is for other hosts", "'$schema' in the file is ignored: it is for other hosts",
            ])
        #expect(problems("mcpServers: {}\nmcp_servers: {}").first?.hint == "rename it to 'mcpServers'")
        #expect(problems("mcpServers: {}\nagregator: {}").first?.hint == "did you mean 'aggregator'?")
    }

    @Test("the extension picks the format", arguments: [("a.yaml", true), ("b/A.YML", true), (".mcp.json", false), ("config", false)])
    func format(name: String, isYAML: Bool) {
        #expect((ConfigSource(name: name).format == .yaml) == isYAML)
    }

    @Test("a byte order mark is skipped", arguments: ["mcp.json", "mcp.yaml"])
    func byteOrderMark(name: String) throws {
        let bytes = [0xEF, 0xBB, 0xBF] + Array(#"{"mcpServers":{},"x":1}"#.utf8)
        #expect(summary(problems(bytes, name)) == ["unknownKey 1:18"])
    }

    @Test(
        "bytes that are no UTF-8 text are refused in both formats alike",
        arguments: [
            ([0xFF, 0xFE, 0x7B, 0x00], "unsupportedEncoding 1:1"), ([0xFE, 0xFF, 0x00, 0x7B], "unsupportedEncoding 1:1"),
            ([0x7B, 0x00, 0x7D, 0x00], "unsupportedEncoding 1:1"), ([0x00, 0x00, 0x00, 0x7B], "unsupportedEncoding 1:1"),
            ([0x20, 0x0A, 0x20, 0xC3, 0x28], "invalidUTF8 2:2"), ([0x61, 0xED, 0xA0, 0x80], "invalidUTF8 1:2"),
            ([0x61, 0x61, 0x61, 0x00], "controlCharacter 1:4"),
        ] as [([UInt8], String)], ["mcp.json", "mcp.yaml"])
    func encodings(_ input: ([UInt8], String), name: String) {
        #expect(summary(problems(input.0, name)) == [input.1])
    }

    @Test("lines are counted by LF, CR LF and CR, columns by code points", arguments: ["\n", "\r\n", "\r"], ["mcp.json", "mcp.yaml"])
    func lines(lineBreak: String, name: String) {
        let text = "{\(lineBreak)\(lineBreak)\"mcpServers\": {}, \"é😀\": 1, \"y\": 2}"
        #expect(summary(problems(text, name)) == ["unknownKey 3:19", "unknownKey 3:28"])
    }

    @Test("at most a hundred problems are kept, in file order, and the rest are counted")
    func limit() throws {
        let text = "mcpServers: {}\n" + (1...150).map { "key\($0): 1\n" }.joined()
        let error = try #require(throws: ConfigProblems.self) { try read(text) }
        #expect(error.problems.count == ConfigProblems.limit && error.omitted == 50)
        #expect(error.problems.map(\.location.line) == Array(2...101))
        #expect(error.description.hasSuffix("(and 50 more)"))
    }
}

/// Takes out what JSON with comments has more than YAML's flow style.
private func removingComments(_ json: String) -> String {
    json.split(separator: "\n").filter { !$0.contains("// ") }.joined(separator: "\n")
}

let richYAML = """
    # Everything there is.
    x-common: &headers
      Authorization: "Bearer ${TOKEN}"
    mcpServers:
      git:
        command: uvx
        args: [mcp-server-git, "${PORT}", é]
        env: { GIT_AUTHOR_NAME: "${USER}" }
        cwd: ~/src/project
        inheritEnv: [PATH, HOME]
      linear:
        url: https://mcp.example.com:8443/mcp?a=%20b
        type: http
        headers: { <<: *headers }
        prefix: lin
        tools:
          include:
          - "*"
          exclude: ["delete_*"]
          rename: { list_issues: issues }
        timeout: 60000
        maxTimeout: 1h
        retry: { attempts: 4, delay: 250ms, maxDelay: 20s, multiplier: 1.5, jitter: 0.5, replay: always }
        circuitBreaker: { failures: 3, reset: 10s }
        rateLimit: { calls: 60, per: 1m }
        maxConcurrentCalls: 4
        healthCheck: { every: 90s, methods: [tools/list, skip], timeout: 3s }
        protocol: stateless
        start: lazy
        idleTimeout: 10m
      off: { command: 'it''s', disabled: true }
    aggregator:
      separator: "_-"
      nameBudget: 60
      listWait: 5s
      logLevel: debug
      instructionsLimit: 100
      defaults:
        env: { NO_COLOR: 1 }
    """

let richJSON = """
    {
      // Everything there is.
      "mcpServers": {
        "git": {
          "command": "uvx", "args": ["mcp-server-git", "${PORT}", "\\u00e9"], "env": { "GIT_AUTHOR_NAME": "${USER}" },
          "cwd": "~/src/project", "inheritEnv": ["PATH", "HOME"]
        },
        "linear": {
          "url": "https://mcp.example.com:8443/mcp?a=%20b", "type": "http", "headers": { "Authorization": "Bearer ${TOKEN}" },
          "prefix": "lin",
          "tools": { "include": ["*"], "exclude": ["delete_*"], "rename": { "list_issues": "issues" } },
          "timeout": 60000, "maxTimeout": "1h",
          "retry": { "attempts": 4, "delay": "250ms", "maxDelay": "20s", "multiplier": 1.5, "jitter": 5e-1, "replay": "always" },
          "circuitBreaker": { "failures": 3, "reset": "10s" },
          "rateLimit": { "calls": 60, "per": "1m" },
          "maxConcurrentCalls": 4,
          "healthCheck": { "every": "90s", "methods": ["tools/list", "skip"], "timeout": "3s" },
          "protocol": "stateless", "start": "lazy", "idleTimeout": "10m",
        },
        "off": { "command": "it's", "disabled": true }
      },
      "aggregator": {
        "separator": "_-", "nameBudget": 60, "listWait": "5s", "logLevel": "debug", "instructionsLimit": 100,
        "defaults": { "env": { "NO_COLOR": 1 } }
      }
    }
    """
