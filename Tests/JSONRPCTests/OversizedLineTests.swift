import JSONRPC
import NIOCore
import Testing

@Suite("A line beyond the limit")
struct OversizedLineTests {
    private static let filler = String(repeating: #"text \"id\":99} "#, count: 400)

    @Test(
        "tells its id, wherever the message's envelope stands",
        arguments: [
            (#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":"FILL"}}"#, "7", true),
            (#"{"jsonrpc":"2.0","id":"a\"b","result":{"a":"FILL"}}"#, #""a\"b""#, false),
            (#"{"method":"tools/call","params":{"a":"FILL"},"jsonrpc":"2.0","id":7}"#, "7", true),
            (#"{"result":{"a":"FILL"},"jsonrpc":"2.0","id" : "x" } "#, "\"x\"", false),
            (#"{"result":{"a":"FILL"},"jsonrpc":"2.0","id":-12}"#, "-12", false),
            (#"{"result":{"a":"FILL"},"id":123456789012345678901234567890}"#, "123456789012345678901234567890", false),
            (#"{"jsonrpc":"2.0","method":"notifications/message","params":{"a":"FILL"}}"#, nil, true),
            (#"{"jsonrpc":"2.0","method":"a","params":{"a":"FILL","id":7}}"#, nil, true),
            (#"{"method":"a","params":{"a":"FILL"},"x":"\"id\":7"}"#, nil, true),
            (#"{"method":"a","params":{"a":"FILL"},"x\"id":7}"#, nil, true),
            (#"{"method":"a","params":{"a":"FILL"},"id":7,"x":0}"#, nil, true),
            (#"{"method":"a","params":{"a":"FILL"},"id":1.5}"#, nil, true), (#"{"method":"a","params":{"a":"FILL"},"id":null}"#, nil, true),
            (#"{"method":"a","params":{"a":"FILL"},"id":{}}"#, nil, true),
            (#"[{"jsonrpc":"2.0","result":{"a":"FILL"},"id":7}]"#, nil, false), ("FILL", nil, false),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"a","params":{"a":"FILL"}}"#, nil, true),
        ] as [(String, String?, Bool)])
    func ids(text: String, id: String?, namesMethod: Bool) throws {
        let line = text.replacing("FILL", with: Self.filler)
        for size in [1, 1_000, 100_000] {
            let error = try #require(oversized(line + "\n", limit: 2_000, readSize: size)).error(limit: 2_000)
            #expect(error.reason == .tooLong(bytes: line.utf8.count, limit: 2_000))
            #expect(error.id?.text == id, "reads of \(size)")
            #expect(error.namesMethod == namesMethod, "reads of \(size)")
        }
    }

    @Test("knows no id rather than half a number, wherever the kept beginning ends")
    func cutID() throws {
        for padding in 0..<1_100 {
            let line =
                #"{"x":""# + String(repeating: "x", count: padding) + #"","jsonrpc":"2.0","id":123456789,"result":""# + Self.filler + #""}"#
            let id = try #require(oversized(line + "\n", limit: 2_000, readSize: 100_000)).error(limit: 2_000).id
            #expect(id == nil || id == RequestID(123_456_789), "padding \(padding)")
            if padding < 900 { #expect(id != nil, "padding \(padding)") }
        }
    }

    @Test("knows no id rather than the last digits of one, wherever the kept end begins")
    func cutEnd() throws {
        for padding in 900..<1_100 {
            let line = #"{"result":""# + Self.filler + #"","id":123456789,"x":0"# + String(repeating: " ", count: padding) + "}"
            #expect(try #require(oversized(line + "\n", limit: 2_000, readSize: 100_000)).error(limit: 2_000).id == nil)
            let last = #"{"result":""# + Self.filler + #"","id":123456789"# + String(repeating: " ", count: padding) + "}"
            let id = try #require(oversized(last + "\n", limit: 2_000, readSize: 100_000)).error(limit: 2_000).id
            #expect(id == nil || id == RequestID(123_456_789), "padding \(padding)")
        }
    }

    @Test("tells the id of a line that is short, under a limit that is shorter", arguments: ["\n", "\r\n"])
    func shortLimit(end: String) throws {
        let text = #"{"jsonrpc":"2.0","id":7,"method":"ping"}"#
        for size in [1, 100] {
            let error = try #require(oversized(text + end, limit: 10, readSize: size)).error(limit: 10)
            #expect(error == MessageError(.tooLong(bytes: text.utf8.count, limit: 10), id: RequestID(7), namesMethod: true))
        }
    }

    @Test("is followed by the lines behind it")
    func goesOn() {
        var framing = LineFraming(limit: 100)
        var lines: [String] = []
        for byte in (String(repeating: "x", count: 50_000) + "\n{}\n[]\n").utf8 {
            framing.append(ByteBuffer(bytes: [byte]))
            while let line = framing.next() {
                switch line {
                case .complete(let bytes): lines.append(String(buffer: bytes))
                case .oversized(let line): lines.append("\(line.byteCount)")
                }
            }
        }
        #expect(lines == ["50000", "{}", "[]"])
    }

    @Test("says how long it was and how long it might have been")
    func description() {
        let error = MessageError(.tooLong(bytes: 101, limit: 100))
        #expect(error.description == "a message of 101 bytes is longer than the limit of 100")
    }

    private func oversized(_ text: String, limit: Int, readSize: Int) -> OversizedLine? {
        var framing = LineFraming(limit: limit)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: readSize) {
            framing.append(ByteBuffer(bytes: bytes[start..<min(bytes.count, start + readSize)]))
            while let line = framing.next() {
                if case .oversized(let line) = line { return line }
            }
        }
        return nil
    }
}
