import JSONRPC
import NIOCore

/// The tools the server offers: those with a purpose, the fillers, and those added while it runs.
struct ToolCatalog {
    private static let fillerPrefix = "tool_"
    private static let addedPrefix = "added_"

    private let fillers: Int
    private var added = 0

    init(fillers: Int) { self.fillers = fillers }

    mutating func addOne() { added += 1 }

    /// Tools without a purpose of their own answer as echo does.
    func isFiller(_ name: String) -> Bool {
        func number(after prefix: String) -> Int? { name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil }
        if let number = number(after: Self.fillerPrefix) { return (0..<fillers).contains(number) }
        if let number = number(after: Self.addedPrefix) { return number >= 1 && number <= added }
        return false
    }

    /// Definitions, in the order in which they are listed.
    var definitions: [String] {
        Self.fixed.map(\.json)
            + (0..<fillers).map { Definition("\(Self.fillerPrefix)\($0)", "Filler number \($0): answers as echo does.", [.readOnly]).json }
            + (0..<added).map { Definition("\(Self.addedPrefix)\($0 + 1)", "Was not there at first.", [.readOnly]).json }
    }

    private struct Definition {
        enum Hint { case readOnly, idempotent, destructive }

        let name: String
        let description: String
        let hints: [Hint]
        let properties: String
        let required: [String]

        /// - Parameter properties: JSON text of the members of the schema's `properties`.
        init(_ name: String, _ description: String, _ hints: [Hint] = [], properties: String = "", required: [String] = []) {
            self.name = name
            self.description = description
            self.hints = hints
            self.properties = properties
            self.required = required
        }

        var json: String {
            let tool = JSONWriter.object { tool in
                tool.member("name", name)
                tool.member("description", description)
                tool.object("inputSchema") { schema in
                    schema.member("type", "object")
                    schema.member("properties", json: "{\(properties)}")
                    if !required.isEmpty { schema.array("required") { names in required.forEach { names.value($0) } } }
                }
                tool.object("annotations") { annotations in
                    annotations.member("readOnlyHint", hints.contains(.readOnly))
                    annotations.member("idempotentHint", hints.contains(.readOnly) || hints.contains(.idempotent))
                    annotations.member("destructiveHint", hints.contains(.destructive))
                }
            }
            return String(buffer: tool)
        }
    }

    private static let fixed: [Definition] = [
        Definition(
            "echo", "Returns its arguments as they came, byte for byte; the text is that of the argument text.", [.readOnly],
            properties: #""text":{"type":"string"}"#),
        Definition(
            "add", "Adds two integers.", [.readOnly], properties: #""a":{"type":"integer"},"b":{"type":"integer"}"#, required: ["a", "b"]),
        Definition(
            "typed", "Returns its arguments, one property of each JSON type.", [.readOnly],
            properties: #""integer":{"type":"integer"},"number":{"type":"number"},"boolean":{"type":"boolean"},"string":{"type":"string"},"#
                + #""array":{"type":"array","items":{"type":"integer"}},"object":{"type":"object"},"#
                + #""enum":{"enum":["red","green","blue"]}"#),
        Definition(
            "payload", "Returns a text of so many bytes.", [.readOnly], properties: #""bytes":{"type":"integer"}"#, required: ["bytes"]),
        Definition(
            "sleep", "Answers after so many milliseconds, with the given text. Any number of them sleep at once.", [.readOnly],
            properties: #""ms":{"type":"integer"},"text":{"type":"string"}"#, required: ["ms"]),
        Definition("fail", "Returns a result that is an error of the tool.", [.idempotent], properties: #""text":{"type":"string"}"#),
        Definition(
            "error", "Is answered with a JSON-RPC error.", [.idempotent],
            properties: #""code":{"type":"integer"},"message":{"type":"string"}"#),
        Definition(
            "progress", "Reports its progress in so many steps.", [.readOnly],
            properties: #""steps":{"type":"integer"},"delayMs":{"type":"integer"}"#, required: ["steps"]),
        Definition(
            "log", "Sends a log message, whatever level the client asked for.", [.readOnly],
            properties: #""level":{"type":"string"},"text":{"type":"string"}"#),
        Definition("hang", "Never answers; tells of progress 0 if it was given a token, so that the caller knows it has begun."),
        Definition("exit", "Ends the server without an answer.", properties: #""code":{"type":"integer"}"#),
        Definition("crash", "Kills the server with SIGKILL.", [.destructive]),
        Definition("garbage", "Writes a line of invalid bytes, then answers.", [.readOnly]),
        Definition(
            "long_line", "Writes a line of so many bytes that is no JSON, then answers.", [.readOnly],
            properties: #""bytes":{"type":"integer"}"#, required: ["bytes"]),
        Definition("change_tools", "Adds a tool and tells the client."),
        Definition("grandchild", "Starts a child of the server that sleeps; returns its process id."),
        Definition("environment", "Returns the environment variables and the working directory of the server.", [.readOnly]),
    ]
}
