import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@Suite("Arguments that are repeated in headers")
struct HeaderParameterTests {
    static func tool(_ schema: String) -> JSONView { .whole(ByteBuffer(string: #"{"name":"t","inputSchema":\#(schema)}"#)) }

    static let valid: [(schema: String, parameters: [String])] = [
        (#"{"type":"object"}"#, []),
        (#"{"properties":{"a":{"type":"string","x-mcp-header":"Region"}}}"#, ["a=Region"]),
        (#"{"properties":{"a":{"type":"integer","x-mcp-header":"N"},"b":{"type":"boolean","x-mcp-header":"B"}}}"#, ["a=N", "b=B"]),
        (#"{"properties":{"a":{"type":"object","properties":{"b":{"type":"string","x-mcp-header":"X"}}}}}"#, ["a.b=X"]),
        // Names of properties and values are no annotations.
        (#"{"properties":{"x-mcp-header":{"type":"string"}}}"#, []),
        (#"{"properties":{"a":{"type":"object","default":{"x-mcp-header":"X"}}}}"#, []),
    ]

    @Test("are found", arguments: valid)
    func found(schema: String, parameters: [String]) throws {
        let found = try HeaderParameter.all(of: Self.tool(schema)).map { "\($0.path.joined(separator: "."))=\($0.name)" }
        #expect(found == parameters)
    }

    @Test(
        "annotations that cannot be followed are refused",
        arguments: [
            #"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            #"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            #"{"properties":{"a":{"type":"string","x-mcp-header":"a\nb"}}}"#,
            #"{"properties":{"a":{"type":"string","x-mcp-header":1}}}"#,
            #"{"properties":{"a":{"type":"object","x-mcp-header":"X"}}}"#,
            #"{"properties":{"a":{"type":"number","x-mcp-header":"X"}}}"#,
            #"{"properties":{"a":{"x-mcp-header":"X"}}}"#,
            #"{"properties":{"a":{"type":["string","null"],"x-mcp-header":"X"}}}"#,
            #"{"properties":{"a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}}}"#,
            #"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"X"}}}}"#,
            #"{"properties":{"a":{"anyOf":[{"type":"string","x-mcp-header":"X"}]}}}"#,
            #"{"$defs":{"a":{"type":"string","x-mcp-header":"X"}}}"#,
            #"{"type":"string","x-mcp-header":"X"}"#,
        ])
    func refused(schema: String) { #expect(throws: HeaderParameter.Defect.self) { try HeaderParameter.all(of: Self.tool(schema)) } }

    @Test("as many as a request may have headers are followed, and not one more")
    func limit() throws {
        func tool(_ count: Int) -> JSONView {
            let properties = (1...count).map { #""p\#($0)":{"type":"string","x-mcp-header":"H\#($0)"}"# }
            return Self.tool(#"{"properties":{\#(properties.joined(separator: ","))}}"#)
        }
        #expect(HeaderParameter.limit == 64)
        #expect(try HeaderParameter.all(of: tool(64)).count == 64)
        #expect(throws: HeaderParameter.Defect.self) { try HeaderParameter.all(of: tool(65)) }
    }

    @Test(
        "say what the argument is",
        arguments: [
            (#"{"a":"x"}"#, "x"), (#"{"a":"é\n"}"#, "é\n"), (#"{"a":42}"#, "42"), (#"{"a":-7}"#, "-7"), (#"{"a":-0}"#, "0"),
            (#"{"a":1.0}"#, "1"),
            (#"{"a":1e2}"#, "100"), (#"{"a":true}"#, "true"), (#"{"a":null}"#, nil), ("{}", nil), (#"{"a":{}}"#, nil),
            (#"{"a":1.5}"#, "1.5"),
            (#"{"a":9007199254740993}"#, "9007199254740993"),
        ])
    func values(arguments: String, header: String?) throws {
        let schema = #"{"properties":{"a":{"type":"string","x-mcp-header":"X"}}}"#
        let parameter = try #require(try HeaderParameter.all(of: Self.tool(schema)).first)
        #expect(parameter.value(in: .whole(ByteBuffer(string: arguments))) == header)
    }

    @Test("that are absent on the way to them have no header")
    func nested() throws {
        let schema = #"{"properties":{"a":{"properties":{"b":{"type":"string","x-mcp-header":"X"}}}}}"#
        let parameter = try #require(try HeaderParameter.all(of: Self.tool(schema)).first)
        #expect(parameter.value(in: .whole(ByteBuffer(string: #"{"a":{"b":"c"}}"#))) == "c")
        #expect(parameter.value(in: .whole(ByteBuffer(string: #"{"a":1}"#))) == nil)
        #expect(parameter.value(in: .whole(ByteBuffer(string: "{}"))) == nil)
    }
}
