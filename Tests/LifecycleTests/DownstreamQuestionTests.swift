import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import Testing

@testable import Lifecycle

@Suite("What a downstream asks of hosts")
struct DownstreamQuestionTests {
    private static let questions = ["roots/list", "sampling/createMessage", "elicitation/create"]

    @Test("is a question for them, under the server's own id, of its own type", arguments: questions, ["7", #""7""#, #""\u0061""#, "0"])
    func asked(method: String, id: String) throws {
        var conversation = try Conversation.ready()
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"}"#) == "ask \(id) \(method)")
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{"_meta":{"progressToken":1}}}"#)
                == "ask \(id) \(method)")
    }

    @Test("may come before its lists were read", arguments: questions)
    func early(method: String) throws {
        var conversation = Conversation()
        try conversation.shakeHands(capabilities: #"{"tools":{},"prompts":{}}"#)
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#) == "ask 1 \(method)")
        try conversation.answerFirstLists()
        #expect(conversation.machine.phase == .ready)
    }

    @Test("has nothing to do with our requests, though the ids are equal")
    func equalIDs() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("c", token: "1")
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"method":"roots/list"}"#) == "ask \(id) roots/list")
        #expect(try conversation.progress(of: id) == "progress c under 1")
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(id)}}"#)
                == "withdraw \(id)")
        #expect(conversation.machine.requestsInFlight == 1)
        #expect(try conversation.answer("{}", to: id) == "answer c")
    }

    @Test("is taken back under the very bytes of its id", arguments: ["7", #""7""#, #""\u0061""#, "123456789012345678901234567890"])
    func withdrawn(id: String) throws {
        var conversation = try Conversation.ready()
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":\#(id)}}"#)
                == "withdraw \(id)")
    }

    @Test(
        "is not taken back by what names none",
        arguments: ["", #","params":{}"#, #","params":{"reason":"r"}"#, #","params":{"x":{"requestId":1}}"#])
    func notWithdrawn(params: String) throws {
        var conversation = try Conversation.ready()
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","method":"notifications/cancelled"\#(params)}"#) == "ignore")
    }

    @Test("is no question without an id", arguments: questions)
    func notification(method: String) throws {
        var conversation = try Conversation.ready()
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","method":"\#(method)"}"#) == "ignore")
    }

    // MARK: Whose it is

    @Test("is about the newest request in flight, as far as anybody can tell")
    func newest() throws {
        var conversation = try Conversation.ready()
        func newest() -> String? { conversation.machine.newestRequest?.request.request.id.text }
        #expect(newest() == nil)
        let first = try conversation.forward("first")
        let second = try conversation.forward("second")
        let third = try conversation.forward("third")
        #expect(newest() == "third")
        _ = conversation.machine.abandon(third)
        #expect(newest() == "second")
        // What takes a place that became free is the newest all the same.
        _ = try conversation.answer("{}", to: first)
        let fourth = try conversation.forward("fourth")
        #expect(newest() == "fourth")
        _ = try conversation.listChanged()
        #expect(newest() == "fourth", "a list is nobody's request")
        _ = try conversation.answer("{}", to: fourth)
        _ = try conversation.answer("{}", to: second)
        #expect(newest() == nil)
    }

    @Test("takes its time: while a person is asked no request grows old")
    func patience() throws {
        var conversation = try Conversation.ready()
        let latest = conversation.now.advanced(by: .seconds(1_000))
        _ = try conversation.forward("a", idle: .seconds(10))
        _ = try conversation.forward("b", idle: .seconds(10), latest: latest)
        conversation.pass(.seconds(999))
        conversation.machine.extendDeadlines(now: conversation.now)
        #expect(conversation.expired().isEmpty)
        #expect(conversation.machine.nextDeadline == latest, "but for its end, which nothing moves")
        conversation.now = latest
        #expect(conversation.expired() == ["b"])
        conversation.pass(.seconds(9))
        #expect(conversation.expired() == ["a"])
    }
}

@Suite("What we ask of a downstream on our own account")
struct OwnRequestTests {
    @Test("matters only if it is refused, and is nobody's request")
    func own() throws {
        var conversation = try Conversation.ready()
        func params(_ writer: inout JSONWriter) { writer.member("uri", "a") }
        let request = try conversation.sent(conversation.machine.ask(.subscribe, params))
        #expect(request == #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"resources/subscribe","params":{"uri":"a"}}"#)
        #expect(conversation.machine.requestsInFlight == 0 && conversation.machine.newestRequest == nil)
        #expect(conversation.machine.abandon(conversation.lastID) == nil)
        #expect(try conversation.answer("{}") == "ignore")
        #expect(try conversation.answer("{}") == "late", "it was answered")
        _ = try conversation.sent(conversation.machine.ask(.unsubscribe, params))
        #expect(try conversation.refuse() == "ignore")
        _ = try conversation.sent(conversation.machine.ask(.unsubscribe, params))
        #expect(conversation.machine.closed().isEmpty)
    }

    @Test("is forgotten when nobody answers it for so long, whatever it was")
    func unanswered() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward(idle: .seconds(1_000))
        conversation.pass(.seconds(1))
        _ = try conversation.progress(of: id)
        _ = try conversation.sent(conversation.machine.ask(.subscribe) { $0.member("uri", "a") })
        let due = conversation.now.advanced(by: DownstreamProtocol.listTimeout)
        #expect(conversation.machine.nextDeadline == due, "it begins when we were last told the time")
        conversation.now = due
        #expect(conversation.expired().isEmpty && conversation.machine.requestsInFlight == 1)
        #expect(try conversation.answer("{}") == "late")
    }

    @Test("waits for no room")
    func full() throws {
        var conversation = try Conversation.ready()
        while (try? conversation.forward()) != nil {}
        #expect(conversation.machine.ask(.subscribe, { _ in }) == nil)
    }

    @Test("a resource is being subscribed to while the request for it is in flight, and no other is")
    func subscribing() throws {
        var conversation = try Conversation.ready(capabilities: #"{"resources":{"subscribe":true}}"#)
        _ = try conversation.forward("other", purpose: .unsubscribe(uri: "a"))
        _ = try conversation.forward("read", purpose: .read)
        #expect(!conversation.machine.isSubscribing(to: "a"))
        let id = try conversation.forward("s", purpose: .subscribe(uri: "a"))
        #expect(conversation.machine.isSubscribing(to: "a") && !conversation.machine.isSubscribing(to: "b"))
        #expect(try conversation.answer("{}", to: id) == "answer s")
        #expect(!conversation.machine.isSubscribing(to: "a"))
    }

    @Test(
        "a request is what it was, whatever becomes of it",
        arguments: [
            ForwardedRequest.Purpose.tool, .prompt, .read, .complete, .subscribe(uri: "a"), .unsubscribe(uri: "a"),
        ])
    func purposes(purpose: ForwardedRequest.Purpose) throws {
        var conversation = try Conversation.ready()
        var ids: [Int] = []
        for name in ["answered", "abandoned", "expired", "lost"] {
            ids.append(try conversation.forward(name, purpose: purpose, idle: .seconds(name == "expired" ? 1 : 100)))
        }
        let answer = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{}}"#))
        guard case .answer(let answered) = conversation.machine.received(answer, now: conversation.now) else {
            Issue.record("no answer")
            return
        }
        #expect(answered.purpose == purpose)
        #expect(conversation.machine.abandon(ids[1])?.purpose == purpose)
        conversation.pass(.seconds(1))
        #expect(conversation.machine.expire(now: conversation.now).map(\.request.purpose) == [purpose])
        #expect(conversation.machine.closed().map(\.purpose) == [purpose])
    }
}
