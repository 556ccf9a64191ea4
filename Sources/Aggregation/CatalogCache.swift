import ConfigFile
import Crypto
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import Transports

/// What servers last offered, kept from one run to the next: a file for each way to reach a server.
///
/// A file is found by a digest of all that decides what the server offers; whatever of that changes, there is no file. The digest is
/// salted with a number that is kept beside the files: it says nothing of the values, some of which are secret. What cannot be used is
/// as good as missing.
struct CatalogCache: Sendable {
    /// Where and how a server is reached, by whom, and on whose behalf.
    struct Subject {
        var config: ServerConfig
        /// Of ours: children of no directory of their own run there.
        var workingDirectory: String
        /// Of ours: what children inherit comes from there.
        var environment: [String: String] = [:]
        /// What it is told of hosts: servers may offer less to those that can do less.
        var capabilities: ClientCapabilities
        /// In which it is spoken to first.
        var era: Revision.Era
        /// The login that it is used with; "" for none.
        var login: String
    }

    /// The digest of a ``Subject``.
    struct Key: Hashable, Sendable {
        let digest: [UInt8]

        var fileName: String { digest.prefix(16).map(Self.hexadecimal).joined() + CatalogCache.suffix }

        private static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
    }

    /// An offer, and when it was made.
    struct Entry: Sendable {
        var offer: ServerOffer
        /// Seconds since 1970.
        var learned: Int64
    }

    /// With the number of the format: the bytes behind it mean something else in another one.
    private static let magic = ByteBuffer(string: "mcpagg-catalog-1")
    static let suffix = ".catalog"
    private static let saltName = "salt"
    private static let saltLength = 32

    let files: any CacheFiles
    /// Nothing was kept before.
    let isNew: Bool
    private let salt: SymmetricKey
    /// Of this program: another version may read the same lists otherwise.
    private let version: String

    /// - Parameter random: for the salt, if there is none yet.
    /// - Throws: ``CacheProblem`` if there is none, and none can be made.
    init(
        _ files: any CacheFiles, version: String, using random: inout any RandomNumberGenerator & Sendable
    ) throws(CacheProblem) {
        self.files = files
        self.version = version
        func kept() throws(CacheProblem) -> SymmetricKey? {
            guard let salt = try files.read(Self.saltName, limit: Self.saltLength), salt.readableBytes == Self.saltLength else {
                return nil
            }
            return SymmetricKey(data: Array(salt.readableBytesView))
        }
        let found: SymmetricKey?
        var isBroken = false
        do {
            found = try kept()
        } catch {
            (found, isBroken) = (nil, true)
        }
        if let found {
            (salt, isNew) = (found, false)
            return
        }
        isNew = true
        var fresh = ByteBuffer()
        for _ in 0..<Self.saltLength / 8 { fresh.writeInteger(random.next()) }
        let temporary = Self.temporaryName(for: Self.saltName, using: &random)
        // Of two processes that do so at once the first makes it, and both use that.
        try files.write(Self.saltName, fresh, by: temporary, replaces: isBroken)
        if let found = try kept() {
            salt = found
            return
        }
        try files.write(Self.saltName, fresh, by: Self.temporaryName(for: Self.saltName, using: &random), replaces: true)
        guard let found = try kept() else { throw CacheProblem("has no salt that can be read") }
        salt = found
    }

    static func temporaryName(for name: String, using random: inout any RandomNumberGenerator & Sendable) -> String {
        "\(name).\(String(random.next(), radix: 36))"
    }

    // MARK: Keys

    func key(for subject: Subject) -> Key {
        var hash = HMAC<SHA256>(key: salt)
        // Each text with its length: what stands in one cannot look like the beginning of the next.
        func add(_ text: String?) {
            hash.update(data: Array("\(text?.utf8.count ?? -1):\(text ?? "")".utf8))
        }
        func add(_ texts: [String]) {
            add("\(texts.count)")
            for text in texts { add(text) }
        }
        add(version)
        add(subject.config.key)
        switch subject.config.endpoint {
        case .command(let command):
            add("command")
            add([command.executable] + command.arguments)
            add(command.environment.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
            add(command.workingDirectory ?? subject.workingDirectory)
            switch command.inheritedEnvironment {
            // Not their values: a terminal's number in one of them would make every session another.
            case .all: add("all")
            case .none: add("none")
            // Whoever names one may mean who somebody is.
            case .only(let names):
                add(names.sorted())
                for name in names.sorted() { add(subject.environment[name]) }
            }
        case .http(let endpoint):
            add("http")
            add(endpoint.url)
            add(endpoint.kind?.rawValue)
            add(endpoint.headers.map { ($0.key.lowercased(), $0.value) }.sorted { $0.0 < $1.0 }.flatMap { [$0.0, $0.1] })
            add(endpoint.headersFrom.map { [$0.executable] + $0.arguments } ?? [])
            for path in [endpoint.caFile, endpoint.clientCertificate, endpoint.clientKey] { add(path) }
            add(endpoint.oauth.map { [$0.clientID ?? "", $0.clientSecret ?? ""] + $0.scopes } ?? [])
            add(subject.login)
        }
        add(subject.config.protocolEra.rawValue)
        add(subject.config.protocolEra == .auto && subject.era == .stateless ? "stateless" : "")
        add(String(buffer: JSONWriter.object { subject.capabilities.write(to: &$0) }))
        return Key(digest: Array(hash.finalize()))
    }

    // MARK: Files

    /// - Returns: `nil` if nothing is kept, or only what is too old.
    /// - Throws: ``CacheProblem`` if there is something else than what we write.
    func read(_ key: Key, now: Int64) throws(CacheProblem) -> Entry? {
        guard var bytes = try files.read(key.fileName, limit: Limits.cachedOffer) else { return nil }
        guard bytes.readSlice(length: Self.magic.readableBytes) == Self.magic else { throw CacheProblem("is of another kind or version") }
        guard let digest = bytes.readBytes(length: SHA256.byteCount), let checksum = bytes.readBytes(length: SHA256.byteCount) else {
            throw CacheProblem("is cut off")
        }
        guard digest == key.digest else { throw CacheProblem("is about something else") }
        guard Self.checksum(digest, bytes) == checksum else { throw CacheProblem("is damaged or cut off") }
        guard let learned = bytes.readInteger(as: Int64.self), learned >= 0, let offer = ServerOffer(bytes) else {
            throw CacheProblem("is damaged")
        }
        // One of the future is of a clock that was wrong.
        guard learned <= now + Limits.clockError, now - learned <= Limits.cacheBounds.age else { return nil }
        return Entry(offer: offer, learned: learned)
    }

    /// Not on the event loop: this takes its time.
    /// - Parameter secrets: texts that may not be part of it.
    /// - Throws: ``CacheProblem`` too if a secret is part of it. Then nothing is kept: what was there is not true any more.
    func write(_ entry: Entry, _ key: Key, without secrets: [String], by temporary: String) throws(CacheProblem) {
        do throws(CacheProblem) {
            try files.write(key.fileName, try Self.file(entry, key, without: secrets), by: temporary, replaces: true)
        } catch {
            files.remove(key.fileName)
            throw error
        }
    }

    private static func file(_ entry: Entry, _ key: Key, without secrets: [String]) throws(CacheProblem) -> ByteBuffer {
        var content = ByteBuffer()
        content.writeInteger(entry.learned)
        entry.offer.write(to: &content)
        // A server may well repeat what it was given.
        guard !holds(content, anyOf: secrets), !holds(entry.offer, anyOf: secrets) else {
            throw CacheProblem("would hold something that is to stay secret", isForGood: true)
        }
        var bytes = magic
        bytes.writeBytes(key.digest)
        bytes.writeBytes(checksum(key.digest, content))
        bytes.writeImmutableBuffer(content)
        guard bytes.readableBytes <= Limits.cachedOffer else {
            throw CacheProblem("would be longer than \(Limits.cachedOffer) bytes", isForGood: true)
        }
        return bytes
    }

    private static func checksum(_ digest: [UInt8], _ content: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: digest)
        content.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }

    /// In whatever spelling: JSON has several for one text, and the definitions stand there as they came.
    private static func holds(_ offer: ServerOffer, anyOf secrets: [String]) -> Bool {
        guard !secrets.isEmpty else { return false }
        let definitions = offer.features.values.joined().lazy.map(\.json)
        let extensions = offer.introduction.capabilities.extensions.map { ByteBuffer(string: $0) }
        return definitions.contains { spells($0, anyOf: secrets) } || extensions.map { spells($0, anyOf: secrets) } == true
    }

    private static func spells(_ json: ByteBuffer, anyOf secrets: [String]) -> Bool {
        json.withUnsafeReadableBytes { bytes in
            guard bytes.contains(UInt8(ascii: "\\")) else { return false }
            return holds(ByteBuffer(string: JSONString.decode(bytes)), anyOf: secrets)
        }
    }

    private static func holds(_ content: ByteBuffer, anyOf secrets: [String]) -> Bool {
        content.withUnsafeReadableBytes { bytes in
            secrets.contains { secret in
                // As it is, and as it stands in JSON.
                [secret, String(JSONString.encoded(secret).dropFirst().dropLast())].contains { bytes.holds(Array($0.utf8)) }
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func holds(_ wanted: [UInt8]) -> Bool {
        guard let first = wanted.first else { return false }
        var rest = self[...]
        while rest.count >= wanted.count, let found = UnsafeRawBufferPointer(rebasing: rest).offset(of: first) {
            let start = rest.startIndex + found
            guard endIndex - start >= wanted.count else { return false }
            if self[start..<start + wanted.count].elementsEqual(wanted) { return true }
            rest = self[(start + 1)...]
        }
        return false
    }
}
