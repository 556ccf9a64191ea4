import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

@Suite("Changes that a stateless downstream tells of")
struct DownstreamListenTests {
    private static let everything = #"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"prompts":{}}"#

    private func listen(_ id: Int, _ filter: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"subscriptions/listen","params":{"notifications":{\#(filter)},"_meta":{\#(ourEnvelope)}}}"#
    }

    private func cancel(_ id: Int, _ reason: String) -> String {
        #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(id),"reason":"\#(reason)"}}"#
    }

    private static let lists = #""toolsListChanged":true,"resourcesListChanged":true"#

    private func lists(and uris: [String]) -> String {
        Self.lists + (uris.isEmpty ? "" : #","resourceSubscriptions":[\#(uris.map { "\"\($0)\"" }.joined(separator: ","))]"#)
    }

    /// A server that announces changes of two of its lists, and our id of the request that listens to it from the start.
    private func opened() throws -> (conversation: Conversation, id: Int) {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
        let probe = conversation.lastID
        let told = try conversation.answer(#"{"supportedVersions":["2026-07-28"],"capabilities":\#(Self.everything)}"#)
        // Each follows the one before at once; it is the first behind the probe, whose place it takes.
        let id = probe + RequestTable<Int>.capacity
        #expect(told.hasPrefix("send [\(listen(id, Self.lists)) "), "\(told)")
        try conversation.answerFirstLists()
        #expect(conversation.machine.phase == .ready && conversation.machine.nextDeadline == nil)
        conversation.pass(ListReader.pauseCap * 2)
        return (conversation, id)
    }

    private func acknowledge(_ id: Int, _ conversation: inout Conversation, _ filter: String = "{}") throws -> String {
        let meta = #""_meta":{"io.modelcontextprotocol/subscriptionId":\#(id)}"#
        return try conversation.hears(
            #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":\#(filter),\#(meta)}}"#)
    }

    private static let acknowledged = "listening to [] [] send []"
    private func replaced(_ id: Int) -> String {
        "listening to [] [] send [\(cancel(id, "another subscription has taken its place"))]"
    }

    @Test(
        "are those that it acknowledges, and none if it does not say which",
        arguments: [
            (#"{"toolsListChanged":true,"resourceSubscriptions":["b"]}"#, #"listening to ["tools"] ["b"] send []"#), ("{}", acknowledged),
            ("7", acknowledged), (#"{"resourceSubscriptions":7}"#, acknowledged),
        ])
    func honoured(filter: String, expected: String) throws {
        var (conversation, id) = try opened()
        #expect(conversation.machine.honoured == nil)
        #expect(try acknowledge(id, &conversation, filter) == expected)
        #expect(
            conversation.machine.honoured == SubscriptionFilter(try JSONView(validating: ByteBuffer(string: filter)))
                ?? SubscriptionFilter())
        let second = try listen(to: ["a"], &conversation)
        #expect(conversation.machine.honoured == nil, "of the new one nothing is known")
        #expect(conversation.machine.wantsToHear(of: "a") && !conversation.machine.wantsToHear(of: "b"))
        #expect(try acknowledge(second.id, &conversation) == replaced(id))
    }

    @Test("are asked for before the lists are read, and only those that it announces")
    func first() throws {
        var (conversation, id) = try opened()
        #expect(try acknowledge(id, &conversation) == Self.acknowledged)
        #expect(conversation.machine.listen(to: []).isEmpty, "it listens to that already")
        #expect(try conversation.listChanged().hasPrefix("send ["))
        let silent = try Conversation.stateless(capabilities: #"{"tools":{},"prompts":{"listChanged":false}}"#)
        let machine = silent.machine
        #expect(machine.listen(to: []).isEmpty, "it announces nothing")
        #expect(String(buffer: machine.listen(to: ["a"])[0]).contains(#""notifications":{"resourceSubscriptions":["a"]}"#))
    }

    @Test("are not asked for in the handshake era")
    func handshake() throws {
        let conversation = try Conversation.ready(capabilities: Self.everything)
        #expect(conversation.machine.listen(to: ["a"]).isEmpty)
    }

    /// What is sent for these resources.
    private func listen(to uris: [String], _ conversation: inout Conversation) throws -> (id: Int, others: [String]) {
        let messages = try conversation.machine.listen(to: uris).map { try conversation.sent($0) }
        #expect(messages.first == listen(conversation.lastID, lists(and: uris)))
        return (conversation.lastID, Array(messages.dropFirst()))
    }

    @Test("go on under the old request until the new one is acknowledged")
    func overtaken() throws {
        var (conversation, first) = try opened()
        _ = try acknowledge(first, &conversation)
        let second = try listen(to: ["a"], &conversation)
        #expect(second.others.isEmpty && second.id != first)
        #expect(try acknowledge(first, &conversation) == "ignore", "which is acknowledged already")
        #expect(try acknowledge(second.id, &conversation) == replaced(first))
        #expect(try acknowledge(second.id, &conversation) == Self.acknowledged)
        #expect(try conversation.answer("{}", to: first) == "late")
    }

    @Test("that were asked for in between are given up at once, and the oldest goes on until the newest is acknowledged")
    func overtakenTwice() throws {
        var (conversation, first) = try opened()
        let second = try listen(to: ["a"], &conversation)
        let third = try listen(to: ["a", "b"], &conversation)
        #expect(second.others.isEmpty && third.others == [cancel(second.id, "overtaken")])
        #expect(try acknowledge(second.id, &conversation) == "ignore")
        #expect(try acknowledge(third.id, &conversation) == replaced(first))
    }

    @Test("that nobody wants any more are ended, the overtaken ones among them", arguments: [true, false])
    func nothing(isAcknowledged: Bool) throws {
        var conversation = try Conversation.stateless(capabilities: #"{"resources":{"subscribe":true}}"#)
        func listen(to uris: [String]) throws -> [String] { try conversation.machine.listen(to: uris).map { try conversation.sent($0) } }
        _ = try listen(to: ["a"])
        let first = conversation.lastID
        _ = try listen(to: ["a", "b"])
        let second = conversation.lastID
        if isAcknowledged { _ = try acknowledge(second, &conversation) }
        let reason = "nothing is to be told any more"
        #expect(try listen(to: []) == (isAcknowledged ? [second] : [second, first]).map { cancel($0, reason) })
        #expect(try listen(to: []).isEmpty)
        #expect(try acknowledge(second, &conversation) == "ignore")
        #expect(try listen(to: ["a"]).count == 1, "and may be wanted again")
    }

    @Test("may be ended by the server: it is asked again, and what may have changed meanwhile is read anew", arguments: [true, false])
    func ended(byCancelling: Bool) throws {
        var (conversation, id) = try opened()
        _ = try acknowledge(id, &conversation)
        #expect(conversation.machine.relistDue == nil)
        let end = cancel(id, "going")
        #expect(try byCancelling ? conversation.hears(end) == "listen ended" : conversation.answer("{}", to: id) == "listen ended")
        let again = try listen(to: [], &conversation)
        #expect(again.others.isEmpty && again.id != id)
        #expect(try conversation.relist().contains("tools/list"))
        // The other way of saying so may follow.
        #expect(try byCancelling ? conversation.answer("{}", to: id) == "late" : conversation.hears(end).hasPrefix("withdraw"))
    }

    @Test("whose request was overtaken may end without any loss")
    func overtakenEnds() throws {
        var (conversation, first) = try opened()
        let second = try listen(to: ["a"], &conversation)
        #expect(try conversation.answer("{}", to: first) == "ignore")
        #expect(conversation.machine.relistDue == nil)
        #expect(try acknowledge(second.id, &conversation) == Self.acknowledged, "nothing is left to be ended")
    }

    @Test("are not asked for again where that was refused, but others are", arguments: [true, false])
    func refused(readably: Bool) throws {
        var (conversation, id) = try opened()
        #expect(try (readably ? conversation.refuse(to: id) : conversation.hearsGarbage(for: id)) == "ignore")
        #expect(conversation.machine.relistDue == nil)
        #expect(conversation.machine.listen(to: []).isEmpty)
        let second = try listen(to: ["a"], &conversation)
        #expect(second.others.isEmpty)
        #expect(try conversation.answer("{}", to: second.id) == "listen ended")
    }

    @Test("are acknowledged under the id that they were asked for, of its type", arguments: ["0", #""ID""#, "null", "{}", "ID.0"])
    func foreignAcknowledgement(id: String) throws {
        var (conversation, first) = try opened()
        let second = try listen(to: ["a"], &conversation)
        let written = id.replacing("ID", with: "\(second.id)")
        let meta = #""_meta":{"io.modelcontextprotocol/subscriptionId":\#(written)}"#
        #expect(
            try conversation.hears(
                #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},\#(meta)}}"#)
                == "ignore")
        #expect(try acknowledge(second.id, &conversation).contains("\(first)"))
    }

    @Test("wait for ever, and are nobody's request")
    func patience() throws {
        var (conversation, _) = try opened()
        conversation.pass(.seconds(1_000_000))
        #expect(conversation.expired().isEmpty && conversation.machine.nextDeadline == nil)
        #expect(conversation.machine.requestsInFlight == 0 && conversation.machine.newestRequest == nil)
        #expect(conversation.machine.closed().isEmpty)
    }
}
