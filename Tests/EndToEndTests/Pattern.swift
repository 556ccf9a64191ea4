import Foundation

/// What a transcript expects: JSON in which a few strings stand for what differs from run to run.
///
/// - `"<any>"` is any value, and `"<some name>"` is any value that is the same wherever this name occurs in the story.
/// - `<*>` inside a longer string is any text.
///
/// Nothing else is normalised.
struct Pattern: Sendable {
    typealias Bindings = [String: String]

    let json: JSON

    init(_ text: String) throws { json = try JSON(text) }
    init(_ json: JSON) { self.json = json }

    /// - Returns: whether it matches; only then are the names that it gives to values taken over into `bindings`.
    func matches(_ actual: JSON, _ bindings: inout Bindings) -> Bool {
        var tried = bindings
        guard Self.matches(json, actual, &tried) else { return false }
        bindings = tried
        return true
    }

    private static func matches(_ expected: JSON, _ actual: JSON, _ bindings: inout Bindings) -> Bool {
        switch (expected, actual) {
        case (.string(let text), _) where name(of: text) != nil:
            guard let name = name(of: text), name != "any" else { return true }
            let value = actual.canonicalText
            if let bound = bindings[name] { return bound == value }
            bindings[name] = value
            return true
        case (.string(let pattern), .string(let text)): return matches(pattern, text)
        case (.null, .null): return true
        case (.bool(let one), .bool(let other)): return one == other
        case (.number(let one), .number(let other)): return one == other
        case (.array(let one), .array(let other)):
            guard one.count == other.count else { return false }
            for (expected, actual) in zip(one, other) where !matches(expected, actual, &bindings) { return false }
            return true
        case (.object(let one), .object(let other)):
            guard one.count == other.count else { return false }
            for (name, expected) in one {
                guard let actual = actual[name], matches(expected, actual, &bindings) else { return false }
            }
            return true
        default: return false
        }
    }

    /// JSON text with the values of the names in it: a host sends back what it was given.
    static func filled(_ text: String, _ bindings: Bindings) -> String {
        bindings.reduce(text) { $0.replacingOccurrences(of: "\"<\($1.key)>\"", with: $1.value) }
    }

    /// Text in which each `<*>` is any text.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let parts = pattern.components(separatedBy: "<*>")
        guard parts.count > 1, let first = parts.first, let last = parts.last else { return pattern == text }
        guard text.utf8.count >= first.utf8.count + last.utf8.count, text.hasPrefix(first), text.hasSuffix(last) else { return false }
        var rest = text.dropFirst(first.count).dropLast(last.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }

    private static func name(of text: String) -> String? {
        guard text.hasPrefix("<"), text.hasSuffix(">"), text.count > 2, text != "<*>" else { return nil }
        let name = text.dropFirst().dropLast()
        return name.allSatisfy { $0.isLetter || $0 == " " } ? String(name) : nil
    }

    /// What came, with what this expected for it wherever that fits: so an update keeps the placeholders of a line.
    func adopting(_ actual: JSON) -> JSON { Self.adopt(json, actual) }

    private static func adopt(_ expected: JSON, _ actual: JSON) -> JSON {
        switch (expected, actual) {
        case (.string(let text), _) where name(of: text) != nil: return expected
        case (.string(let pattern), .string(let text)): return matches(pattern, text) ? expected : actual
        case (.array(let one), .array(let other)) where one.count == other.count: return .array(zip(one, other).map { adopt($0, $1) })
        case (.object, .object(let members)):
            return .object(members.map { name, value in (name, expected[name].map { adopt($0, value) } ?? value) })
        default: return actual
        }
    }
}

extension JSON {
    /// Equal for values that count as equal.
    fileprivate var canonicalText: String { sorted.text }

    private var sorted: JSON {
        switch self {
        case .object(let members): .object(members.sorted { $0.name < $1.name }.map { ($0.name, $0.value.sorted) })
        case .array(let elements): .array(elements.map(\.sorted))
        case .null, .bool, .number, .string: self
        }
    }
}
