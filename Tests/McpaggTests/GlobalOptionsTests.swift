import ArgumentParser
import Testing

@testable import mcpagg

@Suite("Global options")
struct GlobalOptionsTests {
    @Test(
        "are moved behind the command that they stand before",
        arguments: [
            ([], []), (["check"], ["check"]), (["check", "--config", "f"], ["check", "--config", "f"]),
            (["--config", "f", "check"], ["check", "--config", "f"]), (["--config=f", "check"], ["check", "--config=f"]),
            (
                ["--log-level", "debug", "--config", "f", "list-tools", "--json"],
                ["list-tools", "--log-level", "debug", "--config", "f", "--json"]
            ),
            (["--config=f", "--log-level=info", "call", "x", "a=1"], ["call", "--config=f", "--log-level=info", "x", "a=1"]),
            // A value may look like a command.
            (["--config", "check"], ["--config", "check"]), (["--config", "check", "status"], ["status", "--config", "check"]),
            // Nothing is moved over what is not ours, or if no command follows.
            (["--config", "f"], ["--config", "f"]), (["--config"], ["--config"]),
            (["--config", "f", "nothing"], ["--config", "f", "nothing"]),
            (["--json", "--config", "f", "check"], ["--json", "--config", "f", "check"]),
            (["--config", "f", "--help", "check"], ["--config", "f", "--help", "check"]),
            (["--configuration=f", "check"], ["--configuration=f", "check"]),
            (["call", "x", "--config", "f", "check"], ["call", "x", "--config", "f", "check"]),
        ])
    func moved(arguments: [String], expected: [String]) { #expect(GlobalOptions.moved(["mcpagg"] + arguments) == expected) }

    @Test("mean the same before every command", arguments: ["serve", "list-tools", "call", "check", "status"])
    func everyCommand(command: String) {
        #expect(GlobalOptions.moved(["mcpagg", "--config", "f", command]) == [command, "--config", "f"])
    }

    @Test(
        "are read for hosts as the parser reads them",
        arguments: [
            [], ["serve"], ["--config", "f"], ["--config=f", "serve"], ["serve", "--config", "f", "--log-level", "debug"],
            ["--log-level=error", "serve", "--config=a=b"], ["--config", "serve"], ["--config", "serve", "serve"],
        ])
    func plain(arguments: [String]) throws {
        let plain = try #require(Serve.plain(["mcpagg"] + arguments))
        let parsed = try #require(try Mcpagg.parseAsRoot(GlobalOptions.moved(["mcpagg"] + arguments)) as? Serve)
        #expect(plain.global.config == parsed.global.config)
        #expect(plain.global.logLevel?.level == parsed.global.logLevel?.level)
    }

    @Test(
        "are left to the parser where there is more, or a mistake",
        arguments: [
            ["check"], ["--help"], ["--version"], ["-h"], ["serve", "serve"], ["serve", "x"], ["--config"], ["--config="],
            ["--config", "--help"], ["--config", "-"], ["--log-level", "loud"], ["--log-level=debug", "--log-level=info"],
            ["--config=a", "--config=b"], ["--", "serve"], ["--conf", "f"], ["--config", "f", "list-tools"], ["Serve"], [""],
        ])
    func notPlain(arguments: [String]) { #expect(Serve.plain(["mcpagg"] + arguments) == nil) }
}
