import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Testing

@Suite("The host's handshake")
struct HostHandshakeTests {
    private func initialize(_ asked: String, id: String = "0") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"initialize","params":{"protocolVersion":\#(asked),"capabilities":{}}}"#
    }

    private func result(_ revision: String, id: String = "0", more: String = "") -> String {
        // In 2024-11-05 completion could not be declared.
        let completions = revision == "2024-11-05" ? "" : #","completions":{}"#
        let tasks = revision == "2025-11-25" ? #","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"# : ""
        return #"begin {"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"\#(revision)","capabilities":{"#
            + #""prompts":{"listChanged":true},"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"logging":{}"#
            + #"\#(completions)\#(tasks)},"serverInfo":{"name":"us","version":"1.2.3"}\#(more)}}"#
    }

    @Test(
        "a handshake revision is agreed to, and anything else is answered with the newest of them",
        arguments: [
            ("2024-11-05", Revision.v2024_11_05), ("2025-03-26", .v2025_03_26), ("2025-06-18", .v2025_06_18), ("2025-11-25", .v2025_11_25),
            ("2026-07-28", .v2025_11_25), ("2099-01-01", .v2025_11_25), ("1.0", .v2025_11_25), ("", .v2025_11_25),
            ("DRAFT-2026-v1", .v2025_11_25),
        ])
    func negotiation(asked: String, agreed: Revision) throws {
        let machine = HostProtocol(identity: identity)
        #expect(machine.revision == nil)
        #expect(try machine.hears(initialize("\"\(asked)\"")) == result(agreed.rawValue))
        #expect(machine.session == .answered(agreed) && machine.revision == agreed && !machine.isOpen)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#) == "opened")
        #expect(machine.session == .open(agreed) && machine.revision == agreed && machine.isOpen)
    }

    @Test("instructions are part of the answer if there are any, and the id goes back as it came")
    func instructions() throws {
        let machine = HostProtocol(identity: identity)
        #expect(
            try machine.hears(initialize("\"2025-06-18\"", id: #""\u0061""#), instructions: "say \"please\"")
                == result("2025-06-18", id: #""\u0061""#, more: #","instructions":"say \"please\"""#))
    }

    @Test("one without a version is refused, and leaves everything as it was", arguments: ["null", "20251125", "{}"])
    func noVersion(asked: String) throws {
        var machine = HostProtocol(identity: identity)
        let refusal = #"answer {"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"'initialize' needs 'protocolVersion'"}}"#
        #expect(try machine.hears(initialize(asked)) == refusal)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#) == refusal)
        #expect(machine.session == .new)
        machine = try HostProtocol.open(.v2025_06_18)
        #expect(try machine.hears(initialize(asked)) == refusal)
        #expect(machine.session == .open(.v2025_06_18))
    }

    @Test("a second one starts the session anew")
    func again() throws {
        let machine = try HostProtocol.open(.v2025_03_26)
        _ = try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}"#)
        #expect(machine.logLevel == .error)
        #expect(try machine.hears(initialize("\"2025-11-25\"", id: "2")) == result("2025-11-25", id: "2"))
        #expect(machine.session == .answered(.v2025_11_25) && machine.logLevel == nil)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#) == "list tools 3")
        #expect(try machine.hears(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#) == "opened")
        #expect(machine.session == .open(.v2025_11_25))
    }

    @Test("one in a batch is refused", arguments: [true, false])
    func batch(isOpen: Bool) throws {
        let machine = isOpen ? try HostProtocol.open(.v2025_03_26) : HostProtocol(identity: identity)
        let before = machine.session
        #expect(
            try machine.hears(initialize("\"2025-03-26\""), inBatch: true)
                == #"answer {"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"'initialize' cannot be part of a batch"}}"#)
        #expect(machine.session == before)
    }

    @Test("whoever has not shaken hands is told so", arguments: ["tools/list", "tools/call", "logging/setLevel", "x/y", "prompts/list"])
    func before(method: String) throws {
        let machine = HostProtocol(identity: identity)
        #expect(
            try machine.hears(#"{"jsonrpc":"2.0","id":"a","method":"\#(method)","params":{"name":"x","level":"info"}}"#)
                == cameBefore(method, id: #""a""#))
        #expect(machine.session == .new && machine.logLevel == nil)
    }

    @Test("a ping is answered at any time", arguments: [true, false])
    func ping(isOpen: Bool) throws {
        let machine = isOpen ? try HostProtocol.open() : HostProtocol(identity: identity)
        let before = machine.session
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#) == #"answer {"jsonrpc":"2.0","id":7,"result":{}}"#)
        #expect(machine.session == before)
    }

    @Test("a probe of the stateless era without its envelope is refused, and changes nothing", arguments: [true, false])
    func discover(isOpen: Bool) throws {
        let machine = isOpen ? try HostProtocol.open() : HostProtocol(identity: identity)
        let before = machine.session
        let refusal = try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#)
        #expect(refusal.hasPrefix(#"answer {"jsonrpc":"2.0","id":1,"error":{"code":\#(isOpen ? -32601 : -32602),"#))
        #expect(machine.session == before && !machine.isStateless)
        #expect(try machine.hears(initialize("\"2025-11-25\"")) == result("2025-11-25"))
    }

    @Test("'notifications/initialized' counts once, and only behind an 'initialize'")
    func initialized() throws {
        var machine = HostProtocol(identity: identity)
        let notification = #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
        #expect(try machine.hears(notification) == "ignore")
        #expect(machine.session == .new)
        machine = try HostProtocol.open()
        #expect(try machine.hears(notification) == "ignore")
        #expect(machine.session == .open(.newestHandshake))
    }

    @Test("our own command line needs none")
    func ownConnection() throws {
        let machine = HostProtocol(openedWith: .newestHandshake, capabilities: ClientCapabilities(), identity: identity)
        #expect(machine.isOpen && machine.revision == .newestHandshake)
        #expect(try machine.hears(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#) == "list tools 1")
    }
}
