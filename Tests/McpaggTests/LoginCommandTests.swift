import Testing

@testable import mcpagg

@Suite("The commands for logins")
struct LoginCommandTests {
    @Test(
        "know where tokens are kept",
        arguments: [
            (["XDG_STATE_HOME": "/s"], "/h", "/s/mcpagg"), ([:], "/h", "/h/.local/state/mcpagg"),
            (["XDG_STATE_HOME": ""], "/h", "/h/.local/state/mcpagg"), (["XDG_STATE_HOME": "relative"], "/h", "/h/.local/state/mcpagg"),
            ([:], "", nil),
        ] as [([String: String], String, String?)])
    func place(environment: [String: String], home: String, path: String?) {
        #expect(StateDirectory.path(environment: environment, homeDirectory: home) == path)
    }

    @Test(
        "take a time with its unit",
        arguments: [
            ("90s", 90), ("5m", 300), ("1h", 3600), ("24h", 86_400), ("25h", nil), ("0s", nil), ("", nil), ("s", nil), ("5", nil),
            ("-5s", nil),
            ("1.5m", nil), ("9999999s", nil), ("5 m", nil), ("1d", nil), ("٣s", nil),
        ] as [(String, Int?)])
    func patience(text: String, seconds: Int?) {
        #expect(PatienceArgument(argument: text)?.duration == seconds.map { .seconds($0) })
    }

    @Test(
        "give the address to the line for the shell, once",
        arguments: [
            ("firefox", "firefox \"$1\""), ("firefox --new-window \"$1\" &", "firefox --new-window \"$1\" &"), ("open ${1}", "open ${1}"),
            ("exec \"$@\"", "exec \"$@\""), ("echo $10 \"$1\"", "echo $10 \"$1\""),
        ])
    func browser(command: String, line: String) { #expect(BrowserLaunch(command: command).arguments == ["/bin/sh", "-c", line, "mcpagg"]) }

    #if os(Linux)
    @Test(
        "open no browser where there is no desktop",
        arguments: [
            ([:], false), (["DISPLAY": ""], false), (["DISPLAY": ":0"], true), (["WAYLAND_DISPLAY": "w"], true), (["BROWSER": "x"], true),
        ])
    func desktop(environment: [String: String], opens: Bool) { #expect((BrowserLaunch.usual(environment) != nil) == opens) }
    #endif
}
