import JSONRPC
import NIOCore

/// The form that a server wants filled in.
struct ElicitationForm {
    /// What the server gets to know.
    enum Outcome: Equatable {
        /// Values as JSON texts, by the names of their fields.
        case accept([String: String])
        case decline
        case cancel
    }

    let fields: [FormField]

    /// - Parameter schema: the `requestedSchema`.
    init(schema: JSONView?) {
        let required = Set(schema?["required"]?.elements.compactMap(\.string) ?? [])
        var seen: Set<String> = []
        fields = (schema?["properties"]?.members ?? []).filter { seen.insert($0.name).inserted }
            .map { FormField(name: $0.name, schema: $0.value, isRequired: required.contains($0.name)) }
    }

    /// What is sent if nobody says anything else.
    var defaults: [String: String] {
        Dictionary(fields.compactMap { field in field.defaultValue.map { (field.name, $0) } }) { first, _ in first }
    }

    /// Required fields that have no default which they themselves allow.
    var undecided: [String] { fields.filter { $0.isRequired && $0.defaultValue == nil }.map(\.name) }

    /// - Returns: JSON text of an `ElicitResult`; the values in the order of the fields.
    func result(_ outcome: Outcome) -> ByteBuffer {
        JSONWriter.object { result in
            switch outcome {
            case .accept(let values):
                result.member("action", "accept")
                result.object("content") { content in
                    for field in fields { if let json = values[field.name] { content.member(field.name, json: json) } }
                }
            case .decline: result.member("action", "decline")
            case .cancel: result.member("action", "cancel")
            }
        }
    }
}
