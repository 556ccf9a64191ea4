import JSONRPC
package import MCPProtocol
package import NIOCore
import Resilience

// How a connection begins: which era the server speaks is found out, and what it says of itself (2026-07-28, basic/versioning).
extension DownstreamProtocol {
    /// The connection is open: the `initialize` or `server/discover` to send.
    /// - Parameter capabilities: what hosts can do for the server.
    package func opened(_ capabilities: ClientCapabilities, era: EraChoice = .preferring(.handshake)) -> ByteBuffer? {
        guard phase == .idle else { return nil }
        self.capabilities = capabilities
        choice = era
        return choice.first == .handshake ? initialize() : discover()
    }

    func discover() -> ByteBuffer? {
        guard let id = requests.insert(.discover) else { return nil }
        discoveries += 1
        phase = .discovering
        return request(id, .discover, era: .stateless)
    }

    func initialize() -> ByteBuffer? {
        guard let id = requests.insert(.initialize) else { return nil }
        phase = .initializing
        let params = JSONWriter.object { params in
            params.member("protocolVersion", Revision.newestHandshake.rawValue)
            params.object("capabilities") { capabilities.write(to: &$0) }
            params.member("clientInfo", json: identity.json)
        }
        return Composition.request(id: id, .initialize, params: params)
    }

    /// The server is silent though it was asked what it speaks: many older servers wait for `initialize`.
    /// - Returns: that, if it is to be tried.
    package func discoveryTimedOut() -> ByteBuffer? {
        guard phase == .discovering, choice.allows(.handshake), refusal == nil else { return nil }
        for (id, waiting) in Array(requests.entries) { if case .discover = waiting { _ = requests.remove(id) } }
        return initialize()
    }

    func initialized(_ message: Message, now: Instant) -> Action {
        guard message.isResult else {
            return initializeFailed("it refused 'initialize': \(message.errorSummary.text)")
        }
        let result = message.view(message[.result])
        guard let asked = result["protocolVersion"]?.string else {
            return .unusable("its answer to 'initialize' names no protocol version")
        }
        guard let revision = Revision(rawValue: asked), revision.era == .handshake else {
            return .unusable("it speaks MCP revision '\(asked.prefix(40))', which cannot be agreed on in 'initialize'")
        }
        let capabilities = ServerCapabilities(result["capabilities"], revision: revision)
        introduction = Introduction(
            revision: revision, capabilities: capabilities,
            name: result["serverInfo"]?["name"]?.string ?? "",
            version: result["serverInfo"]?["version"]?.string ?? "",
            instructions: result["instructions"]?.string)
        phase = .listing
        let messages = [Composition.notification(.initialized)] + capabilities.listed.compactMap { beginList($0, now: now) }
        return .send(messages + becomeReadyIfListed())
    }

    func initializeFailed(_ refusal: String, tryAgain: Bool = true) -> Action {
        guard tryAgain else { return .unusable(refusal) }
        // Once before, once after this: a slow server may hold us to an era by a `server/discover` that we gave up on.
        guard choice.allows(.stateless), discoveries < 2 else { return .unusable(refusal) }
        self.refusal = refusal
        return discover().map { .send([$0]) } ?? .unusable(refusal)
    }

    /// The server has forgotten the session, or is not what it was. Requests in flight go on, on streams of their own; all else begins
    /// anew.
    /// - Parameter inAnyEra: it may speak another one now.
    /// - Returns: what to send.
    package func renew(inAnyEra: Bool = false) -> [ByteBuffer] {
        let era = inAnyEra ? (era == .stateless ? .handshake : .stateless) : era ?? .handshake
        var messages: [ByteBuffer] = []
        for (id, waiting) in Array(requests.entries) {
            switch waiting {
            case .forwarded, .task: continue
            case .listen: messages.append(Self.cancellation(of: id, reason: "begun anew"))
            case .initialize, .discover, .list, .own, .check: break
            }
            _ = requests.remove(id)
        }
        (listening, overtaken, honoured) = (nil, nil, nil)
        readers = [:]
        refusal = nil
        discoveries = 0
        introduction = nil
        phase = .idle
        return messages + (opened(capabilities, era: era == .handshake && !inAnyEra ? .only(era) : .preferring(era)).map { [$0] } ?? [])
    }

    func discovered(_ message: Message, now: Instant) -> Action {
        guard message.isResult else {
            let (code, text) = message.errorSummary
            let supported = message.view(message[.error])["data"]?["supported"]?.elements.compactMap(\.string) ?? []
            switch code.flatMap(ErrorCode.init(rawValue:)) {
            case .unsupportedProtocolVersion where supported.contains { Revision(rawValue: $0)?.era == .handshake }:
                return discoveryFailed("it speaks no revision of the stateless era that we know: \(text)")
            case .unsupportedProtocolVersion, .headerMismatch, .missingClientCapability:
                // Whoever says so speaks the stateless era, and no other.
                return .unusable("it refused 'server/discover': \(text)")
            default: return discoveryFailed("it refused 'server/discover': \(text)")
            }
        }
        let result = message.view(message[.result])
        guard let versions = result["supportedVersions"], versions.kind == .array else {
            return discoveryFailed("its answer to 'server/discover' names no versions")
        }
        let known = versions.elements.compactMap { $0.string.flatMap(Revision.init(rawValue:)) }
        guard let revision = known.filter({ $0.era == .stateless }).max() else {
            return discoveryFailed("it speaks none of the stateless revisions that we know")
        }
        let info = message.view(message[.meta])[MetaKey.serverInfo]
        let capabilities = ServerCapabilities(result["capabilities"], revision: revision)
        introduction = Introduction(
            revision: revision, capabilities: capabilities, name: info?["name"]?.string ?? "", version: info?["version"]?.string ?? "",
            instructions: result["instructions"]?.string)
        phase = .listing
        // First, or what changes while the lists are read would be missed.
        let messages = listen(to: []) + capabilities.listed.compactMap { beginList($0, now: now) }
        return .send(messages + becomeReadyIfListed())
    }

    func discoveryFailed(_ why: String) -> Action {
        if let refusal { return .unusable(refusal) }
        guard choice.allows(.handshake) else { return .unusable(why) }
        return initialize().map { .send([$0]) } ?? .unusable(why)
    }
}

extension DownstreamProtocol.Introduction {
    /// What a server said in an earlier run.
    package init(
        kept revision: Revision, capabilities: ServerCapabilities, name: String, version: String, instructions: String?
    ) {
        self.init(revision: revision, capabilities: capabilities, name: name, version: version, instructions: instructions)
    }
}
