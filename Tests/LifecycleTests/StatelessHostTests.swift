import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

/// The era is decided by each message.
@Suite("A stateless host")
struct StatelessHostTests {
    private static let version = #""io.modelcontextprotocol/protocolVersion":"2026-07-28""#
    private static let capabilities = #""io.modelcontextprotocol/clientCapabilities":{}"#

    private func request(_ method: String, meta: String, params: String = "") -> String {
        #"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":{\#(params)"_meta":{\#(meta)}}}"#
    }

    @Test(
        "is understood with its envelope, before, inside and after a session",
        arguments: [
            ("tools/list", "", "stateless list tools 1"), ("prompts/list", "", "stateless list prompts 1"),
            ("resources/list", "", "stateless list resources 1"), ("resources/templates/list", "", "stateless list templates 1"),
            ("tools/call", #""name":"a","#, "stateless forward tools 1"), ("prompts/get", #""name":"a","#, "stateless forward prompts 1"),
            ("resources/read", #""uri":"a:b","#, "stateless resources/read 1"),
            ("completion/complete", #""ref":{"type":"ref/prompt","name":"a"},"#, "stateless complete 1"),
            (
                "subscriptions/listen", #""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:b","a:b"]},"#,
                #"stateless listen 1 ["tools"] ["a:b"]"#
            ),
        ])
    func understood(method: String, params: String, expected: String) throws {
        for isOpen in [false, true] {
            var machine = isOpen ? try HostProtocol.open() : HostProtocol(identity: identity)
            let before = machine.session
            let text = request(method, meta: "\(Self.version),\(Self.capabilities)", params: params)
            #expect(try machine.hears(text) == expected)
            #expect(machine.session == before && machine.isStateless)
        }
    }

    @Test(
        "has none of what only sessions have",
        arguments: ["ping", "resources/subscribe", "resources/unsubscribe", "logging/setLevel", "tasks/result", "x/y"])
    func foreign(method: String) throws {
        var machine = try HostProtocol.open()
        let text = request(method, meta: "\(Self.version),\(Self.capabilities)", params: #""uri":"a:b","level":"info","#)
        #expect(try machine.hears(text).contains(#""code":-32601"#))
    }

    @Test(
        "is told what its envelope lacks",
        arguments: [
            (version, -32602), (#"\#(version),"io.modelcontextprotocol/clientCapabilities":[]"#, -32602),
            (#""io.modelcontextprotocol/protocolVersion":7,\#(capabilities)"#, -32602),
            (#""io.modelcontextprotocol/protocolVersion":"2099-01-01",\#(capabilities)"#, -32022),
            (#""io.modelcontextprotocol/protocolVersion":"2025-11-25",\#(capabilities)"#, -32022),
            (#"\#(version),\#(capabilities),"io.modelcontextprotocol/logLevel":"loud""#, -32602),
            (#"\#(version),\#(capabilities),"io.modelcontextprotocol/clientInfo":7"#, -32602), (capabilities, -32602),
        ])
    func refused(meta: String, code: Int) throws {
        for method in ["tools/list", "server/discover", "x/y"] {
            var machine = HostProtocol(identity: identity)
            let told = try machine.hears(request(method, meta: meta))
            #expect(told.hasPrefix(#"answer {"jsonrpc":"2.0","id":1,"error":{"code":\#(code),"#))
            #expect(!machine.isStateless)
        }
    }

    @Test("hears which revisions there are, and which it asked for")
    func unsupported() throws {
        var machine = HostProtocol(identity: identity)
        let told = try machine.hears(request("tools/list", meta: #""io.modelcontextprotocol/protocolVersion":"1\"","# + Self.capabilities))
        #expect(told.contains(#""data":{"supported":["2026-07-28"],"requested":"1\""}"#))
    }

    @Test("opens a session with 'initialize', whatever stands in its '_meta'")
    func initialize() throws {
        var machine = HostProtocol(identity: identity)
        let params = #""protocolVersion":"2026-07-28","capabilities":{},"#
        let told = try machine.hears(request("initialize", meta: "\(Self.version),\(Self.capabilities)", params: params))
        #expect(told.hasPrefix("begin ") && told.contains(#""protocolVersion":"2025-11-25""#))
        #expect(machine.revision == .v2025_11_25)
    }

    @Test("says for each request what it can do, and how talkative the server is to be")
    func envelope() throws {
        let meta =
            #"\#(Self.version),"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{"listChanged":true},"extensions":"#
            + #"{"io.modelcontextprotocol/ui":{"a":1},"io.modelcontextprotocol/tasks":{},"x/y":{}}},"io.modelcontextprotocol/logLevel":"error""#
        let message = try Message(scanning: ByteBuffer(string: request("tools/list", meta: meta)))
        let envelope = try Envelope(message.view(message.places[.meta]))
        #expect(envelope.logLevel == .error)
        #expect(envelope.capabilities.elicitationForm && !envelope.capabilities.elicitationURL && envelope.capabilities.tasks)
        #expect(envelope.capabilities.extensions == #"{"io.modelcontextprotocol/ui":{"a":1}}"#)
    }
}
