import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore

/// A tool from its JSON text.
func tool(json: String) throws -> FeatureDefinition { try feature(.tools, json: json) }

/// A feature of any kind from its JSON text.
func feature(_ kind: FeatureKind, json: String) throws -> FeatureDefinition {
    try FeatureDefinition(JSONView(validating: ByteBuffer(string: json)), kind: kind)
}

/// A tool of which only the name matters.
func tool(_ name: String) throws -> FeatureDefinition { try tool(json: #"{"name":\#(JSONString.encoded(name))}"#) }

/// A server whose prefix is its key, unless said otherwise.
func source(_ key: String, _ names: [String], rules: ExposureRules? = nil) throws -> CatalogSource {
    CatalogSource(
        downstream: DownstreamID(key.utf8.reduce(0) { $0 * 256 + Int($1) }), key: key, rules: rules ?? ExposureRules(prefix: key),
        tools: try names.map { try tool($0) })
}

/// A server that has nothing but these features of one kind, of which only the names, URIs or templates matter.
func source(_ key: String, _ kind: FeatureKind, _ names: [String], rules: ExposureRules? = nil) throws -> CatalogSource {
    var source = try source(key, [], rules: rules)
    source.features = [kind: try names.map { try feature(kind, json: #"{"\#(kind.identityMember)":\#(JSONString.encoded($0))}"#) }]
    return source
}

extension CatalogSource {
    init(downstream: DownstreamID, key: String, rules: ExposureRules, tools: [FeatureDefinition]) {
        self.init(downstream: downstream, key: key, rules: rules, features: [.tools: tools])
    }

    var tools: [FeatureDefinition] { features[.tools] ?? [] }
}

extension Catalog {
    init(_ sources: CatalogSource..., style: NameStyle = NameStyle(), after previous: Catalog = .empty, keepsNames: Bool = false) {
        self.init(merging: sources, style: style, after: previous, known: keepsNames ? [.tools] : [])
    }

    var names: [String] { self[.tools].entries.map(\.name.text) }
    var list: String { String(buffer: self[.tools].result) }

    /// What a request for one goes to, or what it is refused with.
    func target(_ name: String, _ kind: FeatureKind = .tools) -> String {
        do throws(UnknownFeature) {
            let route = try route(kind, name)
            return "\(route.downstream.number) \(route.name.text)"
        } catch {
            return "\(error)"
        }
    }
}
