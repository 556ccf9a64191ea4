import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

@Suite("What a host asks and tells")
struct HostProtocolTests {
    @Test(
        "requests are what their method says, whatever else they hold",
        arguments: [
            (#""method":"tools/list""#, "list tools 5"),
            (#""method":"tools/list","params":{}"#, "list tools 5"),
            (#""method":"tools/list","params":{"cursor":null,"x":1}"#, "list tools 5"),
            (#""method":"tools\/list""#, "list tools 5"),
            (#""method":"tools/call","params":{"name":"a","arguments":{"name":1}}"#, "forward tools 5"),
            (#""method":"tools/call","params":{"name":""}"#, "forward tools 5"),
            (#""method":"logging/setLevel","params":{"level":"debug"}"#, "setLevel 5 debug"),
            (#""method":"ping","params":{"_meta":{}}"#, #"answer {"jsonrpc":"2.0","id":5,"result":{}}"#),
        ])
    func requests(members: String, expected: String) throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":5,\#(members)}"#) == expected)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":5,\#(members)}"#, inBatch: true) == expected)
    }

    @Test(
        "a request that lacks what it needs is refused with its code",
        arguments: [
            (#""method":"tools/list","params":{"cursor":""}"#, -32602, "Unknown cursor"),
            (#""method":"tools/list","params":{"cursor":"page2"}"#, -32602, "Unknown cursor"),
            (#""method":"tools/list","params":{"cursor":2}"#, -32602, "Unknown cursor"),
            (#""method":"tools/call""#, -32602, "'tools/call' needs 'name', a string"),
            (#""method":"tools/call","params":{"arguments":{"name":"x"}}"#, -32602, "'tools/call' needs 'name', a string"),
            (#""method":"tools/call","params":{"name":7}"#, -32602, "'tools/call' needs 'name', a string"),
            (#""method":"tools/call","params":{"name":null}"#, -32602, "'tools/call' needs 'name', a string"),
            (#""method":"no/such""#, -32601, "Method not found: no/such"),
            (#""method":"Ping""#, -32601, "Method not found: Ping"),
            (#""method":"a\"b""#, -32601, #"Method not found: a\"b"#),
            // Notifications that came with an id are requests nobody serves.
            (#""method":"notifications/initialized""#, -32601, "Method not found: notifications/initialized"),
            (#""method":"notifications/cancelled","params":{"requestId":1}"#, -32601, "Method not found: notifications/cancelled"),
        ])
    func refusals(members: String, code: Int, message: String) throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":"x",\#(members)}"#)
                == #"answer {"jsonrpc":"2.0","id":"x","error":{"code":\#(code),"message":"\#(message)"}}"#)
        #expect(machine.session == .open(.newestHandshake))
    }

    @Test("every level can be set", arguments: LogLevel.allCases)
    func levels(level: LogLevel) throws {
        let machine = try HostProtocol.open()
        #expect(machine.logLevel == nil)
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"\#(level.rawValue)"}}"#)
                == "setLevel 1 \(level)")
        #expect(machine.logLevel == level)
    }

    @Test("a level that is none is refused and changes nothing", arguments: ["\"loud\"", "\"Debug\"", "3", "null", "\"\""])
    func badLevel(level: String) throws {
        let machine = try HostProtocol.open()
        _ = try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"alert"}}"#)
        let text = "Unknown log level; there are debug, info, notice, warning, error, critical, alert, emergency"
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":\#(level)}}"#)
                == #"answer {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"\#(text)"}}"#)
        #expect(machine.logLevel == .alert)
    }

    @Test("levels rise in the order in which they are told")
    func order() {
        #expect(LogLevel.allCases == LogLevel.allCases.sorted())
        #expect(LogLevel.debug < .info && LogLevel.alert < .emergency && !(LogLevel.error < .error))
    }

    @Test(
        "a cancellation names its request with the very bytes of the id", arguments: ["7", #""7""#, "123456789012345678901234567890", "-0"])
    func cancellation(id: String) throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(id),"reason":"no"}}"#)
                == "cancel \(id)")
    }

    @Test(
        "what asks for nothing gets nothing",
        arguments: [
            #"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"no"}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"1","progress":1}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
            #"{"jsonrpc":"2.0","method":"x"}"#,
            // Without an id even a method that has an answer gets none.
            #"{"jsonrpc":"2.0","method":"ping"}"#,
            #"{"jsonrpc":"2.0","method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#,
            #"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#,
            // Our ids are numbers.
            #"{"jsonrpc":"2.0","id":"1","result":{}}"#,
            #"{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":""}}"#,
            #"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
        ])
    func nothing(text: String) throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(text) == "ignore")
        #expect(machine.session == .open(.newestHandshake))
    }
}

@Suite("Lines of a host that cannot be read")
struct UnreadableHostLineTests {
    /// As the connection finds them.
    private static func error(_ text: String) throws -> MessageError {
        do throws(MessageError) {
            _ = try Message(scanning: ByteBuffer(string: text))
        } catch {
            return error
        }
        struct Readable: Error {}
        throw Readable()
    }

    @Test(
        "a damaged request is answered under its id, in every revision and before any",
        arguments: [
            (#"{"jsonrpc":"2.0","id":"q","method":"tools/list","params":}"#, -32700),
            (#"{"jsonrpc":"1.0","id":"q","method":"tools/list"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":"q","method":5}"#, -32600),
            (#"{"jsonrpc":"2.0","id":"q","method":"tools/list","params":[]}"#, -32600),
        ], [nil] + Revision.allCases.filter { $0.era == .handshake })
    func withID(example: (text: String, code: Int), revision: Revision?) throws {
        let machine = try revision.map { try HostProtocol.open($0) } ?? HostProtocol(identity: identity)
        let answer = told(machine.unreadable(try Self.error(example.text)))
        #expect(answer.hasPrefix(#"answer {"jsonrpc":"2.0","id":"q","error":{"code":\#(example.code),"message":"not "#), "\(answer)")
        // The answer is a message itself.
        #expect(try Message(scanning: ByteBuffer(string: String(answer.dropFirst(7)))).kind == .error)
    }

    @Test(
        "one without an id, or that may be an answer, is told of without an id, where the revision knows such errors",
        arguments: [
            ("{oops}", -32700), ("[1", -32700), ("\u{1}", -32700), ("7", -32600), (#"{"jsonrpc":"2.0"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600), (#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600),
            // Its id may be one of ours.
            (#"{"jsonrpc":"2.0","id":4096,"result":nul}"#, -32700), (#"{"jsonrpc":"2.0","id":4096}"#, -32600),
        ], [nil] + Revision.allCases.filter { $0.era == .handshake })
    func withoutID(example: (text: String, code: Int), revision: Revision?) throws {
        let machine = try revision.map { try HostProtocol.open($0) } ?? HostProtocol(identity: identity)
        let answer = told(machine.unreadable(try Self.error(example.text)))
        if revision == .v2025_11_25 {
            #expect(answer.hasPrefix(#"answer {"jsonrpc":"2.0","error":{"code":\#(example.code),"message":"not "#), "\(answer)")
        } else {
            #expect(answer == "ignore")
        }
    }

    @Test("a line beyond the limit is an invalid request")
    func tooLong() throws {
        let machine = try HostProtocol.open(.v2024_11_05)
        let error = MessageError(.tooLong(bytes: 99, limit: 10), id: RequestID(3), namesMethod: true)
        let text = "a message of 99 bytes is longer than the limit of 10"
        #expect(told(machine.unreadable(error)) == #"answer {"jsonrpc":"2.0","id":3,"error":{"code":-32600,"message":"\#(text)"}}"#)
        #expect(told(machine.unreadable(MessageError(.tooLong(bytes: 99, limit: 10)))) == "ignore")
    }
}

@Suite("Methods")
struct MethodTests {
    @Test("are known by their names, plain or with escapes", arguments: MCPProtocol.Method.allCases)
    func known(method: MCPProtocol.Method) throws {
        let name = method.rawValue
        for spelling in [name, name.replacing("/", with: #"\/"#), #"\u00\#(String(name.utf8.first ?? 0, radix: 16))"# + name.dropFirst()] {
            #expect(try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"\#(spelling)"}"#)).method == method)
        }
    }

    @Test("are nothing but their names", arguments: MCPProtocol.Method.allCases)
    func unknown(method: MCPProtocol.Method) throws {
        let name = method.rawValue
        for other in [name + "x", String(name.dropLast()), name.uppercased(), String(name.dropLast()) + "?", " " + name.dropFirst()] {
            let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"\#(other)"}"#))
            #expect(message.method == nil && message.methodName == other)
        }
    }
}
