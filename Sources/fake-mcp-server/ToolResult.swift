import JSONRPC
import NIOCore

/// The results of calls.
enum ToolResult {
    static func text(_ text: String, isError: Bool = false) -> ByteBuffer {
        result(text: JSONString.encoded(text)) { result in
            if isError { result.member("isError", true) }
        }
    }

    /// - Parameter text: JSON text of a string.
    static func result(text: String, _ members: (inout JSONWriter) -> Void = { _ in }) -> ByteBuffer {
        JSONWriter.object { result in
            result.array("content") { content in
                content.object { block in
                    block.member("type", "text")
                    block.member("text", json: text)
                }
            }
            members(&result)
        }
    }

    /// A result for programs: as the text, and as structured content where the revision has it.
    /// - Parameter text: instead of the JSON text.
    static func structured(_ content: ByteBuffer, for peer: Peer, text: String? = nil) -> ByteBuffer {
        result(text: JSONString.encoded(text ?? String(buffer: content))) { result in
            if peer.hasStructuredContent { result.member("structuredContent", json: content) }
        }
    }

    /// The arguments as they came, byte for byte, and what a careless relay would lose: a member it does not know, and `1.0`.
    static func echo(_ arguments: JSONView?) -> ByteBuffer {
        let text = arguments?["text"]
        return result(text: text?.kind == .string ? text?.jsonText ?? "" : #""""#) { result in
            result.object("structuredContent") { content in
                if let arguments { content.member("arguments", json: arguments.json) }
            }
            result.object("_meta") { $0.member("com.example/unknown", json: "1.0") }
        }
    }

    /// - Parameter length: bytes of the text.
    static func payload(_ length: Int) -> ByteBuffer {
        var result = ByteBuffer()
        result.reserveCapacity(length + 64)
        result.writeStaticString(#"{"content":[{"type":"text","text":""#)
        result.writeRepeatingByte(UInt8(ascii: "x"), count: length)
        result.writeStaticString(#""}]}"#)
        return result
    }

    static func environment() -> ByteBuffer {
        result(text: JSONString.encoded(Processes.directory)) { result in
            result.object("structuredContent") { content in
                content.object("environment") { variables in
                    for (name, value) in Processes.environment { variables.member(name, value) }
                }
                content.member("directory", Processes.directory)
            }
        }
    }
}
