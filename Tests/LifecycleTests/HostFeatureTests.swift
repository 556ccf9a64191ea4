import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

@Suite("What a host asks beside tools")
struct HostFeatureTests {
    private static let lists = FeatureKind.allCases.map(\.listMethod)

    @Test(
        "requests are what their method says, whatever else they hold",
        arguments: [
            (#""method":"prompts/list""#, "list prompts 5"), (#""method":"resources/list","params":{"x":1}"#, "list resources 5"),
            (#""method":"resources/templates/list","params":{"cursor":null}"#, "list templates 5"),
            (#""method":"resources\/templates\/list""#, "list templates 5"),
            (#""method":"prompts/get","params":{"name":"a","arguments":{"name":7}}"#, "forward prompts 5"),
            (#""method":"prompts/get","params":{"name":""}"#, "forward prompts 5"),
            (#""method":"resources/read","params":{"uri":"a://b"}"#, "resources/read 5"),
            (#""method":"resources/subscribe","params":{"uri":"\u0061"}"#, "resources/subscribe 5"),
            (#""method":"resources/unsubscribe","params":{"uri":"","name":"x"}"#, "resources/unsubscribe 5"),
            (#""method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{}}"#, "complete 5"),
            (#""method":"completion/complete","params":{"ref":{"uri":"a://{b}","type":"ref/resource"}}"#, "complete 5"),
        ], Revision.allCases.filter { $0.era == .handshake })
    func requests(example: (members: String, expected: String), revision: Revision) throws {
        let machine = try HostProtocol.open(revision)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":5,\#(example.members)}"#) == example.expected)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":5,\#(example.members)}"#, inBatch: true) == example.expected)
    }

    @Test("a cursor that nobody handed out is refused, in every list", arguments: lists, [#""""#, #""page2""#, "2", "{}", "false"])
    func cursor(method: MCPProtocol.Method, cursor: String) throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":"x","method":"\#(method.rawValue)","params":{"cursor":\#(cursor)}}"#)
                == #"answer {"jsonrpc":"2.0","id":"x","error":{"code":-32602,"message":"Unknown cursor"}}"#)
    }

    @Test(
        "what cannot be routed without a name or URI is refused without one",
        arguments: [
            ("prompts/get", "name"), ("tools/call", "name"), ("resources/read", "uri"), ("resources/subscribe", "uri"),
            ("resources/unsubscribe", "uri"),
        ],
        [
            "", #","params":{}"#, #","params":{"MEMBER":7}"#, #","params":{"MEMBER":null}"#, #","params":{"MEMBER":["a"]}"#,
            #","params":{"x":{"MEMBER":"a"}}"#,
        ])
    func nameless(request: (method: String, member: String), params: String) throws {
        let machine = try HostProtocol.open()
        let params = params.replacing("MEMBER", with: request.member)
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":"x","method":"\#(request.method)"\#(params)}"#)
                == #"answer {"jsonrpc":"2.0","id":"x","error":{"code":-32602,"message":"'\#(request.method)' needs '\#(request.member)', "#
                + #"a string"}}"#)
    }

    @Test("the name of the one is not the URI of the other")
    func wrongMember() throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"a"}}"#).contains("needs 'uri'"))
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"uri":"a"}}"#).contains("needs 'name'"))
    }

    @Test(
        "a completion of nothing is refused",
        arguments: [
            "", #","params":{}"#, #","params":{"ref":{}}"#, #","params":{"ref":"name"}"#, #","params":{"ref":null}"#,
            #","params":{"ref":{"type":"ref/prompt"}}"#, #","params":{"name":"a","uri":"b"}"#,
            #","params":{"argument":{"name":"a"}}"#,
        ])
    func completion(params: String) throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"completion/complete"\#(params)}"#)
                == #"answer {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"'completion/complete' needs 'ref' with 'name' or 'uri'"}}"#
        )
    }

    @Test(
        "nothing of all that comes before the handshake",
        arguments: [
            "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read", "resources/subscribe",
            "resources/unsubscribe", "completion/complete",
        ])
    func before(method: String) throws {
        let machine = HostProtocol(identity: identity)
        let params = #"{"name":"a","uri":"b","ref":{"name":"c"}}"#
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":\#(params)}"#)
                == cameBefore(method, id: "1"))
        #expect(try machine.hears(#"{"jsonrpc":"2.0","method":"\#(method)","params":\#(params)}"#) == "ignore", "without an id")
    }

    @Test(
        "what servers ask is nothing that a host asks us",
        arguments: ["roots/list", "sampling/createMessage", "elicitation/create", "notifications/roots/list_changed"])
    func otherWayRound(method: String) throws {
        let machine = try HostProtocol.open()
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#)
                == #"answer {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found: \#(method)"}}"#)
    }
}

@Suite("What a host answers and tells servers")
struct HostAnswerTests {
    @Test("an answer goes by the number under which we asked, a result and an error alike", arguments: [0, 1, 4096, 9_007_199_254_740_991])
    func answers(number: Int) throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":\#(number),"result":{"roots":[]}}"#) == "answered \(number)")
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":\#(number),"error":{"code":-1,"message":"User rejected"}}"#)
                == "answered \(number)")
    }

    @Test("an answer under what is no number of ours is none", arguments: [#""4096""#, #""""#, "99999999999999999999"])
    func foreignAnswers(id: String) throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#) == "ignore")
    }

    @Test("progress goes by the same number, which was the token")
    func progress() throws {
        let machine = try HostProtocol.open()
        func hears(_ token: String) throws -> String {
            try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":\#(token)}}"#)
        }
        #expect(try hears("4096") == "progress of 4096")
        for token in [#""4096""#, "null", "{}", "1.5"] { #expect(try hears(token) == "ignore") }
    }

    @Test("changed roots are told")
    func roots() throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#) == "roots changed")
    }

    // MARK: What it can do

    private func initialize(_ capabilities: String, _ revision: String) -> String {
        let params = #"{"protocolVersion":"\#(revision)","capabilities":\#(capabilities)}"#
        return #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":\#(params)}"#
    }

    @Test(
        "what it can do is what it declared, as its revision understands that",
        arguments: [
            ("2024-11-05", #"{"roots":{"listChanged":true},"sampling":{},"elicitation":{}}"#, [true, true, true, false, false]),
            ("2025-06-18", #"{"elicitation":{}}"#, [false, false, false, true, false]),
            ("2025-11-25", #"{"elicitation":{"url":{}},"roots":{}}"#, [true, false, false, false, true]),
            // Answered with 2025-11-25, which is what counts.
            ("2026-07-28", #"{"elicitation":{"url":{},"form":{}}}"#, [false, false, false, true, true]),
            ("2025-11-25", "null", [false, false, false, false, false]),
        ])
    func capabilities(revision: String, declared: String, expected: [Bool]) throws {
        let machine = HostProtocol(identity: identity)
        #expect(machine.capabilities == ClientCapabilities())
        #expect(try machine.hears(initialize(declared, revision)).hasPrefix("begin"))
        let capabilities = machine.capabilities
        #expect(
            [
                capabilities.roots, capabilities.rootsListChanged, capabilities.sampling, capabilities.elicitationForm,
                capabilities.elicitationURL,
            ] == expected)
        // Who starts anew says so anew, and who is refused has said nothing.
        #expect(try machine.hears(initialize(#"{"sampling":{}}"#, "2025-11-25"), inBatch: true).hasPrefix("answer"))
        #expect(machine.capabilities == capabilities)
        _ = try machine.hears(initialize(#"{"sampling":{}}"#, "2025-11-25"))
        #expect(machine.capabilities.sampling && !machine.capabilities.roots && !machine.capabilities.elicitationURL)
    }

    @Test("our own command line can do what it is given")
    func ownConnection() {
        var capabilities = ClientCapabilities()
        capabilities.elicitationForm = true
        #expect(HostProtocol(openedWith: .newestHandshake, capabilities: capabilities, identity: identity).capabilities == capabilities)
    }
}
