import JSONRPC
import MCPProtocol
import NIOCore
import Testing

@testable import Lifecycle

@Suite("What a host can do, before it is answered")
struct HostAbilitiesTests {
    private static let envelope =
        #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}"#

    @Test(
        "is in the message that begins the conversation, and in no other",
        arguments: [
            (#""method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}"#, "handshake true"),
            // That revision had nothing of the kind.
            (#""method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{"elicitation":{}}}"#, "handshake false"),
            (#""method":"initialize","params":{"protocolVersion":"2025-11-25"}"#, "handshake false"),
            (#""method":"initialize","params":{}"#, "nothing"), (#""method":"initialize""#, "nothing"),
            (#""method":"server/discover","params":{"_meta":{\#(envelope)}}"#, "stateless true"),
            (#""method":"server/discover","params":{"_meta":{}}"#, "nothing"), (#""method":"server/discover""#, "nothing"),
            (#""method":"tools/list","params":{"_meta":{\#(envelope)}}"#, "nothing"), (#""method":"ping""#, "nothing"),
        ])
    func abilities(members: String, expected: String) throws {
        let message = try Message(scanning: ByteBuffer(string: "{\"jsonrpc\":\"2.0\",\"id\":1,\(members)}"))
        let found = HostProtocol.abilities(in: message)
        #expect((found.map { "\($0.era) \($0.capabilities.elicitationForm)" } ?? "nothing") == expected)
    }
}
