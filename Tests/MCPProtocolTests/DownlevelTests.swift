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
