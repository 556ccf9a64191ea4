package import JSONRPC
package import NIOCore

/// What a host of an older revision would break on, put in a form it knows. Members it does not know are no harm to it; kinds of
/// content are.
package enum Downlevel {
    /// - Parameter result: of a `tools/call` or `prompts/get`.
    /// - Returns: the result for a host of this revision; `nil` if it can have it as it is.
    package static func result(_ result: JSONView, for revision: Revision) -> ByteBuffer? {
        guard revision < .v2025_06_18 else { return nil }
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
