import ConfigFile
import FeatureCatalog
import Foundation
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import NIOEmbedded
import OrderedCollections
import TestSupport
import Testing
import Transports

@testable import Aggregation

/// A cache in a directory of the test's own, removed with everything in it.
private final class CacheBench {
    let path: String
    let files: CacheDirectory
    private var random: any RandomNumberGenerator & Sendable = SeededGenerator(seed: 7)

    init() {
        path = FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path + "/mcpagg-\(UUID().uuidString)"
        files = CacheDirectory(path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func open(version: String = "1") throws -> CatalogCache { try CatalogCache(files, version: version, using: &random) }

    func content(_ key: CatalogCache.Key) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: "\(path)/\(key.fileName)"))) }

    func write(_ bytes: some Sequence<UInt8>, to key: CatalogCache.Key) throws {
        try Data(bytes).write(to: URL(filePath: "\(path)/\(key.fileName)"))
        // As a file of ours has it: what others may write is no business of these tests.
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(path)/\(key.fileName)")
    }
}

@Suite("What servers offered, kept")
struct CatalogCacheTests {
    private static let now: Int64 = 1_800_000_000

    private static func definition(_ json: String, _ kind: FeatureKind) throws -> FeatureDefinition {
        try FeatureDefinition(JSONView.whole(ByteBuffer(string: json)), kind: kind)
    }

    private static func offer(instructions: String? = "Be \"kind\".\n") throws -> ServerOffer {
        var capabilities = ServerCapabilities()
        (capabilities.tools, capabilities.prompts, capabilities.resources, capabilities.logging) = (true, true, true, true)
        capabilities.extensions = #"{"io.modelcontextprotocol/ui":{}}"#
        capabilities.announced = [.tools, .templates]
        return ServerOffer(
            introduction: DownstreamProtocol.Introduction(
                kept: .v2025_11_25, capabilities: capabilities, name: "sérver", version: "", instructions: instructions),
            features: [
                .tools: [
                    try definition(#"{"name":"a\u0062","inputSchema":{},"annotations":{"readOnlyHint":true},"n":1.0}"#, .tools),
                    try definition(#"{ "outputSchema" : {"type":"array"}, "name" : "c","execution":{"taskSupport":"required"}}"#, .tools),
                ],
                .prompts: [try definition(#"{"name":"p"}"#, .prompts)],
                .templates: [try definition(#"{"uriTemplate":"x://{y}","name":"t"}"#, .templates)],
            ])
    }

    private static func subject(_ change: (inout CatalogCache.Subject) -> Void = { _ in }) -> CatalogCache.Subject {
        let command = Command(executable: "server", arguments: ["--token", "hunter2-argument"], environment: ["KEY": "hunter2-variable"])
        var subject = CatalogCache.Subject(
            config: ServerConfig(key: "a", endpoint: .command(command)), workingDirectory: "/work", capabilities: ClientCapabilities(),
            era: .handshake, login: "")
        change(&subject)
        return subject
    }

    private static func inheriting(_ environment: [String: String]) -> CatalogCache.Subject {
        subject {
            $0.config = ServerConfig(key: "a", endpoint: .command(Command(executable: "x", inheritedEnvironment: .only(["ACCOUNT"]))))
            $0.environment = environment
        }
    }

    private static func remote(_ change: (inout HTTPEndpoint) -> Void = { _ in }) -> CatalogCache.Subject {
        var endpoint = HTTPEndpoint(url: "https://h/mcp", headers: ["X-Who": "anna"])
        change(&endpoint)
        return subject { $0.config = ServerConfig(key: "a", endpoint: .http(endpoint)) }
    }

    /// All of an offer, as text.
    private static func told(_ offer: ServerOffer?) throws -> String {
        let offer = try #require(offer)
        let catalog = Catalog(
            merging: [
                CatalogSource(
                    downstream: DownstreamID(1), key: "k",
                    rules: ExposureRules(prefix: "k", include: ["*"], exclude: [], rename: [:]), features: offer.features)
            ], style: NameStyle(separator: "__", budget: 48), after: .empty)
        let lists = FeatureKind.allCases.map { String(buffer: catalog[$0].result) + String(buffer: catalog[$0].handshakeResult) }
        let routes = try ["k__ab", "k__c"].map { try catalog.route(.tools, $0) }.map { "\($0.nameJSON) \($0.isRepeatable) \($0.needsTask)" }
        return "\(lists)\(routes)"
    }

    private func keep(
        _ offer: ServerOffer, _ subject: CatalogCache.Subject, in cache: CatalogCache, at time: Int64 = now, secrets: [String] = []
    ) throws -> CatalogCache.Key {
        let key = cache.key(for: subject)
        try cache.write(CatalogCache.Entry(offer: offer, learned: time), key, without: secrets, by: "t")
        return key
    }

    // MARK: Round trips

    @Test("comes back as it was, byte for byte, with its routes", arguments: [nil, "", "Be kind."] as [String?])
    func roundTrip(instructions: String?) throws {
        let bench = CacheBench()
        let offer = try Self.offer(instructions: instructions)
        let key = try keep(offer, Self.subject(), in: try bench.open())
        let entry = try bench.open().read(key, now: Self.now + 5)
        #expect(entry?.learned == Self.now)
        #expect(try Self.told(entry?.offer) == Self.told(offer))
        #expect(entry?.offer.introduction == offer.introduction)
    }

    @Test("is missing if nothing was kept, or for too long, or by a clock that was wrong")
    func missing() throws {
        let bench = CacheBench()
        let cache = try bench.open()
        #expect(try cache.read(cache.key(for: Self.subject()), now: Self.now)?.learned == nil)
        let key = try keep(try Self.offer(), Self.subject(), in: cache)
        let age = Limits.cacheBounds.age
        for (later, isThere) in [(0, true), (age, true), (age + 1, false), (-Limits.clockError, true), (-Limits.clockError - 1, false)] {
            #expect(try (cache.read(key, now: Self.now + later) != nil) == isThere, "\(later) s later")
        }
    }

    @Test("is found by whoever uses the same directory, also if two made its salt at once")
    func shared() throws {
        let bench = CacheBench()
        let caches = try (0..<4).map { _ in try bench.open() }
        #expect(caches.map(\.isNew) == [true, false, false, false])
        #expect(Set(caches.map { $0.key(for: Self.subject()) }).count == 1)
        #expect(CacheBench().path != bench.path)
        let other = CacheBench()
        // Another salt: without it nobody can try out what a digest was made of.
        var random: any RandomNumberGenerator & Sendable = SeededGenerator(seed: 8)
        #expect(try CatalogCache(other.files, version: "1", using: &random).key(for: Self.subject()) != caches[0].key(for: Self.subject()))
    }

    @Test("begins anew if its salt is damaged", arguments: ["", "short", String(repeating: "x", count: 33)])
    func brokenSalt(text: String) throws {
        let bench = CacheBench()
        let before = try bench.open().key(for: Self.subject())
        try Data(text.utf8).write(to: URL(filePath: bench.path + "/salt"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: bench.path + "/salt")
        let cache = try bench.open()
        #expect(cache.key(for: Self.subject()) != before)
        #expect(try bench.open().key(for: Self.subject()) == cache.key(for: Self.subject()))
    }

    // MARK: Keys

    struct Change: Sendable, CustomTestStringConvertible {
        let name: String
        let subject: @Sendable () -> CatalogCache.Subject
        var testDescription: String { name }

        init(_ name: String, _ subject: @escaping @Sendable () -> CatalogCache.Subject) { (self.name, self.subject) = (name, subject) }

        static func command(_ name: String, _ change: @escaping @Sendable (inout Command) -> Void) -> Change {
            Change(name) {
                CatalogCacheTests.subject { subject in
                    guard case .command(var command) = subject.config.endpoint else { return }
                    change(&command)
                    subject.config.endpoint = .command(command)
                }
            }
        }
    }

    private static let changes: [Change] = [
        .command("another program") { $0.executable = "other" },
        .command("another argument") { $0.arguments[1] = "x" },
        .command("arguments cut elsewhere") { $0.arguments = ["--token hunter2-argument"] },
        .command("one argument less") { $0.arguments = ["--token"] },
        .command("another variable") { $0.environment = ["KEY": "x"] },
        .command("one variable more") { $0.environment["MORE"] = "" },
        .command("another directory") { $0.workingDirectory = "/other" },
        .command("no inherited variables") { $0.inheritedEnvironment = .none },
        .command("some inherited variables") { $0.inheritedEnvironment = .only(["PATH"]) },
        Change("an inherited variable that the config names") { inheriting(["ACCOUNT": "anna"]) },
        Change("the same with another value") { inheriting(["ACCOUNT": "bert"]) },
        Change("the same, set to nothing") { inheriting(["ACCOUNT": ""]) },
        Change("the same, not set") { inheriting([:]) },
        Change("mcpagg elsewhere") { subject { $0.workingDirectory = "/elsewhere" } },
        Change("another key") { subject { $0.config.key = "b" } },
        Change("another protocol") { subject { $0.config.protocolEra = .handshake } },
        Change("another era of the host") { subject { $0.era = .stateless } },
        Change("a host that can be asked") { subject { $0.capabilities.elicitationForm = true } },
        Change("a URL") { remote() },
        Change("another URL") { remote { $0.url = "https://h/other" } },
        Change("another header") { remote { $0.headers["X-Who"] = "bert" } },
        Change("no header") { remote { $0.headers = [:] } },
        Change("another transport") { remote { $0.kind = .sse } },
        Change("a headers command") { remote { $0.headersFrom = HTTPEndpoint.HeadersCommand(executable: "x") } },
        Change("a certificate") { remote { $0.clientCertificate = "/c.pem" } },
        Change("another client") { remote { $0.oauth = HTTPEndpoint.OAuth(clientID: "c") } },
        Change("a login") {
            var subject = remote(); subject.login = "somebody"; return subject
        },
        Change("another login") {
            var subject = remote(); subject.login = "somebody else"; return subject
        },
    ]

    @Test("has a key of its own for whatever decides what a server offers")
    func keys() throws {
        let cache = try CacheBench().open()
        var seen = [cache.key(for: Self.subject()): "nothing"]
        for change in Self.changes {
            let key = cache.key(for: change.subject())
            #expect(seen[key] == nil, "\(change.name) is the same as \(seen[key] ?? "")")
            seen[key] = change.name
        }
        #expect(seen.count == Self.changes.count + 1)
    }

    @Test("keeps its key when only the shape of the list changes")
    func shape() throws {
        let cache = try CacheBench().open()
        let changed = Self.subject { subject in
            subject.config.prefix = "other"
            subject.config.tools = ToolRules(include: ["x"], exclude: ["y"], rename: ["z": "w"])
            (subject.config.timeout, subject.config.start, subject.config.idleTimeout) = (.seconds(1), .lazy, .seconds(9))
        }
        #expect(cache.key(for: changed) == cache.key(for: Self.subject()))
        let reordered = Self.remote { $0.headers = ["x-who": "anna"] }
        #expect(cache.key(for: reordered) == cache.key(for: Self.remote()), "names of headers have no case")
        let elsewhere = Self.subject { $0.environment = ["TERM_SESSION": "7"] }
        #expect(cache.key(for: elsewhere) == cache.key(for: Self.subject()), "what is inherited without being named changes all the time")
    }

    @Test("is not shared with another version of the program")
    func versions() throws {
        let bench = CacheBench()
        #expect(try bench.open(version: "1").key(for: Self.subject()) != bench.open(version: "2").key(for: Self.subject()))
    }

    // MARK: Damage

    private static func problem(_ body: () throws -> CatalogCache.Entry?) -> String? {
        do {
            return try body() == nil ? "missing" : nil
        } catch {
            return "\(error)"
        }
    }

    @Test("is refused with a reason wherever it is cut off")
    func truncated() throws {
        let bench = CacheBench()
        let cache = try bench.open()
        let key = try keep(try Self.offer(), Self.subject(), in: cache)
        let whole = try bench.content(key)
        for length in 0..<whole.count {
            try bench.write(whole.prefix(length), to: key)
            #expect(Self.problem { try cache.read(key, now: Self.now) }?.hasPrefix("is ") == true, "\(length) bytes")
        }
        try bench.write(whole + [0], to: key)
        #expect(Self.problem { try cache.read(key, now: Self.now) } == "is damaged or cut off")
        try bench.write(whole, to: key)
        #expect(Self.problem { try cache.read(key, now: Self.now) } == nil)
    }

    @Test("is refused whichever bit is wrong")
    func flipped() throws {
        let bench = CacheBench()
        let cache = try bench.open()
        let key = try keep(try Self.offer(), Self.subject(), in: cache)
        let whole = try bench.content(key)
        var random = SeededGenerator(seed: 3)
        for index in whole.indices {
            var bytes = whole
            bytes[index] ^= 1 << UInt8(random.below(8))
            try bench.write(bytes, to: key)
            #expect(Self.problem { try cache.read(key, now: Self.now) } != nil, "byte \(index)")
        }
    }

    @Test("of another server, or another format, is none of this one")
    func foreign() throws {
        let bench = CacheBench()
        let cache = try bench.open()
        let key = try keep(try Self.offer(), Self.subject(), in: cache)
        let other = cache.key(for: Self.remote())
        var bytes = try bench.content(key)
        try bench.write(bytes, to: other)
        #expect(Self.problem { try cache.read(other, now: Self.now) } == "is about something else")
        bytes[15] = UInt8(ascii: "2")
        try bench.write(bytes, to: key)
        #expect(Self.problem { try cache.read(key, now: Self.now) } == "is of another kind or version")
        try bench.write([UInt8](repeating: 0, count: Limits.cachedOffer + 1), to: key)
        #expect(Self.problem { try cache.read(key, now: Self.now) }?.hasPrefix("is longer than") == true)
    }

    @Test("never traps, whatever its bytes are, even if their checksum were right")
    func fuzzed() throws {
        var whole = ByteBuffer()
        try Self.offer().write(to: &whole)
        let bytes = Array(whole.readableBytesView)
        var random = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var mutated = bytes
            for _ in 0...random.below(4) {
                switch random.below(4) {
                case 0: mutated[random.below(mutated.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: mutated.removeSubrange(random.below(mutated.count)...)
                case 2: mutated.insert(contentsOf: [0xFF, 0xFF, 0xFF, 0xFF], at: random.below(mutated.count + 1))
                default: mutated[random.below(mutated.count)] = random.pick([0, 0xFF, 0x7F, UInt8(ascii: "\"")])
                }
                if mutated.isEmpty { break }
            }
            guard let offer = ServerOffer(ByteBuffer(bytes: mutated)) else { continue }
            // What is taken for one can be merged.
            let source = CatalogSource(
                downstream: DownstreamID(1), key: "k", rules: ExposureRules(prefix: "k", include: ["*"], exclude: [], rename: [:]),
                features: offer.features)
            _ = Catalog(merging: [source], style: NameStyle(separator: "__", budget: 48), after: .empty)
        }
    }

    @Test("made at a time that cannot be is damaged", arguments: [Int64.min, -1])
    func impossibleTime(learned: Int64) throws {
        let bench = CacheBench()
        let cache = try bench.open()
        let key = try keep(try Self.offer(), Self.subject(), in: cache, at: learned)
        #expect(Self.problem { try cache.read(key, now: Self.now) } == "is damaged")
    }

    @Test(
        "is damaged if a definition could not stand in a line of JSON",
        arguments: [
            (#""n":1.0"#, #""n":1,0"#), (#""inputSchema":{}"#, #""inputSchema":{]"#), (#"{ "outputSchema""#, "{\n\"outputSchema\""),
            (#"{ "outputSchema""#, "{\r\"outputSchema\""), (#"{"name":"p"}"#, #"{"name":"p"]"#), (#"{"name":"p"}"#, #"{"name":"\""#),
            (#"{"name":"p"}"#, #"{"name" "p"}"#), (#""a\u0062""#, #""a\u006""#),
        ])
    func brokenDefinition(whole: String, broken: String) throws {
        var buffer = ByteBuffer()
        try Self.offer().write(to: &buffer)
        #expect(ServerOffer(buffer) != nil)
        var bytes = Data(buffer.readableBytesView)
        let place = try #require(bytes.range(of: Data(whole.utf8)))
        bytes.replaceSubrange(place, with: Data(broken.utf8.prefix(place.count)))
        if broken.utf8.count < place.count { bytes.insert(UInt8(ascii: " "), at: place.lowerBound + broken.utf8.count) }
        #expect(ServerOffer(ByteBuffer(bytes: bytes)) == nil)
        // Nor is what is no UTF-8.
        bytes = Data(buffer.readableBytesView)
        bytes[place.upperBound - 2] = 0xFF
        #expect(ServerOffer(ByteBuffer(bytes: bytes)) == nil)
    }

    // MARK: Secrets

    @Test("holds none of the values that its key was made of")
    func secretsOfTheKey() throws {
        let bench = CacheBench()
        _ = try keep(try Self.offer(), Self.subject(), in: try bench.open())
        for name in try FileManager.default.contentsOfDirectory(atPath: bench.path) {
            let content = try Data(contentsOf: URL(filePath: "\(bench.path)/\(name)"))
            #expect(content.range(of: Data("hunter2".utf8)) == nil, "\(name)")
        }
    }

    @Test("is not kept if the server itself tells a secret", arguments: ["ab\"c\\d-secret", "plain-secret", "größer-als-vier"])
    func secretsOfTheServer(secret: String) throws {
        let bench = CacheBench()
        let cache = try bench.open()
        var offer = try Self.offer()
        let tool = JSONWriter.object {
            $0.member("name", "tool")
            $0.member("description", "use \(secret) for this")
        }
        offer.features[.tools]?.append(try FeatureDefinition(JSONView.whole(tool), kind: .tools))
        for offer in [offer, try Self.offer(instructions: "say \(secret)")] {
            #expect(throws: CacheProblem.self) { try keep(offer, Self.subject(), in: cache, secrets: ["other", secret]) }
        }
        #expect(try cache.read(cache.key(for: Self.subject()), now: Self.now)?.learned == nil)
        _ = try keep(try Self.offer(), Self.subject(), in: cache, secrets: ["other", secret])
    }

    @Test(
        "is not kept in whatever spelling of JSON the server tells a secret",
        arguments: [
            #"s3cr3t\/abc"#, #"s3cr3t\u002fabc"#, #"s3cr3t\u002Fabc"#, #"\u00733cr3t/abc"#,
            #"p\u00e4ssw\u00F6rd"#, #"pässw\u00f6rd"#,
        ])
    func spellings(text: String) throws {
        let bench = CacheBench()
        let cache = try bench.open()
        var offer = try Self.offer()
        offer.features[.tools]?.append(try Self.definition(#"{"name":"tool","description":"use \#(text) here"}"#, .tools))
        var extended = try Self.offer()
        extended.introduction.capabilities.extensions = #"{"x":{"key":"\#(text)"}}"#
        for offer in [offer, extended] {
            #expect(throws: CacheProblem.self) { try keep(offer, Self.subject(), in: cache, secrets: ["s3cr3t/abc", "pässwörd"]) }
        }
    }

    @Test("leaves nothing of before behind if it cannot be kept")
    func notKept() throws {
        let bench = CacheBench()
        let cache = try bench.open()
        let key = try keep(try Self.offer(), Self.subject(), in: cache)
        let secret = try Self.offer(instructions: "the secret")
        #expect(throws: CacheProblem.self) { try keep(secret, Self.subject(), in: cache, secrets: ["secret"]) }
        #expect(Self.problem { try cache.read(key, now: Self.now) } == "missing")
    }
}
