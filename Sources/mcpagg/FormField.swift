import JSONRPC
import NIOCore

/// One thing a form asks for: what it may be, and what a person's line means as its value (2025-11-25, client/elicitation, "Requested
/// Schema"; the enums of 2025-06-18 as well).
struct FormField {
    struct Choice: Equatable {
        /// JSON text of the value.
        let json: String
        let value: String
        let title: String
    }

    enum Kind {
        case text(TextRules)
        /// The limits as JSON texts.
        case number(isInteger: Bool, least: String?, most: String?)
        case boolean
        case choice([Choice])
        case choices([Choice], least: Int?, most: Int?)
        /// Nothing we know; any JSON will do, and the server decides.
        case json
    }

    /// A line that is no value of the field.
    struct Complaint: Error, Equatable { let text: String }

    let name: String
    let title: String?
    let description: String?
    let isRequired: Bool
    let kind: Kind
    /// JSON text. Never one that the field itself does not allow.
    private(set) var defaultValue: String?

    init(name: String, schema: JSONView, isRequired: Bool) {
        self.name = name
        title = schema["title"]?.string
        description = schema["description"]?.string
        self.isRequired = isRequired
        kind = Self.kind(schema)
        if let value = schema["default"], accepts(value) { defaultValue = value.jsonText }
    }

    private static func kind(_ schema: JSONView) -> Kind {
        if schema["type"]?.string == "array" {
            guard let items = schema["items"], let choices = choices(items) else { return .json }
            return .choices(choices, least: schema["minItems"]?.integer, most: schema["maxItems"]?.integer)
        }
        if let choices = choices(schema) { return .choice(choices) }
        let (least, most) = (schema["minimum"], schema["maximum"])
        switch schema["type"]?.string {
        case "string": return .text(TextRules(schema: schema))
        case "integer", "number":
            return .number(
                isInteger: schema["type"]?.string == "integer", least: least?.kind == .number ? least?.jsonText : nil,
                most: most?.kind == .number ? most?.jsonText : nil)
        case "boolean": return .boolean
        default: return .json
        }
    }

    /// - Returns: `nil` if this is no list of values to choose from.
    private static func choices(_ schema: JSONView) -> [Choice]? {
        func choice(_ value: JSONView, title: String?) -> Choice {
            let text = value.string ?? value.jsonText
            return Choice(json: value.jsonText, value: text, title: title ?? text)
        }
        if let values = schema["enum"]?.elements, !values.isEmpty {
            let titles = schema["enumNames"]?.elements.map(\.string) ?? []
            return values.enumerated().map { choice($1, title: $0 < titles.count ? titles[$0] : nil) }
        }
        guard let branches = (schema["oneOf"] ?? schema["anyOf"])?.elements, !branches.isEmpty else { return nil }
        let choices = branches.compactMap { branch in branch["const"].map { choice($0, title: branch["title"]?.string) } }
        return choices.count == branches.count ? choices : nil
    }

    // MARK: For the person

    /// What may be written.
    var requirements: String {
        switch kind {
        case .text(let rules): return rules.description
        case .number(let isInteger, let least, let most):
            return [isInteger ? "whole number" : "number", TextRules.span(least, most)].compactMap { $0 }.joined(separator: ", ")
        case .boolean: return "yes or no"
        case .choice: return "one of these"
        case .choices(_, let least, let most):
            let least = least.flatMap { $0 > 0 ? "\($0)" : nil }
            let words = "any of these, with commas between them" + (least == nil ? ", or none" : "")
            return [words, TextRules.span(least, most.map { "\($0)" })].compactMap { $0 }.joined(separator: "; ")
        case .json: return "JSON"
        }
    }

    var choices: [Choice] {
        switch kind {
        case .choice(let choices), .choices(let choices, _, _): choices
        case .text, .number, .boolean, .json: []
        }
    }

    /// Choices can be named by their numbers, unless some look like numbers themselves.
    var hasNumbers: Bool { !choices.contains { Int($0.value) != nil || Int($0.title) != nil } }

    /// A value as the person would write it.
    func shown(_ json: String) -> String {
        let view = JSONView.whole(ByteBuffer(string: json))
        func text(_ view: JSONView) -> String {
            choices.first { isSame($0, view) }?.title ?? view.string ?? view.jsonText
        }
        switch kind {
        case .boolean: return view.boolean == true ? "yes" : "no"
        case .choices: return view.elements.isEmpty ? "none" : view.elements.map(text).joined(separator: ", ")
        case .text, .number, .choice, .json: return text(view)
        }
    }

    // MARK: Values

    /// - Returns: JSON text of what a person's line means.
    func value(of line: String) throws(Complaint) -> String {
        let json: String
        switch kind {
        case .text: json = JSONString.encoded(line)
        case .number, .json:
            guard let view = try? JSONView(validating: ByteBuffer(string: line.trimmed)) else {
                throw Complaint(text: "that is no \(noun)")
            }
            json = view.jsonText
        case .boolean:
            switch line.trimmed.lowercased() {
            case "y", "yes", "true": return "true"
            case "n", "no", "false": return "false"
            default: throw Complaint(text: "write yes or no")
            }
        case .choice(let choices): return try choice(line.trimmed, of: choices).json
        case .choices(let choices, _, _):
            // One choice may have a comma in it.
            if let whole = try? choice(line.trimmed, of: choices) {
                json = "[\(whole.json)]"
            } else if line.trimmed.lowercased() == "none" {
                json = "[]"
            } else {
                var chosen: [Choice] = []
                for word in line.split(separator: ",") {
                    let next = try choice(String(word).trimmed, of: choices)
                    if !chosen.contains(next) { chosen.append(next) }
                }
                json = "[" + chosen.map(\.json).joined(separator: ",") + "]"
            }
        }
        if let complaint = complaint(about: JSONView.whole(ByteBuffer(string: json))) { throw complaint }
        return json
    }

    /// Whether the field allows the value.
    func accepts(_ value: JSONView) -> Bool { complaint(about: value) == nil }

    private func complaint(about value: JSONView) -> Complaint? {
        switch kind {
        case .text(let rules):
            guard let text = value.string else { return Complaint(text: "that is no text") }
            return rules.complaint(about: text).map { Complaint(text: $0) }
        case .number(let isInteger, let least, let most):
            let text = value.jsonText
            guard value.kind == .number, !isInteger || !text.contains(where: { ".eE".contains($0) }) else {
                return Complaint(text: "that is no \(noun)")
            }
            if let least, Self.isLess(text, least) { return Complaint(text: "that is less than \(least)") }
            if let most, Self.isLess(most, text) { return Complaint(text: "that is more than \(most)") }
            return nil
        case .boolean: return value.kind == .boolean ? nil : Complaint(text: "write yes or no")
        case .choice(let choices):
            return choices.contains { isSame($0, value) } ? nil : Complaint(text: "that is none of the choices")
        case .choices(let choices, let least, let most):
            let elements = value.elements
            guard value.kind == .array, elements.allSatisfy({ element in choices.contains { isSame($0, element) } }) else {
                return Complaint(text: "that is none of the choices")
            }
            if let least, elements.count < least { return Complaint(text: "choose at least \(least)") }
            if let most, elements.count > most { return Complaint(text: "choose at most \(most)") }
            return nil
        case .json: return nil
        }
    }

    private var noun: String {
        switch kind {
        case .number(let isInteger, _, _): isInteger ? "whole number" : "number"
        case .text, .boolean, .choice, .choices, .json: "JSON"
        }
    }

    private func isSame(_ choice: Choice, _ value: JSONView) -> Bool {
        // Strings can be escaped in several ways.
        if let text = value.string { return choice.json.first == "\"" && choice.value == text }
        return choice.json == value.jsonText
    }

    /// A value, the number in front of it, or its title.
    private func choice(_ word: String, of choices: [Choice]) throws(Complaint) -> Choice {
        if let exact = choices.first(where: { $0.value == word }) { return exact }
        if hasNumbers, let number = Int(word), choices.indices.contains(number - 1) { return choices[number - 1] }
        let lowered = word.lowercased()
        let near = choices.filter { $0.title.lowercased() == lowered || $0.value.lowercased() == lowered }
        guard near.count == 1 else {
            throw Complaint(text: "'\(word)' is none of the choices")
        }
        return near[0]
    }

    /// Exact for whole numbers; others are compared as far as they can be told apart.
    private static func isLess(_ left: String, _ right: String) -> Bool {
        if let left = Int(left), let right = Int(right) { return left < right }
        guard let left = Double(left), let right = Double(right) else { return false }
        return left < right
    }
}

extension String {
    /// Without blanks at its ends.
    var trimmed: String {
        let start = drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
