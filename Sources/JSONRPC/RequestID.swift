/// The id of a JSON-RPC request, exactly as its sender wrote it.
///
/// Kept as JSON text, so `7` and `"7"` differ, an integer beyond 64 bits survives, and the answer carries the same bytes. MCP
/// allows strings and integers only (2025-11-25, basic, "Requests").
package struct RequestID: Hashable, Sendable {
    /// A JSON string with its quotes, or an integer.
    package let text: String

    /// - Parameter text: valid JSON text of a string or an integer.
    package init(text: String) { self.text = text }

    package init(_ integer: Int) { text = String(integer) }
}

extension RequestID: CustomStringConvertible {
    package var description: String { text }
}
