import ConfigFile
import OrderedCollections
import Resilience
import Testing

@Suite("The 'aggregator' part")
struct AggregatorTests {
    @Test(
        "settings have types and limits",
        arguments: [
            ("nameBudget: 23", "outOfRange"), ("nameBudget: 129", "outOfRange"), ("nameBudget: x", "wrongType"),
            ("listWait: 61s", "invalidDuration"),
            ("logLevel: loud", "invalidValue"), ("logLevel: 5", "wrongType"), ("instructionsLimit: -1", "outOfRange"),
            ("seperator: x", "unknownKey"),
            ("defaults: 5", "wrongType"), ("defaults: { timout: 5s }", "unknownKey"), ("defaults: { timeout: x }", "invalidDuration"),
            ("defaults: { command: x }", "misplacedKey"), ("defaults: { url: x }", "misplacedKey"),
            ("defaults: { headers: { 'a b': c } }", "invalidHeader"),
        ])
    func invalid(members: String, code: String) {
        #expect(problems("mcpServers: {}\naggregator: { \(members) }").map(\.code.rawValue) == [code])
        // Not once more for each server.
        #expect(
            problems("mcpServers: { a: { command: x }, b: { url: 'http://x' } }\naggregator: { \(members) }").map(\.code.rawValue) == [code]
        )
    }

    @Test("the first list may not wait at all")
    func noWait() throws {
        #expect(try read("mcpServers: {}\naggregator: { listWait: 0s }").settings.listWait == .zero)
    }

    @Test("defaults apply to servers that say nothing else, objects key by key, and only where they make sense")
    func defaults() throws {
        let config = try read(
            """
            aggregator:
              defaults:
                timeout: 10s
                env: { A: "1", B: "2" }
                headers: { H: "${PORT}" }
                retry: { attempts: 5, delay: 1s }
                rateLimit: { calls: 10 }
                tools: { exclude: [x] }
            mcpServers:
              a: { command: x, timeout: 20s, env: { B: "3" }, retry: { delay: 2s }, rateLimit: null, tools: { include: [y] } }
              b: { url: 'http://x' }
            """)
        let a = try #require(config.servers["a"]), b = try #require(config.servers["b"])
        #expect(a.timeout == .seconds(20) && b.timeout == .seconds(10))
        #expect(a.command?.environment == ["A": "1", "B": "3"])
        #expect(a.retry.attempts == 5 && a.retry.backoff.base == .seconds(2) && b.retry.backoff.base == .seconds(1))
        #expect(a.rateLimit == nil && b.rateLimit == RateLimit(calls: 10, per: .seconds(60)))
        #expect(a.tools == ToolRules(include: ["y"], exclude: ["x"]))
        #expect(b.http?.headers == ["H": "8080"])
        #expect(config.notes.isEmpty)
    }

    @Test("a missing variable in a default disables the servers that use it")
    func missing() throws {
        let config = try read("aggregator: { defaults: { cwd: '${NOPE}' } }\nmcpServers: { a: { command: x }, b: { command: x, cwd: / } }")
        #expect(config.servers["a"]?.unusable?.code == .missingVariable && config.servers["b"]?.unusable == nil)
    }
}
