import JSONRPC
import NIOCore

/// What only revision 2026-07-28 has: the envelope, discovery, and results that say what they are.
extension Server {
    private enum Key {
        static let version = "io.modelcontextprotocol/protocolVersion"
        static let capabilities = "io.modelcontextprotocol/clientCapabilities"
        static let logLevel = "io.modelcontextprotocol/logLevel"
        static let serverInfo = "io.modelcontextprotocol/serverInfo"
    }

    private static let cacheable: Set = [
        "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read",
    ]
    /// Beside these there are none, and so they need no envelope to be refused.
    private static let methods = cacheable.union([
        "tools/call", "prompts/get", "completion/complete", "subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel",
    ])

    func statelessRequest(_ message: Message, method: String, id: RequestID) {
        if method == "initialize" {
            return refuseVersion(id, requested: message.string(message[.protocolVersion]) ?? "")
        }
        guard Self.methods.contains(method) else { return refuse(id, code: -32601, "Method not found: \(method)") }
        let meta = message.view(message[.meta])
        guard let version = meta[Key.version]?.string, let capabilities = meta[Key.capabilities], capabilities.kind == .object else {
            return refuse(id, code: -32602, "_meta needs \(Key.version) and \(Key.capabilities)")
        }
        guard version == Era.statelessRevision else { return refuseVersion(id, requested: version) }
        let level = meta[Key.logLevel]?.string.map { LogLevel(rawValue: $0) }
        if case .some(.none) = level { return refuse(id, code: -32602, "Unknown log level") }
        let peer = Peer(
            era: .stateless, revision: version, capabilities: ClientCapabilities(capabilities), logLevel: level.flatMap { $0 })
        let request = Request(id: id, method: method, message: message, peer: peer)
        switch method {
        case "server/discover": discover(request)
        case "subscriptions/listen": listen(request)
        case "tasks/update" where behaviour.features.contains(.tasks): updateTask(request)
        default: commonRequest(request)
        }
    }

    private func refuseVersion(_ id: RequestID, requested: String) {
        let data = JSONWriter.object { data in
            data.array("supported") { $0.value(Era.statelessRevision) }
            data.member("requested", requested)
        }
        refuse(id, code: -32022, "Unsupported protocol version", data: data)
    }

    /// - Parameter required: JSON text of the capabilities that would do.
    func refuseCapabilities(_ request: Request, _ required: String) {
        let data = JSONWriter.object { $0.member("requiredCapabilities", json: required) }
        refuseUnbegun(request, code: -32021, "Missing required client capability", data: data)
    }

    // MARK: server/discover

    /// The misbehaviour on the probe, which is the same in both eras.
    func discovered(id: RequestID, _ goOn: @escaping () -> Void) {
        let manner = behaviour.discover
        let act = { [self] in
            switch manner {
            case .good: goOn()
            case .silent: return
            case .exit: Processes.exit(1)
            case .error: refuse(id, code: -32000, "not now, as asked")
            case .garbage: output.line { $0.writeString(#"{"jsonrpc":"2.0","id":\#(id),"result":{"garbage":true}}"#) }
            }
        }
        let delay = behaviour.discoverDelay.milliseconds
        if delay > 0 { timers.set(milliseconds: delay, act) } else { act() }
    }

    private func discover(_ request: Request) {
        let result = JSONWriter.object { result in
            result.array("supportedVersions") { $0.value(Era.statelessRevision) }
            result.object("capabilities") { capabilities in
                writeCapabilities(into: &capabilities, for: request.peer)
                if behaviour.features.contains(.tasks) {
                    capabilities.object("extensions") { $0.object(ClientCapabilities.tasksExtension) { _ in } }
                }
            }
            if let instructions = behaviour.instructions { result.member("instructions", instructions) }
        }
        answer(request, result: result)
    }

    // MARK: Results

    /// The result with what every result of this era carries. The builders of results know nothing of it.
    func dressed(_ result: ByteBuffer, for request: Request) -> ByteBuffer {
        let plain = JSONView.whole(result)
        return JSONWriter.object { dressed in
            let isComplete = plain["resultType"] == nil
            if isComplete { dressed.member("resultType", "complete") }
            for (name, value) in plain.members where name != "_meta" { dressed.member(name, json: value.json) }
            if isComplete, Self.cacheable.contains(request.method) {
                dressed.member("ttlMs", behaviour.ttl)
                dressed.member("cacheScope", behaviour.cacheScope.rawValue)
            }
            dressed.object("_meta") { meta in
                for (name, value) in plain["_meta"]?.members ?? [] { meta.member(name, json: value.json) }
                meta.object(Key.serverInfo) { writeServerInfo(into: &$0) }
            }
        }
    }
}
