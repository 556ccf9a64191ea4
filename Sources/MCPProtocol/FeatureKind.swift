/// What a server offers in lists.
package enum FeatureKind: Int, CaseIterable, Sendable {
    case tools, prompts, resources, templates

    /// The request that lists them.
    package var listMethod: Method {
        switch self {
        case .tools: .toolsList
        case .prompts: .promptsList
        case .resources: .resourcesList
        case .templates: .templatesList
        }
    }

    /// The member of the list's result that holds them.
    package var listMember: String {
        switch self {
        case .tools: "tools"
        case .prompts: "prompts"
        case .resources: "resources"
        case .templates: "resourceTemplates"
        }
    }

    /// The member of a definition by which it is asked for.
    package var identityMember: String {
        switch self {
        case .tools, .prompts: "name"
        case .resources: "uri"
        case .templates: "uriTemplate"
        }
    }

    /// The notification that its list has changed; templates change with the resources (2025-11-25, server/resources).
    package var changedMethod: Method {
        switch self {
        case .tools: .toolsListChanged
        case .prompts: .promptsListChanged
        case .resources, .templates: .resourcesListChanged
        }
    }

    /// One of them, for people.
    package var noun: String {
        switch self {
        case .tools: "tool"
        case .prompts: "prompt"
        case .resources: "resource"
        case .templates: "resource template"
        }
    }
}
