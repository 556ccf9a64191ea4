import JSONRPC
import NIOCore

/// The prompts the server offers.
struct PromptCatalog {
    static let completions: [String: [String]] = [
        "name": ["Ada", "Alan", "Barbara", "Edsger", "Grace"],
        "language": ["danish", "dutch", "english", "french", "german"],
    ]

    private static let addedPrefix = "added_"

    private let server: String
    private var added = 0

    init(server: String) { self.server = server }

    mutating func addOne() { added += 1 }

    /// Definitions, in the order in which they are listed.
    var definitions: [String] {
        [
            #"{"name":"greeting","description":"Greets somebody.","arguments":["#
                + #"{"name":"name","description":"Whom to greet.","required":true},"#
                + #"{"name":"language","description":"In which language."}]}"#,
            #"{"name":"multi","description":"Several messages, one of each kind of content."}"#,
            #"{"name":"ask","description":"Asks the client before it answers."}"#,
        ] + (0..<added).map { #"{"name":"\#(Self.addedPrefix)\#($0 + 1)","description":"Was not there at first."}"# }
    }

    func hasAdded(_ name: String) -> Bool {
        guard name.hasPrefix(Self.addedPrefix), let number = Int(name.dropFirst(Self.addedPrefix.count)) else { return false }
        return number >= 1 && number <= added
    }
}

/// `prompts/get`.
extension Server {
    private static let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

    func getPrompt(_ request: Request) {
        guard let name = request.name else { return refuseParams(request, "prompts/get needs a name") }
        guard ["greeting", "multi", "ask"].contains(name) || prompts.hasAdded(name) else {
            return refuseParams(request, "Unknown prompt: \(name)")
        }
        if !request.isRetry, let counter = request.counter { executions.begin(counter) }
        switch name {
        case "greeting": greeting(request)
        case "multi": answer(request, result: multi())
        case "ask":
            inquire(request, .once([.form("What shall the prompt say?")]) { Self.prompt($0.first.map { String(buffer: $0) } ?? "") })
        default: answer(request, result: Self.prompt("the prompt \(name) of \(behaviour.name)"))
        }
    }

    private func greeting(_ request: Request) {
        guard let name = request.arguments?["name"]?.string else { return refuseParams(request, "greeting needs the argument name") }
        let language = request.arguments?["language"]?.string ?? "english"
        answer(request, result: Self.prompt("Greet \(name) in \(language)."))
    }

    private static func prompt(_ text: String) -> ByteBuffer {
        JSONWriter.object { result in
            result.array("messages") { messages in
                messages.object { message in
                    message.member("role", "user")
                    message.member("content", json: #"{"type":"text","text":\#(JSONString.encoded(text))}"#)
                }
            }
        }
    }

    private func multi() -> ByteBuffer {
        JSONWriter.object { result in
            result.member("description", "several messages of \(behaviour.name)")
            result.array("messages") { messages in
                messages.value(json: #"{"role":"user","content":{"type":"text","text":"Look at this."}}"#)
                messages.value(json: #"{"role":"assistant","content":{"type":"text","text":"I am looking."}}"#)
                messages.value(
                    json: #"{"role":"user","content":{"type":"image","mimeType":"image/png","data":"\#(Self.pixel)"}}"#)
                messages.object { message in
                    message.member("role", "user")
                    message.object("content") { resources.writeEmbeddedText(into: &$0) }
                }
            }
        }
    }
}
