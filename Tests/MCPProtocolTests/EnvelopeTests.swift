import JSONRPC
import MCPProtocol
import NIOCore
import Testing

private func view(_ json: String) throws -> JSONView { try JSONView(validating: ByteBuffer(string: json)) }

@Suite("The envelope of a stateless request")
struct EnvelopeTests {
    private static let prefix = "io.modelcontextprotocol/"
    private static let version = #""io.modelcontextprotocol/protocolVersion":"2026-07-28""#
    private static let capabilities = #""io.modelcontextprotocol/clientCapabilities":{}"#

    private func meta(_ members: String...) throws -> JSONView { try view("{\(members.joined(separator: ","))}") }

    @Test("is a version and what the client can do, among whatever else")
    func whole() throws {
        let declared = #""io.modelcontextprotocol/clientCapabilities":{"roots":{},"elicitation":{"url":{}}}"#
        let envelope = try Envelope(meta(#""k":[]"#, declared, #""progressToken":1"#, Self.version))
        var expected = ClientCapabilities()
        (expected.roots, expected.elicitationURL) = (true, true)
        #expect(envelope.capabilities == expected && envelope.logLevel == nil)
        #expect(
            envelope == Envelope(capabilities: expected) && envelope != Envelope()
                && envelope != Envelope(capabilities: expected, logLevel: .debug))
        #expect(Set([envelope, Envelope(capabilities: expected), Envelope()]).count == 2)
    }

    @Test("may say from which level on its sender wants to hear", arguments: LogLevel.allCases)
    func levels(level: LogLevel) throws {
        let text = #""io.modelcontextprotocol/logLevel":"\#(level.rawValue)""#
        #expect(try Envelope(meta(Self.version, Self.capabilities, text)).logLevel == level)
    }

    @Test(
        "is refused if it lacks a part or has a wrong one",
        arguments: [
            ("", "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"),
            (capabilities, "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"),
            (
                #""io.modelcontextprotocol/protocolVersion":1,\#(capabilities)"#,
                "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"
            ),
            (#""protocolVersion":"2026-07-28",\#(capabilities)"#, "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"),
            (version, "'_meta' needs 'io.modelcontextprotocol/clientCapabilities', an object"),
            (
                #"\#(version),"io.modelcontextprotocol/clientCapabilities":null"#,
                "'_meta' needs 'io.modelcontextprotocol/clientCapabilities', an object"
            ),
            (
                #"\#(version),"io.modelcontextprotocol/clientCapabilities":[]"#,
                "'_meta' needs 'io.modelcontextprotocol/clientCapabilities', an object"
            ),
            (
                #"\#(version),\#(capabilities),"io.modelcontextprotocol/clientInfo":[]"#,
                "'io.modelcontextprotocol/clientInfo' is not an object"
            ),
            (
                #"\#(version),\#(capabilities),"io.modelcontextprotocol/logLevel":"loud""#,
                "'io.modelcontextprotocol/logLevel' is none of debug, info, notice, warning, error, critical, alert, emergency"
            ),
            (
                #"\#(version),\#(capabilities),"io.modelcontextprotocol/logLevel":null"#,
                "'io.modelcontextprotocol/logLevel' is none of debug, info, notice, warning, error, critical, alert, emergency"
            ),
        ])
    func malformed(members: String, text: String) throws {
        let meta = try meta(members)
        #expect(throws: Envelope.Defect.malformed(text)) { try Envelope(meta) }
    }

    @Test(
        "is none outside its revision",
        arguments: Revision.allCases.filter { $0.era == .handshake }.map(\.rawValue) + ["", "2026-07-29", "latest"])
    func unsupported(requested: String) throws {
        let meta = try meta(#""io.modelcontextprotocol/protocolVersion":"\#(requested)""#)
        #expect(throws: Envelope.Defect.unsupported(requested: requested)) { try Envelope(meta) }
    }

    @Test("is none if '_meta' is no object", arguments: ["7", "null", "[]", #""io.modelcontextprotocol/protocolVersion""#])
    func noObject(meta: String) throws {
        let meta = try view(meta)
        #expect(throws: Envelope.Defect.self) { try Envelope(meta) }
    }

    @Test("is written as it is read, with our own name in it")
    func written() throws {
        var capabilities = ClientCapabilities()
        (capabilities.sampling, capabilities.samplingTools, capabilities.rootsListChanged) = (true, true, true)
        (capabilities.roots, capabilities.tasks, capabilities.extensions) = (true, true, #"{"io.modelcontextprotocol/ui":{"a":1.0}}"#)
        let text = JSONWriter.object {
            $0.envelope(Envelope(capabilities: capabilities, logLevel: .error), from: Implementation(name: "u\"s", version: "1"))
        }
        #expect(
            String(buffer: text)
                == #"{\#(Self.version),"io.modelcontextprotocol/clientInfo":{"name":"u\"s","version":"1"},"#
                + #""io.modelcontextprotocol/clientCapabilities":{"roots":{},"sampling":{"tools":{}},"extensions":{"#
                + #""io.modelcontextprotocol/ui":{"a":1.0},"io.modelcontextprotocol/tasks":{}}},"#
                + #""io.modelcontextprotocol/logLevel":"error"}"#)
        capabilities.rootsListChanged = false  // which nobody is told of in this era
        #expect(try Envelope(JSONView(validating: text)) == Envelope(capabilities: capabilities, logLevel: .error))
    }

    @Test("none of the protocol's own members of '_meta' goes on to the next hop, and every other does")
    func endToEnd() throws {
        let own = ["protocolVersion", "clientInfo", "clientCapabilities", "logLevel", "subscriptionId", "serverInfo", "related-task"]
        let keys = own.map { Self.prefix + $0 } + ["progressToken"]
        #expect(MetaKey.hopByHop == Set(keys))
        let others = [
            #""traceparent":"00-a""#, #""com.example/x":{"y":1.0}"#, #""io.modelcontextprotocol/other":null"#, #""":0"#,
            #""clientInfo":[]"#,
        ]
        let mixed = zip(keys, others + others).flatMap { [#""\#($0)":1"#, $1] }
        func passed(_ json: String?) throws -> String {
            let meta = try json.map { try view($0) }
            return String(buffer: JSONWriter.object { $0.endToEndMembers(of: meta) })
        }
        #expect(try passed("{\(keys.map { #""\#($0)":{}"# }.joined(separator: ","))}") == "{}")
        #expect(try passed("{\(mixed.prefix(10).joined(separator: ","))}") == "{\(others.joined(separator: ","))}")
        for nothing in [nil, "7", "[]", "null"] { #expect(try passed(nothing) == "{}") }
    }
}

@Suite("What a listener wants to hear of")
struct SubscriptionFilterTests {
    private func written(_ filter: SubscriptionFilter) -> String { String(buffer: JSONWriter.object { filter.write(to: &$0) }) }

    @Test(
        "is what it says, and nothing for what we do not know",
        arguments: [
            ("{}", "{}"), (#"{"toolsListChanged":true}"#, #"{"toolsListChanged":true}"#), (#"{"toolsListChanged":false}"#, "{}"),
            (#"{"toolsListChanged":"true","promptsListChanged":1,"resourcesListChanged":null}"#, "{}"),
            (#"{"x":true,"taskIds":["t"]}"#, "{}"),
            (#"{"resourceSubscriptions":[]}"#, "{}"),
            (#"{"resourceSubscriptions":["b","a","b"]}"#, #"{"resourceSubscriptions":["b","a"]}"#),
            (
                #"{"resourceSubscriptions":["\u0061"],"resourcesListChanged":true,"promptsListChanged":true,"toolsListChanged":true}"#,
                #"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a"]}"#
            ),
        ])
    func read(json: String, expected: String) throws {
        let filter = try #require(try SubscriptionFilter(view(json)))
        #expect(written(filter) == expected && filter.isEmpty == (expected == "{}"))
        #expect(try SubscriptionFilter(view(expected)) == filter)
    }

    @Test(
        "cannot be told from what is no filter",
        arguments: [
            "7", "null", "[]", "true", #"{"resourceSubscriptions":"a"}"#, #"{"resourceSubscriptions":{}}"#,
            #"{"resourceSubscriptions":null}"#,
            #"{"resourceSubscriptions":["a",7]}"#,
        ])
    func none(json: String) throws { #expect(try SubscriptionFilter(view(json)) == nil) }

    @Test("of resources means their templates, too")
    func templates() throws {
        #expect(try SubscriptionFilter(view(#"{"resourcesListChanged":true}"#))?.kinds == [.resources, .templates])
    }
}

@Suite("How long something may be taken for granted")
struct FreshnessTests {
    private static let some = [
        Freshness.none, .whole, Freshness(timeToLive: 0, isPublic: true), Freshness(timeToLive: 5, isPublic: false),
        Freshness(timeToLive: 5, isPublic: true), Freshness(timeToLive: 7, isPublic: true),
    ]

    @Test("is of two things as long as of the shorter-lived, and for everybody only if both are")
    func merging() {
        for one in Self.some {
            #expect(one.merged(with: .whole) == one && Freshness.whole.merged(with: one) == one && one.merged(with: one) == one)
            #expect(one.merged(with: .none) == .none)
            for other in Self.some {
                let both = one.merged(with: other)
                #expect(both == other.merged(with: one))
                #expect(both.timeToLive == min(one.timeToLive, other.timeToLive) && both.isPublic == (one.isPublic && other.isPublic))
                for third in Self.some { #expect(both.merged(with: third) == one.merged(with: other.merged(with: third))) }
            }
        }
        #expect(Freshness.none == Freshness(timeToLive: 0, isPublic: false))
    }
}

@Suite("Extensions and what is announced")
struct ExtensionTests {
    @Test(
        "are passed through if all they need is their data",
        arguments: [
            ("{}", nil), ("7", nil), (#"{"x":{}}"#, nil), (#"{"io.modelcontextprotocol/tasks":{}}"#, nil),
            (#"{"io.modelcontextprotocol/ui":true}"#, nil),
            (#"{"io.modelcontextprotocol/ui":{"a":1.0}}"#, #"{"io.modelcontextprotocol/ui":{"a":1.0}}"#),
            (#"{"x":{},"io.modelcontextprotocol/ui":{},"io.modelcontextprotocol/tasks":{}}"#, #"{"io.modelcontextprotocol/ui":{}}"#),
        ] as [(String, String?)])
    func passedThrough(json: String, expected: String?) throws { #expect(Extension.passedThrough(try view(json)) == expected) }

    @Test("of a host include tasks in the stateless era alone", arguments: Revision.allCases)
    func hostTasks(revision: Revision) throws {
        let declared = #"{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}},"tasks":{}}"#
        let capabilities = ClientCapabilities(try view(declared), revision: revision)
        #expect(capabilities.tasks == (revision.era == .stateless) && capabilities.extensions == #"{"io.modelcontextprotocol/ui":{}}"#)
    }

    @Test("of a server, and its tasks, are what its revision knows", arguments: Revision.allCases)
    func serverTasks(revision: Revision) throws {
        let core = #""tasks":{"requests":{"tools":{"call":{}}}}"#
        let other = #""extensions":{"io.modelcontextprotocol/tasks":{}}"#
        #expect(ServerCapabilities(try view("{\(core)}"), revision: revision).tasks == (revision == .v2025_11_25))
        #expect(ServerCapabilities(try view("{\(other)}"), revision: revision).tasks == (revision == .v2026_07_28))
        for less in [
            #"{"tasks":{}}"#, #"{"tasks":{"requests":{"tools":{}}}}"#, #"{"tasks":{"requests":{"sampling":{}}}}"#, #"{"extensions":{}}"#,
        ] {
            #expect(!ServerCapabilities(try view(less), revision: revision).tasks)
        }
    }

    @Test(
        "are changes of the lists that a server says it announces",
        arguments: [
            ("{}", []), (#"{"tools":{},"prompts":{"listChanged":false},"resources":{"listChanged":"true"}}"#, []),
            (#"{"tools":{"listChanged":true}}"#, [.tools]),
            (#"{"resources":{"listChanged":true,"subscribe":true}}"#, [.resources, .templates]),
            (#"{"prompts":{"listChanged":true},"tools":{"listChanged":true}}"#, [.tools, .prompts]),
        ] as [(String, Set<FeatureKind>)])
    func announced(json: String, kinds: Set<FeatureKind>) throws {
        #expect(ServerCapabilities(try view(json), revision: .newestStateless).announced == kinds)
    }
}
