import JSONRPC
import MCPProtocol
import NIOCore
import Testing

private func view(_ json: String) throws -> JSONView { try JSONView(validating: ByteBuffer(string: json)) }

private let handshakeRevisions = Revision.allCases.filter { $0.era == .handshake }

@Suite("What a host can do for servers")
struct ClientCapabilitiesTests {
    private static let everything =
        #"{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}}}"#

    private func written(_ capabilities: ClientCapabilities) -> String {
        String(buffer: JSONWriter.object { capabilities.write(to: &$0) })
    }

    @Test(
        "is what it declared and its revision has",
        arguments: [
            (Revision.v2024_11_05, #"{"roots":{"listChanged":true},"sampling":{}}"#),
            (.v2025_03_26, #"{"roots":{"listChanged":true},"sampling":{}}"#),
            (.v2025_06_18, #"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{}}}"#),
            (.v2025_11_25, everything),
        ])
    func revisions(revision: Revision, expected: String) throws {
        let capabilities = ClientCapabilities(try view(Self.everything), revision: revision)
        #expect(written(capabilities) == expected)
        #expect(capabilities.known(in: revision) == capabilities)
    }

    @Test(
        "is declared by an object, and by nothing else",
        arguments: [
            ("{}", "{}"), ("null", "{}"), ("[]", "{}"), (#""roots""#, "{}"), (#"{"roots":true}"#, "{}"), (#"{"sampling":null}"#, "{}"),
            (#"{"elicitation":[]}"#, "{}"), (#"{"Roots":{}}"#, "{}"), (#"{"experimental":{"roots":{}}}"#, "{}"),
            (#"{"roots":{}}"#, #"{"roots":{}}"#), (#"{"roots":{"listChanged":false}}"#, #"{"roots":{}}"#),
            (#"{"roots":{"listChanged":"true"}}"#, #"{"roots":{}}"#), (#"{"r\u006fots":{}}"#, #"{"roots":{}}"#),
            (#"{"sampling":{"tools":true,"context":null}}"#, #"{"sampling":{}}"#),
            (#"{"sampling":{"context":{}}}"#, #"{"sampling":{"context":{}}}"#),
            // An empty object means forms; so does one that names neither way.
            (#"{"elicitation":{}}"#, #"{"elicitation":{"form":{}}}"#), (#"{"elicitation":{"url":null}}"#, #"{"elicitation":{"form":{}}}"#),
            (#"{"elicitation":{"url":{}}}"#, #"{"elicitation":{"url":{}}}"#),
            (#"{"elicitation":{"x":{}}}"#, #"{"elicitation":{"form":{}}}"#),
        ])
    func shapes(json: String, expected: String) throws {
        #expect(written(ClientCapabilities(try view(json), revision: .v2025_11_25)) == expected)
    }

    @Test("is nothing if nothing was declared", arguments: handshakeRevisions)
    func none(revision: Revision) {
        #expect(ClientCapabilities(nil, revision: revision) == ClientCapabilities())
        #expect(written(ClientCapabilities()) == "{}")
    }

    @Test("is forms in the revision that has no other kind of elicitation, whatever else was declared")
    func elicitationBeforeURLs() throws {
        let capabilities = ClientCapabilities(try view(#"{"elicitation":{"url":{}}}"#), revision: .v2025_06_18)
        #expect(capabilities.elicitationForm && !capabilities.elicitationURL)
    }

    @Test(
        "is less for a server of an older revision, which does not know the rest",
        arguments: [
            (Revision.v2024_11_05, #"{"roots":{"listChanged":true},"sampling":{}}"#),
            (.v2025_03_26, #"{"roots":{"listChanged":true},"sampling":{}}"#),
            (.v2025_06_18, #"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{}}}"#),
            (.v2025_11_25, everything),
        ])
    func known(revision: Revision, expected: String) throws {
        let capabilities = ClientCapabilities(try view(Self.everything), revision: .v2025_11_25)
        #expect(written(capabilities.known(in: revision)) == expected)
    }

    // MARK: Questions

    private static let form = #"{"elicitation":{}}"#
    private static let url = #"{"elicitation":{"url":{}}}"#
    private static let tools = #"{"sampling":{"tools":{}}}"#

    @Test(
        "decides what may be asked of it",
        arguments: [
            (MCPProtocol.Method.rootsList, #"{"roots":{}}"#, nil, true), (.rootsList, everything, "{}", true),
            (.rootsList, "{}", nil, false),
            (.rootsList, #"{"sampling":{}}"#, nil, false),
            (.sample, #"{"sampling":{}}"#, #"{"messages":[]}"#, true), (.sample, "{}", #"{"messages":[]}"#, false),
            (.sample, #"{"sampling":{}}"#, #"{"tools":[]}"#, false), (.sample, #"{"sampling":{}}"#, #"{"toolChoice":{}}"#, false),
            (.sample, tools, #"{"tools":[],"toolChoice":{}}"#, true), (.sample, tools, nil, true),
            (.elicit, form, #"{"message":"?"}"#, true), (.elicit, form, #"{"mode":"form"}"#, true), (.elicit, form, nil, true),
            (.elicit, form, #"{"mode":"url"}"#, false), (.elicit, url, #"{"mode":"url"}"#, true),
            (.elicit, url, #"{"mode":"form"}"#, false),
            // Without a mode it is a form.
            (.elicit, url, #"{"message":"?"}"#, false), (.elicit, "{}", "{}", false), (.elicit, everything, #"{"mode":"url"}"#, true),
            (.elicit, everything, #"{"mode":"form"}"#, true),
            // Nothing else is asked of a host, whatever it can do.
            (.toolsCall, everything, nil, false), (.ping, everything, nil, false), (.complete, everything, nil, false),
        ] as [(MCPProtocol.Method, String, String?, Bool)])
    func allows(method: MCPProtocol.Method, declared: String, params: String?, isAllowed: Bool) throws {
        let capabilities = ClientCapabilities(try view(declared), revision: .v2025_11_25)
        #expect(capabilities.allows(method, params: try params.map { try view($0) }) == isAllowed)
    }
}

@Suite("What a server offers")
struct ServerCapabilitiesTests {
    private func described(_ capabilities: ServerCapabilities) -> [String] {
        [
            ("tools", capabilities.tools), ("prompts", capabilities.prompts), ("resources", capabilities.resources),
            ("subscriptions", capabilities.subscriptions), ("completions", capabilities.completions), ("logging", capabilities.logging),
        ].filter(\.1).map(\.0)
    }

    @Test(
        "is declared by an object, and by nothing else",
        arguments: [
            ("{}", []), ("null", []), ("[]", []), (#"{"tools":true,"prompts":1,"resources":"","completions":[],"logging":null}"#, []),
            (#"{"tools":{}}"#, ["tools"]), (#"{"prompts":{"listChanged":false}}"#, ["prompts"]), (#"{"resources":{}}"#, ["resources"]),
            (#"{"resources":{"subscribe":true}}"#, ["resources", "subscriptions"]), (#"{"resources":{"subscribe":1}}"#, ["resources"]),
            (#"{"resources":{"subscribe":false}}"#, ["resources"]), (#"{"subscribe":true}"#, []), (#"{"x":{"tools":{}}}"#, []),
            (
                #"{"logging":{},"completions":{},"resources":{"subscribe":true},"prompts":{},"tools":{},"experimental":{}}"#,
                ["tools", "prompts", "resources", "subscriptions", "completions", "logging"]
            ),
        ] as [(String, [String])])
    func shapes(json: String, expected: [String]) throws {
        #expect(described(ServerCapabilities(try view(json), revision: .v2025_11_25)) == expected)
    }

    @Test("includes completion where that cannot be declared", arguments: Revision.allCases)
    func completions(revision: Revision) throws {
        #expect(described(ServerCapabilities(nil, revision: revision)) == (revision == .v2024_11_05 ? ["completions"] : []))
        #expect(ServerCapabilities(try view(#"{"completions":{}}"#), revision: revision).completions)
    }

    @Test(
        "is listed kind by kind, templates with the resources",
        arguments: [
            ("{}", []), (#"{"tools":{}}"#, [.tools]), (#"{"prompts":{}}"#, [.prompts]), (#"{"resources":{}}"#, [.resources, .templates]),
            (#"{"resources":{},"tools":{},"prompts":{}}"#, [.tools, .prompts, .resources, .templates]),
            (#"{"completions":{},"logging":{}}"#, []),
        ] as [(String, [FeatureKind])])
    func listed(json: String, kinds: [FeatureKind]) throws {
        #expect(ServerCapabilities(try view(json), revision: .v2025_11_25).listed == kinds)
    }
}

@Suite("Kinds of features")
struct FeatureKindTests {
    struct Words: Sendable {
        let kind: FeatureKind
        let list: MCPProtocol.Method
        let member: String
        let identity: String
        let changed: String
        let noun: String
    }

    @Test(
        "have the words of the specification",
        arguments: [
            Words(
                kind: .tools, list: .toolsList, member: "tools", identity: "name", changed: "notifications/tools/list_changed", noun: "tool"
            ),
            Words(
                kind: .prompts, list: .promptsList, member: "prompts", identity: "name", changed: "notifications/prompts/list_changed",
                noun: "prompt"),
            Words(
                kind: .resources, list: .resourcesList, member: "resources", identity: "uri",
                changed: "notifications/resources/list_changed", noun: "resource"),
            Words(
                kind: .templates, list: .templatesList, member: "resourceTemplates", identity: "uriTemplate",
                changed: "notifications/resources/list_changed", noun: "resource template"),
        ])
    func words(words: Words) {
        let kind = words.kind
        #expect(kind.listMethod == words.list && kind.listMember == words.member && kind.identityMember == words.identity)
        #expect(kind.changedMethod.rawValue == words.changed && kind.noun == words.noun)
    }

    @Test("are counted from 0 without a gap: lists are kept in that order")
    func order() { #expect(FeatureKind.allCases.map(\.rawValue) == Array(0..<4)) }
}
