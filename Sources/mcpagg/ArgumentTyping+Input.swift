import JSONRPC
import NIOCore

extension ArgumentTyping {
    /// - Parameter text: of `--args`: a JSON object, or `-` for standard input.
    static func base(_ text: String) throws -> JSONView {
        let source = text == "-" ? "standard input" : "--args"
        let bytes = text == "-" ? StandardInput.readAll() : Array(text.utf8)
        do throws(ScanError) {
            let view = try JSONView(validating: ByteBuffer(bytes: bytes))
            if view.kind == .object { return view }
        } catch {
            throw Failure(status: .usage, code: "badArgument", message: "\(source) is not JSON: \(error)")
        }
        throw Failure(status: .usage, code: "badArgument", message: "\(source) is not a JSON object")
    }

    /// The same as ``arguments(base:words:)``, with mistakes as a command tells them.
    func typed(base: JSONView?, words: [String]) throws -> ByteBuffer {
        do throws(Mistake) {
            return try arguments(base: base, words: words)
        } catch {
            throw Failure(status: .usage, code: "badArgument", message: error.message, hint: error.hint)
        }
    }
}
