import Foundation
import Testing

/// The harness itself: it must see what differs, or the stories prove nothing.
struct HarnessTests {
    @Test(
        "a line matches what is expected, or does not",
        arguments: [
            (#"{"a":1,"b":[true,null]}"#, #"{"b":[true,null],"a":1}"#, true), (#"{"a":1}"#, #"{"a":1.0}"#, false),
            (#"{"a":1}"#, #"{"a":"1"}"#, false), (#"{"a":1}"#, #"{"a":1,"b":2}"#, false), (#"{"a":1,"b":2}"#, #"{"a":1}"#, false),
            (#"[1,2]"#, #"[2,1]"#, false), (#""\u0041""#, #""A""#, true), (#"{"a":null}"#, #"{}"#, false),
            (#"{"a":"<any>"}"#, #"{"a":{"b":[]}}"#, true), (#"["<x>","<x>"]"#, #"[1,1]"#, true), (#"["<x>","<x>"]"#, #"[1,"1"]"#, false),
            (#"["<x>","<x>"]"#, #"[{"a":1,"b":2},{"b":2,"a":1}]"#, true), (#""in <*> ms""#, #""in 12 ms""#, true),
            (#""in <*> ms""#, #""in 12 s""#, false), (#""<*>a<*>""#, #""banana""#, true), (#""aa<*>aa""#, #""aaa""#, false),
        ])
    func matching(expected: String, actual: String, isMatch: Bool) throws {
        var bindings: Pattern.Bindings = [:]
        #expect(try Pattern(expected).matches(try JSON(actual), &bindings) == isMatch)
    }

    @Test("what is no JSON is no answer", arguments: ["", "{", "{\"a\":1,\"a\":2}", "[1,]", "nul", "1 2", "\"\u{1}\"", "{\"a\"}", "01x"])
    func syntax(text: String) { #expect(throws: JSON.SyntaxError.self) { try JSON(text) } }

    @Test("an update keeps the placeholders that still fit, and nothing else")
    func adopting() throws {
        let pattern = try Pattern(#"{"id":"<call>","text":"after <*> ms","old":1}"#)
        let actual = try JSON(#"{"id":4096,"text":"after 5 s","old":2,"new":3}"#)
        #expect(pattern.adopting(actual).text == #"{"id":"<call>","text":"after 5 s","old":2,"new":3}"#)
    }

    private static let config = "| mcpServers: { alpha: { <fake alpha>, tools: { include: [echo] } } }\n"

    @Test(
        "a story that is not true fails",
        arguments: [
            "> {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n< {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n",
            // Nobody reads the answer.
            "> {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", "$ close stdin\n$ exit 1\n", "$ close stdin\n$ exit 0\n< {}\n",
            "$ alpha received initialize 1 time\n$ alpha received initialize 0 times\n", "$ log info:\n$ no log info:\n",
        ])
    func failing(steps: String) async throws {
        let transcript = try Transcript("# A story\n" + Self.config + steps)
        await #expect(throws: Story.Failure.self) { try await onThread { try Story(transcript).play() } }
    }

    @Test("a line of an unknown kind is a mistake of the transcript", arguments: ["", "no title", "# A\n? x", "# A\n$ dance"])
    func format(text: String) { #expect(throws: Transcript.FormatError.self) { try Transcript(text) } }
}
