import ConfigFile
import OrderedCollections
import Testing

@Suite("The difference of two configurations")
struct DifferenceTests {
    private func difference(_ old: String, _ new: String, environment: [String: String] = environment) throws -> ConfigDifference {
        ConfigDifference(
            from: try read("mcpServers: { \(old) }"), to: try read("mcpServers: { \(new) }", environment: environment))
    }

    @Test("the same content is no difference, however it is written")
    func same() throws {
        let yaml = try read(richYAML)
        let json = try read("\n\n" + richJSON, "other.json")
        let difference = ConfigDifference(from: yaml, to: json)
        #expect(difference.isEmpty && difference.unchanged == ["git", "linear"])
    }

    @Test("servers come, go, and change places")
    func addedAndRemoved() throws {
        let difference = try difference(
            "a: { command: x }, b: { command: x }, c: { command: x }", "d: { command: x }, c: { command: x }, a: { command: x }")
        #expect(difference.added == ["d"] && difference.removed == ["b"] && difference.unchanged == ["c", "a"])
        #expect(difference.isReordered && difference.restarted.isEmpty && difference.adjusted.isEmpty && !difference.settingsChanged)
    }

    @Test("adding and removing servers among others does not reorder them")
    func noReorder() throws {
        #expect(
            try !difference("a: { command: x }, b: { command: x }", "c: { command: x }, a: { command: x }, d: { command: x }").isReordered)
    }

    @Test(
        "what a running server cannot take over restarts it",
        arguments: [
            ("command: x", "command: y"), ("command: x", "command: x, args: [a]"), ("command: x", "command: x, env: { A: b }"),
            ("command: x", "command: x, cwd: /"), ("command: x", "command: x, inheritEnv: none"), ("command: x", "url: 'http://x'"),
            ("url: 'http://x'", "url: 'http://x', type: sse"), ("url: 'http://x'", "url: 'http://x', headers: { A: b }"),
            ("command: x", "command: x, protocol: stateless"), ("command: x", "command: x, args: ['${NOPE}']"),
            ("command: x", "command: x, tools: ['${NOPE}']"),
        ])
    func restarts(old: String, new: String) throws {
        #expect(try difference("a: { \(old) }", "a: { \(new) }").restarted == ["a"])
        #expect(try difference("a: { \(new) }", "a: { \(old) }").restarted == ["a"])
    }

    @Test(
        "names, rules, limits and times apply to the running server",
        arguments: [
            "prefix: b", "tools: { exclude: [x] }", "timeout: 1m", "maxTimeout: 5m", "startupTimeout: 1m", "retry: { attempts: 1 }",
            "circuitBreaker: { failures: 1 }", "rateLimit: { calls: 1 }", "maxConcurrentCalls: 1", "healthCheck: false", "start: lazy",
            "idleTimeout: 1h",
        ])
    func adjusts(members: String) throws {
        let difference = try difference("a: { command: x }", "a: { command: x, \(members) }")
        #expect(difference.adjusted == ["a"] && difference.restarted.isEmpty)
    }

    @Test("a variable with another value restarts the server")
    func variable() throws {
        var other = environment
        other["TOKEN"] = "another-token"
        #expect(
            try difference("a: { command: x, args: ['${TOKEN}'] }", "a: { command: x, args: ['${TOKEN}'] }", environment: other).restarted
                == ["a"])
    }

    @Test("a server that stays unusable in another line is unchanged")
    func unusable() throws {
        #expect(try difference("a: { command: '${NOPE}' }", "b: { command: x }, a: { command: '${NOPE}' }").unchanged == ["a"])
    }

    @Test("disabling removes, enabling adds, and changes of disabled servers do not count")
    func disabled() throws {
        #expect(try difference("a: { command: x }", "a: { command: x, disabled: true }").removed == ["a"])
        #expect(try difference("a: { command: x, disabled: true }", "a: { command: x }").added == ["a"])
        #expect(try difference("a: { command: x, disabled: true }", "a: { command: y, disabled: true }").isEmpty)
    }

    @Test("settings are compared too, and defaults through the servers they reach")
    func settings() throws {
        let plain = try read("mcpServers: { a: { command: x } }")
        #expect(
            ConfigDifference(from: plain, to: try read("mcpServers: { a: { command: x } }\naggregator: { listWait: 1s }")).settingsChanged)
        let withDefaults = try read("mcpServers: { a: { command: x } }\naggregator: { defaults: { timeout: 1s } }")
        let difference = ConfigDifference(from: plain, to: withDefaults)
        #expect(difference.adjusted == ["a"] && !difference.settingsChanged)
    }
}
