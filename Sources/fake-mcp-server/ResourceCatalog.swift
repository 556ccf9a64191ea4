import JSONRPC
import NIOCore

/// The resources the server offers. All URIs have its name in them.
struct ResourceCatalog {
    static let itemNumbers = ["1", "10", "11", "12", "2"]
    static func view(of server: String) -> String { "ui://\(server)/view" }

    private let server: String
    private let features: Features
    private var added = 0

    init(server: String, features: Features) {
        self.server = server
        self.features = features
    }

    mutating func addOne() { added += 1 }

    private func uri(_ path: String) -> String { "fake://\(server)/\(path)" }
    var ask: String { uri("ask") }
    /// Can be read, but is in no list.
    var hidden: String { uri("hidden") }
    var itemTemplate: String { uri("item/{id}") }

    private static let viewMeta = #"{"ui":{"prefersBorder":true}}"#
    private static let viewType = "text/html;profile=mcp-app"

    /// Definitions, in the order in which they are listed.
    var definitions: [String] {
        guard features.contains(.resources) else { return [] }
        func definition(_ name: String, _ uri: String, _ type: String, meta: String? = nil) -> String {
            String(
                buffer: JSONWriter.object { resource in
                    resource.member("uri", uri)
                    resource.member("name", name)
                    resource.member("mimeType", type)
                    if let meta { resource.member("_meta", json: meta) }
                })
        }
        return [
            definition("text", uri("text"), "text/plain"),
            definition("blob", uri("blob"), "application/octet-stream"),
            definition("view", Self.view(of: server), Self.viewType, meta: Self.viewMeta),
            definition("ask", ask, "text/plain"),
        ] + (0..<added).map { definition("added_\($0 + 1)", uri("added/\($0 + 1)"), "text/plain") }
    }

    /// Definitions, in the order in which they are listed.
    var templates: [String] {
        guard features.contains(.templates) else { return [] }
        return [#"{"uriTemplate":\#(JSONString.encoded(itemTemplate)),"name":"item","mimeType":"text/plain"}"#]
    }

    func has(_ uri: String) -> Bool { uri == ask || contents(of: uri) != nil }

    /// - Returns: JSON text of the one element of `contents`; `nil` for an unknown URI, and for the one that asks first.
    func contents(of uri: String) -> String? {
        if features.contains(.templates), uri.hasPrefix(self.uri("item/")) {
            let id = uri.dropFirst(self.uri("item/").count)
            return id.isEmpty || id.contains("/") ? nil : Self.text(uri, "item \(id) of \(server)")
        }
        guard features.contains(.resources) else { return nil }
        switch uri {
        case self.uri("text"): return Self.text(uri, "the text of \(server)")
        case self.uri("blob"): return #"{"uri":\#(JSONString.encoded(uri)),"mimeType":"application/octet-stream","blob":"AAECA/3+/w=="}"#
        case Self.view(of: server):
            return #"{"uri":\#(JSONString.encoded(uri)),"mimeType":"\#(Self.viewType)","#
                + #""text":"<!doctype html><title>view</title>","_meta":\#(Self.viewMeta)}"#
        case hidden: return Self.text(uri, "hidden in \(server)")
        default:
            guard uri.hasPrefix(self.uri("added/")), let number = Int(uri.dropFirst(self.uri("added/").count)) else { return nil }
            return number >= 1 && number <= added ? Self.text(uri, "added number \(number)") : nil
        }
    }

    static func text(_ uri: String, _ text: String) -> String {
        #"{"uri":\#(JSONString.encoded(uri)),"mimeType":"text/plain","text":\#(JSONString.encoded(text))}"#
    }

    /// The members of a content block that holds the text resource.
    func writeEmbeddedText(into block: inout JSONWriter) {
        block.member("type", "resource")
        block.member("resource", json: Self.text(uri("text"), "the text of \(server)"))
    }
}
