import JSONRPC
import MCPProtocol
import NIOCore
import Resilience
import Testing

@testable import Lifecycle

@Suite("Reading a downstream's lists of every kind")
struct DownstreamListTests {
    private static let everything = #"{"tools":{},"prompts":{},"resources":{}}"#
    private static let pauses = [0.25, 0.5, 1, 2, 4, 8, 16, 16, 16].map { Duration.seconds($0) }

    private func page(_ kind: FeatureKind, _ elements: String = "", cursor: String? = nil) -> String {
        #"{"\#(kind.listMember)":[\#(elements)]\#(cursor.map { #","nextCursor":\#($0)"# } ?? "")}"#
    }

    private func request(_ conversation: Conversation, _ kind: FeatureKind, cursor: String? = nil) -> String {
        let params = cursor.map { #","params":{"cursor":\#($0)}"# } ?? ""
        return #"{"jsonrpc":"2.0","id":\#(conversation.listRequests[kind] ?? 0),"method":"\#(kind.listMethod.rawValue)"\#(params)}"#
    }

    /// The kinds that one notification is about.
    private func announced(with kind: FeatureKind) -> [FeatureKind] {
        FeatureKind.allCases.filter { $0.changedMethod == kind.changedMethod }
    }

    /// The server tells of a change, and each list that is read for it is answered.
    private func change(_ kind: FeatureKind, _ conversation: inout Conversation, _ elements: String = "") throws {
        _ = try conversation.listChanged(kind)
        try answer(announced(with: kind), &conversation, elements)
    }

    private func answer(_ kinds: [FeatureKind], _ conversation: inout Conversation, _ elements: String = "") throws {
        for kind in kinds {
            let id = try #require(conversation.listRequests[kind])
            #expect(try conversation.answer(page(kind, elements), to: id) == "\(kind) [\(elements)] send []")
        }
    }

    @Test("every page is asked for, and the whole is one list", arguments: FeatureKind.allCases)
    func pages(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        for (element, cursor) in [(1, #""""#), (2, #""a\/b""#), (3, #"{"n":1}"#)] {
            let action = try conversation.answer(page(kind, "\(element)", cursor: cursor), to: conversation.listRequests[kind])
            #expect(action == "send [\(request(conversation, kind, cursor: cursor))]")
        }
        #expect(
            try conversation.answer(page(kind, "4,5", cursor: "null"), to: conversation.listRequests[kind]) == "\(kind) [1,2,3,4,5] send []"
        )
    }

    @Test("a change is about its own lists alone", arguments: FeatureKind.allCases)
    func changes(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        let action = try conversation.listChanged(kind)
        #expect(action == "send [\(announced(with: kind).map { request(conversation, $0) }.joined(separator: " "))]")
        #expect(Set(conversation.listRequests.keys) == Set(announced(with: kind)))
        try answer(announced(with: kind).reversed(), &conversation, "1")
        #expect(conversation.machine.relistDue == nil && conversation.machine.nextDeadline == nil)
    }

    @Test("a list that was never declared is not read, whatever the server tells of it", arguments: FeatureKind.allCases)
    func undeclared(kind: FeatureKind) throws {
        let others = ["tools", "prompts", "resources"].filter { !kind.changedMethod.rawValue.contains($0) }
        let capabilities = "{\(others.map { #""\#($0)":{}"# }.joined(separator: ","))}"
        var conversation = try Conversation.ready(capabilities: capabilities)
        let action = try conversation.listChanged(kind)
        #expect(!action.hasPrefix("send") && conversation.machine.relistDue == nil && conversation.listRequests.isEmpty)
    }

    // MARK: What is no list

    @Test(
        "a list that is declared and refused as unknown is empty; tools are not, which a server must have if it says so",
        arguments: FeatureKind.allCases, [-32601, -32600])
    func unknownMethod(kind: FeatureKind, code: Int) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        let id = conversation.listRequests[kind] ?? 0
        let action = try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"what?"}}"#)
        if code == -32601, kind != .tools {
            #expect(action == "\(kind) [] send []")
        } else {
            #expect(action == "\(kind) failed: it refused '\(kind.listMethod.rawValue)': what? (\(code)) send []")
        }
    }

    @Test("what holds no list of this kind is none", arguments: FeatureKind.allCases)
    func noList(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        for result in ["{}", "null", "[]", #"{"\#(kind.listMember)":{}}"#, #"{"\#(kind.listMember)":null}"#, #"{"items":[]}"#] {
            conversation.pass(ListReader.pauseCap * 2)
            _ = try conversation.listChanged(kind)
            #expect(
                try conversation.answer(result, to: conversation.listRequests[kind])
                    == "\(kind) failed: its answer to '\(kind.listMethod.rawValue)' has no array '\(kind.listMember)' send []")
            try answer(announced(with: kind).filter { $0 != kind }, &conversation)
        }
    }

    @Test("a list that goes round in circles ends, named for what it lists", arguments: FeatureKind.allCases)
    func circles(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        _ = try conversation.answer(page(kind, cursor: #""x""#), to: conversation.listRequests[kind])
        #expect(
            try conversation.answer(page(kind, cursor: #""x""#), to: conversation.listRequests[kind])
                == "\(kind) failed: its list of \(kind.noun)s goes round in circles send []")
    }

    @Test("a list of too many bytes is not kept, however few its elements are")
    func tooManyBytes() throws {
        var conversation = Conversation()
        try conversation.shakeHands()
        let half = "\"\(String(repeating: "x", count: ListReader.lengthLimit / 2))\""
        _ = try conversation.answer(page(.tools, half, cursor: "1"))
        #expect(
            try conversation.answer(page(.tools, half))
                == "tools failed: its list of tools is longer than \(ListReader.lengthLimit) bytes send []")
    }

    @Test("a list that fails takes nothing from the others, and the server is ready", arguments: FeatureKind.allCases)
    func oneFails(kind: FeatureKind) throws {
        var conversation = Conversation(level: .info)
        try conversation.shakeHands(capabilities: #"{"tools":{},"prompts":{},"resources":{},"logging":{}}"#)
        #expect(try conversation.refuse(to: conversation.listRequests[kind]).hasPrefix("\(kind) failed: it refused"))
        let others = FeatureKind.allCases.filter { $0 != kind }
        for other in others {
            #expect(conversation.machine.phase == .listing)
            let action = try conversation.answer(page(other, "1"), to: conversation.listRequests[other])
            // With the last one comes what had to wait.
            #expect(action.hasPrefix("\(other) [1] send [") && action.contains("logging/setLevel") == (other == others.last))
        }
        #expect(conversation.machine.phase == .ready)
    }

    // MARK: Pace

    @Test("a list that changes all the time is read less and less often, and at once again after a rest", arguments: FeatureKind.allCases)
    func pacing(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        var waits: [Duration] = []
        try change(kind, &conversation)
        for _ in Self.pauses {
            #expect(try conversation.listChanged(kind) == "again")
            let due = try #require(conversation.machine.relistDue)
            waits.append(conversation.now.duration(to: due))
            let requests = try conversation.relist()
            #expect(requests == announced(with: kind).map { request(conversation, $0) }.joined(separator: " "))
            try answer(announced(with: kind), &conversation)
        }
        #expect(waits == Self.pauses)
        conversation.pass(ListReader.pauseCap * 2)
        #expect(try conversation.listChanged(kind).hasPrefix("send ["))
        try answer(announced(with: kind), &conversation)
        #expect(try conversation.listChanged(kind) == "again")
        #expect(conversation.machine.relistDue == conversation.now.advanced(by: ListReader.pause))
    }

    @Test("a list that changes all the time does not hold up another", arguments: [FeatureKind.tools, .prompts])
    func othersArePunctual(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        try change(kind, &conversation)
        for _ in 0..<6 {
            _ = try conversation.listChanged(kind)
            _ = try conversation.relist()
            try answer([kind], &conversation)
        }
        #expect(try conversation.listChanged(kind) == "again")
        let late = try #require(conversation.machine.relistDue)
        #expect(conversation.now.duration(to: late) == ListReader.pauseCap)
        // The first change of another is followed at once, and the second one after the shortest pause.
        try change(.resources, &conversation)
        #expect(try conversation.listChanged(.resources) == "again")
        #expect(conversation.machine.relistDue == conversation.now.advanced(by: ListReader.pause))
        let requests = try conversation.relist()
        #expect(requests == [.resources, .templates].map { request(conversation, $0) }.joined(separator: " "))
        #expect(conversation.machine.relistDue == late)
    }

    @Test("lists that are due together are asked for together, in the order of their kinds")
    func together() throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        for kind in [FeatureKind.resources, .prompts, .tools] { try change(kind, &conversation) }
        for kind in [FeatureKind.resources, .prompts, .tools] { #expect(try conversation.listChanged(kind) == "again") }
        let requests = try conversation.relist()
        #expect(requests == FeatureKind.allCases.map { request(conversation, $0) }.joined(separator: " "))
        #expect(conversation.machine.relistDue == nil)
        #expect(conversation.machine.relist(now: conversation.now.advanced(by: .seconds(3600))).isEmpty)
    }

    @Test("a change while a list is read has it read once more; another list is not touched", arguments: FeatureKind.allCases)
    func changedWhileReading(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        for _ in 0..<3 { #expect(try conversation.listChanged(kind) == "again") }
        let other: FeatureKind = kind == .tools ? .prompts : .tools
        #expect(try conversation.listChanged(other) == "send [\(request(conversation, other))]")
        try answer(announced(with: kind) + [other], &conversation, "1")
        let requests = try conversation.relist()
        #expect(requests == announced(with: kind).map { request(conversation, $0) }.joined(separator: " "))
        try answer(announced(with: kind), &conversation, "2")
        #expect(conversation.machine.relistDue == nil)
    }

    @Test("nothing is read again before the server is ready, and what changed meanwhile is then")
    func changedBeforeReady() throws {
        var conversation = Conversation()
        try conversation.shakeHands(capabilities: Self.everything)
        _ = try conversation.answer(page(.tools), to: conversation.listRequests[.tools])
        #expect(try conversation.listChanged(.tools) == "again")
        conversation.pass(.seconds(60))
        #expect(conversation.machine.relist(now: conversation.now).isEmpty)
        try conversation.answerFirstLists()
        #expect(conversation.machine.phase == .ready)
        #expect(try conversation.relist() == request(conversation, .tools))
    }

    // MARK: Time

    @Test("a page that never comes is given up, and the list read again; the others go on", arguments: FeatureKind.allCases)
    func timeout(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        let lost = try #require(conversation.listRequests[kind])
        try answer(announced(with: kind).filter { $0 != kind }, &conversation)
        conversation.pass(DownstreamProtocol.listTimeout - .seconds(1))
        let other: FeatureKind = kind == .tools ? .prompts : .tools
        _ = try conversation.listChanged(other)
        conversation.pass(.seconds(1))
        #expect(conversation.expired().isEmpty, "a list is nobody's request")
        #expect(try conversation.answer(page(kind, "1"), to: lost) == "late")
        try answer([other], &conversation, "2")
        let requests = try conversation.relist()
        #expect(requests == request(conversation, kind))
        try answer([kind], &conversation, "3")
    }

    @Test("while we do not listen no page is late")
    func extended() throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(.resources)
        conversation.pass(DownstreamProtocol.listTimeout * 3)
        conversation.machine.extendDeadlines(now: conversation.now)
        #expect(conversation.machine.nextDeadline == conversation.now.advanced(by: DownstreamProtocol.listTimeout))
        #expect(conversation.expired().isEmpty)
        try answer([.resources, .templates], &conversation, "1")
    }

    @Test("an answer that cannot be used is the end of its list alone", arguments: FeatureKind.allCases)
    func unusable(kind: FeatureKind) throws {
        var conversation = try Conversation.ready(capabilities: Self.everything)
        _ = try conversation.listChanged(kind)
        let id = try #require(conversation.listRequests[kind])
        #expect(
            told(conversation.machine.unusableAnswer(RequestID(id), why: "torn", now: conversation.now))
                == "\(kind) failed: its answer to '\(kind.listMethod.rawValue)' is torn send []")
        #expect(conversation.machine.relistDue == nil)
        try answer(announced(with: kind).filter { $0 != kind }, &conversation, "1")
    }
}
