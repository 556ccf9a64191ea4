/// JSON-RPC error codes that we emit.
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
}
