import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import Testing

@testable import Lifecycle

@Suite("Reading a downstream's tools")
struct DownstreamToolListTests {
    private func page(_ conversation: Conversation, _ cursor: String) -> String {
        #"send [{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"tools/list","params":{"cursor":\#(cursor)}}]"#
    }

    private func first(_ conversation: Conversation) -> String {
        #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"tools/list"}"#
    }

    @Test("every page is asked for, by the cursor as it came, an empty one included")
    func pages() throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        for (tool, cursor) in [(1, #""""#), (2, #""a\/b\u0020""#), (3, #""c""#)] {
            #expect(try conversation.answer(#"{"tools":[\#(tool)],"nextCursor":\#(cursor)}"#) == page(conversation, cursor))
            #expect(conversation.machine.phase == .listing)
        }
        #expect(try conversation.answer(#"{"nextCursor":null,"tools":[4,5]}"#) == "tools [1,2,3,4,5] send []")
        #expect(conversation.machine.phase == .ready)
    }

    @Test(
        "a list that cannot be read ends with a reason, and the server is ready all the same",
        arguments: [
            (#""result":{}"#, "its answer to 'tools/list' has no array 'tools'"),
            (#""result":{"tools":{}}"#, "its answer to 'tools/list' has no array 'tools'"),
            (#""result":[]"#, "its answer to 'tools/list' has no array 'tools'"),
            (#""error":{"code":-32603,"message":"oh"}"#, "it refused 'tools/list': oh (-32603)"),
        ])
    func failure(member: String, why: String) throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        _ = try conversation.answer(#"{"tools":[1],"nextCursor":"x"}"#)
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","id":\#(conversation.lastID),\#(member)}"#) == "tools failed: \(why) send []")
        #expect(conversation.machine.phase == .ready)
        // The next list does not contain what this one had brought.
        conversation.pass(ListReader.pauseCap * 2)
        _ = try conversation.listChanged()
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [2] send []")
    }

    @Test("a cursor that comes back ends the list", arguments: [[#""a""#, #""a""#], [#""a""#, #""b""#, #""a""#], [#""""#, #""""#]])
    func circle(cursors: [String]) throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        for cursor in cursors.dropLast() {
            #expect(try conversation.answer(#"{"tools":[],"nextCursor":\#(cursor)}"#) == page(conversation, cursor))
        }
        #expect(
            try conversation.answer(#"{"tools":[],"nextCursor":\#(cursors.last ?? "")}"#)
                == "tools failed: its list of tools goes round in circles send []")
        // In the next list the same cursor means nothing bad.
        conversation.pass(ListReader.pauseCap * 2)
        _ = try conversation.listChanged()
        #expect(try conversation.answer(#"{"tools":[],"nextCursor":\#(cursors[0])}"#) == page(conversation, cursors[0]))
    }

    @Test("the last page that is allowed may be the last one, and no other")
    func pageLimit() throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        func readTo(_ limit: Int) throws {
            for number in 1..<limit {
                #expect(try conversation.answer(#"{"tools":[],"nextCursor":"\#(number)"}"#) == page(conversation, "\"\(number)\""))
            }
        }
        try readTo(ListReader.pageLimit)
        #expect(try conversation.answer(#"{"tools":[1]}"#) == "tools [1] send []")
        conversation.pass(ListReader.pauseCap * 2)
        _ = try conversation.listChanged()
        try readTo(ListReader.pageLimit)
        #expect(
            try conversation.answer(#"{"tools":[],"nextCursor":"more"}"#)
                == "tools failed: its list of tools has more than \(ListReader.pageLimit) pages send []")
    }

    @Test("as many tools as are allowed are taken, and one more is too many", arguments: [0, 1])
    func toolLimit(more: Int) throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        func list(_ count: Int) -> String { Array(repeating: "0", count: count).joined(separator: ",") }
        let limit = ListReader.featureLimit
        _ = try conversation.answer(#"{"tools":[\#(list(limit - 5))],"nextCursor":"x"}"#)
        let action = try conversation.answer(#"{"tools":[\#(list(5 + more))]}"#)
        #expect(action == (more == 0 ? "tools [\(list(limit))] send []" : "tools failed: it lists more than \(limit) tools send []"))
    }

    // MARK: Changes

    @Test("a list that changed is read again")
    func changed() throws {
        var conversation = try Conversation.ready()
        let action = try conversation.listChanged()
        #expect(action == "send [\(first(conversation))]")
        #expect(conversation.machine.phase == .ready)
        #expect(try conversation.answer(#"{"tools":[1],"nextCursor":"x"}"#) == page(conversation, #""x""#))
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [1,2] send []")
    }

    @Test("changes while it is read have it read once more afterwards, however many they were", arguments: [1, 5])
    func changedWhileListing(count: Int) throws {
        var conversation = try Conversation.ready()
        _ = try conversation.listChanged()
        for _ in 0..<count { #expect(try conversation.listChanged() == "again") }
        #expect(try conversation.answer(#"{"tools":[1]}"#) == "tools [1] send []")
        let request = try conversation.relist()
        #expect(request == first(conversation))
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [2] send []")
        #expect(conversation.machine.relistDue == nil)
    }

    @Test("a list that changes all the time is read less and less often, and at once again after a rest")
    func changingAllTheTime() throws {
        var conversation = try Conversation.ready()
        var waits: [Duration] = []
        _ = try conversation.listChanged()
        for _ in 0..<9 {
            _ = try conversation.listChanged()
            _ = try conversation.answer(#"{"tools":[1]}"#)
            let due = try #require(conversation.machine.relistDue)
            waits.append(conversation.now.duration(to: due))
            _ = try conversation.relist()
        }
        #expect(waits == [0.25, 0.5, 1, 2, 4, 8, 16, 16, 16].map { .seconds($0) })
        _ = try conversation.answer(#"{"tools":[1]}"#)
        conversation.pass(ListReader.pauseCap * 2)
        let action = try conversation.listChanged()
        #expect(action == "send [\(first(conversation))]")
        _ = try conversation.answer(#"{"tools":[1]}"#)
        #expect(try conversation.listChanged() == "again")
        #expect(conversation.machine.relistDue == conversation.now.advanced(by: ListReader.pause))
    }

    @Test("a list that failed is read again if it changed meanwhile")
    func changedWhileFailing() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.listChanged()
        _ = try conversation.listChanged()
        #expect(try conversation.refuse() == "tools failed: it refused 'tools/list': not today (-32000) send []")
        let request = try conversation.relist()
        #expect(request == first(conversation))
    }

    @Test("a change while the first list is read counts as well")
    func changedWhileListingFirst() throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        _ = try conversation.answer(#"{"tools":[1],"nextCursor":"x"}"#)
        #expect(try conversation.listChanged() == "again")
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [1,2] send []")
        #expect(conversation.machine.phase == .ready)
        _ = try conversation.relist()
        #expect(try conversation.answer(#"{"tools":[3]}"#) == "tools [3] send []")
    }

    @Test("a change before the handshake is over means nothing: its list is yet to be read")
    func changedBeforeHandshake() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        #expect(try conversation.listChanged() == "ignore")
        _ = try conversation.answer(#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}"#)
        #expect(try conversation.answer(#"{"tools":[]}"#) == "tools [] send []")
    }

    // MARK: Time

    @Test("a page that never comes is given up, and the next change is read")
    func timeout() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.listChanged()
        let late = conversation.lastID
        let deadline = conversation.now.advanced(by: DownstreamProtocol.listTimeout)
        #expect(conversation.machine.nextDeadline == deadline)
        conversation.now = Instant(nanoseconds: deadline.nanoseconds - 1)
        #expect(conversation.expired().isEmpty)
        #expect(try conversation.listChanged() == "again")
        conversation.now = deadline
        #expect(conversation.expired().isEmpty)
        // Not at once: a server that takes so long may have much to do.
        #expect(try conversation.listChanged() == "again")
        #expect(conversation.machine.relistDue == deadline.advanced(by: ListReader.pause))
        let request = try conversation.relist()
        #expect(request == first(conversation))
        // The page that was given up comes after all; only the new one counts.
        #expect(try conversation.answer(#"{"tools":[1]}"#, to: late) == "late")
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [2] send []")
        #expect(conversation.machine.nextDeadline == nil)
    }

    @Test("each page has its own time")
    func timeoutPerPage() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.listChanged()
        conversation.pass(DownstreamProtocol.listTimeout - .seconds(1))
        _ = try conversation.answer(#"{"tools":[1],"nextCursor":"x"}"#)
        #expect(conversation.machine.nextDeadline == conversation.now.advanced(by: DownstreamProtocol.listTimeout))
        conversation.pass(.seconds(2))
        #expect(conversation.expired().isEmpty)
        #expect(try conversation.answer(#"{"tools":[2]}"#) == "tools [1,2] send []")
    }

    @Test("the first list is bounded by the start-up time alone")
    func firstList() throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        #expect(conversation.machine.nextDeadline == nil)
        conversation.pass(.seconds(3600))
        #expect(conversation.expired().isEmpty)
        #expect(try conversation.answer(#"{"tools":[1]}"#) == "tools [1] send []")
    }
}
