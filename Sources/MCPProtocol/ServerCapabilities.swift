package import JSONRPC

/// What a downstream declared in its `InitializeResult`.
package struct ServerCapabilities: Hashable, Sendable {
    package var tools = false
    package var logging = false

    package init(tools: Bool = false, logging: Bool = false) {
        self.tools = tools
        self.logging = logging
    }

    /// - Parameter view: the `capabilities` object; members it lacks count as not declared.
    package init(_ view: JSONView?) {
        for (name, value) in view?.members ?? [] where value.kind == .object {
            switch name {
            case "tools": tools = true
            case "logging": logging = true
            default: break
            }
        }
    }
}
