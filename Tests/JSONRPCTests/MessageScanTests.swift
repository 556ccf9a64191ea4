import JSONRPC
import NIOCore
import Testing

@Suite("Scanning a message")
struct MessageScanTests {
    @Test(
        "tells requests, notifications, results and errors apart",
        arguments: [
            (#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Message.Kind.request),
            (#"{"jsonrpc":"2.0","id":"1","method":"ping","params":{}}"#, .request),
            (#"{"method":"ping","params":{"a":[1]},"jsonrpc":"2.0","id":0}"#, .request),
            (#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, .notification),
            (#"{"jsonrpc":"2.0","id":1,"result":{}}"#, .result), (#"{"jsonrpc":"2.0","id":1,"result":null}"#, .result),
            (#"{"result":[1],"jsonrpc":"2.0","id":1}"#, .result),
            (#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#, .error),
            (#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#, .error),
            (#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"?"}}"#, .error),
            (#" { "jsonrpc" : "2.0" , "id" : 1 , "method" : "ping" , "x" : {} } "#, .request),
            (#"{"\u006asonrpc":"2.0","\u0069d":1,"meth\u006fd":"ping"}"#, .request),
        ])
    func kinds(text: String, kind: Message.Kind) throws {
        #expect(try Message(scanning: ByteBuffer(string: text)).kind == kind)
    }

    @Test(
        "keeps an id exactly as it is written",
        arguments: [
            "0", "-0", "7", "-7", #""7""#, #""""#, "123456789012345678901234567890", #""a\u0062\n""#, #""😀""#, #""id""#, #""{\"id\":1}""#,
        ])
    func ids(id: String) throws {
        for text in [#"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"#, #"{"method":"ping","jsonrpc":"2.0","id" : \#(id) }"#] {
            let message = try Message(scanning: ByteBuffer(string: text))
            #expect(message.id == RequestID(text: id))
            #expect(message.id?.text == id)
        }
    }

    @Test("keeps the number 7 and the string \"7\" apart")
    func idKinds() { #expect(RequestID(7) != RequestID(text: "\"7\"") && RequestID(7) == RequestID(text: "7")) }

    @Test(
        "reads an id as one of ours only if it is a plain integer that fits",
        arguments: [
            ("0", 0), ("42", 42), ("999999999999999999", 999_999_999_999_999_999), ("1000000000000000000", nil), ("-1", nil),
            ("\"42\"", nil),
            ("123456789012345678901234567890", nil),
        ] as [(String, Int?)])
    func integerIDs(id: String, expected: Int?) throws {
        #expect(try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":1}"#)).integerID == expected)
    }

    @Test(
        "refuses an id that is neither string nor integer, and does not repeat it",
        arguments: ["1.0", "1e3", "-0.5", "true", "false", "{}", "[1]", #"{"id":1}"#])
    func malformedIDs(id: String) {
        let error = #expect(throws: MessageError.self) {
            _ = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"#))
        }
        #expect(error == MessageError(.notAMessage("'id' is neither a string nor an integer"), id: nil, namesMethod: true))
    }

    @Test(
        "refuses what is JSON but no message, and keeps its id",
        arguments: [
            (#"{"id":5,"method":"ping"}"#, "'jsonrpc' is not \"2.0\"", "5"),
            (#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, "'jsonrpc' is not \"2.0\"", "5"),
            (#"{"jsonrpc":2.0,"id":"x","method":"ping"}"#, "'jsonrpc' is not \"2.0\"", "\"x\""),
            (#"{"jsonrpc":null,"id":5,"result":1}"#, "'jsonrpc' is not \"2.0\"", "5"),
            (#"{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}"#, "'params' is not an object", "5"),
            (#"{"jsonrpc":"2.0","id":5,"method":"ping","params":null}"#, "'params' is not an object", "5"),
            (#"{"params":"x","jsonrpc":"2.0","method":"ping","id":5}"#, "'params' is not an object", "5"),
            (#"{"jsonrpc":"2.0","id":5,"method":7}"#, "'method' is not a string", "5"),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "the id of a request cannot be null", nil),
            (#"{"jsonrpc":"2.0","result":{}}"#, "a result without an id", nil),
            (#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "a result without an id", nil),
            (#"{"jsonrpc":"2.0","id":5}"#, "it has neither 'method' nor 'result' nor 'error'", "5"),
            ("{}", "'jsonrpc' is not \"2.0\"", nil),
            (#"{"jsonrpc":"2.0","id":5,"result":1,"error":{}}"#, "it has more than one of 'method', 'result' and 'error'", "5"),
            (#"{"jsonrpc":"2.0","id":5,"method":"a","result":1}"#, "it has more than one of 'method', 'result' and 'error'", "5"),
            ("7", "it is not an object", nil),
            ("\"text\"", "it is not an object", nil), ("null", "it is not an object", nil),
        ] as [(String, String, String?)])
    func noMessage(text: String, why: String, id: String?) {
        guard case .unreadable(let error) = Incoming(scanning: ByteBuffer(string: text)) else { Issue.record("accepted"); return }
        #expect(error == MessageError(.notAMessage(why), id: id.map { RequestID(text: $0) }, namesMethod: text.contains("\"method\"")))
    }

    @Test(
        "refuses a member twice if it routes by it, escaped or not",
        arguments: [
            (#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, "method", "1"),
            (#"{"jsonrpc":"2.0","method":"a","method":"a","id":1}"#, "method", "1"),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#, #"\u006dethod"#, "1"),
            (#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"a"}"#, #"\u0069d"#, nil),
            (#"{"jsonrpc":"2.0","id":1,"id":1,"method":"a"}"#, "id", nil),
            (#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"a"}"#, "jsonrpc", "1"),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"params":{"name":"b"}}"#, "params", "1"),
            (#"{"jsonrpc":"2.0","method":"a","params":{"name":"a","name":"b"},"id":1}"#, "name", "1"),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"a","n\u0061me":"b"}}"#, #"n\u0061me"#, "1"),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":{}}}"#, "_meta", "1"),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":1,"progressToken":2}}}"#, "progressToken", "1"),
            (#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{},"_meta":{}}}"#, "_meta", "1"),
            (#"{"jsonrpc":"2.0","id":1,"result":1,"result":2}"#, "result", "1"),
        ] as [(String, String, String?)])
    func duplicates(text: String, name: String, id: String?) {
        let error = #expect(throws: MessageError.self) { _ = try Message(scanning: ByteBuffer(string: text)) }
        #expect(error?.id?.text == id)
        #expect(
            error?.description.hasPrefix("not a JSON-RPC message: the member '\(name)' stands twice at byte ") == true, "\(error as Any)")
    }

    @Test(
        "passes on a member twice where it does not look",
        arguments: [
            #"{"jsonrpc":"2.0","id":1,"method":"a","x":1,"x":2}"#, #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":1,"x":2}}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":{"name":1,"name":2,"id":3,"id":4}}}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"id":1,"id":2,"method":3,"method":4}}"#,
            #"{"jsonrpc":"2.0","id":1,"result":{"name":1,"name":2}}"#,
            #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2,"_meta":{},"_meta":{}}}"#,
        ])
    func duplicatesElsewhere(text: String) throws { #expect(try Message(scanning: ByteBuffer(string: text)).id == RequestID(1)) }

    @Test(
        "reads what begins as most messages do as it reads the same behind a blank",
        arguments: [
            #""id":1,"method":"ping"}"#, #""jsonrpc":"2.0","id":1,"method":"ping"}"#, #""jsonrpc":"1.0","id":1,"method":"ping"}"#,
            "}", "", #""id""#, #" "id" : 1 , "result" : {} } "#, #""id":7"#, #","id":7}"#, #"]"#, "{}", "\u{1}",
            #""id":1,"method":"a","params":[]}"#,
        ])
    func usualBeginning(rest: String) {
        func outcome(_ text: String) -> String {
            do throws(MessageError) {
                let message = try Message(scanning: ByteBuffer(string: text))
                return "\(message.kind) \(message.id?.text ?? "") \(message.text(message[.jsonrpc])) \(message.text(message[.method]))"
            } catch {
                // Bytes are counted from the beginning of the text, which has one more.
                return "\(error)".replacing(/at byte (\d+)/) { "at byte \((Int($0.1) ?? 0) - (text.hasPrefix("{ ") ? 1 : 0))" }
                    + " \(error.id?.text ?? "") \(error.namesMethod)"
            }
        }
        #expect(outcome(#"{"jsonrpc":"2.0","# + rest) == outcome(#"{ "jsonrpc":"2.0","# + rest))
    }

    @Test("decodes a method written with escapes")
    func escapedMethod() throws {
        let message = try Message(
            scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"\u0061\ud83d\ude00"}}"#))
        #expect(message.string(message[.method]) == "tools/call")
        message.withPlainString(message[.method]) { _ in Issue.record("it has an escape") }
        #expect(message.string(message[.name]) == "a😀")
        #expect(message.text(message[.name]) == #""\u0061\ud83d\ude00""#)
    }

    @Test("has room for the place of every member")
    func room() { #expect(Message.Member.allCases.count == 32 && Message.Member.allCases.map(\.rawValue) == Array(0..<32)) }

    @Test("finds every member it routes by")
    func places() throws {
        let text = """
            {"jsonrpc":"2.0","id":3,"method":"m","x":{"name":0},"params":{"name":"n","arguments":{"name":1},"cursor":"c","level":"info","logger":"l",\
            "requestId":"r","progressToken":9,"protocolVersion":"v","_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"p","name":5}}}
            """
        let message = try Message(scanning: ByteBuffer(string: "  " + text))
        let expected: [Message.Member: String] = [
            .jsonrpc: "\"2.0\"", .id: "3", .method: "\"m\"", .name: "\"n\"", .arguments: #"{"name":1}"#, .cursor: "\"c\"",
            .level: "\"info\"", .logger: "\"l\"",
            .requestID: "\"r\"", .progressToken: "9", .protocolVersion: "\"v\"", .metaProgressToken: "\"t\"", .metaProtocolVersion: "\"p\"",
            .meta: #"{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"p","name":5}"#,
        ]
        for (member, value) in expected { #expect(message.text(message[member]) == value, "\(member)") }
        #expect(message[.result].isAbsent && message[.error].isAbsent)
        #expect(message.text(message[.params]).hasPrefix(#"{"name":"n""#))
    }

    @Test("finds _meta in a result, and nothing else there")
    func resultPlaces() throws {
        let message = try Message(
            scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":3,"result":{"name":"n","cursor":1,"_meta":{"progressToken":4}}}"#))
        #expect(message.text(message[.meta]) == #"{"progressToken":4}"#)
        #expect(message.text(message[.metaProgressToken]) == "4")
        #expect(message[.name].isAbsent && message[.cursor].isAbsent)
    }

    @Test("counts its places from the first readable byte, wherever that lies in the buffer")
    func readerIndex() throws {
        var buffer = ByteBuffer(string: #"rubbish{"jsonrpc":"2.0","id":77,"method":"ping"}"#)
        buffer.moveReaderIndex(forwardBy: 7)
        let message = try Message(scanning: buffer)
        #expect(message.id == RequestID(77))
        #expect(message.string(message[.method]) == "ping")
        #expect(message.view(message[.id]).integer == 77)
    }

    @Test("sees raw line breaks between tokens, and no escaped ones", arguments: [("{\n", true), ("{\r", true), ("{ ", false)])
    func lineBreaks(opening: String, expected: Bool) throws {
        let message = try Message(scanning: ByteBuffer(string: opening + #""jsonrpc":"2.0","id":"a\nb","method":"ping"}"#))
        #expect(message.hasLineBreaks == expected)
    }

    @Test("follows nesting as deep in a message as in any other JSON")
    func depth() throws {
        func message(_ depth: Int) -> ByteBuffer {
            ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":"# + GrammarCase.nested("[", "]", depth) + "}}")
        }
        #expect(throws: Never.self) { _ = try Message(scanning: message(Scanner.depthLimit - 2)) }
        let error = #expect(throws: MessageError.self) { _ = try Message(scanning: message(Scanner.depthLimit - 1)) }
        #expect(error?.id == RequestID(1) && error?.namesMethod == true)
    }
}

@Suite("Scanning a batch")
struct BatchScanTests {
    @Test("gives each element its own verdict, in order")
    func elements() {
        let text =
            #" [ {"jsonrpc":"2.0","id":1,"method":"a"} ,7,{"jsonrpc":"2.0","method":"b"},[],{"jsonrpc":"1.0","id":2},{"jsonrpc":"2.0","id":3,"result":{}} ] "#
        guard case .batch(let elements) = Incoming(scanning: ByteBuffer(string: text)) else { Issue.record("no batch"); return }
        let found = elements.map { element in
            switch element {
            case .success(let message): "\(message.kind) \(message.id?.text ?? "-")"
            case .failure(let error): "refused \(error.id?.text ?? "-")"
            }
        }
        #expect(found == ["request 1", "refused -", "notification -", "refused -", "refused 2", "result 3"])
    }

    @Test("refuses a batch that is empty, no JSON, or too long")
    func refused() {
        func reason(_ text: String) -> MessageError.Reason? {
            if case .unreadable(let error) = Incoming(scanning: ByteBuffer(string: text)) { error.reason } else { nil }
        }
        #expect(reason(" [ ] ") == .notAMessage("an empty batch"))
        #expect(reason("[1,]") == .notJSON(ScanError(.unexpected(byte: 0x5D, expected: "a value"), at: 3)))
        #expect(reason("[1") == .notJSON(ScanError(.unexpectedEnd, at: 2)))
        #expect(reason("[1] 2") == .notJSON(ScanError(.trailingBytes, at: 4)))
        let ones = Array(repeating: "1", count: Incoming.batchLimit)
        #expect(reason("[" + ones.joined(separator: ",") + "]") == nil)
        #expect(reason("[" + (ones + ["1"]).joined(separator: ",") + "]") == .notAMessage("a batch of more than 10000 elements"))
    }
}
