import JSONRPC
import NIOCore
import Testing

@Suite("The JSON writer")
struct JSONWriterTests {
    @Test("puts commas where they belong and nowhere else")
    func commas() {
        let written = JSONWriter.object { writer in
            writer.member("text", "a\"b")
            writer.member("integer", -7)
            writer.member("flag", true)
            writer.object("empty") { _ in }
            writer.array("list") { list in
                list.value(1)
                list.value("x")
                list.value(false)
                list.object { $0.member("y", 2) }
                list.array { _ in }
                list.value(json: "1.0")
                list.value(json: ByteBuffer(string: "null"))
            }
            writer.member("json", json: "[1, 2]")
            writer.member("bytes", json: ByteBuffer(string: "{}"))
        }
        #expect(
            String(buffer: written)
                == #"{"text":"a\"b","integer":-7,"flag":true,"empty":{},"list":[1,"x",false,{"y":2},[],1.0,null],"json":[1, 2],"bytes":{}}"#
        )
    }

    @Test("writes again what a look into JSON read", arguments: [UInt64(81), 82])
    func roundTrip(seed: UInt64) throws {
        func write(_ view: JSONView, to writer: inout JSONWriter) {
            switch view.kind {
            case .object:
                writer.object { object in
                    for (name, value) in view.members {
                        switch value.kind {
                        case .object, .array: object.member(name, json: rewritten(value))
                        case .string: object.member(name, value.string ?? "?")
                        case .boolean: object.member(name, value.boolean ?? false)
                        default: object.member(name, json: value.jsonText)
                        }
                    }
                }
            case .array: writer.array { for element in view.elements { write(element, to: &$0) } }
            case .string: writer.value(view.string ?? "?")
            case .boolean: writer.value(view.boolean ?? false)
            default: writer.value(json: view.json)
            }
        }
        func rewritten(_ view: JSONView) -> ByteBuffer {
            var writer = JSONWriter()
            write(view, to: &writer)
            return writer.buffer
        }
        var json = RandomJSON(seed: seed)
        for index in 0..<300 {
            let text = json.value()
            let once = rewritten(try JSONView(validating: ByteBuffer(string: text)))
            #expect(isValid(Array(once.readableBytesView)), "seed \(seed), text \(index): \(text)")
            #expect(rewritten(try JSONView(validating: once)) == once, "seed \(seed), text \(index)")
            if !text.contains("\\") { #expect(String(buffer: once) == text, "seed \(seed), text \(index)") }
        }
    }
}
