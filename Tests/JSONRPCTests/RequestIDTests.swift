import JSONRPC
import NIOCore
import Testing

@Suite("The id of a request")
struct RequestIDTests {
    private static let texts = [
        "0", "7", "10", "999999999999999999", "1000000000000000000", "9223372036854775807", "18446744073709551616", "-0", "-1", "-7",
        "\"7\"", "\"\"", "\"a\"", "\"0\"", #""\u0037""#, #""\/""#, "\"\u{20AC}\"", "\"\u{E9}\"", "\"e\u{301}\"",
        "123456789012345678901234567890",
    ]

    @Test("is the text that its sender wrote, wherever it comes from and goes to", arguments: texts)
    func text(text: String) throws {
        #expect(RequestID(text: text).text == text && "\(RequestID(text: text))" == text)
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(text),"method":"ping"}"#))
        #expect(message.id == RequestID(text: text) && message.id?.text == text)
        let other = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        var splice = Splice(other)
        splice.replace(.id, with: RequestID(text: text).replacement)
        #expect(line(splice) == #"{"jsonrpc":"2.0","id":\#(text),"result":{}}"# + "\n")
    }

    @Test("equals no other one, and is found by itself")
    func equality() {
        let ids = Self.texts.map { RequestID(text: $0) }
        // What only looks alike is not the same.
        #expect(Set(ids).count == Self.texts.count)
        for id in ids { #expect(Set(ids).contains(RequestID(text: id.text))) }
    }

    @Test("of an integer is the id that has its text", arguments: [Int.min, -1, 0, 42, 999_999_999_999_999_999, Int.max])
    func integer(value: Int) { #expect(RequestID(value) == RequestID(text: "\(value)") && RequestID(value).text == "\(value)") }
}
