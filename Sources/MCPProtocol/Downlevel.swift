package import JSONRPC
package import NIOCore

/// What a host of an older revision would break on, put in a form it knows. Members it does not know are no harm to it; kinds of
/// content are.
package enum Downlevel {
    /// - Parameter result: of a `tools/call` or `prompts/get`.
    /// - Returns: the result for a host of this revision; `nil` if it can have it as it is.
    package static func result(_ result: JSONView, for revision: Revision) -> ByteBuffer? {
        if revision >= .v2025_06_18 { return withObjectContent(result) }
        if let content = result["content"], content.elements.contains(where: { isForeign($0, revision) }) {
            return rewritten(result, "content") { writer in
                writer.array { list in
                    for block in content.elements { list.value(json: replacement(block, revision) ?? block.json) }
                }
            }
        }
        if let messages = result["messages"], messages.elements.contains(where: { $0["content"].map { isForeign($0, revision) } == true }) {
            return rewritten(result, "messages") { writer in
                writer.array { list in
                    for message in messages.elements {
                        let block = message["content"].flatMap { replacement($0, revision) }
                        list.value(json: block.map { block in rewritten(message, "content") { $0.value(json: block) } } ?? message.json)
                    }
                }
            }
        }
        return nil
    }

    /// Structured content that is no object exists in the stateless era alone. What it says is kept as text (2025-11-25, server/tools,
    /// "Structured Content").
    private static func withObjectContent(_ result: JSONView) -> ByteBuffer? {
        guard let structured = result["structuredContent"], structured.kind != .object else { return nil }
        let hasBlocks = result["content"]?.elements.isEmpty == false
        return JSONWriter.object { writer in
            for (name, value) in result.members where name != "structuredContent" && (name != "content" || hasBlocks) {
                writer.member(name, json: value.json)
            }
            guard !hasBlocks else { return }
            writer.array("content") { list in
                list.object {
                    $0.member("type", "text")
                    $0.member("text", structured.jsonText)
                }
            }
        }
    }

    /// Whether a form can be asked for at all: several choices at once came with 2025-11-25.
    package static func canElicit(_ params: JSONView?, in revision: Revision) -> Bool {
        revision >= .v2025_11_25
            || params?["requestedSchema"]?["properties"]?.members.contains { $0.value["type"]?.string == "array" } != true
    }

    /// - Parameter params: of an `elicitation/create` with a form.
    /// - Returns: the form in the schema of this revision; `nil` if it can be had as it is.
    package static func elicitation(_ params: JSONView, for revision: Revision) -> ByteBuffer? {
        guard revision < .v2025_11_25, let schema = params["requestedSchema"], let properties = schema["properties"] else { return nil }
        guard properties.members.contains(where: { $0.value["oneOf"] != nil }) || params["mode"] != nil else { return nil }
        let rewrittenProperties = rewritten(properties) { property in property["oneOf"].map { titledEnum(property, choices: $0) } }
        let rewrittenSchema = rewritten(schema, "properties") { $0.value(json: rewrittenProperties) }
        return JSONWriter.object { writer in
            // There is but one mode, and no word for it.
            for (name, value) in params.members where name != "mode" {
                writer.member(name, json: name == "requestedSchema" ? rewrittenSchema : value.json)
            }
        }
    }

    /// `oneOf` with titles as `enum` with `enumNames` (2025-06-18, client/elicitation, "Requested Schema").
    private static func titledEnum(_ property: JSONView, choices: JSONView) -> ByteBuffer {
        JSONWriter.object { writer in
            for (name, value) in property.members where name != "oneOf" && name != "default" { writer.member(name, json: value.json) }
            writer.array("enum") { list in for choice in choices.elements { list.value(choice["const"]?.string ?? "") } }
            writer.array("enumNames") { list in
                for choice in choices.elements { list.value(choice["title"]?.string ?? choice["const"]?.string ?? "") }
            }
        }
    }

    /// The object with some members written anew.
    private static func rewritten(_ object: JSONView, _ replacement: (JSONView) -> ByteBuffer?) -> ByteBuffer {
        JSONWriter.object { writer in
            for (name, value) in object.members { writer.member(name, json: replacement(value) ?? value.json) }
        }
    }

    private static func isForeign(_ block: JSONView, _ revision: Revision) -> Bool {
        switch block["type"]?.string {
        case "resource_link": true
        case "audio": revision < .v2025_03_26
        default: false
        }
    }

    private static func replacement(_ block: JSONView, _ revision: Revision) -> ByteBuffer? {
        guard isForeign(block, revision) else { return nil }
        let text: String
        if block["type"]?.string == "resource_link" {
            let name = block["title"]?.string ?? block["name"]?.string ?? "resource"
            text = "\(name): \(block["uri"]?.string ?? "")"
        } else {
            text = "[audio of type \(block["mimeType"]?.string ?? "unknown"), which this client cannot take]"
        }
        return JSONWriter.object {
            $0.member("type", "text")
            $0.member("text", text)
        }
    }

    /// The object with one member written anew, and all others as they came.
    private static func rewritten(_ object: JSONView, _ name: String, _ write: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.object { writer in
            for member in object.members {
                if member.name == name {
                    var value = JSONWriter()
                    write(&value)
                    writer.member(name, json: value.buffer)
                } else {
                    writer.member(member.name, json: member.value.json)
                }
            }
        }
    }
}
