import FeatureCatalog
import JSONRPC
import NIOCore

/// A tool from its JSON text.
func tool(json: String) throws -> ToolDefinition { try ToolDefinition(JSONView(validating: ByteBuffer(string: json))) }

/// A tool of which only the name matters.
func tool(_ name: String) throws -> ToolDefinition { try tool(json: #"{"name":\#(JSONString.encoded(name))}"#) }

/// A server whose prefix is its key, unless said otherwise.
func source(_ key: String, _ names: [String], rules: ExposureRules? = nil) throws -> CatalogSource {
    CatalogSource(
        downstream: DownstreamID(key.utf8.reduce(0) { $0 * 256 + Int($1) }), key: key, rules: rules ?? ExposureRules(prefix: key),
        tools: try names.map { try tool($0) })
}

extension Catalog {
    init(_ sources: CatalogSource..., style: NameStyle = NameStyle(), after previous: Catalog = .empty, keepsNames: Bool = false) {
        self.init(merging: sources, style: style, after: previous, keepsNames: keepsNames)
    }

    var names: [String] { tools.map(\.name.text) }
    var list: String { String(buffer: toolsResult) }

    /// What a call goes to, or what it is refused with.
    func target(_ name: String) -> String {
        do throws(UnknownTool) {
            let route = try route(name)
            return "\(route.downstream.number) \(route.tool.text)"
        } catch {
            return "\(error)"
        }
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
