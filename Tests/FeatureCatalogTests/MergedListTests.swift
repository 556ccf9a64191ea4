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
        #expect(try catalog.route(.prompts, message.places[.name], in: message).name.text == "x")
        #expect(throws: UnknownFeature.self) { try catalog.route(.tools, message.places[.name], in: message) }
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
