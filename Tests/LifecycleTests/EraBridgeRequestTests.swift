import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

/// The envelope of a host that can do nothing, as members of `_meta`.
let envelope = #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#
/// Our own, for a host that can do nothing.
let ourEnvelope =
    #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"us","version":"1.2.3"},"#
    + #""io.modelcontextprotocol/clientCapabilities":{}"#

@Suite("Requests between the eras")
struct EraBridgeRequestTests {
    private let bridge = EraBridge(identity: identity)

    /// What the server gets for a request with these params.
    private func sent(
        _ params: String, from host: Revision.Era, to server: Revision.Era, progress: Bool = false, as envelope: Envelope = Envelope(),
        input: EraBridge.Input? = nil, runsAsTask: Bool = false, keepsTask: Bool = true
    ) throws -> String {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":"h","method":"tools/call","params":\#(params)}"#))
        let splice = bridge.request(
            message, id: 77, name: (.name, #""own""#), wantsProgress: progress, isStateless: host == .stateless,
            envelope: server == .stateless ? envelope : nil, input: input, runsAsTask: runsAsTask, keepsTask: keepsTask)
        let (head, tail) = (#"{"jsonrpc":"2.0","id":77,"method":"tools/call","params":"#, "}")
        let text = String(buffer: splice.bytes)
        #expect(text.hasPrefix(head) && text.hasSuffix(tail), "\(text)")
        _ = try Message(scanning: splice.bytes)
        return String(text.dropFirst(head.count).dropLast(tail.count))
    }

    @Test(
        "between two of the handshake era change nothing but name and token",
        arguments: [
            (#"{"name":"a"}"#, #"{"name":"own"}"#),
            (#"{ "x":1.0,"name" : "a", "arguments":{"name":"b"}}"#, #"{ "x":1.0,"name" : "own", "arguments":{"name":"b"}}"#),
            (#"{"_meta":{"progressToken":"t","k":[]},"name":"a"}"#, #"{"_meta":{"progressToken":77,"k":[]},"name":"own"}"#),
            (
                #"{"name":"a","requestState":"s","inputResponses":{},"_meta":7}"#,
                #"{"name":"own","requestState":"s","inputResponses":{},"_meta":7}"#
            ),
        ])
    func handshakeToHandshake(params: String, expected: String) throws {
        #expect(try sent(params, from: .handshake, to: .handshake, progress: true) == expected)
    }

    @Test(
        "to a stateless server carry our envelope first, and of the host's '_meta' what goes from end to end",
        arguments: [
            // Without '_meta' it comes first.
            (#"{"name":"a"}"#, #"{"_meta":{ENVELOPE},"name":"own"}"#),
            (#"{"name":"a","_meta":{}}"#, #"{"name":"own","_meta":{ENVELOPE}}"#),
            (#"{"name":"a","_meta":null,"z":1}"#, #"{"name":"own","_meta":{ENVELOPE},"z":1}"#),
            (
                #"{"_meta":{"b":1.0,"traceparent":"00","progressToken":5,"a":{"c":[]}},"name":"a"}"#,
                #"{"_meta":{ENVELOPE,"b":1.0,"traceparent":"00","a":{"c":[]}},"name":"own"}"#
            ),
            (
                #"{"name":"a","_meta":{"io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/x":1,"#
                    + #""io.modelcontextprotocol/related-task":{},"io.modelcontextprotocol/subscriptionId":1,"#
                    + #""io.modelcontextprotocol/serverInfo":{}}}"#,
                #"{"name":"own","_meta":{ENVELOPE,"io.modelcontextprotocol/x":1}}"#
            ),
        ])
    func handshakeToStateless(params: String, expected: String) throws {
        let expected = expected.replacing("ENVELOPE", with: ourEnvelope)
        #expect(try sent(params, from: .handshake, to: .stateless) == expected)
        let token = #""progressToken":77,"io.modelcontextprotocol/protocolVersion""#
        #expect(
            try sent(params, from: .handshake, to: .stateless, progress: true)
                == expected.replacing(#""io.modelcontextprotocol/protocolVersion""#, with: token))
    }

    @Test(
        "to a server of the handshake era lose the envelope, and what only the stateless era has",
        arguments: [
            (#"{"name":"a","_meta":{ENVELOPE}}"#, #"{"name":"own"}"#),
            (#"{"_meta":{ENVELOPE},"name":"a","z":1}"#, #"{"name":"own","z":1}"#),
            (#"{"_meta":{"k":1.0,ENVELOPE,"l":2},"name":"a"}"#, #"{"_meta":{"k":1.0,"l":2},"name":"own"}"#),
            (#"{"inputResponses":{"q":{}},"name":"a","requestState":"s","_meta":{ENVELOPE}}"#, #"{"name":"own"}"#),
            (
                #"{"name":"a","_meta":{ENVELOPE,"io.modelcontextprotocol/logLevel":"info"},"arguments":{"_meta":{}}}"#,
                #"{"name":"own","arguments":{"_meta":{}}}"#
            ),
        ])
    func statelessToHandshake(params: String, expected: String) throws {
        #expect(try sent(params.replacing("ENVELOPE", with: envelope), from: .stateless, to: .handshake) == expected)
    }

    @Test("to a server of the handshake era have our progress token in a '_meta' that would be empty without")
    func statelessToHandshakeWithProgress() throws {
        #expect(
            try sent(#"{"name":"a","_meta":{\#(envelope),"progressToken":"t"}}"#, from: .stateless, to: .handshake, progress: true)
                == #"{"name":"own","_meta":{"progressToken":77}}"#)
    }

    @Test(
        "between two of the stateless era have our envelope in place of the host's, and the host's answers and state untouched",
        arguments: [
            (#"{"_meta":{ENVELOPE},"name":"a"}"#, #"{"_meta":{OURS},"name":"own"}"#),
            (#"{"name":"a","_meta":{"k":1.0,ENVELOPE}}"#, #"{"name":"own","_meta":{OURS,"k":1.0}}"#),
            (
                #"{"inputResponses":{"q":{"n":1.0}},"requestState":"\u0073","name":"a","_meta":{ENVELOPE}}"#,
                #"{"inputResponses":{"q":{"n":1.0}},"requestState":"\u0073","name":"own","_meta":{OURS}}"#
            ),
        ])
    func statelessToStateless(params: String, expected: String) throws {
        #expect(
            try sent(params.replacing("ENVELOPE", with: envelope), from: .stateless, to: .stateless)
                == expected.replacing("OURS", with: ourEnvelope))
    }

    @Test("to a stateless server say what the host can do and wants to hear")
    func envelopeOfHost() throws {
        var capabilities = ClientCapabilities()
        (capabilities.roots, capabilities.rootsListChanged, capabilities.elicitationForm) = (true, true, true)
        capabilities.tasks = true
        let text = try sent(
            #"{"name":"a"}"#, from: .handshake, to: .stateless, as: Envelope(capabilities: capabilities, logLevel: .warning))
        // Nothing is told between requests, so there is nothing to declare of changed roots.
        let declared = #"{"roots":{},"elicitation":{"form":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
        #expect(text.contains(#""io.modelcontextprotocol/clientCapabilities":\#(declared),"io.modelcontextprotocol/logLevel":"warning"}"#))
    }

    @Test(
        "without params, or whose params name nothing, stay as they are but for the id",
        arguments: Revision.Era.all, Revision.Era.all)
    func withoutParams(host: Revision.Era, server: Revision.Era) throws {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":"h","method":"m"}"#))
        let splice = bridge.request(
            message, id: 77, name: nil, wantsProgress: false, isStateless: host == .stateless,
            envelope: server == .stateless ? Envelope() : nil)
        #expect(String(buffer: splice.bytes) == #"{"jsonrpc":"2.0","id":77,"method":"m"}"#)
    }

    // MARK: What a stateless server has asked for

    @Test(
        "that are made again bring what was asked for, and the state as it was given",
        arguments: [
            ([], nil, ""), ([], #""\u0073""#, #""requestState":"\u0073","#),
            ([("q\"", #"{"action":"accept"}"#)], nil, #""inputResponses":{"q\"":{"action":"accept"}},"#),
            ([("b", "{}"), ("a", "[ 1.0 ]")], "7", #""inputResponses":{"b":{},"a":[ 1.0 ]},"requestState":7,"#),
        ] as [([(String, String)], String?, String)])
    func input(responses: [(String, String)], state: String?, members: String) throws {
        let input = EraBridge.Input(
            responses: responses.map { (key: JSONString.encoded($0.0), result: ByteBuffer(string: $0.1)) },
            state: state.map { ByteBuffer(string: $0) })
        #expect(
            try sent(#"{"name":"a"}"#, from: .handshake, to: .stateless, input: input)
                == #"{\#(members)"_meta":{\#(ourEnvelope)},"name":"own"}"#)
        let rest = members.isEmpty ? "" : members
        #expect(
            try sent(#"{"name":"a","_meta":{"k":1}}"#, from: .handshake, to: .stateless, input: input)
                == #"{\#(rest)"name":"own","_meta":{\#(ourEnvelope),"k":1}}"#)
    }

    @Test("of the handshake era have no answers and no state of their own for a stateless server, which would take them for its own")
    func ownInput() throws {
        let input = EraBridge.Input(responses: [(key: "\"q\"", result: ByteBuffer(string: "{}"))], state: ByteBuffer(string: "1"))
        for params in [
            #"{"requestState":"x","name":"a","inputResponses":{}}"#, #"{"inputResponses":7,"requestState":"x","name":"a"}"#,
            #"{"name":"a","inputResponses":{},"requestState":null}"#,
        ] {
            let first = try sent(params, from: .handshake, to: .stateless)
            #expect(first == #"{"_meta":{\#(ourEnvelope)},"name":"own"}"#)
            let second = try sent(params, from: .handshake, to: .stateless, input: input)
            #expect(second == #"{"inputResponses":{"q":{}},"requestState":1,"_meta":{\#(ourEnvelope)},"name":"own"}"#)
        }
    }

    // MARK: Tasks

    @Test(
        "that are to run as a task say so to a server of the handshake era, wherever their other members stand",
        arguments: [
            (#"{"name":"a"}"#, #"{"task":{},"name":"own"}"#),
            (#"{"_meta":{ENVELOPE},"name":"a"}"#, #"{"task":{},"name":"own"}"#),
            (#"{"name":"a","_meta":{ENVELOPE}}"#, #"{"task":{},"name":"own"}"#),
            (#"{"_meta":{ENVELOPE,"k":1},"name":"a"}"#, #"{"task":{},"_meta":{"k":1},"name":"own"}"#),
            (#"{"inputResponses":{},"_meta":{ENVELOPE},"name":"a"}"#, #"{"task":{},"name":"own"}"#),
            (#"{"task":{"ttl":1},"name":"a","_meta":{ENVELOPE}}"#, #"{"task":{},"name":"own"}"#),
            (#"{"name":"a","task":{"ttl":1},"_meta":{ENVELOPE},"requestState":"s"}"#, #"{"task":{},"name":"own"}"#),
        ])
    func asTask(params: String, expected: String) throws {
        let isStateless = params.contains("ENVELOPE")
        let text = try sent(
            params.replacing("ENVELOPE", with: envelope), from: isStateless ? .stateless : .handshake, to: .handshake, runsAsTask: true,
            keepsTask: false)
        #expect(text == expected)
    }

    @Test("keep the host's own wish for a task, or lose it")
    func hostTask() throws {
        let params = #"{"name":"a","task":{"ttl":1.0},"z":1}"#
        #expect(try sent(params, from: .handshake, to: .handshake) == #"{"name":"own","task":{"ttl":1.0},"z":1}"#)
        #expect(try sent(params, from: .handshake, to: .handshake, keepsTask: false) == #"{"name":"own","z":1}"#)
    }

    @Test("that may run as a task say nothing of it to a stateless server but in their envelope")
    func asStatelessTask() throws {
        #expect(
            try sent(#"{"name":"a"}"#, from: .handshake, to: .stateless, runsAsTask: true, keepsTask: false)
                == #"{"_meta":{\#(ourEnvelope)},"name":"own"}"#)
    }
}

extension Revision.Era {
    static let all: [Revision.Era] = [.handshake, .stateless]
}
