import JSONRPC
import NIOCore
import Testing

/// A request that cannot be read is still answered, if anything tells its id. A wrong id would end another request: rather none.
@Suite("A message that is no JSON")
struct UnreadableMessageTests {
    private static let damage = [
        #"{"a":NaN}"#, "01", "\"\u{1}\"", #""\x""#, "tru", "[1,]", #"{"a":1,}"#, "'a'", GrammarCase.nested("[", "]", Scanner.depthLimit),
        "nulll", "[\u{0}]", "1 2",
    ]

    @Test("keeps an id that stands before the damage", arguments: damage)
    func before(damage: String) {
        check(#"{"jsonrpc":"2.0","id":"x1","method":"a","params":{"a":\#(damage)}}"#, id: "\"x1\"", namesMethod: true)
    }

    @Test("keeps an id that stands behind the damage", arguments: damage)
    func behind(damage: String) {
        check(#"{"method":"a","params":{"id":3,"a":\#(damage)},"jsonrpc":"2.0", "id" : 17 } "#, id: "17", namesMethod: true)
        check(#"{"result":{"id":3,"a":\#(damage)},"jsonrpc":"2.0","id":-17}"#, id: "-17", namesMethod: false)
    }

    @Test("keeps an id with bad UTF-8 before or behind it")
    func badUTF8() {
        check(Array(#"{"id":4,"jsonrpc":"2.0","method":""#.utf8) + [0xFF] + Array(#""}"#.utf8), id: "4", namesMethod: true)
        check(Array(#"{"result":""#.utf8) + [0xC3] + Array(#"","id":4}"#.utf8), id: "4", namesMethod: false)
    }

    @Test(
        "knows no id where there is none, or where it cannot be sure",
        arguments: [
            #"{"jsonrpc":"2.0","method":"a","params":{"id":5,}}"#, #"{"jsonrpc":"2.0","method":"a","params":{"id":5}"#,
            #"{"jsonrpc":"2.0","result":{"id":5"#,
            #"{"jsonrpc":"2.0","id":5"#, #"{"jsonrpc":"2.0","id":"abc"#, #"{"jsonrpc":"2.0","id":"#, #"{"id":1,"id":2,"x":NaN}"#,
            #"{"x":NaN,"id":1.5}"#, #"{"x":NaN,"id":{}}"#,
            #"{"x":NaN,"id":null}"#, #"{"x":NaN,"id":"\x"}"#, #"{"x":"\"id\":5","y":NaN}"#, #"[{"id":5},NaN]"#, #"{"x":NaN,"id":5]"#,
            #"{"x":[NaN,"id":5}"#, #"{"x":NaN},"id":5}"#,
            "starting server on port 8080", #"{"x":"id":5,"y":NaN}"#, "", "{", "{{{{",
        ])
    func unknown(text: String) {
        guard case .unreadable(let error) = Incoming(scanning: ByteBuffer(string: text)) else { Issue.record("accepted"); return }
        #expect(error.id == nil)
    }

    @Test("keeps an id that is whole although the text breaks off later")
    func breaksOff() {
        check(#"{"jsonrpc":"2.0","id":5,"method":"a""#, id: "5", namesMethod: true)
        check(#"{"jsonrpc":"2.0","id":"5""#, id: "\"5\"", namesMethod: false)
    }

    private func check(_ text: String, id: String, namesMethod: Bool, _ location: SourceLocation = #_sourceLocation) {
        check(Array(text.utf8), id: id, namesMethod: namesMethod, location)
    }

    private func check(_ bytes: [UInt8], id: String, namesMethod: Bool, _ location: SourceLocation = #_sourceLocation) {
        guard case .unreadable(let error) = Incoming(scanning: ByteBuffer(bytes: bytes)) else {
            Issue.record("accepted", sourceLocation: location)
            return
        }
        #expect(error.id?.text == id, sourceLocation: location)
        #expect(error.namesMethod == namesMethod, sourceLocation: location)
        if case .notJSON = error.reason { return }
        Issue.record("\(error)", sourceLocation: location)
    }
}
