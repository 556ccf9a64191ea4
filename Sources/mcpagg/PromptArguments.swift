import FeatureCatalog
import JSONRPC
import NIOCore

/// The arguments that a prompt takes, all of them texts.
struct PromptArguments {
    let all: [(name: String, isRequired: Bool)]

    init(_ prompt: FeatureDefinition) {
        all = (JSONView.whole(prompt.json)["arguments"]?.elements ?? []).compactMap { argument in
            argument["name"]?.string.map { ($0, argument["required"]?.boolean == true) }
        }
    }

    var names: [String] { all.map(\.name) }

    /// - Parameters:
    ///   - base: a JSON object to begin with; words replace its members.
    ///   - words: `key=value`.
    /// - Returns: a JSON object.
    /// - Throws: ``Failure`` for what the server would have to refuse.
    func typed(base: JSONView?, words: [String]) throws -> ByteBuffer {
        let schema = JSONWriter.object { schema in
            schema.member("type", "object")
            schema.object("properties") { properties in
                for name in names { properties.object(name) { $0.member("type", "string") } }
            }
            schema.member("additionalProperties", false)
        }
        let typed = try ArgumentTyping(schema: JSONView.whole(schema), noun: "prompt").typed(base: base, words: words)
        let members = JSONView.whole(typed).members
        if let wrong = members.first(where: { $0.value.kind != .string }) {
            throw Self.mistake("the argument '\(wrong.name)' must be a string, as all arguments of prompts", hint: nil)
        }
        let missing = all.filter { argument in argument.isRequired && !members.contains { $0.name == argument.name } }.map(\.name)
        if let first = missing.first {
            let names = missing.map { "'\($0)'" }.joined(separator: ", ")
            let noun = missing.count == 1 ? "argument" : "arguments"
            throw Self.mistake("the prompt needs the \(noun) \(names)", hint: "write \(first)=…")
        }
        return typed
    }

    private static func mistake(_ message: String, hint: String?) -> Failure {
        Failure(status: .usage, code: "badArgument", message: message, hint: hint)
    }
}
