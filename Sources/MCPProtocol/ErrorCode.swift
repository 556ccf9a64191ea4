/// JSON-RPC error codes that we emit, or read in a server's answer. Most are hop-local: what one side is told is composed for it.
package enum ErrorCode: Int, Sendable {
    case parseError = -32700
    case invalidRequest = -32600
    case methodNotFound = -32601
    /// Also for an unknown tool, prompt or cursor (2025-11-25, server/tools, "Error Handling").
    case invalidParams = -32602
    case internalError = -32603
    /// Handshake era only.
    case resourceNotFound = -32002
    /// Revision 2025-11-25 only: the person has to visit a URL first.
    case urlElicitationRequired = -32042
    /// Stateless era: the headers of an HTTP request contradict its body.
    case headerMismatch = -32020
    /// Stateless era: the client did not declare what the server needs; `data.requiredCapabilities` says what.
    case missingClientCapability = -32021
    /// Stateless era: the envelope names a revision the server does not speak; `data.supported` names those it does.
    case unsupportedProtocolVersion = -32022
}
