import FeatureCatalog
import JSONRPC
import NIOCore

/// Makes the `arguments` of a call out of words of the command line, typed by the tool's input schema.
struct ArgumentTyping {
    /// A word that does not fit. The person can put it right.
    struct Mistake: Error {
        var message: String
        var hint: String?
    }

    /// `$ref` followed in a row; a schema may refer to itself.
    private static let referenceLimit = 16

    private let schema: JSONView?
    private let noun: String

    /// - Parameters:
    ///   - schema: the tool's `inputSchema`.
    ///   - noun: what has the arguments.
    init(schema: JSONView?, noun: String = "tool") {
        self.schema = schema
        self.noun = noun
    }

    /// - Parameters:
    ///   - base: a JSON object to begin with; words replace its members.
    ///   - words: `key=value`, typed by the schema, or `key:=json`.
    /// - Returns: a JSON object.
    func arguments(base: JSONView?, words: [String]) throws(Mistake) -> ByteBuffer {
        var members: [(name: String, json: String)] = base?.members.map { ($0.name, $0.value.jsonText) } ?? []
        func set(_ name: String, _ json: String) {
            if let index = members.firstIndex(where: { $0.name == name }) {
                members[index].json = json
            } else {
                members.append((name, json))
            }
        }
        var values: [(name: String, values: [String])] = []
        for word in words {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw Mistake(message: "'\(word)' is not an argument", hint: "write key=value, or key:=json for any JSON value")
            }
            let value = String(word[word.index(after: equals)...])
            let before = word.index(before: equals)
            if word[before] == ":", before != word.startIndex {
                let name = String(word[..<before])
                set(name, try Self.json(value, of: name))
                continue
            }
            let name = String(word[..<equals])
            try checkName(name)
            if let index = values.firstIndex(where: { $0.name == name }) {
                values[index].values.append(value)
            } else {
                values.append((name, [value]))
            }
        }
        for (name, texts) in values { set(name, try typed(texts, as: property(name), name: name)) }
        return JSONWriter.object { object in
            for (name, json) in members { object.member(name, json: json) }
        }
    }

    // MARK: Schema

    private func property(_ name: String) -> JSONView? { resolved(schema)?["properties"]?[name].flatMap { resolved($0) } }

    /// Follows references into the same document.
    private func resolved(_ view: JSONView?) -> JSONView? {
        var view = view
        for _ in 0..<Self.referenceLimit {
            guard let reference = view?["$ref"]?.string, reference.hasPrefix("#/") else { return view }
            var target = schema
            for step in reference.dropFirst(2).split(separator: "/") {
                target = target?[String(step.replacing("~1", with: "/").replacing("~0", with: "~"))]
            }
            view = target
        }
        return nil
    }

    /// The types a value may have, in the order in which to try them. Empty if the schema does not say.
    private func types(of property: JSONView?) -> [String] {
        guard let property = resolved(property) else { return [] }
        if let type = property["type"] { return type.string.map { [$0] } ?? type.elements.compactMap(\.string) }
        let branches = (property["anyOf"] ?? property["oneOf"])?.elements ?? []
        if !branches.isEmpty { return branches.flatMap { types(of: $0) } }
        let values = property["enum"]?.elements ?? property["const"].map { [$0] } ?? []
        return values.map { value in
            switch value.kind {
            case .object: "object"
            case .array: "array"
            case .string: "string"
            case .number: "number"
            case .boolean: "boolean"
            case .null: "null"
            }
        }
    }

    private func checkName(_ name: String) throws(Mistake) {
        guard let object = resolved(schema), let properties = object["properties"], properties[name] == nil else { return }
        // Only if the server is sure to refuse it; otherwise the server decides.
        guard object["additionalProperties"]?.boolean == false else { return }
        let known = properties.members.map(\.name)
        let near = NearestNames.suggestions(for: name, among: known)
        throw Mistake(
            message: "the \(noun) has no argument '\(name)'",
            hint: near.isEmpty ? known.isEmpty ? "it has none" : "it has \(known.joined(separator: ", "))" : "did you mean '\(near[0])'?")
    }

    // MARK: Values

    private func typed(_ texts: [String], as property: JSONView?, name: String) throws(Mistake) -> String {
        let types = types(of: property)
        if types.contains("array") {
            if texts.count == 1, let whole = Self.validated(texts[0]), whole.kind == .array { return whole.jsonText }
            // One word is one element, unless it is meant as what else the value may be.
            if texts.count > 1 || types == ["array"] {
                let items = arrayItems(of: property)
                var elements: [String] = []
                for text in texts { elements.append(try typed(text, types: self.types(of: items), of: items, name: name)) }
                return "[" + elements.joined(separator: ",") + "]"
            }
        }
        guard texts.count == 1 else {
            throw Mistake(
                message: "the argument '\(name)' stands more than once, and is not an array",
                hint: "for an array of anything write \(name):='[…]'")
        }
        return try typed(texts[0], types: types, of: property, name: name)
    }

    private func arrayItems(of property: JSONView?) -> JSONView? {
        guard let property = resolved(property) else { return nil }
        if let items = property["items"] { return resolved(items) }
        let branches = (property["anyOf"] ?? property["oneOf"])?.elements ?? []
        return resolved(branches.lazy.compactMap { self.resolved($0)?["items"] }.first)
    }

    private func typed(_ text: String, types: [String], of property: JSONView?, name: String) throws(Mistake) -> String {
        let value = Self.validated(text)
        for type in types {
            switch (type, value?.kind) {
            case ("integer", .number) where text.allSatisfy { $0 != "." && $0 != "e" && $0 != "E" }: return text
            case ("number", .number): return text
            case ("boolean", .boolean), ("null", .null), ("object", .object), ("array", .array): return text
            default: continue
            }
        }
        // Anything is a string, so that comes last; and a server that does not say what it wants gets one.
        if types.isEmpty || types.contains("string") { return JSONString.encoded(text) }
        let wanted = types.map { Self.article(for: $0) }.joined(separator: " or ")
        throw Mistake(
            message: "the argument '\(name)' must be \(wanted), and '\(text)' is not",
            hint: types.contains("object") ? "write \(name):='{…}'" : types.contains("boolean") ? "write true or false" : nil)
    }

    private static func article(for type: String) -> String {
        switch type {
        case "integer", "object", "array": "an \(type)"
        case "null": type
        default: "a \(type)"
        }
    }

    private static func validated(_ text: String) -> JSONView? { try? JSONView(validating: ByteBuffer(string: text)) }

    private static func json(_ text: String, of name: String) throws(Mistake) -> String {
        do throws(ScanError) {
            return try JSONView(validating: ByteBuffer(string: text)).jsonText
        } catch {
            throw Mistake(
                message: "'\(name)' is not JSON: \(error)",
                hint: "strings need quotes: \(name):='\"text\"'; or write \(name)=text")
        }
    }
}
