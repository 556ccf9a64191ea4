import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@Suite("Results for hosts of older revisions")
struct DownlevelTests {
    /// - Returns: the result as it is for that host, and whether it was left alone.
    private func shown(_ result: String, _ revision: Revision) throws -> (text: String, isSame: Bool) {
        let view = try JSONView(validating: ByteBuffer(string: result))
        let changed = Downlevel.result(view, for: revision)
        if let changed { _ = try JSONView(validating: changed) }
        return (String(buffer: changed ?? view.json), changed == nil)
    }

    private static let link = #"{"type":"resource_link","uri":"file:///a","name":"a","title":"The A"}"#
    private static let audio = #"{"type":"audio","data":"AAAA","mimeType":"audio/wav"}"#
    private static let linkText = #"{"type":"text","text":"The A: file:///a"}"#
    private static let audioText = #"{"type":"text","text":"[audio of type audio/wav, which this client cannot take]"}"#

    @Test(
        "hold the kinds of content that the revision knows, and texts in place of the others",
        arguments: [
            (Revision.v2024_11_05, linkText, audioText), (.v2025_03_26, linkText, audio), (.v2025_06_18, link, audio),
            (.v2025_11_25, link, audio), (.v2026_07_28, link, audio),
        ])
    func content(revision: Revision, link: String, audio: String) throws {
        #expect(try shown(#"{"content":[\#(Self.link)]}"#, revision).text == #"{"content":[\#(link)]}"#)
        #expect(try shown(#"{"content":[\#(Self.audio)]}"#, revision).text == #"{"content":[\#(audio)]}"#)
        #expect(
            try shown(#"{"messages":[{"role":"user","content":\#(Self.link)},{"role":"user","content":\#(Self.audio)}]}"#, revision).text
                == #"{"messages":[{"role":"user","content":\#(link)},{"role":"user","content":\#(audio)}]}"#)
    }

    @Test("keep every other byte: the blocks around, their order, members nobody knows, numbers as they were written")
    func fidelity() throws {
        let text = #"{"type":"text","text":"\u0061\/é"}"#
        let result =
            #"{"x":1.0,"content":[\#(text),\#(Self.link),{"type":"image","data":"","mimeType":"i/p"}],"structuredContent":{"n":1e400}}"#
        #expect(try shown(result, .v2024_11_05).text == result.replacing(Self.link, with: Self.linkText))
        let prompt =
            #"{"description":"d","messages":[{"content":\#(text),"role":"user"},{"y":[],"content":\#(Self.audio),"role":"assistant"}]}"#
        #expect(try shown(prompt, .v2024_11_05).text == prompt.replacing(Self.audio, with: Self.audioText))
    }

    @Test(
        "are left alone where there is nothing to replace",
        arguments: [
            "{}", #"{"content":[]}"#, #"{"content":[{"type":"text","text":"resource_link"}]}"#, #"{"content":null}"#, #"{"content":7}"#,
            #"{"content":[{"type":"image"},{"type":"resource","resource":{"type":"audio"}},{"type":7},{},[],1]}"#,
            #"{"messages":[{"role":"user","content":{"type":"text","text":""}},{},3]}"#, "null", "[]",
            #"{"structuredContent":{"content":[{"type":"audio"}]}}"#,
        ])
    func untouched(result: String) throws {
        for revision in Revision.allCases { #expect(try shown(result, revision).isSame) }
    }

    @Test(
        "name a link by its title, or its name, or for what it is",
        arguments: [
            (#"{"type":"resource_link","uri":"u","name":"n"}"#, "n: u"), (#"{"type":"resource_link","uri":"u"}"#, "resource: u"),
            (#"{"type":"resource_link","title":"a\"b","uri":"\u0075"}"#, #"a\"b: u"#), (#"{"type":"resource_link"}"#, "resource: "),
            (#"{"type":"audio"}"#, "[audio of type unknown, which this client cannot take]"),
        ])
    func texts(block: String, text: String) throws {
        #expect(try shown(#"{"content":[\#(block)]}"#, .v2024_11_05).text == #"{"content":[{"type":"text","text":"\#(text)"}]}"#)
    }
}

@Suite("Structured content and forms for older revisions")
struct DownlevelFormTests {
    private func view(_ json: String) throws -> JSONView { try JSONView(validating: ByteBuffer(string: json)) }

    private static let text = #"{"type":"text","text":"\u0061"}"#

    @Test(
        "structured content that is no object is left out in the handshake era; what it says stays as text",
        arguments: [
            (#"{"content":[TEXT],"structuredContent":[1.0],"z":1}"#, #"{"content":[TEXT],"z":1}"#),
            (#"{"content":[],"structuredContent":[1.0, 2]}"#, #"{"content":[{"type":"text","text":"[1.0, 2]"}]}"#),
            (#"{"structuredContent":"a\"b","content":[]}"#, #"{"content":[{"type":"text","text":"\"a\\\"b\""}]}"#),
            (#"{"content":[],"structuredContent":null}"#, #"{"content":[{"type":"text","text":"null"}]}"#),
        ])
    func structured(result: String, expected: String) throws {
        let (result, expected) = (result.replacing("TEXT", with: Self.text), expected.replacing("TEXT", with: Self.text))
        for revision in [Revision.v2025_06_18, .v2025_11_25] {
            #expect(Downlevel.result(try view(result), for: revision).map { String(buffer: $0) } == expected)
        }
    }

    private static let choices = #"{"type":"string","title":"T","oneOf":[{"const":"a","title":"A"},{"const":"b"}],"default":"a"}"#

    @Test("a choice with titles is one with names in the revision that has only those", arguments: Revision.allCases)
    func forms(revision: Revision) throws {
        let params =
            #"{"message":"?","mode":"form","requestedSchema":{"type":"object","properties":{"x":\#(Self.choices),"y":{"type":"number"}}},"n":1.0}"#
        let written = Downlevel.elicitation(try view(params), for: revision).map { String(buffer: $0) }
        guard revision < .v2025_11_25 else {
            #expect(written == nil)
            return
        }
        #expect(
            written
                == #"{"message":"?","requestedSchema":{"type":"object","properties":{"x":{"type":"string","title":"T","#
                + #""enum":["a","b"],"enumNames":["A","b"]},"y":{"type":"number"}}},"n":1.0}"#)
    }

    @Test(
        "a form that the revision can take is left alone",
        arguments: [
            #"{"message":"?"}"#, #"{"requestedSchema":{"properties":{"x":{"enum":["a"]}}}}"#, #"{"requestedSchema":{}}"#,
            #"{"requestedSchema":7}"#,
        ])
    func untouched(params: String) throws { #expect(Downlevel.elicitation(try view(params), for: .v2025_06_18) == nil) }

    @Test(
        "several choices at once cannot be asked for before the revision that brought them", arguments: Revision.allCases,
        [("array", false), ("string", true)])
    func arrays(revision: Revision, property: (type: String, isOld: Bool)) throws {
        let params = try view(#"{"requestedSchema":{"properties":{"y":{"type":"number"},"x":{"type":"\#(property.type)"}}}}"#)
        #expect(Downlevel.canElicit(params, in: revision) == (property.isOld || revision >= .v2025_11_25))
        #expect(Downlevel.canElicit(nil, in: revision))
    }
}
