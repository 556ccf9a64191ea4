package import JSONRPC
import NIOCore

/// Extensions of the protocol, by the names under which both sides declare them.
package enum Extension {
    /// Those whose data only passes through us: what is declared of them on one side may be declared on the other. Any other would
    /// need methods or a bookkeeping of ours, so it is not declared, and who is not told of it does not use it.
    private static let transparent: Set<String> = ["io.modelcontextprotocol/ui"]

    /// Calls that go on behind their requests, as the stateless era has them.
    package static let tasks = "io.modelcontextprotocol/tasks"

    /// - Parameter declared: an `extensions` object.
    /// - Returns: its part that only passes through, as JSON text; `nil` if there is none.
    package static func passedThrough(_ declared: JSONView) -> String? {
        let kept = declared.members.filter { transparent.contains($0.name) && $0.value.kind == .object }
        guard !kept.isEmpty else { return nil }
        return String(buffer: JSONWriter.object { writer in for (name, value) in kept { writer.member(name, json: value.json) } })
    }
}
