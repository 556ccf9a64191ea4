import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

@Suite("The era of each message of a host")
struct HostEraTests {
    enum Before: CaseIterable, Sendable { case nothing, stateless, answered, open }

    private static let version = #""io.modelcontextprotocol/protocolVersion":"2026-07-28""#
    private static let capabilities = #""io.modelcontextprotocol/clientCapabilities":{}"#

    /// A machine that has heard something already.
    private func machine(_ before: Before) throws -> HostProtocol {
        var machine = HostProtocol(identity: identity)
        switch before {
        case .nothing: break
        case .stateless: _ = try machine.hears(request("tools/list", #"{"_meta":{\#(envelope)}}"#))
        case .answered: _ = try machine.hears(request("initialize", #"{"protocolVersion":"2025-06-18","capabilities":{}}"#))
        case .open: machine = try .open()
        }
        return machine
    }

    private func request(_ method: String, _ params: String, id: String = "5") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":\#(params)}"#
    }

    private func error(_ code: Int, _ text: String, id: String = "5") -> String {
        #"answer {"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"\#(text)"}}"#
    }

    @Test("with an envelope is stateless, whatever came before", arguments: Before.allCases)
    func envelopes(before: Before) throws {
        let machine = try machine(before)
        let session = machine.session
        for (method, members, action) in [
            ("tools/list", "", "list tools 5"), ("prompts/list", #""cursor":null,"#, "list prompts 5"),
            ("resources/list", "", "list resources 5"),
            ("resources/templates/list", "", "list templates 5"), ("tools/call", #""name":"a","#, "forward tools 5"),
            ("prompts/get", #""name":"a","#, "forward prompts 5"), ("resources/read", #""uri":"a","#, "resources/read 5"),
            ("completion/complete", #""ref":{"name":"a"},"#, "complete 5"),
        ] {
            #expect(try machine.hears(request(method, #"{\#(members)"_meta":{\#(envelope)}}"#)) == "stateless \(action)")
        }
        #expect(machine.isStateless && machine.session == session)
    }

    @Test("that asks for a handshake gets one, with or without an envelope, whatever came before", arguments: Before.allCases)
    func initialize(before: Before) throws {
        for meta in ["", #","_meta":{\#(envelope)}"#] {
            let machine = try machine(before)
            let params = #"{"protocolVersion":"2026-07-28","capabilities":{}\#(meta)}"#
            #expect(
                try machine.hears(request("initialize", params)).hasPrefix(
                    #"begin {"jsonrpc":"2.0","id":5,"result":{"protocolVersion":"2025-11-25","#))
            #expect(machine.session == .answered(.v2025_11_25) && machine.isStateless == (before == .stateless))
            // And then both go on side by side.
            #expect(try machine.hears(request("tools/list", "{}")) == "list tools 5")
            #expect(try machine.hears(request("tools/list", #"{"_meta":{\#(envelope)}}"#)) == "stateless list tools 5")
        }
    }

    @Test("that discovers us is told all, and leaves everything as it is", arguments: Before.allCases)
    func discover(before: Before) throws {
        let machine = try machine(before)
        let session = machine.session
        let expected =
            #"stateless answer {"jsonrpc":"2.0","id":"d","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#
            + #""capabilities":{"prompts":{"listChanged":true},"tools":{"listChanged":true},"resources":{"subscribe":true,"#
            + #""listChanged":true},"logging":{},"completions":{},"extensions":{"io.modelcontextprotocol/tasks":{}}},"#
            + #""instructions":"be\nkind","ttlMs":0,"cacheScope":"private","#
            + #""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"us","version":"1.2.3"}}}}"#
        #expect(
            try machine.hears(request("server/discover", #"{"_meta":{\#(envelope)}}"#, id: #""d""#), instructions: "be\nkind") == expected)
        #expect(machine.session == session)
    }

    @Test("that has no envelope is of the handshake era, and before that everything but a ping is sent to one of the two ways in")
    func neither() throws {
        let machine = HostProtocol(identity: identity)
        #expect(try machine.hears(request("ping", "{}")) == #"answer {"jsonrpc":"2.0","id":5,"result":{}}"#)
        for method in ["tools/list", "subscriptions/nothing", "logging/setLevel", "resources/subscribe", "tasks/get", "roots/list"] {
            #expect(try machine.hears(request(method, #"{"name":"a","_meta":{"k":1}}"#)) == cameBefore(method, id: "5"))
        }
        for method in ["notifications/progress", "notifications/none", "tools/list"] {
            #expect(try machine.hears(#"{"jsonrpc":"2.0","method":"\#(method)","params":{"_meta":{\#(envelope)}}}"#) == "ignore")
        }
        #expect(machine.session == .new && !machine.isStateless)
    }

    @Test(
        "whose envelope lacks a part, or has a wrong one, is refused with what is missing",
        arguments: [
            (#""_meta":{VERSION}"#, "'_meta' needs 'io.modelcontextprotocol/clientCapabilities', an object"),
            (
                #""_meta":{VERSION,"io.modelcontextprotocol/clientCapabilities":true}"#,
                "'_meta' needs 'io.modelcontextprotocol/clientCapabilities', an object"
            ),
            (
                #""_meta":{"io.modelcontextprotocol/protocolVersion":20260728,CAPABILITIES}"#,
                "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"
            ),
            (
                #""_meta":{"io.modelcontextprotocol/protocolVersion":null,CAPABILITIES}"#,
                "'_meta' needs 'io.modelcontextprotocol/protocolVersion', a string"
            ),
            (
                #""_meta":{VERSION,CAPABILITIES,"io.modelcontextprotocol/clientInfo":"me"}"#,
                "'io.modelcontextprotocol/clientInfo' is not an object"
            ),
        ], Before.allCases)
    func malformed(example: (meta: String, text: String), before: Before) throws {
        let meta = example.meta.replacing("VERSION", with: Self.version).replacing("CAPABILITIES", with: Self.capabilities)
        for method in ["tools/list", "server/discover", "ping", "no/such"] {
            let machine = try machine(before)
            #expect(try machine.hears(request(method, "{\(meta)}")) == error(-32602, example.text))
            #expect(machine.isStateless == (before == .stateless), "a refused request opens nothing")
        }
    }

    @Test("that declares itself but no version is half a stateless one where no session is, and none where one is")
    func half() throws {
        var machine = HostProtocol(identity: identity)
        let params = #"{"_meta":{\#(Self.capabilities)}}"#
        #expect(try machine.hears(request("tools/list", params)).hasPrefix(#"answer {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"#))
        #expect(
            try machine.hears(request("server/discover", params)).hasPrefix(#"answer {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"#))
        machine = try .open()
        #expect(try machine.hears(request("tools/list", params)) == "list tools 5")
    }

    @Test(
        "of a revision that has no envelopes, or that we do not know, is told which we do",
        arguments: ["2025-11-25", "2024-11-05", "2027-01-01", "", "DRAFT"], Before.allCases)
    func unsupported(version: String, before: Before) throws {
        let machine = try machine(before)
        // Whatever else is wrong with it: of another revision we do not know what is right.
        for rest in ["", #","io.modelcontextprotocol/clientCapabilities":{}"#, #","io.modelcontextprotocol/clientCapabilities":7"#] {
            let answer = try machine.hears(
                request("tools/call", #"{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"\#(version)"\#(rest)}}"#))
            #expect(answer.hasPrefix(#"answer {"jsonrpc":"2.0","id":5,"error":{"code":-32022,"message":"#))
            #expect(answer.hasSuffix(#","data":{"supported":["2026-07-28"],"requested":"\#(version)"}}}"#))
        }
        #expect(machine.isStateless == (before == .stateless))
    }

    @Test(
        "that asks in an envelope for what only the other era has finds no such method",
        arguments: [
            "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result", "tasks/list", "roots/list",
            "sampling/createMessage", "elicitation/create", "no/such", "notifications/initialized",
        ])
    func foreignMethods(method: String) throws {
        for before in Before.allCases {
            let machine = try machine(before)
            let action = try machine.hears(request(method, #"{"uri":"a","taskId":"t","level":"info","_meta":{\#(envelope)}}"#))
            #expect(action == "stateless " + error(-32601, "Method not found: \(method)"))
            #expect(machine.logLevel == nil)
        }
    }

    @Test(
        "that asks without an envelope for what only the stateless era has finds no such method",
        arguments: ["subscriptions/listen", "server/discover", "tasks/update"])
    func statelessMethods(method: String) throws {
        let machine = try HostProtocol.open()
        #expect(try machine.hears(request(method, #"{"notifications":{},"taskId":"t"}"#)) == error(-32601, "Method not found: \(method)"))
    }

    // MARK: What only one era has

    @Test(
        "that listens says to what",
        arguments: [
            (#"{}"#, #"listen 5 [] []"#), (#"{"toolsListChanged":true,"promptsListChanged":false}"#, #"listen 5 ["tools"] []"#),
            (#"{"resourcesListChanged":true,"resourceSubscriptions":["a"]}"#, #"listen 5 ["resources", "templates"] ["a"]"#),
        ])
    func listen(filter: String, expected: String) throws {
        let machine = HostProtocol(identity: identity)
        #expect(
            try machine.hears(request("subscriptions/listen", #"{"notifications":\#(filter),"_meta":{\#(envelope)}}"#))
                == "stateless \(expected)")
    }

    @Test(
        "that listens to nothing that could be told is refused",
        arguments: ["", #""notifications":null,"#, #""notifications":[],"#, #""notifications":{"resourceSubscriptions":[7]},"#])
    func badListen(members: String) throws {
        let machine = HostProtocol(identity: identity)
        #expect(
            try machine.hears(request("subscriptions/listen", #"{\#(members)"_meta":{\#(envelope)}}"#)).contains(
                #""code":-32602,"message":"'subscriptions/listen' needs 'notifications', an object that says what to tell of""#))
    }

    @Test("that is about a task declares that it knows of tasks, and names one", arguments: ["tasks/get", "tasks/cancel", "tasks/update"])
    func tasks(method: String) throws {
        let machine = HostProtocol(identity: identity)
        let declared = #"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
        let meta = #""_meta":{\#(Self.version),"io.modelcontextprotocol/clientCapabilities":\#(declared)}"#
        #expect(try machine.hears(request(method, #"{"taskId":"t",\#(meta)}"#)) == "stateless \(method) 5")
        #expect(try machine.hears(request(method, "{\(meta)}")) == "stateless " + error(-32602, "'\(method)' needs 'taskId', a string"))
        let refusal = try machine.hears(request(method, #"{"taskId":"t","_meta":{\#(envelope)}}"#))
        #expect(refusal.contains(#""error":{"code":-32021,"#) && refusal.hasSuffix(#""data":{"requiredCapabilities":\#(declared)}}}"#))
    }

    @Test(
        "that is about a task has them in one revision of the handshake era alone",
        arguments: Revision.allCases.filter { $0.era == .handshake })
    func coreTasks(revision: Revision) throws {
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let machine = try HostProtocol.open(revision)
            let hasTasks = revision == .v2025_11_25
            #expect(
                try machine.hears(request(method, #"{"taskId":"t"}"#))
                    == (hasTasks ? "\(method) 5" : error(-32601, "Method not found: \(method)")))
            guard hasTasks else { continue }
            #expect(try machine.hears(request(method, #"{"taskId":7}"#)) == error(-32602, "'\(method)' needs 'taskId', a string"))
        }
    }
}
