import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

@Suite("Between the eras")
struct EraBridgeTests {
    private let bridge = EraBridge(identity: identity)
    private static let info = #""io.modelcontextprotocol/serverInfo":{"name":"us","version":"1.2.3"}"#
    private static let theirs = #""io.modelcontextprotocol/serverInfo":{"name":"them","version":"9"}"#
    private static let ours =
        #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"us","version":"1.2.3"},"#
        + #""io.modelcontextprotocol/clientCapabilities":{}"#

    private func message(_ text: String) throws -> Message { try Message(scanning: ByteBuffer(string: text)) }

    // MARK: Requests

    /// A call with these members of its params behind the name, and what a server gets of them.
    private func request(
        _ members: String, wantsProgress: Bool = false, isStateless: Bool, to era: Revision.Era, input: EraBridge.Input? = nil,
        runsAsTask: Bool = false, keepsTask: Bool = true
    ) throws -> String {
        let call = try message(#"{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"a__b"\#(members)}}"#)
        let splice = bridge.request(
            call, id: 5, name: (.name, #""b""#), wantsProgress: wantsProgress, isStateless: isStateless,
            envelope: era == .stateless ? Envelope() : nil, input: input, runsAsTask: runsAsTask, keepsTask: keepsTask)
        let whole = String(buffer: splice.bytes)
        let (start, end) = (#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"#, "}}")
        #expect(whole.hasPrefix(start) && whole.hasSuffix(end))
        _ = try message(whole)
        return String(whole.dropFirst(start.count).dropLast(end.count))
    }

    @Test(
        "a request inside the handshake era changes in its id, name and token alone",
        arguments: [
            ("", #""name":"b""#), (#","arguments": {"x":1.0}"#, #""name":"b","arguments": {"x":1.0}"#),
            (#","_meta":{"progressToken":"t","k":1}"#, #""name":"b","_meta":{"progressToken":5,"k":1}"#),
            (#","inputResponses":{},"requestState":"s""#, #""name":"b","inputResponses":{},"requestState":"s""#),
        ])
    func handshakeToHandshake(members: String, expected: String) throws {
        let wantsProgress = members.contains("progressToken")
        #expect(try request(members, wantsProgress: wantsProgress, isStateless: false, to: .handshake) == expected)
    }

    @Test(
        "a server of the handshake era gets no envelope, and nothing that is meant for stateless ones",
        arguments: [
            (#","_meta":{\#(ours)}"#, #""name":"b""#),
            (#","_meta":{\#(ours),"traceparent":"x"},"arguments":{}"#, #""name":"b","_meta":{"traceparent":"x"},"arguments":{}"#),
            (#","_meta":{"progressToken":"t",\#(ours)}"#, #""name":"b","_meta":{"progressToken":5}"#),
            (#","inputResponses":{},"_meta":{\#(ours)},"requestState":"s""#, #""name":"b""#),
        ])
    func statelessToHandshake(members: String, expected: String) throws {
        let wantsProgress = members.contains("progressToken")
        #expect(try request(members, wantsProgress: wantsProgress, isStateless: true, to: .handshake) == expected)
    }

    @Test(
        "a stateless server gets our envelope, whoever asks",
        arguments: [
            (false, "", #""_meta":{\#(ours)},"name":"b""#),
            (false, #","_meta":{"progressToken":1,"k":1.0}"#, #""name":"b","_meta":{"progressToken":5,\#(ours),"k":1.0}"#),
            (false, #","_meta":7"#, #""name":"b","_meta":{\#(ours)}"#),
            (true, #","_meta":{"k":1,"io.modelcontextprotocol/clientInfo":{"name":"h"}}"#, #""name":"b","_meta":{\#(ours),"k":1}"#),
            (
                true, #","_meta":{},"inputResponses":{"a":1},"requestState":"s""#,
                #""name":"b","_meta":{\#(ours)},"inputResponses":{"a":1},"requestState":"s""#
            ),
        ])
    func toStateless(isStateless: Bool, members: String, expected: String) throws {
        let wantsProgress = members.contains("progressToken")
        #expect(try request(members, wantsProgress: wantsProgress, isStateless: isStateless, to: .stateless) == expected)
    }

    @Test("the next try brings what the server wanted, and its state as it wrote it")
    func input() throws {
        let responses = [(key: "q\"", result: ByteBuffer(string: "{\"a\":1.0}"))]
        let input = EraBridge.Input(responses: responses, state: ByteBuffer(string: #""\u0073""#))
        let expected = #""inputResponses":{"q\"":{"a":1.0}},"requestState":"\u0073","_meta":{\#(Self.ours)},"name":"b""#
        #expect(try request("", isStateless: false, to: .stateless, input: input) == expected)
        let stateAlone = EraBridge.Input(responses: [], state: ByteBuffer(string: #""s""#))
        #expect(
            try request(#","_meta":{}"#, isStateless: false, to: .stateless, input: stateAlone)
                == #""requestState":"s","name":"b","_meta":{\#(Self.ours)}"#)
    }

    @Test("a task is asked for on a host's behalf, or what the host asked is taken out")
    func task() throws {
        #expect(try request("", isStateless: false, to: .handshake, runsAsTask: true) == #""task":{},"name":"b""#)
        #expect(try request(#","_meta":{}"#, isStateless: true, to: .handshake, runsAsTask: true) == #""task":{},"name":"b""#)
        #expect(try request(#","task":{"ttl":1}"#, isStateless: false, to: .handshake) == #""name":"b","task":{"ttl":1}"#)
        #expect(try request(#","task":{"ttl":1}"#, isStateless: false, to: .handshake, keepsTask: false) == #""name":"b""#)
        #expect(try request(#","task":{},"_meta":{}"#, isStateless: true, to: .handshake, keepsTask: false) == #""name":"b""#)
    }

    // MARK: Results

    private func result(_ text: String, from server: Revision.Era, to host: Revision.Era, isCacheable: Bool = false) throws -> String? {
        let answer = try message(#"{"jsonrpc":"2.0","id":1,"result":\#(text)}"#)
        guard let splice = bridge.result(answer, from: server, to: host, isCacheable: isCacheable, label: "s") else { return nil }
        _ = try message(String(buffer: splice.bytes))
        return String(String(buffer: splice.bytes).dropFirst(#"{"jsonrpc":"2.0","id":1,"result":"#.count).dropLast())
    }

    @Test(
        "a result inside the handshake era is left alone, whatever it is",
        arguments: ["{}", "[]", "null", "7", #"{"resultType":"x","_meta":7}"#])
    func untouched(text: String) throws {
        #expect(try result(text, from: .handshake, to: .handshake) == text)
    }

    @Test(
        "a host of the handshake era sees nothing of the other",
        arguments: [
            (#"{"resultType":"complete","content":[]}"#, #"{"content":[]}"#),
            (#"{"content":[],"ttlMs":0,"cacheScope":"private","resultType":"complete"}"#, #"{"content":[]}"#),
            (#"{"resultType":"complete","_meta":{\#(theirs)},"a":1.0}"#, #"{"a":1.0}"#),
            (#"{"_meta":{"k":1,\#(theirs)},"a":1.0}"#, #"{"_meta":{"k":1},"a":1.0}"#), ("{}", "{}"), ("[]", "[]"),
        ])
    func statelessToHandshake(text: String, expected: String) throws {
        #expect(try result(text, from: .stateless, to: .handshake) == expected)
    }

    @Test(
        "a stateless host gets what every result has there",
        arguments: [
            ("{}", false, #"{"resultType":"complete","_meta":{\#(info)}}"#),
            (#"{"a":1.0}"#, false, #"{"resultType":"complete","_meta":{\#(info)},"a":1.0}"#),
            (#"{"a":1,"_meta":{"k":1}}"#, false, #"{"resultType":"complete","a":1,"_meta":{\#(info),"k":1}}"#),
            (#"{"_meta":{}}"#, true, #"{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{\#(info)}}"#),
            // What only looks like it is no word of this era.
            (#"{"resultType":"input_required","ttlMs":-1,"requestState":"s"}"#, false, #"{"resultType":"complete","_meta":{\#(info)}}"#),
        ])
    func handshakeToStateless(text: String, isCacheable: Bool, expected: String) throws {
        #expect(try result(text, from: .handshake, to: .stateless, isCacheable: isCacheable) == expected)
    }

    @Test(
        "between stateless ones our name takes the place of theirs",
        arguments: [
            (#"{"resultType":"complete","_meta":{\#(theirs),"k":1}}"#, #"{"resultType":"complete","_meta":{\#(info),"k":1}}"#),
            (#"{"resultType":"future","a":1.0}"#, #"{"_meta":{\#(info)},"resultType":"future","a":1.0}"#),
            (#"{"a":1}"#, #"{"resultType":"complete","_meta":{\#(info)},"a":1}"#),
            (#"{"resultType":"complete","_meta":7}"#, #"{"resultType":"complete","_meta":7}"#),
        ])
    func statelessToStateless(text: String, expected: String) throws {
        #expect(try result(text, from: .stateless, to: .stateless) == expected)
    }

    @Test("a result that is no object can be given to no stateless host", arguments: ["[]", "null", "7", #""text""#])
    func noObject(text: String) throws {
        #expect(try result(text, from: .handshake, to: .stateless) == nil)
        #expect(try result(text, from: .stateless, to: .stateless) == nil)
    }

    @Test("what a stateless server asks the person carries the server's name, and nothing else of it changes")
    func labelled() throws {
        let text =
            #"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m","x":1.0}},"#
            + #""b":{"method":"sampling/createMessage","params":{"messages":[]}},"c":{"method":"roots/list"},"d":7}}"#
        let expected =
            #"{"_meta":{\#(Self.info)},"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":"#
            + #"{"message":"[s] m","x":1.0}},"b":{"method":"sampling/createMessage","params":{"messages":[],"_meta":"#
            + #"{"dev.mcpagg/server":"s"}}},"c":{"method":"roots/list"},"d":7}}"#
        #expect(try result(text, from: .stateless, to: .stateless) == expected)
    }

    // MARK: Errors

    @Test(
        "codes say something of one hop, or exist in one era",
        arguments: [
            (-32002, Revision.Era.handshake, Revision.Era.stateless, true, -32602), (-32002, .handshake, .handshake, true, -32002),
            (-32602, .stateless, .handshake, true, -32002), (-32602, .stateless, .handshake, false, -32602),
            (-32602, .stateless, .stateless, true, -32602), (-32020, .stateless, .handshake, false, -32603),
            (-32020, .stateless, .stateless, false, -32603), (-32022, .stateless, .stateless, false, -32603),
            (-32021, .stateless, .handshake, false, -32603), (-32021, .stateless, .stateless, false, -32021),
            (-32020, .handshake, .handshake, false, -32020), (-1, .handshake, .stateless, false, -1), (7, .stateless, .handshake, true, 7),
        ])
    func codes(code: Int, server: Revision.Era, host: Revision.Era, isRead: Bool, expected: Int) throws {
        let text = #"{"jsonrpc":"2.0","id":1,"error":{"message":"m","code":\#(code),"data":{"uri":"a:b"},"x":1.0}}"#
        let error = bridge.error(try message(text), from: server, to: host, isRead: isRead)
        #expect(String(buffer: error.bytes) == text.replacing("\"code\":\(code)", with: "\"code\":\(expected)"))
    }
}
