import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import FeatureCatalog

@Suite("The merged lists of every kind")
struct MergedListTests {
    private static let withNames: [FeatureKind] = [.tools, .prompts]
    private static let withURIs: [FeatureKind] = [.resources, .templates]

    private func list(_ kind: FeatureKind, _ catalog: Catalog) -> String { String(buffer: catalog[kind].result) }
    private func names(_ kind: FeatureKind, _ catalog: Catalog) -> [String] { catalog[kind].entries.map(\.name.text) }

    @Test("are empty where nobody offers anything", arguments: FeatureKind.allCases)
    func empty(kind: FeatureKind) throws {
        for catalog in [Catalog.empty, Catalog(), Catalog(try source("a", kind, []))] {
            #expect(list(kind, catalog) == #"{"\#(kind.listMember)":[]}"#)
            #expect(catalog[kind].revision == 0 && catalog[kind].entries.isEmpty && catalog[kind].kind == kind)
        }
    }

    @Test("of tools and prompts have prefixes, each kind with names of its own", arguments: withNames)
    func prefixes(kind: FeatureKind) throws {
        let catalog = Catalog(try source("b", kind, ["x", "y"]), try source("a", kind, ["x"]))
        #expect(list(kind, catalog) == #"{"\#(kind.listMember)":[{"name":"b__x"},{"name":"b__y"},{"name":"a__x"}]}"#)
        #expect(catalog.target("a__x", kind) == "\(Int(UInt8(ascii: "a"))) x")
        let other: FeatureKind = kind == .tools ? .prompts : .tools
        #expect(catalog.target("a__x", other) == "Unknown \(other.noun): a__x")
    }

    @Test("of resources and templates hold what servers wrote, byte for byte", arguments: withURIs)
    func located(kind: FeatureKind) throws {
        let member = kind.identityMember
        let definitions = [
            #"{"x":1.0, "\#(member)" : "a:\/\/\u0062/{c}","name":"n","name":"m"}"#, #"{"\#(member)":"a://\"q\"","_meta":{"\#(member)":7}}"#,
        ]
        let rules = ExposureRules(prefix: "p", include: [], exclude: ["*"], rename: ["n": "z", "a://b/{c}": "other"])
        let catalog = Catalog(
            CatalogSource(
                downstream: DownstreamID(7), key: "s", rules: rules, features: [kind: try definitions.map { try feature(kind, json: $0) }]))
        #expect(list(kind, catalog) == #"{"\#(kind.listMember)":[\#(definitions.joined(separator: ","))]}"#)
        #expect(names(kind, catalog) == ["a://b/{c}", #"a://"q""#])
        #expect(catalog.target("a://b/{c}", kind) == "7 a://b/{c}")
        #expect(try catalog.route(kind, "a://b/{c}").nameJSON == #""a:\/\/\u0062/{c}""#)
    }

    @Test(
        "of resources and templates have a URI once, from the first server that lists it; letters of either case differ",
        arguments: withURIs
    )
    func duplicates(kind: FeatureKind) throws {
        let catalog = Catalog(
            try source("b", kind, ["x://1", "x://1", "x://2"]), try source("a", kind, ["x://2", "X://1", "x://3"]))
        #expect(names(kind, catalog) == ["x://1", "x://2", "X://1", "x://3"])
        #expect(catalog[kind].entries.map(\.server) == ["b", "b", "a", "a"])
        #expect(
            String(buffer: catalog[kind].result(of: "a")).contains("x://3")
                && !String(buffer: catalog[kind].result(of: "a")).contains("x://2"))
    }

    @Test("of prompts, resources and templates do not follow the rules that the file has for tools", arguments: FeatureKind.allCases)
    func rules(kind: FeatureKind) throws {
        let rules = ExposureRules(prefix: "", include: ["a*"], exclude: ["ab"], rename: ["aa": "renamed"])
        let catalog = Catalog(try source("s", kind, ["aa", "ab", "b"], rules: rules))
        #expect(names(kind, catalog) == (kind == .tools ? ["renamed"] : ["aa", "ab", "b"]))
    }

    @Test("have revisions of their own", arguments: FeatureKind.allCases)
    func revisions(kind: FeatureKind) throws {
        func everything(_ names: [String]) throws -> CatalogSource {
            var source = try source("s", [])
            for other in FeatureKind.allCases {
                let names = other == kind ? names : ["x"]
                source.features[other] = try names.map { try feature(other, json: #"{"\#(other.identityMember)":"\#($0)"}"#) }
            }
            return source
        }
        let first = Catalog(try everything(["x"]))
        let second = Catalog(try everything(["x", "y"]), after: first)
        let third = Catalog(try everything(["x", "y"]), after: second)
        for other in FeatureKind.allCases {
            #expect(first[other].revision == 1 && second[other].revision == (other == kind ? 2 : 1))
            #expect(third[other].revision == second[other].revision && third[other].result == second[other].result)
        }
    }

    @Test("keep the names that hosts know, of the kinds whose lists they have seen", arguments: withNames, withNames)
    func kept(kind: FeatureKind, known: FeatureKind) throws {
        let rules = ExposureRules(prefix: "")
        let (first, second) = (try source("first", kind, ["x"], rules: rules), try source("second", kind, ["x"], rules: rules))
        let after = Catalog(merging: [first, second], style: NameStyle(), after: Catalog(second), known: [known])
        let plain = after[kind].entries.first { $0.name.text == "x" }
        #expect(plain?.server == (kind == known ? "second" : "first"))
    }

    @Test("tell names apart whatever their case, also of prompts", arguments: withNames)
    func collisions(kind: FeatureKind) throws {
        let catalog = Catalog(try source("s", kind, ["status", "Status", "a.b", "a_b"]))
        let names = names(kind, catalog)
        #expect(names[0] == "s__status" && names[3] == "s__a_b" && Set(names.map { $0.lowercased() }).count == 4)
        #expect(names[1].hasPrefix("s__Status_") && names[2].hasPrefix("s__a_b_"))
        #expect(catalog.target(names[2], kind) == "\(Int(UInt8(ascii: "s"))) a.b")
    }

    @Test(
        "have what was meant in the refusal of what they do not have",
        arguments: [
            (FeatureKind.prompts, "greet", "s__greets", "Unknown prompt: s__greets. Did you mean 's__greet'?"),
            (.resources, "note://1", "note://12", "Unknown resource: note://12. Did you mean 'note://1'?"),
            (.resources, "note://1", "file:///elsewhere", "Unknown resource: file:///elsewhere"),
            (.templates, "note://{id}", "note://{ids}", "Unknown resource template: note://{ids}. Did you mean 'note://{id}'?"),
        ])
    func unknown(kind: FeatureKind, there: String, asked: String, text: String) throws {
        #expect(Catalog(try source("s", kind, [there])).target(asked, kind) == text)
    }

    @Test("are found by the name in a message, however it is written", arguments: [#""s__x""#, #""\u0073__x""#])
    func places(written: String) throws {
        let catalog = Catalog(try source("s", .prompts, ["x"]))
        let request = #"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":\#(written)}}"#
        let message = try Message(scanning: ByteBuffer(string: request))
        #expect(try catalog.route(.prompts, message[.name], in: message).name.text == "x")
        #expect(throws: UnknownFeature.self) { try catalog.route(.tools, message[.name], in: message) }
    }

    @Test(
        "hold nothing that has no identity",
        arguments: [
            (FeatureKind.prompts, "7", "a prompt is not an object"), (.prompts, "{}", "a prompt has no 'name'"),
            (.resources, #"{"name":"n"}"#, "a resource has no 'uri'"), (.resources, #"{"uri":""}"#, "the 'uri' of a resource is empty"),
            (.resources, #"{"uri":"a","uri":"b"}"#, "a resource has two members 'uri'"),
            (.templates, #"{"uri":"a"}"#, "a resource template has no 'uriTemplate'"),
            (.templates, #"{"uriTemplate":["a"]}"#, "a resource template has no 'uriTemplate'"),
        ])
    func defects(kind: FeatureKind, json: String, reason: String) throws {
        #expect(throws: FeatureDefinition.Defect(description: reason)) { try feature(kind, json: json) }
    }
}

@Suite("What merged lists say beside their features")
struct MergedListEraTests {
    private func source(_ key: String, _ json: String..., kind: FeatureKind = .tools, freshness: Freshness? = nil) throws -> CatalogSource {
        CatalogSource(
            downstream: DownstreamID(1), key: key, rules: ExposureRules(prefix: key),
            features: [kind: try json.map { try feature(kind, json: $0) }], freshness: freshness.map { [kind: $0] } ?? [:])
    }

    private func text(_ buffer: ByteBuffer) -> String { String(buffer: buffer) }

    @Test(
        "schemas of results that are no objects are left out for hosts of the handshake era, and nothing else",
        arguments: [
            (#"{"name":"x","outputSchema":{"type":"array"},"z":1.0}"#, #"{"name":"s__x","z":1.0}"#),
            (#"{"outputSchema":{"type":"string"},"y":[ 1 ],"name":"\u0078"}"#, #"{"y":[ 1 ],"name":"s__x"}"#),
            (#"{"outputSchema":{"anyOf":[]},"name":"x"}"#, #"{"name":"s__x"}"#),
            (#"{"name":"x","outputSchema":true}"#, #"{"name":"s__x"}"#),
            (#"{"name":"x","outputSchema":{"type":["object"]}}"#, #"{"name":"s__x"}"#),
            (#"{"name":"x","outputSchema":null}"#, #"{"name":"s__x"}"#),
        ])
    func handshakeForm(json: String, expected: String) throws {
        let list = Catalog(try source("s", json))[.tools]
        #expect(text(list.handshakeResult) == #"{"tools":[\#(expected)]}"#)
        #expect(text(list.result) == #"{"tools":[\#(json.replacing(#""\u0078""#, with: #""x""#).replacing(#""x""#, with: #""s__x""#))]}"#)
        #expect(text(list.result(of: "s")) == text(list.handshakeResult))
    }

    @Test(
        "all others are the same in both eras, and are kept once",
        arguments: [
            #"{"name":"x"}"#, #"{"name":"x","outputSchema":{"type":"object","properties":{}}}"#,
            #"{"name":"x","inputSchema":{"outputSchema":{"type":"array"}}}"#,
        ])
    func sameForm(json: String) throws {
        let list = Catalog(try source("s", json))[.tools]
        #expect(list.handshakeResult == list.result && text(list.result).contains(#""name":"s__x""#))
    }

    @Test("a schema of results is nothing of prompts and resources", arguments: [FeatureKind.prompts, .resources, .templates])
    func otherKinds(kind: FeatureKind) throws {
        let list = Catalog(try source("s", #"{"\#(kind.identityMember)":"x","outputSchema":{"type":"array"}}"#, kind: kind))[kind]
        #expect(list.handshakeResult == list.result && text(list.result).contains("outputSchema"))
    }

    @Test("where one definition differs, the others are in both lists, in their order")
    func mixedForms() throws {
        let list = Catalog(try source("s", #"{"name":"a"}"#, #"{"name":"b","outputSchema":7}"#, #"{"name":"c"}"#))[.tools]
        #expect(text(list.handshakeResult) == #"{"tools":[{"name":"s__a"},{"name":"s__b"},{"name":"s__c"}]}"#)
        #expect(text(list.result) == #"{"tools":[{"name":"s__a"},{"name":"s__b","outputSchema":7},{"name":"s__c"}]}"#)
    }

    @Test("a change that only stateless hosts see is a change")
    func revisions() throws {
        let first = Catalog(try source("s", #"{"name":"a","outputSchema":{"type":"array"}}"#))
        let second = Catalog(try source("s", #"{"name":"a","outputSchema":{"type":"string"}}"#), after: first)
        #expect(second[.tools].revision == first[.tools].revision + 1)
        #expect(second[.tools].handshakeResult == first[.tools].handshakeResult)
    }

    @Test(
        "a list may be kept as long as the shortest-lived of its parts, and by everybody only if all may",
        arguments: [
            ([], Freshness.none), ([nil], .none), ([Freshness(timeToLive: 5, isPublic: true)], Freshness(timeToLive: 5, isPublic: true)),
            (
                [Freshness(timeToLive: 5, isPublic: true), Freshness(timeToLive: 3, isPublic: true)],
                Freshness(timeToLive: 3, isPublic: true)
            ),
            (
                [Freshness(timeToLive: 5, isPublic: true), Freshness(timeToLive: 9, isPublic: false)],
                Freshness(timeToLive: 5, isPublic: false)
            ),
            ([Freshness(timeToLive: 5, isPublic: true), nil], .none),
        ] as [([Freshness?], Freshness)])
    func freshness(parts: [Freshness?], expected: Freshness) throws {
        let sources = try parts.enumerated().map { try source("s\($0)", #"{"name":"a"}"#, freshness: $1) }
        let catalog = Catalog(merging: sources, style: NameStyle(), after: .empty)
        #expect(catalog[.tools].freshness == expected)
        #expect(catalog[.prompts].freshness == .none)
    }

    @Test(
        "a tool that can be called as a task alone says so, and its route does",
        arguments: [
            (#","execution":{"taskSupport":"required"}"#, true), (#","execution":{"taskSupport":"optional"}"#, false),
            (#","execution":{"taskSupport":"forbidden"}"#, false), (#","execution":{"taskSupport":true}"#, false),
            (#","execution":"required""#, false), (#","execution":{}"#, false), (#","taskSupport":"required""#, false), ("", false),
        ])
    func needsTask(members: String, expected: Bool) throws {
        let json = #"{"name":"x"\#(members)}"#
        #expect(try tool(json: json).needsTask == expected)
        #expect(try Catalog(try source("s", json)).route(.tools, "s__x").needsTask == expected)
    }
}
