package import JSONRPC
import NIOCore

/// What a host can do for servers, as it declared; and what we declare to servers on its behalf.
package struct ClientCapabilities: Hashable, Sendable {
    package var roots = false
    package var rootsListChanged = false
    package var sampling = false
    package var samplingTools = false
    package var samplingContext = false
    package var elicitationForm = false
    package var elicitationURL = false
    /// Those of its extensions that need nothing of us: JSON text of an object, or `nil`. See ``Extension``.
    package var extensions: String?
    /// It can follow tasks as the stateless era has them.
    package var tasks = false

    package init() {}

    /// - Parameters:
    ///   - view: the `capabilities` object of the host.
    ///   - revision: what is spoken with it. Declaring what the revision does not have means nothing.
    package init(_ view: JSONView?, revision: Revision) {
        for (name, value) in view?.members ?? [] where value.kind == .object {
            switch name {
            case "roots":
                roots = true
                rootsListChanged = value["listChanged"]?.boolean == true
            case "sampling":
                sampling = true
                samplingTools = revision >= .v2025_11_25 && value["tools"]?.kind == .object
                samplingContext = revision >= .v2025_11_25 && value["context"]?.kind == .object
            case "elicitation" where revision >= .v2025_06_18:
                let url = revision >= .v2025_11_25 && value["url"]?.kind == .object
                elicitationURL = url
                // An empty object means forms alone (2025-11-25, client/elicitation, "Capabilities").
                elicitationForm = value["form"]?.kind == .object || !url
            case "extensions":
                extensions = Extension.passedThrough(value)
                tasks = revision.era == .stateless && value[Extension.tasks]?.kind == .object
            default: break
            }
        }
    }

    /// The members of the `capabilities` object of our own `initialize`, or of our envelope.
    package func write(to writer: inout JSONWriter, era: Revision.Era = .handshake) {
        if roots {
            // Stateless servers hear of nothing between requests.
            writer.object("roots") { if rootsListChanged, era == .handshake { $0.member("listChanged", true) } }
        }
        if sampling {
            writer.object("sampling") {
                if samplingTools { $0.object("tools") { _ in } }
                if samplingContext { $0.object("context") { _ in } }
            }
        }
        if elicitationForm || elicitationURL {
            writer.object("elicitation") {
                if elicitationForm { $0.object("form") { _ in } }
                if elicitationURL { $0.object("url") { _ in } }
            }
        }
        guard extensions != nil || tasks else { return }
        writer.object("extensions") { writer in
            if let extensions {
                for (name, value) in JSONView.whole(ByteBuffer(string: extensions)).members { writer.member(name, json: value.json) }
            }
            if tasks { writer.object(Extension.tasks) { _ in } }
        }
    }

    /// What of this a peer of another revision knows: it was declared to it before its revision was known.
    package func known(in revision: Revision) -> ClientCapabilities {
        var known = self
        if revision < .v2025_06_18 { known.elicitationForm = false }
        if revision < .v2025_11_25 { (known.elicitationURL, known.samplingTools, known.samplingContext) = (false, false, false) }
        return known
    }

    /// Whether a request that a server makes of its client may be put to this host.
    /// - Parameter params: of the request.
    package func allows(_ method: Method, params: JSONView?) -> Bool {
        switch method {
        case .rootsList: roots
        case .sample:
            sampling && (samplingTools || (params?["tools"] == nil && params?["toolChoice"] == nil))
        case .elicit: params?["mode"]?.string == "url" ? elicitationURL : elicitationForm
        default: false
        }
    }
}
