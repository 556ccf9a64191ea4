import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

@Suite("Which era is spoken with a downstream")
struct DownstreamProbeTests {
    typealias Choice = DownstreamProtocol.EraChoice

    /// What a server does about the message we sent last.
    enum Reaction: Sendable {
        case result(String), error(Int, data: String = "null"), silence, garbage
    }

    /// What comes of it.
    enum Outcome: Sendable, Equatable {
        case initialize, discover, handshake, stateless
        case unusable(String)
        /// Nothing is sent; we go on waiting.
        case nothing
    }

    struct Branch: Sendable, CustomTestStringConvertible {
        let what: String
        let choice: Choice
        let steps: [(Reaction, Outcome)]
        var testDescription: String { what }

        init(_ what: String, _ choice: Choice, _ steps: (Reaction, Outcome)...) {
            (self.what, self.choice, self.steps) = (what, choice, steps)
        }
    }

    private static let agrees = Reaction.result(#"{"protocolVersion":"2025-11-25","capabilities":{}}"#)
    private static func speaks(_ versions: String) -> Reaction {
        .result(#"{"resultType":"complete","supportedVersions":\#(versions),"capabilities":{}}"#)
    }
    private static let discovered = speaks(#"["2026-07-28"]"#)
    private static func supports(_ versions: String) -> Reaction {
        .error(-32022, data: #"{"supported":\#(versions),"requested":"2026-07-28"}"#)
    }
    private static let refusal = "it refused 'initialize': no (-32601)"

    static let branches = [
        // A `DiscoverResult` naming a stateless version that we speak.
        Branch("discovered", .preferring(.stateless), (discovered, .stateless)),
        Branch(
            "of several versions ours counts", .preferring(.stateless), (speaks(#"["2099-01-01","2025-11-25","2026-07-28",7]"#), .stateless)
        ),
        // Naming handshake versions alone.
        Branch("names old ones", .preferring(.stateless), (speaks(#"["2025-11-25","2025-06-18"]"#), .initialize), (agrees, .handshake)),
        Branch(
            "names old ones, but may not", .only(.stateless),
            (speaks(#"["2025-11-25"]"#), .unusable("it speaks none of the stateless revisions that we know"))),
        // A recognised error of the stateless era.
        Branch(
            "supports nothing we know", .preferring(.stateless),
            (supports(#"["2099-01-01"]"#), .unusable("it refused 'server/discover': no (-32022)"))),
        Branch(
            "does not say what it supports", .preferring(.stateless),
            (.error(-32022), .unusable("it refused 'server/discover': no (-32022)"))),
        Branch("supports old ones alone", .preferring(.stateless), (supports(#"["2025-06-18"]"#), .initialize), (agrees, .handshake)),
        Branch("has headers over stdio", .preferring(.stateless), (.error(-32020), .unusable("it refused 'server/discover': no (-32020)"))),
        Branch("wants more of us", .preferring(.stateless), (.error(-32021), .unusable("it refused 'server/discover': no (-32021)"))),
        // Any other error, an unusable result, or silence.
        Branch("has no such method", .preferring(.stateless), (.error(-32601), .initialize), (agrees, .handshake)),
        Branch("wants 'initialize' first", .preferring(.stateless), (.error(-32600), .initialize), (agrees, .handshake)),
        Branch("has a code of its own", .preferring(.stateless), (.error(-32000), .initialize), (agrees, .handshake)),
        Branch("says nothing of versions", .preferring(.stateless), (.result("{}"), .initialize), (agrees, .handshake)),
        Branch("says no list of versions", .preferring(.stateless), (speaks(#""2026-07-28""#), .initialize), (agrees, .handshake)),
        Branch("answers with nonsense", .preferring(.stateless), (.result("7"), .initialize), (agrees, .handshake)),
        Branch("answers with what is no message", .preferring(.stateless), (.garbage, .initialize), (agrees, .handshake)),
        Branch("is silent", .preferring(.stateless), (.silence, .initialize), (agrees, .handshake)),
        Branch("is silent twice", .preferring(.stateless), (.silence, .initialize), (.silence, .nothing), (agrees, .handshake)),
        Branch("must be stateless, and is silent", .only(.stateless), (.silence, .nothing), (discovered, .stateless)),
        Branch(
            "must be stateless, and has no such method", .only(.stateless),
            (.error(-32601), .unusable("it refused 'server/discover': no (-32601)"))),
        // A slow server, which our probe has locked: probe again, once.
        Branch(
            "is locked by the probe", .preferring(.stateless), (.silence, .initialize), (supports(#"["2026-07-28"]"#), .discover),
            (discovered, .stateless)),
        Branch(
            "refuses both", .preferring(.stateless), (.error(-32601), .initialize), (.error(-32601), .discover),
            (.error(-32601), .unusable(refusal))),
        Branch(
            "is locked, and silent again", .preferring(.stateless), (.silence, .initialize), (.error(-32022), .discover),
            (.silence, .nothing),
            (discovered, .stateless)),
        Branch(
            "says twice that it is stateless, and then what we do not know", .preferring(.stateless), (.silence, .initialize),
            (.error(-32022), .discover), (.error(-32022), .unusable("it refused 'server/discover': no (-32022)"))),
        // 'initialize' first, because the host speaks that: forward only if it is refused.
        Branch("shakes hands", .preferring(.handshake), (agrees, .handshake)),
        Branch("is stateless alone", .preferring(.handshake), (supports(#"["2026-07-28"]"#), .discover), (discovered, .stateless)),
        Branch("has no 'initialize'", .preferring(.handshake), (.error(-32601), .discover), (discovered, .stateless)),
        Branch("refuses either", .preferring(.handshake), (.error(-32601), .discover), (.error(-32601), .unusable(refusal))),
        Branch("refuses and is silent", .preferring(.handshake), (.error(-32601), .discover), (.silence, .nothing)),
        Branch(
            "refuses and speaks old ones", .preferring(.handshake), (.error(-32601), .discover),
            (speaks(#"["2025-11-25"]"#), .unusable(refusal))),
        Branch("must shake hands, and does not", .only(.handshake), (.error(-32601), .unusable(refusal))),
        Branch("must shake hands, and is silent", .only(.handshake), (.silence, .nothing), (agrees, .handshake)),
        Branch("shakes hands with nonsense", .preferring(.handshake), (.garbage, .unusable("its answer to 'initialize' is odd"))),
    ]

    @Test("follows from what the server says", arguments: branches)
    func branch(branch: Branch) throws {
        var conversation = Conversation()
        let first = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: branch.choice))
        let isStateless = branch.choice == .preferring(.stateless) || branch.choice == .only(.stateless)
        #expect(outcome(first, conversation) == (isStateless ? .discover : .initialize))
        for (reaction, expected) in branch.steps {
            let told =
                switch reaction {
                case .result(let result): try conversation.answer(result)
                case .error(let code, let data):
                    try conversation.hears(
                        #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"error":{"code":\#(code),"message":"no","data":\#(data)}}"#)
                case .silence: try conversation.sent(conversation.machine.discoveryTimedOut())
                case .garbage: try conversation.hearsGarbage(for: conversation.lastID)
                }
            #expect(outcome(told, conversation) == expected, "\(told)")
        }
    }

    private func outcome(_ told: String, _ conversation: Conversation) -> Outcome? {
        switch conversation.machine.era {
        case .handshake: return conversation.machine.phase == .ready ? .handshake : nil
        case .stateless: return conversation.machine.phase == .ready ? .stateless : nil
        case nil: break
        }
        if told.hasPrefix("unusable: ") { return .unusable(String(told.dropFirst("unusable: ".count))) }
        if told.contains(#""method":"initialize""#) { return conversation.machine.phase == .initializing ? .initialize : nil }
        if told.contains(#""method":"server/discover""#) { return conversation.machine.phase == .discovering ? .discover : nil }
        return told == "nothing" ? .nothing : nil
    }

    @Test("is asked with an envelope that declares what hosts can do; what follows goes on in that era")
    func transcript() throws {
        var capabilities = ClientCapabilities()
        capabilities.roots = true
        let envelope = ourEnvelope.replacing(#"clientCapabilities":{}"#, with: #"clientCapabilities":{"roots":{}}"#)
        var conversation = Conversation(level: .info)
        let probe = try conversation.sent(conversation.machine.opened(capabilities, era: .preferring(.stateless)))
        #expect(probe == #"{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"server/discover","params":{"_meta":{\#(envelope)}}}"#)
        let told = try conversation.answer(
            #"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"logging":{}},"instructions":"be kind","#
                + #""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"9"}}}"#)
        #expect(
            told == #"send [{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"tools/list","params":{"_meta":{\#(envelope)}}}]"#)
        var offered = ServerCapabilities()
        (offered.tools, offered.logging) = (true, true)
        #expect(
            conversation.machine.introduction
                == .init(revision: .v2026_07_28, capabilities: offered, name: "s", version: "9", instructions: "be kind"))
        #expect(conversation.machine.era == .stateless && conversation.machine.phase == .listing)
        let more = try conversation.answer(#"{"tools":[],"nextCursor":"","ttlMs":5,"cacheScope":"public"}"#)
        #expect(
            more
                == #"send [{"jsonrpc":"2.0","id":\#(conversation.lastID),"method":"tools/list","params":{"cursor":"","_meta":{\#(envelope)}}}]"#
        )
        // No level is set there: each request says which it wants.
        #expect(try conversation.answer(#"{"tools":[],"ttlMs":3,"cacheScope":"public"}"#) == "tools [] for 3 ms, public send []")
        #expect(conversation.machine.phase == .ready)
        #expect(try conversation.sent(conversation.machine.setLevel(.error)) == "nothing")
    }

    @Test(
        "a list that is read again may be kept as all its pages say, and one that cannot be read says nothing",
        arguments: [
            (1, #""result":{"prompts":[],"ttlMs":3,"cacheScope":"private"}"#, "prompts [] for 3 ms, private send []"),
            (2, #""result":{"prompts":[],"ttlMs":30,"cacheScope":"private"}"#, "prompts [] for 4 ms, private send []"),
            (2, #""result":{"prompts":7,"ttlMs":3}"#, "prompts failed: its answer to 'prompts/list' has no array 'prompts' send []"),
            (1, #""error":{"code":-32601,"message":"no"}"#, "prompts [] send []"),
            // It has listed some, so it cannot mean that it has none.
            (2, #""error":{"code":-32601,"message":"no"}"#, "prompts failed: it refused 'prompts/list': no (-32601) send []"),
        ])
    func readAgain(page: Int, answer: String, expected: String) throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
        _ = try conversation.answer(#"{"supportedVersions":["2026-07-28"],"capabilities":{"prompts":{}}}"#)
        let listed = try conversation.answer(#"{"prompts":[],"ttlMs":60,"cacheScope":"public"}"#)
        #expect(listed == "prompts [] for 60 ms, public send []")
        conversation.pass(ListReader.pauseCap * 2)
        _ = try conversation.listChanged(.prompts)
        if page > 1 {
            let first = #"{"prompts":[],"nextCursor":"a","ttlMs":4,"cacheScope":"public"}"#
            _ = try conversation.answer(first, to: conversation.listRequests[.prompts])
        }
        let id = try #require(conversation.listRequests[.prompts])
        #expect(try conversation.hears(#"{"jsonrpc":"2.0","id":\#(id),\#(answer)}"#) == expected)
    }

    @Test("an answer to the probe that comes too late changes nothing", arguments: [true, false])
    func lateAnswer(isReady: Bool) throws {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .preferring(.stateless)))
        let probe = conversation.lastID
        _ = try conversation.sent(conversation.machine.discoveryTimedOut())
        let initialize = conversation.lastID
        func late() throws {
            #expect(try conversation.answer(#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#, to: probe) == "late")
        }
        if !isReady { try late() }
        _ = try conversation.answer(#"{"protocolVersion":"2025-06-18","capabilities":{}}"#, to: initialize)
        #expect(conversation.machine.era == .handshake && conversation.machine.phase == .ready)
        if isReady { try late() }
        #expect(conversation.machine.era == .handshake && conversation.machine.phase == .ready && conversation.machine.lateAnswers == 1)
        #expect(try conversation.sent(conversation.machine.discoveryTimedOut()) == "nothing")
    }

    @Test(
        "a stateless server asks in its results alone: a request of its own is refused, even a ping",
        arguments: ["ping", "roots/list", "elicitation/create", "x"])
    func requests(method: String) throws {
        var conversation = try Conversation.stateless()
        #expect(
            try conversation.hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#)
                == #"send [{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Servers send no requests in this revision"}}]"#)
    }

    @Test(
        "a page says how long it may be kept, and what it says badly counts as nothing",
        arguments: [
            (#""ttlMs":7,"cacheScope":"public""#, 7, true), (#""ttlMs":7,"cacheScope":"private""#, 7, false), (#""ttlMs":7"#, 7, false),
            (#""x":1"#, 0, false), (#""ttlMs":-7,"cacheScope":"public""#, 0, true), (#""ttlMs":"7","cacheScope":true"#, 0, false),
            (#""ttlMs":1.5,"cacheScope":"Public""#, 0, false), (#""ttlMs":99999999999999999999"#, 0, false),
        ])
    func freshness(members: String, time: Int, isPublic: Bool) throws {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":{\#(members)}}"#))
        #expect(message.freshness == Freshness(timeToLive: time, isPublic: isPublic))
    }
}

extension Conversation {
    /// A conversation whose server speaks the stateless era and has nothing in its lists.
    static func stateless(capabilities: String = #"{"tools":{}}"#) throws -> Conversation {
        var conversation = Conversation()
        _ = try conversation.sent(conversation.machine.opened(ClientCapabilities(), era: .only(.stateless)))
        _ = try conversation.answer(#"{"supportedVersions":["2026-07-28"],"capabilities":\#(capabilities)}"#)
        try conversation.answerFirstLists()
        conversation.pass(ListReader.pauseCap * 2)
        return conversation
    }

    /// The server answers a request with something that is no message.
    mutating func hearsGarbage(for id: Int) throws -> String {
        let action = machine.unusableAnswer(RequestID(id), why: "odd", now: now)
        if case .send(let messages) = action { for message in messages { _ = try sent(message) } }
        return told(action)
    }
}
