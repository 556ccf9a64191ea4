import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

@Suite("Answers between the eras")
struct EraBridgeResultTests {
    private let bridge = EraBridge(identity: identity)
    private static let us = #""io.modelcontextprotocol/serverInfo":{"name":"us","version":"1.2.3"}"#
    private static let them = #""io.modelcontextprotocol/serverInfo":{"name":"them"}"#

    /// The result as the host gets it; `nil` if it cannot have it.
    private func shown(
        _ result: String, from server: Revision.Era, to host: Revision.Era, isCacheable: Bool = false, label: String? = nil
    ) throws -> String? {
        let result = result.replacing("THEM", with: Self.them)
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":7,"result":\#(result)}"#))
        guard let splice = bridge.result(message, from: server, to: host, isCacheable: isCacheable, label: label) else { return nil }
        _ = try Message(scanning: splice.bytes)
        let (head, tail) = (#"{"jsonrpc":"2.0","id":7,"result":"#, "}")
        let text = String(buffer: splice.bytes)
        #expect(text.hasPrefix(head) && text.hasSuffix(tail), "\(text)")
        return String(text.dropFirst(head.count).dropLast(tail.count)).replacing(Self.us, with: "US")
    }

    @Test(
        "within the handshake era stay as they are, whatever they hold",
        arguments: [
            "{}", "7", "null", #"{"resultType":"input_required","ttlMs":5,"_meta":{THEM}}"#, #"{ "content" : [1.0] ,"_meta":[]}"#,
        ])
    func handshakeToHandshake(result: String) throws {
        #expect(try shown(result, from: .handshake, to: .handshake, isCacheable: true) == result.replacing("THEM", with: Self.them))
    }

    @Test(
        "of a stateless server lose what only the stateless era has",
        arguments: [
            ("{}", "{}"), ("7", "7"), (#"[{"resultType":1}]"#, #"[{"resultType":1}]"#), (#"{"resultType":"complete"}"#, "{}"),
            (#"{"resultType":"complete","ttlMs":1,"cacheScope":"public","_meta":{THEM}}"#, "{}"),
            (
                #"{"content":[1.0],"_meta":{"k":{"resultType":1},THEM},"resultType":"complete"}"#,
                #"{"content":[1.0],"_meta":{"k":{"resultType":1}}}"#
            ),
            (#"{"resultType":"complete","_meta":{THEM,"k":1},"x":{"ttlMs":1}}"#, #"{"_meta":{"k":1},"x":{"ttlMs":1}}"#),
            (#"{"_meta":{},"ttlMs":[]}"#, #"{"_meta":{}}"#), (#"{"_meta":7,"resultType":null}"#, #"{"_meta":7}"#),
        ])
    func statelessToHandshake(result: String, expected: String) throws {
        #expect(try shown(result, from: .stateless, to: .handshake, isCacheable: true) == expected)
    }

    @Test(
        "of a server of the handshake era get what stateless hosts need, and lose what only looks like it",
        arguments: [
            ("{}", #"{"resultType":"complete","_meta":{US}}"#),
            (#"{ }"#, #"{"resultType":"complete","_meta":{US} }"#),
            (#"{"content":[ 1.0 ]}"#, #"{"resultType":"complete","_meta":{US},"content":[ 1.0 ]}"#),
            (#"{"_meta":{},"x":1}"#, #"{"resultType":"complete","_meta":{US},"x":1}"#),
            (#"{"x":1,"_meta":{"k":1.0}}"#, #"{"resultType":"complete","x":1,"_meta":{US,"k":1.0}}"#),
            (#"{"_meta":{"k":1.0,THEM}}"#, #"{"resultType":"complete","_meta":{"k":1.0,US}}"#),
            // What is no object cannot be added to.
            (#"{"_meta":7}"#, #"{"resultType":"complete","_meta":7}"#), (#"{"_meta":null}"#, #"{"resultType":"complete","_meta":null}"#),
            (
                #"{"resultType":"input_required","inputRequests":{"q":{}},"requestState":"s","x":1.0}"#,
                #"{"resultType":"complete","_meta":{US},"x":1.0}"#
            ),
            (#"{"ttlMs":-1,"_meta":{THEM},"cacheScope":"public"}"#, #"{"resultType":"complete","_meta":{US}}"#),
            (#"{"resultType":"task","taskId":"t"}"#, #"{"resultType":"complete","_meta":{US},"taskId":"t"}"#),
        ])
    func handshakeToStateless(result: String, expected: String) throws {
        #expect(try shown(result, from: .handshake, to: .stateless) == expected)
        let cacheable = expected.replacing(#""resultType":"complete""#, with: #""resultType":"complete","ttlMs":0,"cacheScope":"private""#)
        #expect(try shown(result, from: .handshake, to: .stateless, isCacheable: true) == cacheable)
    }

    @Test(
        "within the stateless era have our name for the server's, and say that they are complete if they did not",
        arguments: [
            (#"{"resultType":"complete"}"#, #"{"_meta":{US},"resultType":"complete"}"#),
            (#"{"resultType":"complete","_meta":{THEM}}"#, #"{"resultType":"complete","_meta":{US}}"#),
            (#"{"_meta":{"k":1.0},"resultType":"x"}"#, #"{"_meta":{US,"k":1.0},"resultType":"x"}"#),
            (
                #"{"resultType":"complete","ttlMs":5,"cacheScope":"public","_meta":{}}"#,
                #"{"resultType":"complete","ttlMs":5,"cacheScope":"public","_meta":{US}}"#
            ),
            (#"{"resultType":"complete","_meta":[]}"#, #"{"resultType":"complete","_meta":[]}"#),
            ("{}", #"{"resultType":"complete","_meta":{US}}"#),
            (#"{"x":1.0,"_meta":{THEM}}"#, #"{"resultType":"complete","x":1.0,"_meta":{US}}"#),
            (#"{"resultType":"task","taskId":"t","ttlMs":null}"#, #"{"_meta":{US},"resultType":"task","taskId":"t","ttlMs":null}"#),
        ])
    func statelessToStateless(result: String, expected: String) throws {
        #expect(try shown(result, from: .stateless, to: .stateless) == expected)
    }

    @Test(
        "that can be kept and do not say for how long, cannot be: each of the two members is there once",
        arguments: [
            ("{}", #"{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{US}}"#),
            (#"{"ttlMs":5}"#, #"{"resultType":"complete","cacheScope":"private","_meta":{US},"ttlMs":5}"#),
            (#"{"cacheScope":"public"}"#, #"{"resultType":"complete","ttlMs":0,"_meta":{US},"cacheScope":"public"}"#),
            (#"{"ttlMs":5,"cacheScope":"public"}"#, #"{"resultType":"complete","_meta":{US},"ttlMs":5,"cacheScope":"public"}"#),
        ])
    func statelessWithoutType(result: String, expected: String) throws {
        #expect(try shown(result, from: .stateless, to: .stateless, isCacheable: true) == expected)
    }

    @Test("that are no object are none for a stateless host", arguments: Revision.Era.all, ["7", "null", #""{}""#, "[{}]", "true"])
    func noObject(server: Revision.Era, result: String) throws {
        #expect(try shown(result, from: server, to: .stateless) == nil)
    }

    @Test("that ask for something name the server that asks")
    func label() throws {
        let requests = #"{"e":{"method":"elicitation/create","params":{"message":"Which?","n":1.0}},"r":{"method":"roots/list"},"x":7}"#
        let labelled = #"{"e":{"method":"elicitation/create","params":{"message":"[s] Which?","n":1.0}},"r":{"method":"roots/list"},"x":7}"#
        let result = #"{"inputRequests":\#(requests),"requestState":"\u0073","resultType":"input_required","_meta":{THEM}}"#
        #expect(
            try shown(result, from: .stateless, to: .stateless, label: "s")
                == result.replacing(requests, with: labelled).replacing("THEM", with: "US"))
        for odd in ["7", "[]", "{}", "null"] {
            let result = #"{"inputRequests":\#(odd),"resultType":"input_required","_meta":{THEM}}"#
            #expect(try shown(result, from: .stateless, to: .stateless, label: "s")?.hasPrefix(#"{"inputRequests":"#) == true)
        }
    }

    // MARK: What we compose

    @Test(
        "of our own are those of the handshake era with what the stateless one adds",
        arguments: [
            ("{}", nil, #"{"resultType":"complete","_meta":{US}}"#),
            (#"{"tools":[]}"#, nil, #"{"resultType":"complete","_meta":{US},"tools":[]}"#),
            (#"{"tools":[]}"#, Freshness.none, #"{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{US},"tools":[]}"#),
            (
                #"{"tools":[]}"#, Freshness(timeToLive: 60_000, isPublic: true),
                #"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","_meta":{US},"tools":[]}"#
            ),
        ] as [(String, Freshness?, String)])
    func composed(result: String, freshness: Freshness?, expected: String) throws {
        let bytes = bridge.stateless(ByteBuffer(string: result), freshness: freshness)
        _ = try JSONView(validating: bytes)
        #expect(String(buffer: bytes).replacing(Self.us, with: "US") == expected)
    }

    @Test("that ask on behalf of a server of the handshake era hold its questions and our state")
    func inputRequired() {
        let questions: [(key: String, method: MCPProtocol.Method, params: ByteBuffer)] = [
            ("q0", .rootsList, ByteBuffer(string: "{}")), ("q1", .elicit, ByteBuffer(string: #"{"n":1.0}"#)),
        ]
        #expect(
            String(buffer: bridge.inputRequired(questions, state: "s\"")).replacing(Self.us, with: "US")
                == #"{"resultType":"input_required","inputRequests":{"q0":{"method":"roots/list","params":{}},"#
                + #""q1":{"method":"elicitation/create","params":{"n":1.0}}},"requestState":"s\"","_meta":{US}}"#)
    }

    @Test(
        "tell of a listener's subscription under the id of its request, of its type", arguments: ["7", #""7""#, #""\u0061""#, "-0"])
    func tagged(id: String) {
        let tag = #""_meta":{"io.modelcontextprotocol/subscriptionId":\#(id)"#
        let listener = RequestID(text: id)
        var filter = SubscriptionFilter()
        filter.kinds = [.tools]
        filter.uris = ["a"]
        func text(_ bytes: ByteBuffer) -> String { String(buffer: bytes).replacing(Self.us, with: "US") }
        #expect(
            text(bridge.acknowledged(filter, listener: listener))
                == #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"#
                + #""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a"]},\#(tag)}}}"#)
        #expect(
            text(bridge.changed(.toolsListChanged, listener: listener))
                == #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{\#(tag)}}}"#)
        #expect(
            text(bridge.changed(.resourcesUpdated, uri: "a", listener: listener))
                == #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a",\#(tag)}}}"#)
        #expect(text(bridge.listenEnded(listener)) == #"{"jsonrpc":"2.0","id":\#(id),"result":{"resultType":"complete",\#(tag),US}}}"#)
    }

    @Test("tell a host of the handshake era of changes without any tag")
    func untagged() {
        #expect(
            String(buffer: bridge.changed(.toolsListChanged, listener: nil))
                == #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)
        #expect(
            String(buffer: bridge.changed(.resourcesUpdated, uri: "a", listener: nil))
                == #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a"}}"#)
    }

    // MARK: Tasks

    @Test(
        "that name a task name it as the next hop does, or not at all",
        arguments: [
            (#"{"_meta":{TASK}}"#, #"{"_meta":{OURS}}"#, "{}"),
            (
                #"{"x":1.0,"_meta":{"k":1,TASK,"l":2},"y":1}"#, #"{"x":1.0,"_meta":{"k":1,"l":2,OURS},"y":1}"#,
                #"{"x":1.0,"_meta":{"k":1,"l":2},"y":1}"#
            ),
            (#"{"x":1,"_meta":{TASK}}"#, #"{"x":1,"_meta":{OURS}}"#, #"{"x":1}"#),
            (#"{"_meta":{"k":1}}"#, #"{"_meta":{"k":1}}"#, #"{"_meta":{"k":1}}"#), ("{}", "{}", "{}"), ("7", "7", "7"),
            (#"{"_meta":[]}"#, #"{"_meta":[]}"#, #"{"_meta":[]}"#),
        ])
    func relatedTask(result: String, renamed: String, without: String) throws {
        let task = #""io.modelcontextprotocol/related-task":{"taskId":"#
        func message(_ result: String) -> String { #"{"jsonrpc":"2.0","id":7,"result":\#(result)}"# }
        let original = try Message(scanning: ByteBuffer(string: message(result.replacing("TASK", with: task + #""t","x":1}"#))))
        #expect(
            String(buffer: bridge.relatedTask(in: original, #""ours""#).bytes)
                == message(renamed.replacing("OURS", with: task + #""ours"}"#)))
        #expect(String(buffer: bridge.relatedTask(in: original, nil).bytes) == message(without))
    }

    // MARK: Errors

    struct Mapping: Sendable {
        let code: Int
        var data = ""
        var isRead = false
        /// The codes for: a server and a host of the handshake era, stateless to handshake, handshake to stateless, both stateless.
        let codes: [Int]
    }

    private static let uri = #","data":{"uri":"a://b","n":1.0}"#

    @Test(
        "that are errors have the code that means this on the host's hop",
        arguments: [
            Mapping(code: -32600, codes: [-32600, -32600, -32600, -32600]),
            Mapping(code: -32601, codes: [-32601, -32601, -32601, -32601]),
            Mapping(code: -32602, codes: [-32602, -32602, -32602, -32602]),
            Mapping(code: -32602, data: uri, codes: [-32602, -32602, -32602, -32602]),
            // In the stateless era it says that the resource is not there, if it names it.
            Mapping(code: -32602, isRead: true, codes: [-32602, -32602, -32602, -32602]),
            Mapping(code: -32602, data: uri, isRead: true, codes: [-32602, -32002, -32602, -32602]),
            Mapping(code: -32603, codes: [-32603, -32603, -32603, -32603]),
            // Of the handshake era alone.
            Mapping(code: -32002, data: uri, isRead: true, codes: [-32002, -32002, -32602, -32602]),
            Mapping(code: -32002, codes: [-32002, -32002, -32602, -32602]),
            // Of one hop of the stateless era; before that era they meant what the server wanted.
            Mapping(code: -32020, codes: [-32020, -32603, -32603, -32603]),
            Mapping(code: -32022, codes: [-32022, -32603, -32603, -32603]),
            // Between two of that era it is the host that lacks something, because it is told of as it is.
            Mapping(code: -32021, codes: [-32021, -32603, -32603, -32021]),
            Mapping(code: -1, codes: [-1, -1, -1, -1]), Mapping(code: -32000, codes: [-32000, -32000, -32000, -32000]),
            Mapping(code: 7, codes: [7, 7, 7, 7]),
        ])
    func errors(mapping: Mapping) throws {
        func message(_ code: Int) -> String {
            #"{"jsonrpc":"2.0","id":7,"error":{"x":1.0,"code":\#(code),"message":"\u0061"\#(mapping.data)}}"#
        }
        let original = try Message(scanning: ByteBuffer(string: message(mapping.code)))
        let hops: [(Revision.Era, Revision.Era)] = [
            (.handshake, .handshake), (.stateless, .handshake), (.handshake, .stateless), (.stateless, .stateless),
        ]
        for ((server, host), code) in zip(hops, mapping.codes) {
            let error = bridge.error(original, from: server, to: host, isRead: mapping.isRead)
            #expect(String(buffer: error.bytes) == message(code), "from \(server) to \(host)")
        }
    }

    @Test(
        "that are errors of no known form go on as they are",
        arguments: ["7", "null", "{}", #"{"code":"-32002"}"#, #"{"code":-32002.0}"#, "[]"])
    func oddErrors(error: String) throws {
        let text = #"{"jsonrpc":"2.0","id":7,"error":\#(error)}"#
        let original = try Message(scanning: ByteBuffer(string: text))
        for server in Revision.Era.all {
            for host in Revision.Era.all {
                #expect(String(buffer: bridge.error(original, from: server, to: host, isRead: true).bytes) == text)
            }
        }
    }
}
