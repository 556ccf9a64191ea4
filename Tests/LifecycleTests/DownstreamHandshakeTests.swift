import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

@Suite("The handshake with a downstream")
struct DownstreamHandshakeTests {
    @Test("goes from 'initialize' over the first tool list to ready")
    func transcript() throws {
        var conversation = Conversation()
        #expect(conversation.machine.phase == .idle)
        #expect(
            try conversation.sent(conversation.machine.opened(ClientCapabilities()))
                == #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"initialize","params":{"protocolVersion":"2025-11-25","#
                + #""capabilities":{},"clientInfo":{"name":"us","version":"1.2.3"}}}"#)
        #expect(conversation.machine.phase == .initializing && conversation.machine.introduction == nil)
        let initialize = conversation.lastID
        #expect(
            try conversation.answer(
                #"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"9"}}"#)
                == #"send [{"jsonrpc":"2.0","method":"notifications/initialized"} "#
                + #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"tools/list"}]"#)
        #expect(conversation.lastID != initialize)
        #expect(conversation.machine.phase == .listing)
        var tools = ServerCapabilities()
        tools.tools = true
        #expect(
            conversation.machine.introduction
                == .init(revision: .v2025_06_18, capabilities: tools, name: "s", version: "9"))
        #expect(try conversation.answer(#"{"tools":[{"name":"a"},7]}"#) == #"tools [{"name":"a"},7] send []"#)
        #expect(conversation.machine.phase == .ready)
        #expect(conversation.machine.requestsInFlight == 0 && conversation.machine.nextDeadline == nil)
    }

    @Test("is opened once")
    func openedOnce() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        #expect(try conversation.sent(conversation.machine.opened(ClientCapabilities())) == "nothing")
        conversation = try .ready()
        #expect(try conversation.sent(conversation.machine.opened(ClientCapabilities())) == "nothing")
    }

    @Test("every handshake revision is taken", arguments: Revision.allCases.filter { $0.era == .handshake })
    func revisions(revision: Revision) throws {
        var conversation = Conversation()
        #expect(try conversation.shakeHands(revision: revision.rawValue).hasPrefix("send ["))
        #expect(conversation.machine.introduction?.revision == revision)
    }

    @Test(
        "an answer that agrees on nothing makes the server unusable, and says why",
        arguments: [
            (
                #""result":{"protocolVersion":"2026-07-28","capabilities":{}}"#,
                "it speaks MCP revision '2026-07-28', which cannot be agreed on in 'initialize'"
            ),
            (#""result":{"protocolVersion":"1.0"}"#, "it speaks MCP revision '1.0', which cannot be agreed on in 'initialize'"),
            (
                #""result":{"protocolVersion":"\#(String(repeating: "x", count: 99))"}"#,
                "it speaks MCP revision '\(String(repeating: "x", count: 40))', which cannot be agreed on in 'initialize'"
            ),
            (#""result":{"protocolVersion":20251125}"#, "its answer to 'initialize' names no protocol version"),
            (#""result":{}"#, "its answer to 'initialize' names no protocol version"),
            (#""result":"hello""#, "its answer to 'initialize' names no protocol version"),
            (#""result":null"#, "its answer to 'initialize' names no protocol version"),
            (#""error":{"code":-32602,"message":"no"}"#, "it refused 'initialize': no (-32602)"),
            (
                #""error":{"message":"\#(String(repeating: "y", count: 3_000))"}"#,
                "it refused 'initialize': \(String(repeating: "y", count: Message.errorLength)) (no code)"
            ),
            (#""error":"broken""#, "it refused 'initialize':  (no code)"),
        ])
    func unusable(member: String, why: String) throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(conversation.lastID),\#(member)}"#) == "unusable: \(why)")
        #expect(conversation.machine.phase == .initializing && conversation.machine.introduction == nil)
    }

    @Test(
        "a server without lists is ready at once, and its lists are never asked for",
        arguments: [
            "{}", #"{"tools":null}"#, #"{"tools":true}"#, #"{"prompts":1,"resources":[]}"#, #"{"Tools":{}}"#, #"{"x":{"tools":{}}}"#, "[]",
            "null",
        ])
    func noLists(capabilities: String) throws {
        var conversation = Conversation()
        #expect(
            try conversation.shakeHands(capabilities: capabilities) == #"send [{"jsonrpc":"2.0","method":"notifications/initialized"}]"#)
        #expect(conversation.machine.phase == .ready)
        #expect(conversation.machine.introduction?.capabilities == ServerCapabilities())
        for kind in FeatureKind.allCases { #expect(try conversation.listChanged(kind) == "again") }
        #expect(conversation.machine.relistDue == nil)
    }

    @Test(
        "each list that a server declares is asked for, and it is ready with the last of them",
        arguments: [
            (#"{"tools":{}}"#, ["tools/list"]), (#"{"prompts":{}}"#, ["prompts/list"]),
            (#"{"resources":{}}"#, ["resources/list", "resources/templates/list"]),
            (
                #"{"resources":{"subscribe":true},"prompts":{"listChanged":false},"tools":{},"completions":{}}"#,
                ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
            ),
        ])
    func lists(capabilities: String, methods: [String]) throws {
        var conversation = Conversation()
        let action = try conversation.shakeHands(capabilities: capabilities)
        let requests = methods.enumerated().map { offset, method in
            // Each follows the one before it at once.
            let id = conversation.lastID - (methods.count - 1 - offset) * (RequestTable<Int>.capacity + 1)
            return #" {"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"}"#
        }
        #expect(action == #"send [{"jsonrpc":"2.0","method":"notifications/initialized"}\#(requests.joined())]"#)
        let kinds = FeatureKind.allCases.filter { conversation.listRequests[$0] != nil }
        #expect(kinds.map(\.listMethod.rawValue) == methods)
        // The last one asked for is the first one to come.
        for kind in kinds.reversed() {
            #expect(conversation.machine.phase == .listing)
            #expect(
                try conversation.answer(#"{"\#(kind.listMember)":[1]}"#, to: conversation.listRequests[kind]) == "\(kind) [1] send []")
        }
        #expect(conversation.machine.phase == .ready)
    }

    @Test(
        "what hosts can do is declared, in the words of the newest handshake revision",
        arguments: [
            (#"{}"#, "{}"), (#"{"roots":{}}"#, #"{"roots":{}}"#), (#"{"roots":{"listChanged":true}}"#, #"{"roots":{"listChanged":true}}"#),
            (#"{"sampling":{},"x":{}}"#, #"{"sampling":{}}"#), (#"{"elicitation":{}}"#, #"{"elicitation":{"form":{}}}"#),
            (
                #"{"elicitation":{"url":{},"form":{}},"sampling":{"tools":{},"context":{}},"roots":{"listChanged":false}}"#,
                #"{"roots":{},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}}}"#
            ),
        ])
    func declared(byHost: String, expected: String) throws {
        var conversation = Conversation()
        let capabilities = ClientCapabilities(try JSONView(validating: ByteBuffer(string: byHost)), revision: .v2025_11_25)
        #expect(
            try conversation.sent(conversation.machine.opened(capabilities))
                == #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"initialize","params":{"protocolVersion":"2025-11-25","#
                + #""capabilities":\#(expected),"clientInfo":{"name":"us","version":"1.2.3"}}}"#)
    }

    @Test("a server may leave out who it is")
    func nameless() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        _ = try conversation.answer(#"{"protocolVersion":"2024-11-05"}"#)
        #expect(
            conversation.machine.introduction
                == .init(revision: .v2024_11_05, capabilities: ServerCapabilities(nil, revision: .v2024_11_05), name: "", version: ""))
    }

    @Test("an answer under a foreign id, or of the wrong type, is no answer", arguments: ["1", "0", #""ours""#, "999999999", "-1"])
    func foreignAnswer(id: String) throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        let id = id == #""ours""# ? "\"\(conversation.lastID)\"" : id
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"2025-11-25"}}"#) == "ignore")
        #expect(conversation.machine.phase == .initializing)
    }

    // MARK: The log level

    private func levelRequest(_ conversation: Conversation, _ level: LogLevel) -> String {
        #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"logging/setLevel","params":{"level":"\#(level)"}}"#
    }

    @Test("a level that was set before is sent as soon as the server is ready")
    func levelWhenReady() throws {
        var conversation = Conversation(level: .warning)
        #expect(!(try conversation.shakeHands(capabilities: #"{"tools":{},"logging":{}}"#).contains("setLevel")))
        #expect(try conversation.answer(#"{"tools":[]}"#) == "tools [] send [\(levelRequest(conversation, .warning))]")
    }

    @Test("a level is sent to a server without tools, too")
    func levelWithoutTools() throws {
        var conversation = Conversation(level: .error)
        let action = try conversation.shakeHands(capabilities: #"{"logging":{}}"#)
        #expect(
            action == #"send [{"jsonrpc":"2.0","method":"notifications/initialized"} \#(levelRequest(conversation, .error))]"#)
    }

    @Test("a level is sent though the first list could not be read")
    func levelAfterFailedList() throws {
        var conversation = Conversation(level: .error)
        try conversation.shakeHands(capabilities: #"{"tools":{},"logging":{}}"#)
        #expect(
            try conversation.refuse()
                == "tools failed: it refused 'tools/list': not today (-32000) send [\(levelRequest(conversation, .error))]")
    }

    @Test("of levels set before the server is ready, the last one is sent; later ones at once")
    func levelChanges() throws {
        var conversation = Conversation(level: .debug)
        #expect(try conversation.sent(conversation.machine.setLevel(.info)) == "nothing")
        try conversation.shakeHands(capabilities: #"{"tools":{},"logging":{}}"#)
        #expect(try conversation.sent(conversation.machine.setLevel(.alert)) == "nothing")
        #expect(try conversation.answer(#"{"tools":[]}"#) == "tools [] send [\(levelRequest(conversation, .alert))]")
        #expect(try conversation.answer("{}") == "ignore")
        #expect(try conversation.sent(conversation.machine.setLevel(.notice)) == levelRequest(conversation, .notice))
        #expect(try conversation.refuse() == "ignore")
        #expect(conversation.machine.closed().isEmpty)
    }

    @Test("a server that does not log is not asked to")
    func noLogging() throws {
        var conversation = try Conversation.ready(capabilities: #"{"tools":{}}"#, level: .debug)
        #expect(try conversation.sent(conversation.machine.setLevel(.error)) == "nothing")
    }

    @Test("a level nobody set is not sent")
    func noLevel() throws {
        var conversation = Conversation()
        try conversation.shakeHands(capabilities: #"{"tools":{},"logging":{}}"#)
        #expect(try conversation.answer(#"{"tools":[]}"#) == "tools [] send []")
    }

    // MARK: What the server asks and tells

    @Test("a server may ping at any time, and gets an error for whatever else it asks", arguments: [true, false])
    func serverRequests(isReady: Bool) throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        if isReady { conversation = try .ready() }
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#) == #"send [{"jsonrpc":"2.0","id":"p","result":{}}]"#)
        for method in ["tools/list", "initialize", "server/discover", "completion/complete", "x"] {
            #expect(
                try conversation.hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#)
                    == #"send [{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found: \#(method)"}}]"#)
        }
    }

    @Test("the number of a server's own request may be one of ours")
    func sameNumber() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("7")
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"#)
                == #"send [{"jsonrpc":"2.0","id":\#(id),"result":{}}]"#)
        #expect(try conversation.answer("{}", to: id) == "answer 7")
    }

    @Test(
        "notifications that mean something to us are told, and no others",
        arguments: [
            ("notifications/message", "log"), ("notifications/initialized", "ignore"), ("notifications/cancelled", "ignore"),
            ("ping", "ignore"), ("notifications/progress", "ignore"), ("notifications/roots/list_changed", "ignore"),
            ("notifications/resources/updated", "notify notifications/resources/updated"),
            ("notifications/elicitation/complete", "notify notifications/elicitation/complete"),
        ])
    func notifications(method: String, expected: String) throws {
        var conversation = try Conversation.ready()
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","method":"\#(method)","params":{"level":"info","data":1}}"#) == expected)
    }
}
