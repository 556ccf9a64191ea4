package import JSONRPC

/// What a listener wants to hear of: the `notifications` of a `subscriptions/listen` (2026-07-28, basic/subscriptions).
package struct SubscriptionFilter: Hashable, Sendable {
    /// Kinds of lists whose changes are to be told.
    package var kinds: Set<FeatureKind> = []
    /// Resources whose changes are to be told.
    package var uris: [String] = []

    /// Resources that one filter may name; of a longer one this many and one more are kept.
    package static let uriLimit = 1_000

    package init() {}

    /// - Returns: `nil` if the view is no filter.
    package init?(_ view: JSONView) {
        guard view.kind == .object else { return nil }
        for (name, value) in view.members {
            switch name {
            case "toolsListChanged" where value.boolean == true: kinds.insert(.tools)
            case "promptsListChanged" where value.boolean == true: kinds.insert(.prompts)
            case "resourcesListChanged" where value.boolean == true: kinds.formUnion([.resources, .templates])
            case "resourceSubscriptions":
                guard value.kind == .array else { return nil }
                var seen: Set<String> = []
                for element in value.elements {
                    guard let uri = element.string else { return nil }
                    if seen.insert(uri).inserted { uris.append(uri) }
                    if uris.count > Self.uriLimit { break }
                }
            default: break
            }
        }
    }

    package var isEmpty: Bool { kinds.isEmpty && uris.isEmpty }

    /// The members of the filter.
    package func write(to writer: inout JSONWriter) {
        if kinds.contains(.tools) { writer.member("toolsListChanged", true) }
        if kinds.contains(.prompts) { writer.member("promptsListChanged", true) }
        if kinds.contains(.resources) { writer.member("resourcesListChanged", true) }
        if !uris.isEmpty { writer.array("resourceSubscriptions") { list in for uri in uris { list.value(uri) } } }
    }
}
