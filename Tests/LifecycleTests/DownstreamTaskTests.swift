import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import Testing

@testable import Lifecycle

@Suite("Tasks that are followed for a host that knows nothing of them")
struct DownstreamTaskTests {
    /// What a task's server answers in either era.
    private static func created(_ era: Revision.Era, id: String = #""t\u0031""#, more: String = "") -> String {
        era == .handshake
            ? #"{"task":{"taskId":\#(id),"status":"working"\#(more)}}"#
            : #"{"resultType":"task","taskId":\#(id),"status":"working"\#(more)}"#
    }

    private func conversation(_ era: Revision.Era) throws -> Conversation {
        era == .handshake ? try .ready() : try .stateless()
    }

    /// A call that has become a task.
    private func begun(_ era: Revision.Era) throws -> (conversation: Conversation, id: Int) {
        var conversation = try conversation(era)
        let id = try conversation.forwardTask()
        #expect(try conversation.answer(Self.created(era), to: id) == "task goes on after 1.0 seconds send []")
        return (conversation, id)
    }

    private func request(_ method: String, _ id: Int, _ era: Revision.Era, more: String = "") -> String {
        let tasks = #"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
        let envelope = ourEnvelope.replacing(#"clientCapabilities":{}"#, with: #"clientCapabilities":\#(tasks)"#)
        let meta = era == .stateless ? #","_meta":{\#(envelope)}"# : ""
        return #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{"taskId":"t\u0031"\#(more)\#(meta)}}"#
    }

    private func poll(_ id: Int, _ conversation: inout Conversation) throws -> String {
        try conversation.sent(conversation.machine.pollTask(id))
    }

    @Test("are looked at after the time that their server wants, within bounds", arguments: Revision.Era.all)
    func pauses(era: Revision.Era) throws {
        let member = era == .handshake ? "pollInterval" : "pollIntervalMs"
        for (value, pause) in [
            ("200", "0.2"), ("0", "0.05"), ("-5", "0.05"), ("49", "0.05"), ("60000", "60.0"), ("99999999", "60.0"), (#""9""#, "1.0"),
            ("null", "1.0"),
        ] {
            var conversation = try conversation(era)
            let id = try conversation.forwardTask()
            let told = try conversation.answer(Self.created(era, more: #","\#(member)":\#(value)"#), to: id)
            #expect(told == "task goes on after \(pause) seconds send []", "\(value)")
            #expect(conversation.machine.requestsInFlight == 1)
        }
    }

    @Test("are none without a name, nor if they were not asked for, nor in the words of the other era", arguments: Revision.Era.all)
    func noTask(era: Revision.Era) throws {
        let other: Revision.Era = era == .handshake ? .stateless : .handshake
        for result in [Self.created(era, id: "7"), Self.created(era, id: "null"), Self.created(other), "{}", "7", #"{"task":7}"#] {
            var conversation = try conversation(era)
            #expect(try conversation.answer(result, to: try conversation.forwardTask()) == "answer 1")
        }
        var conversation = try conversation(era)
        #expect(try conversation.answer(Self.created(era), to: try conversation.forward()) == "answer 1")
        #expect(try conversation.refuse(to: try conversation.forwardTask()) == "answer 1")
    }

    @Test("go on as long as their server says so, or nothing that we know", arguments: Revision.Era.all)
    func goesOn(era: Revision.Era) throws {
        var (conversation, id) = try begun(era)
        for _ in 0..<3 {
            #expect(try poll(id, &conversation) == request("tasks/get", conversation.lastID, era))
            #expect(try conversation.answer(#"{"taskId":"t1","status":"working"}"#) == "task goes on after 1.0 seconds send []")
        }
        if era == .stateless {
            _ = try poll(id, &conversation)
            for status in ["\"thinking\"", "7", "null"] {
                #expect(try conversation.answer(#"{"status":\#(status)}"#) == "task goes on after 1.0 seconds send []")
                _ = try poll(id, &conversation)
            }
        }
        #expect(conversation.machine.requestsInFlight == 1)
    }

    // MARK: Handshake era

    @Test(
        "have their result fetched once, which is answered when there is one",
        arguments: ["completed", "failed", "cancelled", "input_required", "unheard of"])
    func handshakeResult(status: String) throws {
        var (conversation, id) = try begun(.handshake)
        _ = try poll(id, &conversation)
        let told = try conversation.answer(#"{"taskId":"t1","status":"\#(status)"}"#)
        let result = conversation.lastID
        #expect(told == "task goes on after 1.0 seconds send [\(request("tasks/result", result, .handshake))]")
        // While that waits, looks show that the server is alive. None asks for the result again.
        for other in ["completed", "working", "input_required"] {
            _ = try poll(id, &conversation)
            #expect(try conversation.answer(#"{"status":"\#(other)"}"#) == "task goes on after 1.0 seconds send []")
        }
        _ = try poll(id, &conversation)
        #expect(try conversation.refuse() == "task goes on after 1.0 seconds send []", "the result is still to come")
        #expect(
            try conversation.answer(#"{"content":[1.0]}"#, to: result)
                == #"task of 1 ended {"jsonrpc":"2.0","id":\#(result),"result":{"content":[1.0]}}"#)
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(try poll(id, &conversation) == "nothing")
    }

    @Test("end with the error that is their result")
    func handshakeError() throws {
        var (conversation, id) = try begun(.handshake)
        _ = try poll(id, &conversation)
        _ = try conversation.answer(#"{"status":"failed"}"#)
        #expect(
            try conversation.refuse().hasPrefix(#"task of 1 ended {"jsonrpc":"2.0","id":\#(conversation.lastID),"error":{"code":-32000,"#))
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(try poll(id, &conversation) == "nothing")
    }

    // MARK: Stateless era

    @Test(
        "end with what their state holds",
        arguments: [
            (#"{"status":"completed","result":{"content":[1.0]}}"#, #""result":{"content":[1.0]}"#),
            (#"{"status":"failed","error":{"code":7,"message":"\u0061"}}"#, #""error":{"code":7,"message":"\u0061"}"#),
            (#"{"status":"cancelled"}"#, #""error":{"code":-32603,"message":"The server cancelled the task"}"#),
        ])
    func statelessEnd(state: String, answer: String) throws {
        var (conversation, id) = try begun(.stateless)
        _ = try poll(id, &conversation)
        #expect(try conversation.answer(state) == #"task of 1 ended {"jsonrpc":"2.0","id":0,\#(answer)}"#)
        #expect(conversation.machine.requestsInFlight == 0)
        #expect(try poll(id, &conversation) == "nothing")
    }

    @Test("that end without what they should hold end with that answer", arguments: [#"{"status":"completed"}"#, #"{"status":"failed"}"#])
    func statelessEmptyEnd(state: String) throws {
        var (conversation, id) = try begun(.stateless)
        _ = try poll(id, &conversation)
        #expect(try conversation.answer(state) == #"task of 1 ended {"jsonrpc":"2.0","id":\#(conversation.lastID),"result":\#(state)}"#)
    }

    @Test("ask each thing once, by its key, and are told each answer")
    func statelessQuestions() throws {
        var (conversation, id) = try begun(.stateless)
        func asks(_ requests: String) throws -> String {
            _ = try poll(id, &conversation)
            return try conversation.answer(#"{"status":"input_required","inputRequests":\#(requests)}"#)
        }
        #expect(try asks(#"{"a":{"method":"roots/list"}}"#) == #"task asks ["a {\"method\":\"roots/list\"}"]"#)
        #expect(try asks(#"{"a":{"method":"roots/list"},"b":7}"#) == #"task asks ["b 7"]"#)
        for nothing in [#"{"a":{},"b":{}}"#, "{}", "7", "null"] { #expect(try asks(nothing) == "task goes on after 1.0 seconds send []") }
        let update = try conversation.sent(conversation.machine.updateTask(of: id, key: "a\"", ByteBuffer(string: #"{"n":1.0}"#)))
        #expect(update == request("tasks/update", conversation.lastID, .stateless, more: #","inputResponses":{"a\"":{"n":1.0}}"#))
        #expect(try conversation.answer("{}") == "ignore")
        _ = try poll(id, &conversation)
        _ = try conversation.answer(#"{"status":"completed","result":{}}"#)
        #expect(try conversation.sent(conversation.machine.updateTask(of: id, key: "a", ByteBuffer(string: "{}"))) == "nothing")
    }

    // MARK: Ends

    @Test("end with the refusal of a look at them", arguments: Revision.Era.all)
    func refused(era: Revision.Era) throws {
        var (conversation, id) = try begun(era)
        _ = try poll(id, &conversation)
        #expect(try conversation.refuse().hasPrefix("task of 1 ended "))
        #expect(conversation.machine.requestsInFlight == 0)
        (conversation, id) = try begun(era)
        _ = try poll(id, &conversation)
        #expect(try conversation.hearsGarbage(for: conversation.lastID) == "answer 1", "or with what cannot be read")
        #expect(conversation.machine.requestsInFlight == 0)
    }

    @Test("that were given up are cancelled, and what is still said of them is late", arguments: Revision.Era.all)
    func abandoned(era: Revision.Era) throws {
        var (conversation, id) = try begun(era)
        _ = try poll(id, &conversation)
        let look = conversation.lastID
        let task = try #require(conversation.machine.abandon(id)?.task)
        #expect(try conversation.sent(conversation.machine.cancelTask(task)) == request("tasks/cancel", conversation.lastID, era))
        #expect(try conversation.answer("{}") == "ignore")
        #expect(try conversation.answer(#"{"status":"completed","result":{}}"#, to: look) == "late")
        #expect(try poll(id, &conversation) == "nothing")
    }

    @Test("live as long as their server gives signs of life, but not beyond their end", arguments: Revision.Era.all)
    func deadlines(era: Revision.Era) throws {
        var conversation = try conversation(era)
        let latest = conversation.now.advanced(by: .seconds(25))
        let id = try conversation.forwardTask(idle: .seconds(10), latest: latest)
        conversation.pass(.seconds(9))
        _ = try conversation.answer(Self.created(era), to: id)
        conversation.pass(.seconds(9))
        #expect(conversation.expired().isEmpty, "that it is a task was a sign")
        _ = try poll(id, &conversation)
        #expect(conversation.machine.nextDeadline == conversation.now.advanced(by: .seconds(1)), "to be looked at is none")
        _ = try conversation.answer(#"{"status":"working"}"#)
        #expect(conversation.machine.nextDeadline == latest)
        conversation.now = latest
        #expect(conversation.expired() == ["1"])
        #expect(try poll(id, &conversation) == "nothing")
        #expect(conversation.machine.requestsInFlight == 0)
    }

    @Test("that nobody follows any more leave nothing behind, though looks at them were not answered", arguments: Revision.Era.all)
    func forgottenLooks(era: Revision.Era) throws {
        var (conversation, id) = try begun(era)
        for _ in 0..<10 { _ = try poll(id, &conversation) }
        _ = conversation.machine.abandon(id)
        #expect(conversation.machine.nextDeadline == nil)
        (conversation, id) = try begun(era)
        _ = try poll(id, &conversation)
        conversation.pass(DownstreamProtocol.listTimeout)
        #expect(conversation.expired().isEmpty && conversation.machine.requestsInFlight == 1, "one look is not the task")
        #expect(try poll(id, &conversation) == request("tasks/get", conversation.lastID, era))
    }

    @Test("that go on when the connection is lost are lost with it", arguments: Revision.Era.all)
    func lost(era: Revision.Era) throws {
        var (conversation, id) = try begun(era)
        _ = try poll(id, &conversation)
        #expect(conversation.machine.closed().map(\.task?.id) == [#""t\u0031""#])
    }

    @Test("may report progress under the token of their call, whoever follows them", arguments: Revision.Era.all)
    func progress(era: Revision.Era) throws {
        var conversation = try conversation(era)
        let id = try conversation.forwardTask(token: "9")
        _ = try conversation.answer(Self.created(era), to: id)
        #expect(try conversation.progress(of: id) == "progress 1 under 9")
        _ = try poll(id, &conversation)
        #expect(try conversation.progress(of: conversation.lastID) == "ignore", "a look at it has none")
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t1"}}"#) == "task status")
    }
}

extension Conversation {
    /// Forwards a request that may become a task.
    mutating func forwardTask(token: String? = nil, idle: Duration = .seconds(60), latest: Instant? = nil) throws -> Int {
        let id = try forward(token: token, idle: idle, latest: latest)
        machine.update(id, now: now) { $0.runsAsTask = true }
        return id
    }
}
