import NIOCore
import NIOPosix
import Testing

@testable import Authorization

@Suite("The file of tokens")
struct StoreTests {
    private static let key = Credentials.GrantKey(issuer: "https://as.example", resource: "https://h/mcp")

    private static func grant(_ token: String, refresh: String? = nil, expiresAt: Int64? = nil) -> Credentials.Grant {
        Credentials.Grant(
            id: "login", tokenEndpoint: "https://as.example/token", revocationEndpoint: nil,
            client: Client(id: "c", secret: "client-secret", authentication: .basic), isClientConfigured: false, accessToken: token,
            refreshToken: refresh, expiresAt: expiresAt, scopes: ["a", "b"], asked: ["a"])
    }

    private static var full: Credentials {
        var credentials = Credentials()
        credentials.servers["https://h/mcp"] = Credentials.Server(key: key, configuredClient: "c", wanted: ["x", "y"])
        credentials.servers["https://h/other"] = Credentials.Server()
        credentials.registrations["https://as.example"] = Registration(
            client: Client(id: "c\"\n", secret: nil, authentication: .none), redirectURI: "http://127.0.0.1:7/callback", scopes: ["a"],
            secretExpiresAt: 12)
        credentials.grants[key] = grant("t", refresh: "r", expiresAt: 99)
        credentials.grants[Credentials.GrantKey(issuer: "i", resource: "r")] = grant("u")
        return credentials
    }

    private static func withStore(
        _ body: (TokenStore, _ directory: String, _ warnings: Lines) async throws -> Void
    ) async throws {
        let directory = try Files.makeTemporaryDirectory()
        defer { Files.remove(directory) }
        let warnings = Lines()
        try await body(TokenStore(path: directory + "/state/mcpagg/credentials.json") { warnings.add($0) }, directory, warnings)
    }

    private static func never(_: Duration) async throws { Issue.record("nobody else has the lock") }

    private static func code(_ body: () async throws -> Void) async -> AuthorizationProblem.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? AuthorizationProblem)?.code
        }
    }

    @Test("gives back what was written, whatever is in it")
    func roundTrip() async throws {
        try await Self.withStore { store, _, warnings in
            #expect(try store.read().credentials == Credentials())
            #expect(store.signature == nil)
            try await store.update(pause: Self.never) { $0 = Self.full }
            #expect(try store.read().credentials == Self.full)
            #expect(warnings.all == [])
        }
    }

    @Test("is for its owner only, as is its directory, and nothing else is left there")
    func permissions() async throws {
        try await Self.withStore { store, directory, warnings in
            try await store.update(pause: Self.never) { $0 = Self.full }
            let place = directory + "/state/mcpagg"
            #expect(Files.mode(store.path) == 0o600)
            #expect(Files.mode(place) == 0o700 && Files.mode(directory + "/state") == 0o700)
            #expect(Files.names(in: place) == ["credentials.json", "credentials.json.lock"])
            #expect(Files.mode(store.path + ".lock") == 0o600)
            #expect(warnings.all == [])
        }
    }

    @Test("is closed to others if it was open, and that is said")
    func tightened() async throws {
        try await Self.withStore { store, directory, warnings in
            try await store.update(pause: Self.never) { $0 = Self.full }
            try Files.write(try #require(Files.read(store.path)), to: store.path, mode: 0o644)
            #expect(try store.read().credentials == Self.full)
            #expect(Files.mode(store.path) == 0o600)
            #expect(warnings.all.count == 1)
            try Files.makeDirectory(directory + "/state/mcpagg", mode: 0o755)
            try await store.update(pause: Self.never) { $0.servers = [:] }
            #expect(Files.mode(directory + "/state/mcpagg") == 0o700)
            #expect(warnings.all.count == 2)
        }
    }

    @Test("is replaced as a whole, and not written if nothing changes")
    func atomic() async throws {
        try await Self.withStore { store, directory, _ in
            try await store.update(pause: Self.never) { $0 = Self.full }
            let first = try #require(store.signature)
            try await store.update(pause: Self.never) { _ in }
            #expect(store.signature == first)
            // What a crash left does no harm.
            try Files.write("{\"half", to: store.path + ".new")
            try await store.update(pause: Self.never) { $0.servers = [:] }
            #expect(store.signature != first)
            #expect(Files.names(in: directory + "/state/mcpagg") == ["credentials.json", "credentials.json.lock"])
            // A change that is given up changes nothing.
            let before = Files.read(store.path)
            let code = await Self.code {
                try await store.update(pause: Self.never) { (credentials) throws(AuthorizationProblem) in
                    credentials = Credentials()
                    throw .cancelled
                }
            }
            #expect(code == .cancelled)
            #expect(Files.read(store.path) == before)
            // What is in the way of the new file cannot be removed: the old one stays.
            try Files.makeDirectory(store.path + ".new")
            #expect(await Self.code { try await store.update(pause: Self.never) { $0 = Credentials() } } == .storeUnusable)
            #expect(Files.read(store.path) == before)
        }
    }

    @Test(
        "is never overwritten if it is broken; a login puts it aside",
        arguments: [
            "", "{", "[]", "{\"version\":1}", "{\"version\":1,\"servers\":[],\"registrations\":[],\"grants\":[{}]}", "\u{0}\u{ff}",
            "{\"version\":1,\"servers\":[{}],\"registrations\":[],\"grants\":[]}",
            "{\"version\":1,\"servers\":[],\"registrations\":[7],\"grants\":[]}",
        ])
    func broken(text: String) async throws {
        try await Self.withStore { store, directory, warnings in
            try Files.makeDirectory(directory + "/state/mcpagg")
            try Files.write(text, to: store.path)
            let problem = #expect(throws: AuthorizationProblem.self) { try store.read() }
            #expect(problem?.code == .storeBroken && problem?.message.contains(store.path) == true)
            #expect(await Self.code { try await store.update(pause: Self.never) { $0 = Self.full } } == .storeBroken)
            #expect(Files.read(store.path) == text)
            try await store.update(rescue: true, pause: Self.never) { $0 = Self.full }
            #expect(try store.read().credentials == Self.full)
            #expect(Files.read(store.path + ".broken") == text)
            #expect(warnings.all.count == 1 && warnings.all[0].contains(".broken"))
            // The next one does not take its place.
            try Files.write("{again", to: store.path)
            try await store.update(rescue: true, pause: Self.never) { $0 = Self.full }
            #expect(Files.read(store.path + ".broken") == text)
            #expect(Files.read(store.path + ".broken-2") == "{again")
        }
    }

    @Test("of a later version stays as it is, even at a login")
    func laterVersion() async throws {
        try await Self.withStore { store, directory, _ in
            try Files.makeDirectory(directory + "/state/mcpagg")
            let text = "{\"version\":2,\"vault\":{}}"
            try Files.write(text, to: store.path)
            #expect(await Self.code { try await store.update(rescue: true, pause: Self.never) { $0 = Self.full } } == .storeUnusable)
            #expect(Files.read(store.path) == text)
        }
    }

    @Test("is no link, and no directory")
    func link() async throws {
        try await Self.withStore { store, directory, _ in
            try Files.makeDirectory(directory + "/state/mcpagg")
            try Files.write("{}", to: directory + "/elsewhere")
            try Files.link(store.path, to: directory + "/elsewhere")
            #expect(await Self.code { _ = try store.read() } == .storeUnusable)
            #expect(await Self.code { try await store.update(rescue: true, pause: Self.never) { $0 = Self.full } } == .storeUnusable)
            #expect(Files.read(directory + "/elsewhere") == "{}")
            Files.remove(store.path)
            try Files.makeDirectory(store.path)
            #expect(await Self.code { _ = try store.read() } == .storeUnusable)
        }
    }

    @Test("is not longer than its limit")
    func long() async throws {
        try await Self.withStore { store, _, _ in
            try await store.update(pause: Self.never) { $0 = Self.full }
            let code = await Self.code {
                try await store.update(pause: Self.never) {
                    $0.servers[String(repeating: "x", count: AuthorizationLimits.storeLength)] = Credentials.Server()
                }
            }
            #expect(code == .storeUnusable)
            #expect(try store.read().credentials == Self.full)
        }
    }

    @Test("is waited for while another process writes it, and not for ever")
    func locked() async throws {
        try await Self.withStore { store, _, _ in
            try await store.update(pause: Self.never) { _ in }
            let other = try await FileLock.take(store.path + ".lock", pause: Self.never)
            var pauses = 0
            try await store.update(
                pause: { duration in
                    #expect(duration == AuthorizationLimits.lockPause)
                    pauses += 1
                    if pauses == 3 { other.release() }
                }, { $0 = Self.full })
            #expect(pauses == 3)
            let another = try await FileLock.take(store.path + ".lock", pause: Self.never)
            pauses = 0
            #expect(await Self.code { try await store.update(pause: { _ in pauses += 1 }, { $0 = Credentials() }) } == .storeBusy)
            #expect(AuthorizationLimits.lockPause * pauses == AuthorizationLimits.lockWait)
            #expect(
                await Self.code { try await store.update(pause: { _ in throw CancellationError() }, { $0 = Credentials() }) } == .cancelled)
            another.release()
            #expect(try store.read().credentials == Self.full)
        }
    }

    @Test("loses nothing of what many write at once")
    func concurrent() async throws {
        let pause: @Sendable (Duration) async throws -> Void = { duration in
            try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: TimeAmount(duration)) {}.futureResult.get()
        }
        try await Self.withStore { store, _, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        try await store.update(pause: pause) {
                            $0.servers["https://h/\(number)"] = Credentials.Server()
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try store.read().credentials.servers.count == 50)
        }
    }

    @Test("and nothing else shows what is in it")
    func redaction() throws {
        let secrets = ["client-secret", "access-secret", "refresh-secret", "verifier-secret", "state-secret"]
        let grant = Self.grant("access-secret", refresh: "refresh-secret")
        var credentials = Credentials()
        credentials.grants[Self.key] = grant
        credentials.registrations["i"] = Registration(client: grant.client, redirectURI: "", scopes: [], secretExpiresAt: nil)
        let server = ProtectedServer(key: "k", url: "https://h/?token=access-secret", clientID: "c", clientSecret: "client-secret")
        let attempt = LoginAttempt(
            state: "state-secret", verifier: "verifier-secret", redirectURI: "", issuer: "i", sendsIssuer: false)
        let things: [Any] = [
            grant, grant.client, credentials, grant.token, server, attempt, try #require(credentials.registrations["i"]),
            [server: grant.token], Optional(grant) as Any,
        ]
        for thing in things {
            for text in ["\(thing)", String(reflecting: thing)] {
                #expect(!secrets.contains { text.contains($0) }, "\(text)")
            }
        }
    }
}

@Suite("Logins that are kept")
struct KeptLoginsTests {
    private static let key = Credentials.GrantKey(issuer: "https://as.example", resource: "https://h/mcp")

    private static func credentials(refresh: String?, expiresAt: Int64?, resource: String = "https://h/mcp") -> Credentials {
        var key = key
        key.resource = resource
        var credentials = Credentials()
        credentials.servers["https://h/mcp"] = Credentials.Server(key: key)
        credentials.grants[key] = Credentials.Grant(
            id: "login-1", tokenEndpoint: "https://as.example/token", revocationEndpoint: nil,
            client: Client(id: "c", secret: nil, authentication: .none), isClientConfigured: false, accessToken: "t", refreshToken: refresh,
            expiresAt: expiresAt, scopes: [], asked: [])
        return credentials
    }

    @Test(
        "are known by their names while they can be used",
        arguments: [
            (credentials(refresh: nil, expiresAt: nil), "https://h/mcp", "login-1"),
            (credentials(refresh: nil, expiresAt: 101), "https://h/mcp", "login-1"),
            (credentials(refresh: nil, expiresAt: 100), "https://h/mcp", nil),
            (credentials(refresh: "r", expiresAt: 1), "https://h/mcp", "login-1"),
            (credentials(refresh: nil, expiresAt: nil), "https://h/other", nil),
            (credentials(refresh: nil, expiresAt: nil), "http://h/mcp", nil),
            (credentials(refresh: nil, expiresAt: nil, resource: "https://elsewhere/mcp"), "https://h/mcp", nil),
        ] as [(Credentials, String, String?)])
    func grants(credentials: Credentials, url: String, expected: String?) async throws {
        let directory = try Files.makeTemporaryDirectory()
        defer { Files.remove(directory) }
        let store = TokenStore(path: directory + "/credentials.json")
        try await store.update(pause: { _ in }, { $0 = credentials })
        #expect(KeptLogins(store, now: 100).grant(for: ProtectedServer(key: "a", url: url)) == expected)
    }

    @Test("are none if there is no file, or one that cannot be read", arguments: [nil, "{"])
    func none(text: String?) throws {
        let directory = try Files.makeTemporaryDirectory()
        defer { Files.remove(directory) }
        if let text { try Files.write(text, to: directory + "/credentials.json") }
        let logins = KeptLogins(TokenStore(path: directory + "/credentials.json"), now: 0)
        #expect(logins.grant(for: ProtectedServer(key: "a", url: "https://h/mcp")) == nil)
    }
}
