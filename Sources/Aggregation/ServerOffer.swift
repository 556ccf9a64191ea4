import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore

/// What a server said of itself, and what it listed: all that has to be known of it to answer hosts before it runs.
struct ServerOffer: Sendable {
    var introduction: DownstreamProtocol.Introduction
    /// As they came, before filters and names of ours: those may change without the server.
    var features: [FeatureKind: [FeatureDefinition]]

    /// Beyond this a definition is none, whatever its length claims to be.
    private static let countLimit = 1_000_000

    // MARK: Writing

    func write(to buffer: inout ByteBuffer) {
        buffer.write(text: introduction.revision.rawValue)
        buffer.write(text: introduction.name)
        buffer.write(text: introduction.version)
        buffer.write(text: introduction.instructions)
        let capabilities = introduction.capabilities
        var flags: UInt32 = 0
        for (bit, path) in Self.flags.enumerated() where capabilities[keyPath: path] { flags |= 1 << bit }
        for kind in capabilities.announced { flags |= Self.announced(kind) }
        buffer.writeInteger(flags)
        buffer.write(text: capabilities.extensions)
        for kind in FeatureKind.allCases {
            let definitions = features[kind] ?? []
            buffer.writeInteger(UInt32(definitions.count))
            for definition in definitions { definition.write(to: &buffer) }
        }
    }

    // MARK: Reading

    /// - Returns: `nil` if these are not the bytes of one.
    init?(_ bytes: ByteBuffer) {
        var buffer = bytes
        guard let revision = buffer.readText()?.flatMap({ Revision(rawValue: $0) }), let name = buffer.readText() ?? nil,
            let version = buffer.readText() ?? nil, let instructions = buffer.readText(), let flags = buffer.readInteger(as: UInt32.self),
            let extensions = buffer.readText()
        else { return nil }
        var capabilities = ServerCapabilities()
        for (bit, path) in Self.flags.enumerated() { capabilities[keyPath: path] = flags & (1 << bit) != 0 }
        capabilities.announced = Set(FeatureKind.allCases.filter { flags & Self.announced($0) != 0 })
        capabilities.extensions = extensions
        introduction = DownstreamProtocol.Introduction(
            kept: revision, capabilities: capabilities, name: name, version: version, instructions: instructions)
        features = [:]
        for kind in FeatureKind.allCases {
            guard let count = buffer.readInteger(as: UInt32.self), count <= Self.countLimit else { return nil }
            guard count > 0 else { continue }
            var definitions: [FeatureDefinition] = []
            definitions.reserveCapacity(min(Int(count), buffer.readableBytes))
            for _ in 0..<count {
                guard let definition = FeatureDefinition(record: &buffer) else { return nil }
                definitions.append(definition)
            }
            features[kind] = definitions
        }
        guard buffer.readableBytes == 0 else { return nil }
    }

    init(introduction: DownstreamProtocol.Introduction, features: [FeatureKind: [FeatureDefinition]]) {
        self.introduction = introduction
        self.features = features
    }

    /// Each with its bit. A change of what stands here is another format: see ``CatalogCache``.
    private static let flags: [any WritableKeyPath<ServerCapabilities, Bool> & Sendable] = [
        \.tools, \.prompts, \.resources, \.subscriptions, \.completions, \.logging, \.tasks,
    ]

    private static func announced(_ kind: FeatureKind) -> UInt32 { 1 << (16 + UInt32(kind.rawValue)) }
}

extension ByteBuffer {
    /// - Parameter text: `nil` is another text than "".
    fileprivate mutating func write(text: String?) {
        guard let text else {
            writeInteger(UInt32.max)
            return
        }
        writeInteger(UInt32(truncatingIfNeeded: text.utf8.count))
        writeString(text)
    }

    /// - Returns: `nil` if there is none where one should be.
    fileprivate mutating func readText() -> String?? {
        guard let length = readInteger(as: UInt32.self) else { return nil }
        guard length != .max else { return .some(nil) }
        return readString(length: Int(length)).map { .some($0) }
    }
}
