package import JSONRPC

/// An argument of a tool that a request over HTTP repeats in a header, `Mcp-Param-…`, because the tool's input schema says so with
/// `x-mcp-header` (MCP 2026-07-28, server/tools, "x-mcp-header").
package struct HeaderParameter: Hashable, Sendable {
    /// Why a tool's annotations cannot be followed: such a tool must not be offered.
    package struct Defect: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// The names that lead to it from the arguments.
    package var path: [String]
    /// Behind `Mcp-Param-`.
    package var name: String

    /// Headers of one request.
    package static let limit = 64
    private static let longestName = 128
    private static let keyword = "x-mcp-header"
    private static let largestInteger = 9_007_199_254_740_991  // 2^53 - 1

    /// - Parameter tool: a tool's definition.
    package static func all(of tool: JSONView) throws(Defect) -> [HeaderParameter] {
        guard let schema = tool["inputSchema"], schema.kind == .object else { return [] }
        // Most tools have none, and are not walked through.
        guard schema.mentions(keyword) else { return [] }
        var found: [HeaderParameter] = []
        try walk(schema, [], isReachable: true, into: &found)
        return found
    }

    private static func walk(
        _ schema: JSONView, _ path: [String], isReachable: Bool, into found: inout [HeaderParameter]
    ) throws(Defect) {
        guard schema.kind == .object else {
            for element in schema.kind == .array ? schema.elements : [] { try walk(element, path, isReachable: false, into: &found) }
            return
        }
        for (key, value) in schema.members {
            switch key {
            case keyword: found.append(try parameter(value, of: schema, path, isReachable: isReachable, found))
            case "properties":
                for (name, property) in value.members { try walk(property, path + [name], isReachable: isReachable, into: &found) }
            case "$defs", "definitions", "patternProperties", "dependentSchemas":
                for (_, definition) in value.members { try walk(definition, path, isReachable: false, into: &found) }
            case "default", "const", "enum", "examples": break  // values, not schemas
            default: try walk(value, path, isReachable: false, into: &found)
            }
        }
    }

    private static func parameter(
        _ value: JSONView, of schema: JSONView, _ path: [String], isReachable: Bool, _ found: [HeaderParameter]
    ) throws(Defect) -> HeaderParameter {
        let place = path.isEmpty ? "the schema itself" : "'\(path.joined(separator: "."))'"
        guard let name = value.string, isName(name), name.utf8.count <= longestName else {
            throw Defect(description: "\(keyword) of \(place) is no name of a header")
        }
        guard isReachable, !path.isEmpty else {
            throw Defect(description: "\(keyword) '\(name)' stands where 'properties' alone do not lead")
        }
        guard let type = schema["type"]?.string, ["string", "integer", "boolean"].contains(type) else {
            throw Defect(description: "\(keyword) of \(place), which is neither string nor integer nor boolean")
        }
        guard found.count < limit else { throw Defect(description: "\(keyword) stands there more than \(limit) times") }
        guard !found.contains(where: { $0.name.lowercased() == name.lowercased() }) else {
            throw Defect(description: "\(keyword) '\(name)' stands there twice")
        }
        return HeaderParameter(path: path, name: name)
    }

    /// Whether a header may have this name (RFC 9110, 5.6.2).
    package static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// What the header says for these arguments; `nil` for no header.
    package func value(in arguments: JSONView) -> String? {
        var value = arguments
        for name in path {
            guard value.kind == .object, let next = value[name] else { return nil }
            value = next
        }
        return switch value.kind {
        case .string: value.string
        case .boolean: value.jsonText
        case .number: Self.decimal(value.jsonText)
        case .null, .object, .array: nil
        }
    }

    /// `1.0` and `1e2` are integers too, for JSON Schema.
    private static func decimal(_ text: String) -> String {
        if let integer = Int(text) { return String(integer) }
        guard let number = Double(text), let integer = Int(exactly: number), abs(integer) <= largestInteger else {
            return text
        }
        return String(integer)
    }
}
