import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import TestSupport
import Testing

@testable import Lifecycle

@Suite("Calls on their way through a downstream")
struct DownstreamCallTests {
    @Test("each answer finds its call, in whatever order, results and errors alike")
    func answers() throws {
        var conversation = try Conversation.ready()
        var ids: [(id: Int, name: String)] = []
        for number in 0..<100 {
            let name = number.isMultiple(of: 2) ? "\(number)" : "\"\(number)\""
            ids.append((try conversation.forward(name), name))
        }
        #expect(Set(ids.map(\.id)).count == 100 && conversation.machine.requestsInFlight == 100)
        var random = SeededGenerator(seed: 7)
        for (index, (id, name)) in ids.shuffled(using: &random).enumerated() {
            let action = try index.isMultiple(of: 3) ? conversation.refuse(to: id) : conversation.answer("{}", to: id)
            #expect(action == "answer \(name)")
            #expect(conversation.machine.requestsInFlight == 99 - index)
            #expect(try conversation.answer("{}", to: id) == "late", "a second answer is none")
        }
    }

    @Test("an answer to nothing is ignored", arguments: ["0", "1", "-4096", "4096.0", "\"x\"", "99999999999999999999", "4503599627370496"])
    func foreign(id: String) throws {
        var conversation = try Conversation.ready()
        let ours = try conversation.forward("1")
        if !id.contains(".") { #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#) == "ignore") }
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","error":{"code":-32700,"message":""}}"#) == "ignore")
        #expect(conversation.machine.requestsInFlight == 1)
        #expect(try conversation.answer("{}", to: ours) == "answer 1")
    }

    @Test("a server that answers nothing gets only so many calls")
    func full() throws {
        var conversation = try Conversation.ready()
        var ids: [Int] = []
        while let id = try? conversation.forward("\(ids.count)") { ids.append(id) }
        #expect(ids.count == RequestTable<Int>.capacity)
        // There is no room to ask for the list either. That it changed is not forgotten.
        #expect(try conversation.listChanged() == "again")
        #expect(conversation.machine.relist(now: conversation.now).isEmpty)
        #expect(conversation.machine.abandon(ids[17]) != nil)
        let request = try conversation.relist()
        #expect(request.hasSuffix(#""method":"tools/list"}"#))
        #expect(conversation.machine.closed().count == ids.count - 1)
    }

    // MARK: Progress

    @Test("progress goes out under the host's token, of the host's type", arguments: ["7", #""7""#, #""\u0061""#, "1e3"])
    func progress(token: String) throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("c", token: token)
        #expect(try conversation.progress(of: id) == "progress c under \(token)")
        #expect(try conversation.progress(of: id) == "progress c under \(token)")
        #expect(try conversation.answer("{}", to: id) == "answer c")
        #expect(try conversation.progress(of: id) == "late progress", "unless the answer was a task, nothing may follow it")
    }

    @Test("progress that nobody asked for, or of nothing in flight, goes nowhere")
    func progressOfNothing() throws {
        var conversation = try Conversation.ready()
        let silent = try conversation.forward("silent")
        #expect(try conversation.progress(of: silent) == "ignore")
        for token in ["0", "-1", "\"\(silent)\"", "\(silent + 4096)", "{}", "null", "99999999999999999999999"] {
            #expect(
                try conversation.hears(
                    #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(token),"progress":1}}"#) == "ignore")
        }
        _ = try conversation.listChanged()
        #expect(try conversation.progress(of: conversation.lastID) == "ignore", "a list is no call")
        #expect(try conversation.answer(#"{"tools":[]}"#) == "tools [] send []")
    }

    // MARK: Giving up

    @Test("a call that was given up is nobody's: its progress and its answer go nowhere, the answer being counted")
    func abandoned() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("a", token: "1")
        let other = try conversation.forward("b")
        #expect(conversation.machine.abandon(id)?.request.id.text == "a")
        #expect(conversation.machine.requestsInFlight == 1)
        #expect(conversation.machine.abandon(id) == nil, "the server is told once")
        #expect(try conversation.progress(of: id) == "late progress")
        #expect(conversation.machine.lateAnswers == 0)
        #expect(try conversation.answer("{}", to: id) == "late")
        #expect(conversation.machine.lateAnswers == 1)
        #expect(try conversation.answer("{}", to: other) == "answer b")
    }

    @Test("the time in which a person was asked is left out once, however many questions there were, and shortens nothing")
    func pauses() throws {
        var conversation = try Conversation.ready()
        let began = conversation.now
        let id = try conversation.forward("a", idle: .seconds(5), latest: began.advanced(by: .seconds(20)))
        func at(_ seconds: Int64) -> Instant { began.advanced(by: .seconds(seconds)) }
        func left() -> Duration? { conversation.machine.timeLeft(id, now: began) }
        for (start, end) in [(1, 3), (1, 3), (2, 4)] as [(Int64, Int64)] {
            conversation.machine.paused(id, isCertain: true, from: at(start), to: at(end))
        }
        #expect(left() == .seconds(4 + 5))
        conversation.machine.update(id, now: at(8)) { _ in }
        #expect(left() == .seconds(8 + 5))
        conversation.machine.paused(id, isCertain: true, from: at(4), to: at(6))
        #expect(left() == .seconds(8 + 5), "it was heard of since")
        conversation.machine.paused(id, isCertain: true, from: at(18), to: at(24))
        #expect(left() == .seconds(24 + 5), "the latest end is 3, 2 and 6 s later")
        conversation.machine.update(id, now: at(30)) { _ in }
        #expect(left() == .seconds(20 + 3 + 2 + 6))
    }

    @Test("what is no call in flight cannot be given up")
    func abandonNothing() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.listChanged()
        for id in [0, -1, Int.min, Int.max, conversation.lastID] { #expect(conversation.machine.abandon(id) == nil) }
        #expect(try conversation.answer(#"{"tools":[1]}"#) == "tools [1] send []")
    }

    @Test("calls that were given up take no place, however many they were")
    func forgotten() throws {
        var conversation = try Conversation.ready()
        for _ in 0..<(2 * RequestTable<Int>.capacity) { #expect(conversation.machine.abandon(try conversation.forward("a")) != nil) }
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(conversation.machine.nextDeadline == nil)
        let id = try conversation.forward("b")
        #expect(try conversation.answer("{}", to: id) == "answer b")
    }

    @Test("an answer whose id is the right number as a string ends its call, which cannot be trusted")
    func misaddressed() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("a")
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":"\#(id)","result":{}}"#) == "misaddressed a")
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":"\#(id)","result":{}}"#) == "ignore")
    }

    @Test("the server is told by our id, and why")
    func cancellation() {
        #expect(
            String(buffer: DownstreamProtocol.cancellation(of: 4097, reason: "the host said \"stop\""))
                == #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4097,"reason":"the host said \"stop\""}}"#)
    }

    @Test("an answer that cannot be used ends its call, and nothing else")
    func unusableAnswer() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("a")
        let given = try conversation.forward("b")
        _ = conversation.machine.abandon(given)
        func garbled(_ id: RequestID?) -> String { told(conversation.machine.unusableAnswer(id, why: "torn", now: conversation.now)) }
        for text in ["\"\(id)\"", "0", "-1", "99999999999999999999", "\(given)"] { #expect(garbled(RequestID(text: text)) == "ignore") }
        #expect(garbled(nil) == "ignore")
        #expect(garbled(RequestID(id)) == "answer a")
        #expect(garbled(RequestID(id)) == "ignore")
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(try conversation.answer("{}", to: id) == "late")
        #expect(try conversation.answer("{}", to: given) == "late")
    }

    @Test("a list or a handshake that is answered with what cannot be used has failed, for this reason")
    func unusableList() throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities()))
        let initialize = RequestID(conversation.lastID)
        var other = try Conversation.ready()
        _ = try other.listChanged()
        let list = RequestID(other.lastID)
        #expect(
            told(conversation.machine.unusableAnswer(initialize, why: "torn", now: conversation.now))
                == "unusable: its answer to 'initialize' is torn")
        #expect(
            told(other.machine.unusableAnswer(list, why: "torn", now: other.now))
                == "tools failed: its answer to 'tools/list' is torn send []")
        other.pass(ListReader.pauseCap)
        #expect(try other.listChanged().hasPrefix("send"))
    }

    // MARK: Time

    @Test("a call expires when its server was silent for so long, and progress starts that anew")
    func idle() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("a", token: "1", idle: .seconds(10))
        _ = try conversation.forward("b", idle: .seconds(25))
        conversation.pass(.seconds(9))
        #expect(try conversation.progress(of: id) == "progress a under 1")
        #expect(conversation.machine.nextDeadline == conversation.now.advanced(by: .seconds(10)))
        conversation.pass(.seconds(10) - .nanoseconds(1))
        #expect(conversation.expired().isEmpty)
        conversation.pass(.nanoseconds(1))
        #expect(conversation.expired() == ["a"])
        #expect(conversation.expired().isEmpty, "each once")
        #expect(conversation.machine.requestsInFlight == 1)
        #expect(try conversation.answer("{}", to: id) == "late")
        conversation.pass(.seconds(6))
        #expect(conversation.expired() == ["b"])
    }

    @Test("progress keeps a call alive though the host wants to hear nothing of it")
    func silentProgress() throws {
        var conversation = try Conversation.ready()
        let id = try conversation.forward("a", idle: .seconds(10))
        for _ in 0..<10 {
            conversation.pass(.seconds(9))
            #expect(try conversation.progress(of: id) == "ignore")
            #expect(conversation.expired().isEmpty)
        }
        conversation.pass(.seconds(10))
        #expect(conversation.expired() == ["a"])
    }

    @Test("no progress carries a call beyond its end")
    func latest() throws {
        var conversation = try Conversation.ready()
        let latest = conversation.now.advanced(by: .seconds(25))
        let id = try conversation.forward("a", token: "1", idle: .seconds(10), latest: latest)
        for _ in 0..<3 {
            conversation.pass(.seconds(8))
            _ = try conversation.progress(of: id)
        }
        #expect(conversation.machine.nextDeadline == latest)
        conversation.now = latest
        #expect(conversation.expired() == ["a"])
    }

    @Test("an end that comes before the first silence is over counts from the start")
    func earlyEnd() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.forward("a", idle: .seconds(10), latest: conversation.now.advanced(by: .seconds(3)))
        #expect(conversation.machine.nextDeadline == conversation.now.advanced(by: .seconds(3)))
        conversation.pass(.seconds(3))
        #expect(conversation.expired() == ["a"])
    }

    @Test("an absurd time is the end of time, not an overflow")
    func absurd() throws {
        var conversation = try Conversation.ready()
        _ = try conversation.forward("a", idle: .seconds(Int64.max))
        #expect(conversation.machine.nextDeadline == Instant(nanoseconds: .max))
    }

    // MARK: The end

    @Test("a lost connection returns exactly the calls in flight")
    func closed() throws {
        var conversation = try Conversation.ready(level: .info)
        let names = ["a", "b", "c", "d", "e"]
        var ids: [Int] = []
        for name in names { ids.append(try conversation.forward(name, idle: .seconds(name == "c" ? 1 : 100))) }
        _ = try conversation.answer("{}", to: ids[0])
        _ = conversation.machine.abandon(ids[1])
        conversation.pass(.seconds(1))
        #expect(conversation.expired() == ["c"])
        _ = try conversation.listChanged()
        _ = conversation.machine.setLevel(.error)
        #expect(conversation.machine.closed().map(\.request.id.text).sorted() == ["d", "e"])
        #expect(conversation.machine.closed().isEmpty, "each once")
        #expect(conversation.machine.requestsInFlight == 0 && conversation.machine.nextDeadline == nil)
        #expect(try conversation.answer("{}", to: ids[3]) == "late")
    }
}
