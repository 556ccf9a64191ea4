import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Resilience
import Testing

@Suite("A server over HTTP")
struct DownstreamHTTPTests {
    private func told(failure id: Int, _ conversation: inout Conversation) -> String {
        let now = conversation.now
        return LifecycleTests.told(conversation.machine.requestFailed(id, why: "it answered HTTP 500", now: now))
    }

    @Test("is asked in the other era if it refuses 'initialize'")
    func otherEra() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        #expect(told(failure: conversation.lastID, &conversation).contains(#""method":"server/discover""#))
        #expect(conversation.machine.phase == .discovering)
    }

    @Test("is of no use if it refuses both")
    func neither() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        guard case .send(let lines) = conversation.machine.requestFailed(conversation.lastID, why: "no", now: conversation.now) else {
            Issue.record("nothing was tried")
            return
        }
        for line in lines { _ = try conversation.sent(line) }
        #expect(told(failure: conversation.lastID, &conversation) == "unusable: to 'initialize' no")
    }

    @Test("is asked once in each era, whichever is the first")
    func bothOnce() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .preferring(.stateless)))
        guard case .send(let lines) = conversation.machine.requestFailed(conversation.lastID, why: "no", now: conversation.now) else {
            Issue.record("nothing was tried")
            return
        }
        for line in lines { _ = try conversation.sent(line) }
        #expect(conversation.machine.phase == .initializing)
        #expect(told(failure: conversation.lastID, &conversation) == "unusable: to 'initialize' it answered HTTP 500")
    }

    @Test("a call that failed is over")
    func failedCall() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("7")
        #expect(conversation.machine.isInFlight(id))
        #expect(told(failure: id, &conversation) == "answer 7")
        #expect(!conversation.machine.isInFlight(id))
        #expect(told(failure: id, &conversation) == "ignore")
    }

    @Test("a session that is begun anew leaves the calls in flight, and nothing else")
    func renewal() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("7")
        _ = try conversation.sent(conversation.machine.check(.ping))
        let check = conversation.lastID
        let lines = conversation.machine.renew()
        #expect(lines.count == 1 && String(buffer: lines[0]).contains(#""method":"initialize""#))
        #expect(conversation.machine.phase == .initializing && conversation.machine.isInFlight(id))
        #expect(!conversation.machine.isInFlight(check))
        _ = try conversation.sent(lines.first)
        _ = try conversation.answer(#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"9"}}"#)
        #expect(conversation.machine.phase == .ready)
        #expect(try conversation.answer(#"{"content":[]}"#, to: id) == "answer 7")
    }

    @Test("whether it is well is said by what it answers")
    func checks() throws {
        var conversation = try Conversation.ready()
        #expect(try conversation.sent(conversation.machine.check(.ping)).contains(#""method":"ping""#))
        #expect(try conversation.answer("{}") == "healthy")
        _ = try conversation.sent(conversation.machine.check(.toolsList))
        #expect(try conversation.refuse() == "not healthy")
        _ = try conversation.sent(conversation.machine.check(.ping))
        let id = conversation.lastID
        #expect(conversation.machine.endCheck() == id && conversation.machine.endCheck() == nil)
        #expect(try conversation.answer("{}", to: id) == "late")
    }

    @Test("a subscription whose stream is lost is asked for again; one that is refused is not")
    func lostListen() throws {
        func listening() throws -> (Conversation, id: Int) {
            var conversation = Conversation()
            _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
            _ = try conversation.answer(
                #"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#)
            let id = try #require((1...100_000).first { conversation.machine.isInFlight($0) })
            try conversation.answerFirstLists()
            return (conversation, id)
        }
        var (conversation, id) = try listening()
        #expect(told(failure: id, &conversation) == "listen ended")
        let again = conversation.machine.listen(to: [])
        #expect(again.count == 1 && String(buffer: again[0]).contains(#""method":"subscriptions/listen""#))

        (conversation, id) = try listening()
        #expect(try conversation.refuse(to: id) == "ignore")
        #expect(conversation.machine.listen(to: []).isEmpty)
    }
}
