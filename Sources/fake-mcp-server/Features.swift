import ArgumentParser

/// What the server offers, and so declares among its capabilities.
struct Features: OptionSet, Sendable {
    let rawValue: Int

    static let tools = Features(rawValue: 1 << 0)
    static let prompts = Features(rawValue: 1 << 1)
    static let resources = Features(rawValue: 1 << 2)
    static let templates = Features(rawValue: 1 << 3)
    static let subscribe = Features(rawValue: 1 << 4)
    static let completions = Features(rawValue: 1 << 5)
    static let logging = Features(rawValue: 1 << 6)
    static let tasks = Features(rawValue: 1 << 7)
    static let asking = Features(rawValue: 1 << 8)
    static let misbehaving = Features(rawValue: 1 << 9)

    private static let names: [(name: String, feature: Features)] = [
        ("tools", .tools), ("prompts", .prompts), ("resources", .resources), ("templates", .templates), ("subscribe", .subscribe),
        ("completions", .completions), ("logging", .logging), ("tasks", .tasks), ("asking", .asking),
        ("misbehaving", .misbehaving),
    ]
    /// All that a server may have.
    private static let all = Features(names.map(\.feature)).subtracting(.misbehaving)

    /// One capability of the protocol covers these three.
    var hasResources: Bool { !isDisjoint(with: [.resources, .templates, .subscribe]) }
}

extension Features: ExpressibleByArgument {
    /// - Parameter argument: names between commas.
    init?(argument: String) {
        self = []
        for name in argument.split(separator: ",") {
            if name == "all" {
                formUnion(Self.all)
            } else if let feature = Self.names.first(where: { $0.name == name })?.feature {
                formUnion(feature)
            } else {
                return nil
            }
        }
    }

    var defaultValueDescription: String { description }

    static var allValueStrings: [String] { names.map(\.name) + ["all"] }
}

extension Features: CustomStringConvertible {
    var description: String { Self.names.filter { contains($0.feature) }.map(\.name).joined(separator: ",") }
}
