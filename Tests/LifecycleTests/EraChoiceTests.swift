import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

/// 2026-07-28, basic/versioning; the rows are what a server may say.
@Suite("Which era a server is spoken to in")
struct EraChoiceTests {
    private typealias Choice = DownstreamProtocol.EraChoice

    private static let discovered = #""result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#
    private static let initialized = #""result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#
    private static func refusal(_ code: Int, data: String = "{}") -> String { #""error":{"code":\#(code),"message":"no","data":\#(data)}"# }
    private static let unsupported = refusal(-32022, data: #"{"supported":["2026-07-28"],"requested":"2025-11-25"}"#)
    private static let olderOnly = refusal(-32022, data: #"{"supported":["2025-11-25"],"requested":"2026-07-28"}"#)

    /// Plays what the server answers, one after the other.
    /// - Returns: the methods that it was sent, and what became of it.
    private func play(_ choice: DownstreamProtocol.EraChoice, _ answers: [String]) throws -> [String] {
        var conversation = Conversation()
        var heard: [String] = []
        func note(_ text: String) {
            for method in ["initialize", "server/discover"] where text.contains("\"method\":\"\(method)\"") { heard.append(method) }
        }
        note(try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: choice)))
        for answer in answers {
            let told = try conversation.hears(#"{"jsonrpc":"2.0","id":\#(conversation.lastID),\#(answer)}"#)
            note(told)
            if told.hasPrefix("unusable") { heard.append("unusable") }
        }
        return heard + (conversation.machine.era.map { ["\($0)"] } ?? [])
    }

    @Test(
        "is the one it answers in",
        arguments: [
            (Choice.preferring(.handshake), [initialized], ["initialize", "handshake"]),
            (.preferring(.stateless), [discovered], ["server/discover", "stateless"]),
            (.preferring(.handshake), [unsupported, discovered], ["initialize", "server/discover", "stateless"]),
            (.preferring(.handshake), [refusal(-32601), discovered], ["initialize", "server/discover", "stateless"]),
            (.preferring(.handshake), [refusal(-32601), refusal(-32601)], ["initialize", "server/discover", "unusable"]),
            (.preferring(.stateless), [refusal(-32601), initialized], ["server/discover", "initialize", "handshake"]),
            (.preferring(.stateless), [refusal(-32000), initialized], ["server/discover", "initialize", "handshake"]),
            (.preferring(.stateless), [#""result":{"garbage":true}"#, initialized], ["server/discover", "initialize", "handshake"]),
            (
                .preferring(.stateless), [#""result":{"supportedVersions":["2025-11-25"]}"#, initialized],
                ["server/discover", "initialize", "handshake"]
            ),
            (.preferring(.stateless), [olderOnly, initialized], ["server/discover", "initialize", "handshake"]),
            // Who says this speaks the stateless era alone.
            (
                .preferring(.stateless), [refusal(-32022, data: #"{"supported":["2099-01-01"],"requested":"2026-07-28"}"#)],
                ["server/discover", "unusable"]
            ),
            (.preferring(.stateless), [refusal(-32021)], ["server/discover", "unusable"]),
            // Held to an era by a probe that was given up.
            (
                .preferring(.stateless), [refusal(-32601), unsupported, discovered],
                ["server/discover", "initialize", "server/discover", "stateless"]
            ),
            (
                .preferring(.stateless), [refusal(-32601), unsupported, refusal(-32601)],
                ["server/discover", "initialize", "server/discover", "unusable"]
            ),
            (.only(.handshake), [unsupported], ["initialize", "unusable"]),
            (.only(.handshake), [initialized], ["initialize", "handshake"]),
            (.only(.stateless), [refusal(-32601)], ["server/discover", "unusable"]),
            (.only(.stateless), [discovered], ["server/discover", "stateless"]),
        ] as [(DownstreamProtocol.EraChoice, [String], [String])])
    func table(choice: DownstreamProtocol.EraChoice, answers: [String], expected: [String]) throws {
        #expect(try play(choice, answers) == expected)
    }

    @Test("a server that is silent about it is asked to shake hands, and its late answer does not matter")
    func silence() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .preferring(.stateless)))
        let probe = conversation.lastID
        #expect(try conversation.sent(conversation.machine.discoveryTimedOut()).contains("\"initialize\""))
        #expect(conversation.machine.discoveryTimedOut() == nil)
        let handshake = conversation.lastID
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(probe),\#(Self.discovered)}"#) == "late")
        _ = try conversation.hears(#"{"jsonrpc":"2.0","id":\#(handshake),\#(Self.initialized)}"#)
        #expect(conversation.machine.era == .handshake)
    }

    @Test("one that is to be spoken to in no other way is waited for")
    func patience() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
        #expect(conversation.machine.discoveryTimedOut() == nil)
    }

    // MARK: What a stateless server tells of

    private func listening(_ capabilities: String) throws -> Conversation {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
        _ = try conversation.answer(#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":\#(capabilities)}"#)
        return conversation
    }

    @Test("changes are listened for before the lists are read, and another subscription takes the place of the first")
    func listens() throws {
        var conversation = try listening(#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#)
        try conversation.answerFirstLists()
        #expect(conversation.machine.phase == .ready)
        #expect(conversation.machine.listen(to: []).isEmpty, "it does already")
        let messages = try conversation.machine.listen(to: ["a:b"]).map { try conversation.sent($0) }
        #expect(messages.count == 1 && messages[0].contains(#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:b"]}"#))
        let second = conversation.lastID
        let acknowledgement =
            #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":"#
            + #"{"io.modelcontextprotocol/subscriptionId":\#(second)}}}"#
        #expect(try conversation.hears(acknowledgement).contains(#""notifications/cancelled""#))
        #expect(try conversation.hears(acknowledgement) == "listening to [] [] send []")
        #expect(try conversation.answer(#"{"resultType":"complete"}"#, to: second) == "listen ended")
        #expect(!conversation.machine.listen(to: ["a:b"]).isEmpty)
        #expect(conversation.machine.relistDue != nil, "what changed meanwhile is not missed")
    }

    @Test("a server without anything to tell is not asked to, and one that refuses is not asked again")
    func noListen() throws {
        var conversation = try listening(#"{"tools":{}}"#)
        #expect(conversation.machine.listen(to: []).isEmpty)
        conversation = try listening(#"{"prompts":{"listChanged":true}}"#)
        try conversation.answerFirstLists()
        conversation = try listening(#"{"resources":{"subscribe":true}}"#)
        _ = try conversation.machine.listen(to: ["a:b"]).map { try conversation.sent($0) }
        #expect(try conversation.refuse() == "ignore")
        #expect(conversation.machine.listen(to: ["a:b"]).isEmpty)
    }

    @Test("it sends no requests")
    func requests() throws {
        var conversation = try listening("{}")
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).contains("-32601"))
    }
}
