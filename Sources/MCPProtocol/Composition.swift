package import JSONRPC
package import NIOCore

/// The messages we compose ourselves, each without its line end.
package enum Composition {
    package static func result(id: RequestID, _ result: ByteBuffer) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("id", json: id.text)
            $0.member("result", json: result)
        }
    }

    /// - Parameters:
    ///   - id: `nil` for a message so broken that it has none.
    ///   - data: what a program may want to know, an object.
    package static func error(id: RequestID?, _ code: ErrorCode, _ text: String, data: ByteBuffer? = nil) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            if let id { $0.member("id", json: id.text) }
            $0.object("error") {
                $0.member("code", code.rawValue)
                $0.member("message", text)
                if let data { $0.member("data", json: data) }
            }
        }
    }

    package static func request(id: Int, _ method: Method, params: ByteBuffer? = nil) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("id", id)
            $0.member("method", method.rawValue)
            if let params { $0.member("params", json: params) }
        }
    }

    package static func notification(_ method: Method, params: ByteBuffer? = nil) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("method", method.rawValue)
            if let params { $0.member("params", json: params) }
        }
    }

    /// The empty result: what a `ping` or a `logging/setLevel` is answered with.
    package static let emptyResult = ByteBuffer(string: "{}")

    /// A tool result that tells the model what went wrong (2025-11-25, server/tools, "Error Handling": failures of the execution).
    /// - Parameter metaKey: a member of `_meta` that tells programs, with `metaValue` as its text.
    /// - Parameter meta: the members of `_meta`, as JSON.
    package static func toolFailure(_ text: String, meta: [(key: String, json: ByteBuffer)]) -> ByteBuffer {
        JSONWriter.object { result in
            result.array("content") {
                $0.object {
                    $0.member("type", "text")
                    $0.member("text", text)
                }
            }
            result.member("isError", true)
            result.object("_meta") { for (key, json) in meta { $0.member(key, json: json) } }
        }
    }
}
