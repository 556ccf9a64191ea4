import JSONRPC
import NIOCore
import Testing

@Suite("A look into JSON")
struct JSONViewTests {
    @Test("finds members and elements, decoded on demand")
    func walk() throws {
        let view = try JSONView(
            validating: ByteBuffer(string: #" { "a" : [ 1 , "x\n" , true , null , -2.5 , {} , [] ] , "\u0062" : {"c":"d"} , "" : 0 } "#))
        #expect(view.kind == .object)
        #expect(view.members.map(\.name) == ["a", "b", ""])
        let elements = try #require(view["a"]).elements
        #expect(elements.map(\.kind) == [.number, .string, .boolean, .null, .number, .object, .array])
        #expect(elements.map(\.jsonText) == ["1", #""x\n""#, "true", "null", "-2.5", "{}", "[]"])
        #expect(elements.map(\.integer) == [1, nil, nil, nil, nil, nil, nil])
        #expect(elements.map(\.string) == [nil, "x\n", nil, nil, nil, nil, nil])
        #expect(elements.map(\.boolean) == [nil, nil, true, nil, nil, nil, nil])
        #expect(view["b"]?["c"]?.string == "d")
        #expect(view[""]?.integer == 0)
        #expect(view["x"]?.jsonText == nil)
    }

    @Test("has nothing inside what is no container", arguments: ["1", "\"[1]\"", "true", "null", "{}", "[]", "[ ]", "{ }"])
    func empty(text: String) throws {
        let view = try JSONView(validating: ByteBuffer(string: text))
        #expect(view.members.isEmpty && view.elements.isEmpty && view["a"]?.kind == nil)
    }

    @Test(
        "reads integers that fit, and no other numbers",
        arguments: [
            ("0", 0), ("-0", 0), ("-7", -7), ("9223372036854775807", Int.max), ("9223372036854775808", nil), ("1.0", nil), ("1e2", nil),
            ("\"1\"", nil),
        ] as [(String, Int?)])
    func integers(text: String, expected: Int?) throws {
        #expect(try JSONView(validating: ByteBuffer(string: text)).integer == expected)
    }

    @Test("of an absent member is null, whatever stands at the message's start")
    func absent() throws {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","method":"a"}"#))
        let view = message.view(message[.params])
        #expect(
            view.kind == .null && view.members.isEmpty && view.elements.isEmpty && view.string == nil && view.integer == nil
                && view.boolean == nil)
        #expect(message.string(.absent) == nil && message.integer(.absent) == nil && message.text(.absent) == "")
    }

    @Test("gives the first of two members of one name")
    func duplicates() throws {
        #expect(try JSONView(validating: ByteBuffer(string: #"{"a":1,"\u0061":2}"#))["a"]?.integer == 1)
    }

    @Test("reaches the innermost of as many levels as the scanner allows")
    func depth() throws {
        var view = try JSONView(validating: ByteBuffer(string: GrammarCase.nested(#"{"a":"#, "}", Scanner.depthLimit, inner: "7")))
        for _ in 0..<Scanner.depthLimit { view = try #require(view["a"]) }
        #expect(view.integer == 7)
    }

    @Test("puts a text together again from its parts", arguments: [UInt64(71), 72])
    func rebuild(seed: UInt64) throws {
        func rebuilt(_ view: JSONView) -> String {
            switch view.kind {
            case .object: "{" + view.members.map { JSONString.encoded($0.name) + ":" + rebuilt($0.value) }.joined(separator: ",") + "}"
            case .array: "[" + view.elements.map(rebuilt).joined(separator: ",") + "]"
            case .string: JSONString.encoded(view.string ?? "?")
            default: view.jsonText
            }
        }
        var json = RandomJSON(seed: seed)
        for index in 0..<300 {
            let text = json.value()
            // Once rebuilt, escapes are in the one form that we write; from then on nothing changes any more.
            let once = rebuilt(try JSONView(validating: ByteBuffer(string: text)))
            #expect(rebuilt(try JSONView(validating: ByteBuffer(string: once))) == once, "seed \(seed), text \(index): \(text)")
            if !text.contains("\\") { #expect(once == text, "seed \(seed), text \(index)") }
        }
    }

    @Test("stays inside its bytes on texts that were never scanned", arguments: [UInt64(73)])
    func unscanned(seed: UInt64) {
        var json = RandomJSON(seed: seed)
        func walk(_ view: JSONView, bounds: Range<Int>, _ depth: Int) {
            #expect(view.place.range.lowerBound >= bounds.lowerBound && view.place.range.upperBound <= bounds.upperBound, "seed \(seed)")
            guard depth < 8 else { return }
            _ = (view.string, view.integer, view.boolean)
            for inner in view.elements + view.members.map(\.value) { walk(inner, bounds: view.place.range, depth + 1) }
        }
        for _ in 0..<500 {
            let bytes = json.mutated(Array(json.value().utf8))
            walk(JSONView(ByteBuffer(bytes: bytes), at: Place(0..<bytes.count)), bounds: 0..<bytes.count, 0)
        }
    }
}
