import JSONRPC
import NIOCore

/// What the server asks the client: a request of its own in the handshake era, an entry of `inputRequests` in the stateless one.
struct Question {
    /// What the client must have declared.
    enum Need {
        case form, url, sampling, samplingWithTools, roots, nothing

        /// JSON text of the client capabilities that would do.
        var requiredCapabilities: String {
            switch self {
            case .form: #"{"elicitation":{"form":{}}}"#
            case .url: #"{"elicitation":{"url":{}}}"#
            case .sampling: #"{"sampling":{}}"#
            case .samplingWithTools: #"{"sampling":{"tools":{}}}"#
            case .roots: #"{"roots":{}}"#
            case .nothing: "{}"
            }
        }

        /// The oldest revision that has it; they sort by age.
        var since: String {
            switch self {
            case .form: "2025-06-18"
            case .url, .samplingWithTools: "2025-11-25"
            case .sampling, .roots, .nothing: "2024-11-05"
            }
        }
    }

    let method: String
    /// JSON text of an object, `nil` for a request without params.
    let params: ByteBuffer?
    let need: Need

    /// - Parameter json: `{"method": …, "params": …}`, as the arguments of a call say it.
    init?(_ json: JSONView?) {
        guard let method = json?["method"]?.string else { return nil }
        let params = json?["params"]
        self.method = method
        self.params = params?.kind == .object ? params?.json : nil
        switch method {
        case "elicitation/create": need = params?["mode"]?.string == "url" ? .url : .form
        case "sampling/createMessage": need = params?["tools"] == nil && params?["toolChoice"] == nil ? .sampling : .samplingWithTools
        case "roots/list": need = .roots
        default: need = .nothing
        }
    }

    private init(method: String, params: ByteBuffer?, need: Need) {
        self.method = method
        self.params = params
        self.need = need
    }

    static let roots = Question(method: "roots/list", params: nil, need: .roots)

    /// A form with one text field, `answer`.
    static func form(_ message: String) -> Question {
        let params = JSONWriter.object { params in
            params.member("message", message)
            params.member("requestedSchema", json: #"{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}"#)
        }
        return Question(method: "elicitation/create", params: params, need: .form)
    }

    /// - Parameter id: the `elicitationId`, which only the handshake era has.
    static func url(_ url: String, message: String, id: String?) -> Question {
        Question(method: "elicitation/create", params: urlParams(url, message: message, id: id), need: .url)
    }

    static func urlParams(_ url: String, message: String, id: String?) -> ByteBuffer {
        JSONWriter.object { params in
            params.member("mode", "url")
            if let id { params.member("elicitationId", id) }
            params.member("url", url)
            params.member("message", message)
        }
    }

    /// - Parameter meta: JSON text; the params have no `_meta` of their own.
    func with(meta: ByteBuffer) -> Question {
        let members = params.map { JSONView.whole($0).members } ?? []
        let params = JSONWriter.object { writer in
            for (name, value) in members { writer.member(name, json: value.json) }
            writer.member("_meta", json: meta)
        }
        return Question(method: method, params: params, need: need)
    }

    func write(into writer: inout JSONWriter) {
        writer.member("method", method)
        if let params { writer.member("params", json: params) }
    }

    /// What stands for an answer that did not come.
    static func entry(error code: Int, _ text: String) -> ByteBuffer {
        JSONWriter.object { entry in
            entry.object("error") { error in
                error.member("code", code)
                error.member("message", text)
            }
        }
    }

    var undeclared: ByteBuffer {
        Self.entry(error: -32601, "client did not declare \(need.requiredCapabilities), which \(method) needs")
    }
}
