package import JSONRPC
package import MCPProtocol
import NIOCore

/// What one downstream brings into the catalog.
package struct CatalogSource: Sendable {
    package var downstream: DownstreamID
    /// The server's key in the config file.
    package var key: String
    package var rules: ExposureRules
    package var features: [FeatureKind: [FeatureDefinition]]
    /// How long its lists may be taken for granted; those that are missing not at all.
    package var freshness: [FeatureKind: Freshness]

    package init(
        downstream: DownstreamID, key: String, rules: ExposureRules, features: [FeatureKind: [FeatureDefinition]],
        freshness: [FeatureKind: Freshness] = [:]
    ) {
        self.downstream = downstream
        self.key = key
        self.rules = rules
        self.features = features
        self.freshness = freshness
    }
}

/// The host asked for something that no server offers.
package struct UnknownFeature: Error, Hashable, Sendable, CustomStringConvertible {
    package let kind: FeatureKind
    package let name: String
    /// What may have been meant, the likeliest first.
    package let suggestions: [String]

    package var description: String {
        let text = "Unknown \(kind.noun): \(name)"
        guard let first = suggestions.first else { return text }
        let others = suggestions.dropFirst().map { "'\($0)'" }
        return "\(text). Did you mean \((["'\(first)'"] + others).joined(separator: " or "))?"
    }
}

/// The merged features of all servers with their routes. A value: a change makes a new one.
package struct Catalog: Sendable {
    private let lists: [MergedList]
    private let templates: [(template: URITemplate, downstream: DownstreamID)]

    package static let empty = Catalog(lists: FeatureKind.allCases.map { MergedList($0, entries: [], after: nil) })

    package subscript(kind: FeatureKind) -> MergedList { lists[kind.rawValue] }

    /// Merges what the downstreams offer.
    /// - Parameters:
    ///   - sources: in the order of the config file.
    ///   - previous: the catalog that this one replaces.
    ///   - known: kinds whose previous names hosts know: what has one keeps it, whoever else would have the first claim now.
    package init(merging sources: [CatalogSource], style: NameStyle, after previous: Catalog, known: Set<FeatureKind> = []) {
        self.init(
            lists: FeatureKind.allCases.map { kind in
                let offers = Self.offers(of: kind, from: sources)
                let names =
                    switch kind {
                    case .tools, .prompts:
                        Self.prefixedNames(for: offers, style: style, keeping: known.contains(kind) ? previous[kind] : nil)
                    case .resources, .templates: Self.uris(of: offers)
                    }
                let entries = zip(names, offers).compactMap { name, offer in
                    name.map {
                        MergedList.Entry(
                            name: ExposedName(text: $0), definition: offer.definition, downstream: offer.source.downstream,
                            server: offer.source.key)
                    }
                }
                // Without servers there is nothing to take for granted: the next one may come any time.
                let freshness = sources.map { $0.freshness[kind] ?? .none }.reduce(Freshness.whole) { $0.merged(with: $1) }
                return MergedList(kind, entries: entries, freshness: sources.isEmpty ? .none : freshness, after: previous[kind])
            })
    }

    private init(lists: [MergedList]) {
        self.lists = lists
        templates = lists[FeatureKind.templates.rawValue].entries.map { (URITemplate($0.definition.name.text), $0.downstream) }
    }

    // MARK: Routes

    /// Finds the downstream that has the tool or prompt named in a request.
    ///
    /// - Parameter name: the place of the name in `message`.
    /// - Returns: the server, and the name by which that server knows it.
    /// - Throws: ``UnknownFeature`` if no server offers it. The host receives JSON-RPC error -32602 (2025-11-25, server/tools, "Error
    ///   Handling"), not a tool result with `isError`.
    package func route(_ kind: FeatureKind, _ name: Place, in message: Message) throws(UnknownFeature) -> Route {
        var found: Route?
        message.withPlainString(name) { found = lists[kind.rawValue].route($0) }
        if let found { return found }
        // With escapes in it, or unknown: the slow way decides.
        return try route(kind, message.string(name) ?? "")
    }

    /// - Throws: ``UnknownFeature`` as above.
    package func route(_ kind: FeatureKind, _ name: String) throws(UnknownFeature) -> Route {
        var text = name
        if let route = text.withUTF8({ lists[kind.rawValue].route(UnsafeRawBufferPointer($0)) }) { return route }
        let names = self[kind].entries.map(\.name.text)
        throw UnknownFeature(kind: kind, name: name, suggestions: NearestNames.suggestions(for: name, among: names))
    }

    /// The server that lists the resource.
    package func owner(ofResource uri: String) -> DownstreamID? { try? route(.resources, uri).downstream }

    /// The servers with a template that the URI may have been made from, the likeliest first.
    package func owners(byTemplate uri: String) -> [DownstreamID] {
        var found: [DownstreamID] = []
        for isStrict in [true, false] {
            for (template, downstream) in templates where !found.contains(downstream) && template.matches(uri, strictly: isStrict) {
                found.append(downstream)
            }
        }
        return found
    }

    // MARK: Merging

    private typealias Offer = (source: Offerer, definition: FeatureDefinition)

    /// Shared by all that it offers: of a source there would be a copy for each.
    private final class Offerer {
        let downstream: DownstreamID
        let key: String
        let rules: ExposureRules

        init(_ source: CatalogSource, kind: FeatureKind) {
            (downstream, key) = (source.downstream, source.key)
            var rules = source.rules
            if kind != .tools { rules.rename = [:] }  // the file renames tools
            self.rules = rules
        }
    }

    private static func offers(of kind: FeatureKind, from sources: [CatalogSource]) -> [Offer] {
        var offers: [Offer] = []
        for source in sources {
            guard let definitions = source.features[kind], !definitions.isEmpty else { continue }
            let offerer = Offerer(source, kind: kind)
            var seen: Set<OwnName> = []  // a server that lists one thing twice has one thing
            seen.reserveCapacity(definitions.count)
            for definition in definitions where seen.insert(definition.name).inserted {
                if kind == .tools, !offerer.rules.offers(definition.name) { continue }
                offers.append((offerer, definition))
            }
        }
        return offers
    }

    /// The first to claim a name gets it: names that need no change before all others, then in the order of the config file. A name
    /// that is too long, or taken (case does not count: some hosts fold it), is cut and gets a hash of server key and own name.
    /// - Parameter previous: the list whose names are kept.
    private static func prefixedNames(for offers: [Offer], style: NameStyle, keeping previous: MergedList?) -> [String?] {
        let candidates = offers.map { offer in
            NameCandidate(server: offer.source.key, own: offer.definition.name, rules: offer.source.rules, style: style)
        }
        var taken: Set<String> = []
        var names = [String?](repeating: nil, count: offers.count)
        let known = Dictionary(previous?.entries.map { ($0.identity, $0.name.text) } ?? []) { first, _ in first }
        for (index, offer) in offers.enumerated() {
            let identity = MergedList.Identity(server: offer.source.key, name: offer.definition.name)
            guard let name = known[identity], candidates[index].canBe(name, budget: style.budget) else { continue }
            if taken.insert(name.lowercased()).inserted { names[index] = name }
        }
        for verbatim in [true, false] {
            for (index, candidate) in candidates.enumerated() where names[index] == nil && candidate.isVerbatim == verbatim {
                names[index] = claim(candidate, style: style, taken: &taken)
            }
        }
        return names
    }

    private static func claim(_ candidate: NameCandidate, style: NameStyle, taken: inout Set<String>) -> String {
        if candidate.plain.utf8.count <= style.budget, taken.insert(candidate.plain.lowercased()).inserted { return candidate.plain }
        // A SHA-256 has 64 digits, and each digit more makes a collision sixteen times less likely: this ends at once.
        var digits = 8
        while true {
            let name = candidate.hashed(budget: style.budget, digits: digits)
            if taken.insert(name.lowercased()).inserted || digits >= 64 { return name }
            digits += 4
        }
    }

    /// URIs are left alone. Of two servers with the same one the first has it: a host that asks for it cannot say which it means.
    private static func uris(of offers: [Offer]) -> [String?] {
        var taken: Set<OwnName> = []
        return offers.map { taken.insert($0.definition.name).inserted ? $0.definition.name.text : nil }
    }
}
