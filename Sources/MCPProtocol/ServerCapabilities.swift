package import JSONRPC

/// What a downstream declared in its `InitializeResult`.
package struct ServerCapabilities: Hashable, Sendable {
    package var tools = false
    package var prompts = false
    package var resources = false
    /// `resources.subscribe`.
    package var subscriptions = false
    package var completions = false
    package var logging = false
    /// Those of its extensions that need nothing of us: JSON text of an object, or `nil`. See ``Extension``.
    package var extensions: String?
    /// Calls of its tools can be tasks: of the core protocol in 2025-11-25, of the extension in the stateless era.
    package var tasks = false
    /// Which lists it announces changes of.
    package var announced: Set<FeatureKind> = []

    package init() {}

    /// - Parameters:
    ///   - view: the `capabilities` object; members it lacks count as not declared.
    ///   - revision: in 2024-11-05 completion could not be declared, so there it counts as possible.
    package init(_ view: JSONView?, revision: Revision) {
        completions = revision == .v2024_11_05
        for (name, value) in view?.members ?? [] where value.kind == .object {
            switch name {
            case "tools":
                tools = true
                if value["listChanged"]?.boolean == true { announced.insert(.tools) }
            case "prompts":
                prompts = true
                if value["listChanged"]?.boolean == true { announced.insert(.prompts) }
            case "resources":
                resources = true
                if value["listChanged"]?.boolean == true { announced.formUnion([.resources, .templates]) }
                subscriptions = value["subscribe"]?.boolean == true
            case "completions": completions = true
            case "logging": logging = true
            case "tasks" where revision == .v2025_11_25: tasks = value["requests"]?["tools"]?["call"]?.kind == .object
            case "extensions":
                extensions = Extension.passedThrough(value)
                if revision.era == .stateless { tasks = value[Extension.tasks]?.kind == .object }
            default: break
            }
        }
    }

    /// What there are lists of.
    package var listed: [FeatureKind] {
        (tools ? [.tools] : []) + (prompts ? [.prompts] : []) + (resources ? [.resources, .templates] : [])
    }
}
