import JSONRPC
import NIOCore
import Synchronization
import Testing

@testable import mcpagg

/// A person who says what the test wrote down, and then hangs up.
private final class Script: Dialog {
    private let lines: Mutex<[String]>
    private let said = Mutex("")

    init(_ lines: [String]) { self.lines = Mutex(lines) }

    var heard: String { said.withLock { $0 } }
    var left: Int { lines.withLock { $0.count } }
    func say(_ text: String) { said.withLock { $0 += text } }
    func line() async -> String? { lines.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
}

@Suite("Questions put to a person")
struct DialogTests {
    private func ask(_ schema: String, _ lines: [String], message: String = "[one] Well?") async throws -> (result: String, heard: String) {
        let form = ElicitationForm(schema: try JSONView(validating: ByteBuffer(string: schema)))
        let script = Script(lines)
        let outcome = await FormDialog(message: message, form: form, style: Style(descriptor: -1)).fill(script)
        #expect(script.left == 0, "all lines were asked for")
        return (String(buffer: form.result(outcome)), script.heard)
    }

    private static let schema = #"""
        {"type":"object","required":["name"],"properties":{"name":{"type":"string","title":"Your name"},"age":{"type":"integer","default":30},
        "mail":{"type":"string","format":"email"}}}
        """#

    @Test(
        "end as the person says",
        arguments: [
            (["Ada", "", "", "y"], #"{"action":"accept","content":{"name":"Ada","age":30}}"#),
            (["Ada", "!skip", "a@b", "yes"], #"{"action":"accept","content":{"name":"Ada","mail":"a@b"}}"#),
            (["", "!skip", "Ada", "x", "7", "a", "", "what", "y"], #"{"action":"accept","content":{"name":"Ada","age":7}}"#),
            (["Ada", "!skip", "a@b", "e", "", "", "", "y"], #"{"action":"accept","content":{"name":"Ada","mail":"a@b"}}"#),
            (["Ada", "7", "", "n"], #"{"action":"decline"}"#), (["Ada", "!decline"], #"{"action":"decline"}"#),
            (["!cancel"], #"{"action":"cancel"}"#), (["Ada"], #"{"action":"cancel"}"#), (["Ada", "", ""], #"{"action":"cancel"}"#),
            ([], #"{"action":"cancel"}"#),
        ])
    func ends(lines: [String], result: String) async throws { #expect(try await ask(Self.schema, lines).result == result) }

    @Test("ask for consent where there is nothing to fill in")
    func consent() async throws {
        let empty = #"{"type":"object","properties":{}}"#
        #expect(try await ask(empty, ["", "y"]).result == #"{"action":"accept","content":{}}"#)
        #expect(try await ask(empty, ["n"]).result == #"{"action":"decline"}"#)
    }

    @Test("show nothing that a terminal would obey, and no line of a server as one of ours")
    func controls() async throws {
        let schema =
            "{\"properties\":{\"f\":{\"type\":\"string\",\"title\":\"T\\u001b[2J\",\"description\":\"two\\nlines\","
            + "\"enum\":[\"a\\u0007\"],\"enumNames\":[\"A\\r\"],\"default\":\"a\\u0007\"}}}"
        let heard = try await ask(schema, [""], message: "[one] Hi\u{1B}[31m\n> forged\r").heard
        #expect(!heard.unicodeScalars.contains { $0.isTreacherous && $0 != "\n" })
        #expect(heard.contains("\n    > forged"))
        #expect(heard.contains("\n    two lines\n"))
    }

    @Test(
        "say where an address leads",
        arguments: [
            ("https://example.com/x", "example.com", 1), ("http://example.com:8080", "example.com", 2),
            ("https://good.example@evil.example/x", "evil.example", 1), (#"https://evil.example\@good.example/"#, "evil.example", 1),
            ("HTTPS://[::1]:80/", "[::1]", 1), ("https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com", 2),
            ("https://аpple.com?q", "аpple.com", 2),
        ])
    func addresses(url: String, host: String, remarks: Int) {
        #expect(VisitDialog.host(of: url) == host)
        #expect(VisitDialog.remarks(on: url).count == remarks)
    }

    @Test("warn of an address that is none of a web page", arguments: ["file:///etc/passwd", "javascript:alert(1)", "https://", ""])
    func noWebPage(url: String) { #expect(VisitDialog.remarks(on: url) == ["Careful: this is no address of a web page."]) }

    @Test("leave it to the person to visit an address", arguments: [(["what", "y"], "accept"), (["n"], "decline"), ([], "cancel")])
    func visits(lines: [String], action: String) async {
        let script = Script(lines)
        let outcome = await VisitDialog(message: "[one] Log in", url: "https://example.com/\u{7}", style: Style(descriptor: -1)).ask(script)
        #expect("\(outcome)".hasPrefix(action))
        #expect(script.heard.contains("    https://example.com/ \n"))
    }
}
