import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import FeatureCatalog

@Suite("The merged list")
struct CatalogTests {
    private func lone(_ json: String...) throws -> CatalogSource {
        CatalogSource(
            downstream: DownstreamID(1), key: "s", rules: ExposureRules(prefix: "s"), tools: try json.map { try tool(json: $0) })
    }

    @Test(
        "holds each definition byte for byte, but for its name",
        arguments: [
            (#"{"name":"a"}"#, #"{"name":"s__a"}"#),
            (#"{ "name" : "a" , "x":1 }"#, #"{ "name" : "s__a" , "x":1 }"#),
            (
                #"{"x":[1.0,-0,1e400,12345678901234567890],"name":"a","y":null}"#,
                #"{"x":[1.0,-0,1e400,12345678901234567890],"name":"s__a","y":null}"#
            ),
            // Names inside are somebody else's.
            (
                #"{"inputSchema":{"properties":{"name":{"type":"string"}},"name":"n"},"name":"a","annotations":{"name":"b"}}"#,
                #"{"inputSchema":{"properties":{"name":{"type":"string"}},"name":"n"},"name":"s__a","annotations":{"name":"b"}}"#
            ),
            (#"{"title":"\"name\":\"z\"","name":"a"}"#, #"{"title":"\"name\":\"z\"","name":"s__a"}"#),
            // Escapes: in the name, in the word "name", and in what is not ours.
            (#"{"name":"\u0061\/b"}"#, #"{"name":"s__a_b"}"#),
            (#"{"n\u0061me":"a"}"#, #"{"n\u0061me":"s__a"}"#),
            (#"{"name":"a","d":"\ud800 é \u00e9 \/"}"#, #"{"name":"s__a","d":"\ud800 é \u00e9 \/"}"#),
            // Twice the same member is the server's affair, as long as it is not the name.
            (#"{"x":1,"name":"a","x":2}"#, #"{"x":1,"name":"s__a","x":2}"#),
        ])
    func bytes(definition: String, expected: String) throws {
        #expect(Catalog(try lone(definition)).list == #"{"tools":[\#(expected)]}"#)
    }

    @Test("holds no raw line break, and the name is found behind those that went")
    func lineBreaks() throws {
        let definition = "{\r\n  \"x\": [\n1,\r2 ],\n  \"name\"\n:\n\"a\",\n  \"y\": \"\\n\" }"
        #expect(Catalog(try lone(definition)).list == #"{"tools":[{  "x": [1,2 ],  "name":"s__a",  "y": "\n" }]}"#)
    }

    @Test("takes definitions out of the middle of a message")
    func slices() throws {
        let text = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"x":1,"name":"b"}]}}"#
        var buffer = ByteBuffer(string: "skipped" + text)
        buffer.moveReaderIndex(forwardBy: 7)
        let message = try Message(scanning: buffer)
        let tools = message.view(message[.result])["tools"]?.elements ?? []
        let source = CatalogSource(
            downstream: DownstreamID(1), key: "s", rules: ExposureRules(prefix: "s"),
            tools: try tools.map { try FeatureDefinition($0, kind: .tools) })
        #expect(Catalog(source).list == #"{"tools":[{"name":"s__a"},{"x":1,"name":"s__b"}]}"#)
    }

    @Test("is in the order of the servers, each with its own order, the same in every run")
    func order() throws {
        let servers = [
            try source("zeta", ["b", "a"]), try source("alpha", ["c"]), try source("none", []), try source("mid", ["z", "y", "x"]),
        ]
        let catalog = Catalog(merging: servers, style: NameStyle(), after: .empty)
        #expect(catalog.names == ["zeta__b", "zeta__a", "alpha__c", "mid__z", "mid__y", "mid__x"])
        #expect(catalog.list == #"{"tools":[\#(catalog.names.map { #"{"name":"\#($0)"}"# }.joined(separator: ","))]}"#)
        for _ in 0..<10 { #expect(Catalog(merging: servers, style: NameStyle(), after: .empty)[.tools].result == catalog[.tools].result) }
        #expect(Catalog(merging: servers.reversed(), style: NameStyle(), after: .empty).names.first == "mid__z")
    }

    @Test("can be had of one server alone, as it stands in the whole")
    func oneServer() throws {
        let catalog = Catalog(try source("a", ["x", "y"]), try source("b", ["x"]))
        #expect(String(buffer: catalog[.tools].result(of: "a")) == #"{"tools":[{"name":"a__x"},{"name":"a__y"}]}"#)
        #expect(String(buffer: catalog[.tools].result(of: "b")) == #"{"tools":[{"name":"b__x"}]}"#)
        #expect(String(buffer: catalog[.tools].result(of: "c")) == #"{"tools":[]}"#)
    }

    @Test("has a tool that its server lists twice once, as it was listed first")
    func duplicates() throws {
        let catalog = Catalog(try lone(#"{"name":"a","x":1}"#, #"{"name":"b"}"#, #"{"name":"a","x":2}"#, #"{"name":"\u0061","x":3}"#))
        #expect(catalog.list == #"{"tools":[{"name":"s__a","x":1},{"name":"s__b"}]}"#)
    }

    @Test("has two tools whose names only look alike, as their server does")
    func lookAlikes() throws {
        let catalog = Catalog(try lone("{\"name\":\"caf\u{E9}\"}", "{\"name\":\"cafe\u{301}\"}"))
        #expect(catalog[.tools].entries.map { Array($0.definition.name.text.utf8) } == ["caf\u{E9}", "cafe\u{301}"].map { Array($0.utf8) })
    }

    @Test("counts a revision for each change of its bytes, and for nothing else")
    func revisions() throws {
        let (git, other) = (try source("git", ["a"]), try source("other", ["b"]))
        #expect(Catalog.empty[.tools].revision == 0 && Catalog.empty.list == #"{"tools":[]}"#)
        #expect(Catalog()[.tools].revision == 0)
        let first = Catalog(git)
        #expect(first[.tools].revision == 1)
        #expect(Catalog(git, after: first)[.tools].revision == 1)
        let both = Catalog(git, other, after: first)
        #expect(both[.tools].revision == 2)
        // Back to what it was is a change again.
        let again = Catalog(git, after: both)
        #expect(again[.tools].revision == 3 && again[.tools].result == first[.tools].result)
        #expect(Catalog(other, git, after: both)[.tools].revision == 3, "another order")
        #expect(Catalog(after: both)[.tools].revision == 3)
        let described = CatalogSource(
            downstream: git.downstream, key: git.key, rules: git.rules, tools: [try tool(json: #"{"name":"a","title":"A"}"#)])
        #expect(Catalog(described, after: first)[.tools].revision == 2)
    }

    @Test("leads to the new server though no byte of it changed")
    func sameBytesOtherServer() throws {
        let before = try source("s", ["a"])
        let first = Catalog(before)
        let renewed = CatalogSource(downstream: DownstreamID(99), key: "s", rules: before.rules, tools: before.tools)
        let second = Catalog(renewed, after: first)
        #expect(second[.tools].revision == first[.tools].revision)
        #expect(second.target("s__a") == "99 a")
    }

    @Test("of ten thousand tools is made and searched like a small one")
    func large() throws {
        let servers = try (0..<10).map { server in try source("s\(server)", (0..<1_000).map { "tool_\($0)" }) }
        let catalog = Catalog(merging: servers, style: NameStyle(), after: .empty)
        #expect(catalog[.tools].entries.count == 10_000 && Set(catalog.names).count == 10_000)
        for server in 0..<10 {
            for tool in 0..<1_000 {
                let route = try catalog.route(.tools, "s\(server)__tool_\(tool)")
                #expect(route.downstream == servers[server].downstream && route.name.text == "tool_\(tool)")
            }
        }
        #expect(catalog.target("s3__tool_1000").hasPrefix("Unknown tool: s3__tool_1000. Did you mean 's3__tool_100' or "))
    }
}

@Suite("Tool definitions")
struct ToolDefinitionTests {
    @Test(
        "that are none are refused, with the reason",
        arguments: [
            ("7", "a tool is not an object"), ("[]", "a tool is not an object"), (#""name""#, "a tool is not an object"),
            ("null", "a tool is not an object"), ("{}", "a tool has no 'name'"), (#"{"Name":"a"}"#, "a tool has no 'name'"),
            (#"{"name":null}"#, "a tool has no 'name'"), (#"{"name":7}"#, "a tool has no 'name'"),
            (#"{"name":["a"]}"#, "a tool has no 'name'"),
            (#"{"inputSchema":{"name":"a"}}"#, "a tool has no 'name'"), (#"{"name":""}"#, "the 'name' of a tool is empty"),
            (#"{"name":"a","name":"a"}"#, "a tool has two members 'name'"),
            (#"{"name":"a","n\u0061me":"b"}"#, "a tool has two members 'name'"),
        ])
    func defects(json: String, reason: String) throws {
        #expect(throws: FeatureDefinition.Defect(description: reason)) { try tool(json: json) }
    }

    @Test(
        "keep the name as its server wrote it",
        arguments: [(#""a""#, "a"), (#""\u0061\/b""#, "a/b"), (#""\ud83d\ude00""#, "😀"), (#""é""#, "é")])
    func names(json: String, name: String) throws {
        let definition = try tool(json: #"{"x":"y", "name" : \#(json)}"#)
        #expect(definition.name == OwnName(name) && definition.nameJSON == json)
    }

    @Test(
        "say whether a call may be repeated, and only in so many words",
        arguments: [
            ("{}", false), (#"{"readOnlyHint":true}"#, true), (#"{"idempotentHint":true}"#, true),
            (#"{"readOnlyHint":false,"idempotentHint":true}"#, true), (#"{"readOnlyHint":false}"#, false),
            (#"{"readOnlyHint":"true"}"#, false), (#"{"readOnlyHint":1}"#, false), (#"{"destructiveHint":false}"#, false),
            (#"{"x":{"readOnlyHint":true}}"#, false), ("null", false), ("true", false), (#"[{"readOnlyHint":true}]"#, false),
        ])
    func repeatable(annotations: String, isRepeatable: Bool) throws {
        let definition = try tool(json: #"{"annotations":\#(annotations),"name":"a"}"#)
        #expect(definition.isRepeatable == isRepeatable)
        let catalog = Catalog(
            CatalogSource(downstream: DownstreamID(1), key: "s", rules: ExposureRules(prefix: "s"), tools: [definition]))
        #expect(try catalog.route(.tools, "s__a").isRepeatable == isRepeatable)
        #expect(!(try tool(json: #"{"readOnlyHint":true,"name":"a"}"#).isRepeatable))
    }
}
