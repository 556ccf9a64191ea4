import OrderedCollections
import Testing

@testable import ConfigFile

@Suite("Durations")
struct DurationTests {
    @Test(
        "a string has a unit, a bare number is milliseconds",
        arguments: [
            ("250ms", .milliseconds(250)), ("30s", .seconds(30)), ("2m", .seconds(120)), ("1h", .seconds(3600)),
            ("1.5s", .milliseconds(1500)),
            ("0.25h", .seconds(900)), ("168h", .seconds(604_800)), ("'00030s'", .seconds(30)), ("60000", .seconds(60)),
            ("6e4", .seconds(60)),
            ("100000000", .seconds(100_000)), ("1.0000000000000000000001s", .seconds(1)),
        ] as [(String, Duration)])
    func valid(text: String, expected: Duration) throws {
        #expect(try server("command: x, timeout: \(text)").timeout == expected)
    }

    @Test(
        "anything else is a problem with a hint",
        arguments: [
            ("'30'", "has no unit"), ("'1.5'", "has no unit"), ("1.5", "has no unit"), ("-5", "is negative"), ("-1s", "is negative"),
            ("-0.5", "is negative"), ("0", "must be between"), ("0s", "must be between"), ("0.0000001ms", "must be between"),
            ("169h", "is longer than"), ("604800001", "is longer than"), ("99999999999h", "is longer than"),
            ("99999999999999999999", "is longer than"), ("soon", "is no duration"), ("''", "is no duration"), ("s", "is no duration"),
            ("30 s", "is no duration"), ("30S", "is no duration"), ("1m30s", "is no duration"), ("1.2.3s", "is no duration"),
            (".5s", "is no duration"), ("5.s", "is no duration"), ("٣s", "is no duration"), (".nan", "is no duration"),
            (".inf", "is no duration"),
        ])
    func invalid(text: String, message: String) {
        let found = problems("mcpServers: { s: { command: x, timeout: \(text) } }")
        #expect(found.map(\.code) == [.invalidDuration])
        #expect(found.first?.message.hasPrefix("'timeout' in server 's' \(message)") == true, "\(found)")
    }

    @Test("a bare number that looks like seconds is noted")
    func small() throws {
        let config = try read("mcpServers: { s: { command: x, timeout: 60 } }")
        #expect(config.servers["s"]?.timeout == .milliseconds(60))
        #expect(
            config.notes.map(\.description) == [
                """
                mcp.yaml:1:41: note: 'timeout' in server 's' is 60 milliseconds [smallDuration]
                  hint: write "60s" if seconds are meant
                """
            ])
        #expect(try read("mcpServers: { s: { command: x, timeout: 60ms } }").notes.isEmpty)
    }

    @Test("durations are described as one would write them", arguments: ["250ms", "1500ms", "30s", "90s", "2m", "1h", "168h", "0ms"])
    func described(text: String) throws {
        #expect(Durations.describe(try Durations.parse(text)) == text)
    }
}
