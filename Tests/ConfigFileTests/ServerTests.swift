import ConfigFile
import OrderedCollections
import Resilience
import Testing

@Suite("One server")
struct ServerTests {
    @Test(
        "a server has a command or a URL",
        arguments: [
            ("", ["missingEndpoint"]), ("command: x, url: 'http://x'", ["conflictingKeys"]),
            ("url: 'http://x', httpUrl: 'http://x'", ["conflictingKeys"]),
            ("command: null", ["missingEndpoint"]), ("args: [x]", ["missingEndpoint"]), ("command: x, type: http", ["conflictingKeys"]),
            ("url: 'http://x', type: stdio", ["conflictingKeys"]), ("command: x, type: pipe", ["invalidValue"]),
            ("command: x, type: stdio", []),
            ("url: 'http://x', type: streamable-http", []), ("command: x, url: null", []),
        ])
    func endpoint(members: String, expected: [String]) {
        #expect(codes(members) == expected)
    }

    @Test("a server that is no object is named", arguments: ["5", "null", "[]", "uvx"])
    func noObject(value: String) {
        #expect(summary(problems("mcpServers: { s: \(value) }")) == ["wrongType 1:18"])
    }

    @Test(
        "a command is one program",
        arguments: [
            ("command: ''", "invalidCommand"), ("command: ' '", "invalidCommand"), ("command: npx -y server", "invalidCommand"),
            ("command: node ./x.js", "invalidCommand"), ("command: [npx, -y]", "wrongType"), ("command: 5", "wrongType"),
            ("command: ~ann/x", "invalidPath"),
        ])
    func badCommand(members: String, code: String) {
        #expect(codes(members) == [code])
    }

    @Test(
        "a name is looked up in PATH, a path becomes absolute",
        arguments: [
            ("command: uvx", "uvx"), ("command: /opt/My App/x", "/opt/My App/x"), ("command: ~/bin/x", "/home/ann/bin/x"),
            ("command: ./x", "/work/x"), ("command: sub/x, cwd: /srv", "/srv/sub/x"), ("command: ../x, cwd: sub", "/work/sub/../x"),
            ("command: '${HOME}/x'", "/home/ann/x"),
        ])
    func executable(members: String, expected: String) throws {
        #expect(try server(members).command?.executable == expected)
    }

    @Test(
        "a relative cwd counts from the directory of the config file",
        arguments: [
            ("mcp.yaml", "x", "/work/x"), ("conf/mcp.yaml", "x", "/work/conf/x"), ("/etc/mcp.yaml", "./x", "/etc/x"),
            ("/mcp.yaml", "x", "/x"),
            ("mcp.yaml", ".", "/work/."), ("mcp.yaml", "~", "/home/ann"), ("mcp.yaml", "~/x", "/home/ann/x"), ("mcp.yaml", "/x", "/x"),
            ("conf/mcp.yaml", "./", "/work/conf"),
        ])
    func workingDirectory(name: String, cwd: String, expected: String) throws {
        let config = try read("mcpServers: { s: { command: x, cwd: '\(cwd)' } }", name)
        let directory = try #require(config.servers["s"]?.command?.workingDirectory)
        #expect(directory == expected || directory + "/." == expected)
    }

    @Test("without a home directory '~' is a problem")
    func noHome() {
        #expect(throws: ConfigProblems.self) { try server("command: ~/x", home: "") }
    }

    @Test("arguments and variables may be numbers and booleans, which count as they are written")
    func scalars() throws {
        let command = try server("command: x, args: [--port, 8080, 1.10, true, 0x1F], env: { A: 1.0, B: off, C: '' }").command
        #expect(command?.arguments == ["--port", "8080", "1.10", "true", "0x1F"])
        #expect(command?.environment == ["A": "1.0", "B": "off", "C": ""])
    }

    @Test(
        "values of the wrong type are named, and reading goes on",
        arguments: [
            ("args: x", ["wrongType"]), ("args: [[x]]", ["wrongType"]), ("args: [null]", ["wrongType"]), ("env: [x]", ["wrongType"]),
            ("env: { A: null, B: [] }", ["wrongType", "wrongType"]),
            ("env: { '': x, 'A=B': y }", ["invalidEnvironment", "invalidEnvironment"]),
            ("cwd: 5", ["wrongType"]), ("cwd: ''", ["invalidPath"]), ("inheritEnv: some", ["invalidValue"]),
            ("inheritEnv: true", ["wrongType"]),
            ("inheritEnv: ['A=B']", ["invalidEnvironment"]), ("disabled: yes", ["wrongType"]), ("disabled: 0", ["wrongType"]),
            ("start: later", ["invalidValue"]), ("protocol: 2025-11-25", ["invalidValue"]),
            ("disabled: true, enabled: true", ["conflictingKeys"]),
            ("maxTimeout: 1m", ["conflictingKeys"]), ("timeout: 1m, maxTimeout: 30s", ["conflictingKeys"]),
            ("idleTimeout: 10ms", ["invalidDuration"]), ("maxConcurrentCalls: 0", ["outOfRange"]),
            ("maxConcurrentCalls: 1.5", ["outOfRange"]),
            ("maxConcurrentCalls: 99999999999999999999", ["outOfRange"]), ("maxConcurrentCalls: .nan", ["outOfRange"]),
            ("maxConcurrentCalls: x", ["wrongType"]), ("retry: 3", ["wrongType"]), ("retry: { attempts: 0 }", ["outOfRange"]),
            ("retry: { jitter: 1.5 }", ["outOfRange"]), ("retry: { jitter: .nan }", ["outOfRange"]),
            ("retry: { multiplier: .inf }", ["outOfRange"]),
            ("retry: { replay: maybe }", ["invalidValue"]), ("retry: { delay: 10s, maxDelay: 5s }", ["conflictingKeys"]),
            ("retry: { atempts: 5 }", ["unknownKey"]), ("circuitBreaker: { failures: -1, reset: 0 }", ["outOfRange", "invalidDuration"]),
            ("rateLimit: { per: 1m }", ["invalidValue"]), ("rateLimit: { calls: 5, per: 0s }", ["invalidDuration"]),
            ("healthCheck: { methods: [] }", ["invalidValue"]), ("healthCheck: { methods: [pong] }", ["invalidValue"]),
            ("healthCheck: { methods: [skip, ping] }", ["invalidValue"]), ("healthCheck: { every: 1ms }", ["invalidDuration"]),
        ])
    func wrongTypes(members: String, expected: [String]) {
        #expect(codes("command: x, \(members)") == expected)
    }

    @Test("'false' turns a protection off")
    func off() throws {
        let server = try server("command: x, retry: false, rateLimit: false, healthCheck: false")
        #expect(server.retry.attempts == 1 && server.rateLimit == nil && server.healthCheck == nil)
    }

    @Test("a small 'maxDelay' alone shortens the delay, a long 'delay' alone lengthens the longest")
    func delays() throws {
        #expect(try server("command: x, retry: { maxDelay: 100ms }").retry.backoff.base == .milliseconds(100))
        #expect(try server("command: x, retry: { delay: 1m }").retry.backoff.cap == .seconds(60))
    }

    @Test("'inheritEnv' is all, none or names")
    func inheritance() throws {
        #expect(try server("command: x").command?.inheritedEnvironment == .all)
        #expect(try server("command: x, inheritEnv: none").command?.inheritedEnvironment == Command.InheritedEnvironment.none)
        #expect(try server("command: x, inheritEnv: [A, B]").command?.inheritedEnvironment == .only(["A", "B"]))
    }

    @Test("of what is inherited, named variables are secret, and those that say so themselves")
    func inheritedSecrets() throws {
        let environment = [
            "GITHUB_TOKEN": "ghp_12345", "AWS_SECRET_ACCESS_KEY": "wJalr", "db_password": "pass-1", "ACCOUNT": "anna-7",
            "HOME": "/home/anna",
            "PATH": "/usr/bin", "EDITOR": "emacs", "API_KEY": "x", "DEBUG_TOKEN": "debug",
        ]
        func secrets(_ flow: String) throws -> [String]? { try server(flow).command?.inheritedSecrets(of: environment).sorted() }
        #expect(try secrets("command: x") == ["ghp_12345", "pass-1", "wJalr"])
        #expect(try secrets("command: x, inheritEnv: none") == [])
        #expect(try secrets("command: x, inheritEnv: [ACCOUNT, HOME, PATH, MISSING]") == ["anna-7"])
    }

    @Test(
        "an unknown key suggests the one that was meant",
        arguments: [
            ("comand", "did you mean 'command'?"), ("Timeout", "did you mean 'timeout'?"),
            ("start_up_timeout", "did you mean 'startupTimeout'?"),
            ("timout", "did you mean 'timeout'?"), ("evn", "did you mean 'env'?"), ("ratelimit", "did you mean 'rateLimit'?"),
            ("cmd", "write 'command'"), ("envs", "write 'env'"), ("startup_timeout_sec", "write startupTimeout: \"30s\""), ("quux", nil),
        ] as [(String, String?)])
    func unknownKeys(key: String, hint: String?) {
        let found = problems("mcpServers: { s: { command: x, \(key): y } }")
        #expect(found.map(\.code) == [.unknownKey] && found.first?.hint == hint)
        #expect(found.first?.message == "unknown key '\(key)' in server 's'")
    }

    @Test("keys that mean something to a host only are accepted and noted")
    func hostKeys() throws {
        let config = try read(
            "mcpServers: { s: { command: x, trust: true, alwaysLoad: 1, autoApprove: [a], dev: {}, sandbox: {}, envFile: .env, headers: {} } }"
        )
        #expect(config.notes.count == 7 && config.notes.allSatisfy { $0.code == .ignoredKey })
        #expect(
            config.notes.first?.description == "mcp.yaml:1:32: note: 'trust' in server 's' is ignored: it is for other hosts [ignoredKey]")
        #expect(try read("mcpServers: { s: { url: 'http://x', args: [], env: {}, cwd: x } }").notes.count == 3)
    }

    @Test("'enabled: false' and 'disabled: true' are the same")
    func disabled() throws {
        #expect(try server("command: x, enabled: false").isDisabled)
        #expect(try server("command: x, disabled: true, enabled: false").isDisabled)
        #expect(try !server("command: x, enabled: true").isDisabled)
    }
}
