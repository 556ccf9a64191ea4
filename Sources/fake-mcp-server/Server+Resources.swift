import JSONRPC
import NIOCore

/// `resources/read`, completions, and the tools that come with resources.
extension Server {
    func readResource(_ request: Request) {
        guard let uri = request.params["uri"]?.string else { return refuseParams(request, "resources/read needs a uri") }
        guard resources.has(uri) else { return refuseResource(request, uri) }
        if !request.isRetry, let counter = request.counter { executions.begin(counter) }
        func result(_ contents: String) -> ByteBuffer { ByteBuffer(string: #"{"contents":[\#(contents)]}"#) }
        if let contents = resources.contents(of: uri) { return answer(request, result: result(contents)) }
        let inquiry = Inquiry.once([.form("What shall the resource say?")]) { answers in
            result(ResourceCatalog.text(uri, answers.first.map { String(buffer: $0) } ?? ""))
        }
        inquire(request, inquiry)
    }

    func refuseResource(_ request: Request, _ uri: String) {
        let code = request.era == .handshake ? -32002 : -32602
        refuse(request, code: code, "Resource not found", data: JSONWriter.object { $0.member("uri", uri) })
    }

    /// - Returns: false if the tool is none of these.
    func resourceTool(_ name: String, _ request: Request) -> Bool {
        func done(_ text: String) { answer(request, result: ToolResult.text(text)) }
        switch name {
        case "change_resources":
            resources.addOne()
            changed(.resources)
            done("there is one resource more")
        case "touch_resource":
            updated(request.arguments?["uri"]?.string ?? "")
            done("touched")
        case "view":
            let result = JSONWriter.object { result in
                result.array("content") { $0.object { resources.writeEmbeddedText(into: &$0) } }
            }
            answer(request, result: result)
        case "link" where request.peer.hasResourceLinks:
            let uri = JSONString.encoded(resources.hidden)
            answer(request, result: ByteBuffer(string: #"{"content":[{"type":"resource_link","uri":\#(uri),"name":"hidden"}]}"#))
        case "link": done(resources.hidden)
        default: return false
        }
        return true
    }

    // MARK: completion/complete

    func complete(_ request: Request) {
        let reference = request.params["ref"]
        let argument = request.params["argument"]
        guard let variable = argument?["name"]?.string, let start = argument?["value"]?.string else {
            return refuseParams(request, "completion/complete needs an argument")
        }
        let known: [String]
        switch reference?["type"]?.string {
        case "ref/prompt" where reference?["name"]?.string == "greeting": known = PromptCatalog.completions[variable] ?? []
        case "ref/resource" where reference?["uri"]?.string == resources.itemTemplate:
            known = variable == "id" ? ResourceCatalog.itemNumbers : []
        default: return refuseParams(request, "Unknown ref")
        }
        let values = known.filter { $0.hasPrefix(start) }
        let result = JSONWriter.object { result in
            result.object("completion") { completion in
                completion.array("values") { list in values.forEach { list.value($0) } }
                completion.member("total", values.count)
                completion.member("hasMore", false)
            }
            // So that a test sees what of it arrived.
            if let context = request.params["context"] {
                result.object("_meta") { $0.member("com.example/context", json: context.json) }
            }
        }
        answer(request, result: result)
    }
}
