package import JSONRPC
import NIOCore

/// What a stateless request says of its sender in `params._meta` (2026-07-28, basic, "Per-request metadata").
///
/// Shared by all that happens to the request on its way; a request of the handshake era has none.
package final class Envelope: Sendable {
    /// Why a request that has one, or should have one, is refused.
    package enum Defect: Error, Hashable, Sendable {
        /// JSON-RPC error -32602, with this text.
        case malformed(String)
        /// JSON-RPC error -32022.
        case unsupported(requested: String)
    }

    package let capabilities: ClientCapabilities
    /// The least severe level of the log messages that the request's sender wants while it is open; `nil` for none at all.
    package let logLevel: LogLevel?

    package init(capabilities: ClientCapabilities = ClientCapabilities(), logLevel: LogLevel? = nil) {
        self.capabilities = capabilities
        self.logLevel = logLevel
    }

    /// - Parameter meta: the `_meta` of a request.
    package init(_ meta: JSONView) throws(Defect) {
        let members = Dictionary(meta.members.map { ($0.name, $0.value) }) { first, _ in first }
        guard let version = members[MetaKey.protocolVersion]?.string else {
            throw .malformed("'_meta' needs '\(MetaKey.protocolVersion)', a string")
        }
        guard let revision = Revision(rawValue: version), revision.era == .stateless else { throw .unsupported(requested: version) }
        guard let declared = members[MetaKey.clientCapabilities], declared.kind == .object else {
            throw .malformed("'_meta' needs '\(MetaKey.clientCapabilities)', an object")
        }
        if let info = members[MetaKey.clientInfo], info.kind != .object { throw .malformed("'\(MetaKey.clientInfo)' is not an object") }
        capabilities = ClientCapabilities(declared, revision: revision)
        guard let level = members[MetaKey.logLevel] else {
            logLevel = nil
            return
        }
        guard let known = level.string.flatMap(LogLevel.init(rawValue:)) else {
            throw .malformed("'\(MetaKey.logLevel)' is none of \(LogLevel.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        logLevel = known
    }
}

extension Envelope: Hashable {
    package static func == (left: Envelope, right: Envelope) -> Bool {
        left.capabilities == right.capabilities && left.logLevel == right.logLevel
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(capabilities)
        hasher.combine(logLevel)
    }
}

/// The names of the protocol's own members of `_meta`. They concern one hop alone: none is ever copied to the next.
package enum MetaKey {
    private static let prefix = "io.modelcontextprotocol/"
    package static let protocolVersion = prefix + "protocolVersion"
    package static let clientInfo = prefix + "clientInfo"
    package static let clientCapabilities = prefix + "clientCapabilities"
    package static let logLevel = prefix + "logLevel"
    package static let subscriptionID = prefix + "subscriptionId"
    package static let serverInfo = prefix + "serverInfo"
    package static let relatedTask = prefix + "related-task"
    package static let progressToken = "progressToken"

    package static let hopByHop: Set<String> = [
        protocolVersion, clientInfo, clientCapabilities, logLevel, subscriptionID, serverInfo, relatedTask, progressToken,
    ]
}

extension JSONWriter {
    /// The members of a `_meta` that go on to the next hop, as they came.
    package mutating func endToEndMembers(of meta: JSONView?) {
        for (key, name, value) in meta?.entries ?? [] where !MetaKey.hopByHop.contains(name) { member(key: key, json: value.json) }
    }

    /// The envelope of a stateless request of ours.
    package mutating func envelope(_ envelope: Envelope, from client: Implementation) {
        member(MetaKey.protocolVersion, Revision.newestStateless.rawValue)
        member(MetaKey.clientInfo, json: client.json)
        object(MetaKey.clientCapabilities) { envelope.capabilities.write(to: &$0, era: .stateless) }
        if let level = envelope.logLevel { member(MetaKey.logLevel, level.rawValue) }
    }
}
