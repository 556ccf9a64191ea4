import NIOCore
import Testing

@testable import Authorization

@Suite("A login")
struct LoginTests {
    @Test("finds its way, and what it gives opens the server")
    func whole() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            #expect(try await authorizer.token(for: stage.server) == nil)
            let summary = try await stage.logIn(authorizer)
            let url = await stage.world.url
            #expect(summary == LoginSummary(issuer: url, scopes: ["read"], expiresAt: stage.clock.now + 3600, isRenewable: true))
            let token = try #require(try await authorizer.token(for: stage.server))
            #expect(token.value.hasPrefix("access-"))
            // Another process sees the same.
            #expect(try await stage.authorizer(seed: 2).token(for: stage.server) == token)

            let registration = try #require(await stage.world.requests("/register").first?.body)
            #expect(registration.contains("\"application_type\":\"native\"") && registration.contains("\"refresh_token\""))
            #expect(registration.contains("\"token_endpoint_auth_method\":\"none\"") && registration.contains("\"scope\":\"read\""))
            let asked = World.fields(try #require(await stage.world.requests("/authorize").first?.query))
            #expect(asked["resource"] == url + "/mcp")
            #expect(asked["scope"] == "read")
            #expect(asked["code_challenge_method"] == "S256")
            #expect(asked["redirect_uri"]?.hasPrefix("http://127.0.0.1:") == true && asked["redirect_uri"]?.hasSuffix("/callback") == true)
            let form = try #require(await stage.world.forms("/token").first)
            #expect(form["resource"] == url + "/mcp" && form["client_id"] == asked["client_id"])
            #expect(form["code_verifier"]?.utf8.count == 43)
            // Nothing of it went anywhere without being asked.
            #expect(await stage.world.requests.allSatisfy { $0.headers["authorization"] == nil })
        }
    }

    @Test("registers once, and comes back to the same port")
    func again() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            let first = try #require(try await authorizer.token(for: stage.server))
            _ = try await stage.logIn(stage.authorizer(seed: 2))
            let second = try #require(try await authorizer.token(for: stage.server))
            #expect(first.grant != second.grant)
            #expect(await stage.world.requests("/register").count == 1)
            let ports = await stage.world.requests("/authorize").map { World.fields($0.query)["redirect_uri"] }
            #expect(ports[0] == ports[1])
        }
    }

    @Test("registers anew for scopes that it had not named")
    func moreScopes() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            try await authorizer.remember(Challenge(scope: "write read", error: "insufficient_scope"), of: stage.server)
            let summary = try await stage.logIn(authorizer)
            #expect(summary.scopes == ["read", "write"])
            #expect(await stage.world.requests("/register").count == 2)
            // Named ones are taken literally, and what was missing is forgotten.
            #expect(try await stage.logIn(authorizer, scopes: ["read"]).scopes == ["read"])
            #expect(try await stage.logIn(authorizer).scopes == ["read"])
            #expect(await stage.world.requests("/register").count == 2)
        }
    }

    @Test("asks for more before it ever logged in, if that was missing")
    func rememberedFirst() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            try await authorizer.remember(Challenge(scope: "write"), of: stage.server)
            try await authorizer.remember(Challenge(), of: stage.server)
            #expect(try await stage.logIn(authorizer).scopes == ["read", "write"])
        }
    }

    @Test(
        "finds the metadata wherever it may be",
        arguments: [
            { $0.challenge = "Bearer" }, { $0.challenge = nil }, { $0.challenge = "Bearer resource_metadata=\"{url}/gone\"" },
            { $0.issuerMetadataPath = "/.well-known/openid-configuration" }, { $0.resource = "{url}" },
            {
                $0.named = "{url}/tenant"
                $0.issuer = "{url}/tenant"
                $0.iss = "{url}/tenant"
                $0.issuerMetadataPath = "/tenant/.well-known/openid-configuration"
            },
            // It wants a login for some requests only.
            { $0.probeStatus = 200 },
            // MCP 2025-03-26: with metadata, and without.
            { $0.hasResourceMetadata = false },
            {
                $0.hasResourceMetadata = false
                $0.hasIssuerMetadata = false
            },
        ] as [@Sendable (inout World.Behaviour) -> Void])
    func discovery(change: @Sendable (inout World.Behaviour) -> Void) async throws {
        var behaviour = World.Behaviour()
        change(&behaviour)
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            #expect(try await authorizer.token(for: stage.server) != nil)
        }
    }

    /// A world in which something is wrong, and what a login there ends with.
    struct Wrong: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: AuthorizationProblem.Code
        let change: @Sendable (inout World.Behaviour) -> Void

        init(_ name: String, _ code: AuthorizationProblem.Code, _ change: @escaping @Sendable (inout World.Behaviour) -> Void) {
            (testDescription, self.code, self.change) = (name, code, change)
        }
    }

    @Test(
        "ends where something is wrong, and keeps nothing",
        arguments: [
            Wrong("another issuer", .contradiction) { $0.issuer = "https://evil.example" },
            Wrong("an issuer with a slash too many", .contradiction) { $0.issuer = "{url}/" },
            Wrong("another resource", .contradiction) { $0.resource = "https://evil.example/mcp" },
            Wrong("a part of the resource", .contradiction) { $0.resource = "{url}/mcp/other" },
            Wrong("no S256", .unsupported) { $0.methods = "[\"plain\"]" },
            Wrong("an insecure endpoint", .insecure) { $0.tokenEndpoint = "http://evil.example/token" },
            Wrong("an insecure issuer", .insecure) { $0.named = "http://evil.example" },
            Wrong("an issuer with a query", .badAnswer) { $0.named = "{url}?a=b" },
            Wrong("insecure metadata", .insecure) { $0.challenge = "Bearer resource_metadata=\"http://evil.example/x\"" },
            Wrong("iss of another", .contradiction) { $0.iss = "https://evil.example" },
            Wrong("iss missing", .contradiction) {
                $0.iss = nil
                $0.metadata = "\"authorization_response_iss_parameter_supported\":true"
            },
            Wrong("an error of another", .contradiction) {
                $0.iss = "https://evil.example"
                $0.authorizeError = "access_denied"
            },
            Wrong("no", .refused) { $0.authorizeError = "access_denied" },
            Wrong("no metadata of the issuer", .badAnswer) { $0.hasIssuerMetadata = false },
            Wrong("no registration", .clientNeeded) { $0.canRegister = false },
            Wrong("an unknown authentication", .badAnswer) { $0.registered = "\"token_endpoint_auth_method\":\"private_key_jwt\"" },
            Wrong("a secret that is missing", .badAnswer) { $0.registered = "\"token_endpoint_auth_method\":\"client_secret_post\"" },
            Wrong("no token", .refused) {
                $0.tokenStatus = 400
                $0.tokenError = "invalid_grant"
            },
            Wrong("a token endpoint that is down", .unreachable) { $0.tokenStatus = 503 },
            Wrong("a token endpoint that leads elsewhere", .badAnswer) { $0.tokenStatus = 307 },
            Wrong("a server that is down", .unreachable) { $0.probeStatus = 503 },
            Wrong("another scheme", .unsupported) {
                $0.challenge = "Basic realm=\"x\""
                $0.hasResourceMetadata = false
            },
            Wrong("a server that wants no login", .noLoginAsked) {
                $0.probeStatus = 200
                $0.hasResourceMetadata = false
            },
        ])
    func wrong(wrong: Wrong) async throws {
        var behaviour = World.Behaviour()
        wrong.change(&behaviour)
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            #expect(await stage.failure(authorizer) == wrong.code)
            let token = try await authorizer.token(for: stage.server)
            #expect(token == nil)
        }
    }

    @Test(
        "shows who it is in the way that the authorization server wants",
        arguments: [
            ("", "secret", "basic"), ("\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]", "secret", "post"),
            ("\"token_endpoint_auth_methods_supported\":[\"none\",\"client_secret_basic\"]", "secret", "basic"), ("", nil, "none"),
        ] as [(String, String?, String)])
    func configured(metadata: String, secret: String?, way: String) async throws {
        var behaviour = World.Behaviour()
        behaviour.metadata = metadata
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            var server = stage.server
            (server.clientID, server.clientSecret) = ("my client", secret)
            _ = try await stage.logIn(authorizer, server)
            let request = try #require(await stage.world.requests("/token").first)
            let form = World.fields(request.body)
            // `my+client` and the rest are encoded before they are put together (RFC 6749, 2.3.1).
            let basic = "Basic \(Base64.standard(Array("my%20client:secret".utf8)))"
            #expect(request.headers["authorization"] == (way == "basic" ? basic : nil))
            #expect(form["client_id"] == (way == "basic" ? nil : "my client"))
            #expect(form["client_secret"] == (way == "post" ? "secret" : nil))
            #expect(await stage.world.requests("/register").isEmpty)
            // The secret stands in the config file, and nowhere else.
            #expect(Files.read(stage.path)?.contains("secret\":\"") == false)
            // A grant of one client is not for another.
            #expect(try await authorizer.token(for: server) != nil)
            server.clientID = "another"
            #expect(try await authorizer.token(for: server) == nil)
        }
    }

    @Test(
        "takes the secret that it was given at the registration",
        arguments: [
            ("\"client_secret\":\"s3cret\"", "post"), ("\"client_secret\":\"s3cret\",\"token_endpoint_auth_method\":\"none\"", "none"),
        ])
    func registeredSecret(registered: String, way: String) async throws {
        var behaviour = World.Behaviour()
        behaviour.registered = registered
        behaviour.metadata = "\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]"
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            #expect(await stage.world.forms("/token").first?["client_secret"] == (way == "post" ? "s3cret" : nil))
            stage.clock.advance(3600)
            _ = try await authorizer.token(for: stage.server)
            #expect(await stage.world.forms("/token").last?["client_secret"] == (way == "post" ? "s3cret" : nil))
        }
    }

    @Test("is named by a document where that is supported, and registers where it is not", arguments: [true, false])
    func document(isSupported: Bool) async throws {
        var behaviour = World.Behaviour()
        behaviour.metadata = "\"client_id_metadata_document_supported\":\(isSupported)"
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            var server = stage.server
            server.clientID = "https://example.com/mcpagg.json"
            _ = try await stage.logIn(authorizer, server)
            #expect(await stage.world.requests("/register").count == (isSupported ? 0 : 1))
            let client = World.fields(try #require(await stage.world.requests("/authorize").first?.query))["client_id"]
            #expect((client == server.clientID) == isSupported)
            #expect(try await authorizer.token(for: server) != nil)
        }
    }

    @Test("does not show a configured client to another authorization server than before")
    func otherIssuer() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            var server = stage.server
            (server.clientID, server.clientSecret) = ("mine", "secret")
            _ = try await stage.logIn(authorizer, server)
            await stage.world.change {
                $0.named = "{url}/other"
                $0.issuer = "{url}/other"
                $0.iss = nil
                $0.issuerMetadataPath = "/.well-known/oauth-authorization-server/other"
            }
            #expect(await stage.failure(authorizer, server) == .contradiction)
            // The person says that it is right.
            #expect(try await authorizer.logout(from: server))
            _ = try await stage.logIn(authorizer, server)
        }
    }

    @Test("is over after a while, and registers anew the next time if that may be the reason")
    func patience() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            await stage.world.change { $0.isApproved = false }
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await authorizer.login(to: stage.server, scopes: [], open: stage.browser, patience: .milliseconds(50))
            }
            #expect(problem?.code == .timedOut)
            #expect(await stage.world.requests("/register").count == 1)
            await stage.world.change { $0.isApproved = true }
            _ = try await stage.logIn(authorizer)
            #expect(await stage.world.requests("/register").count == 2)
        }
    }

    @Test(
        "registers anew if its client is refused, and not if only the person says no", arguments: ["unauthorized_client", "access_denied"])
    func clientRefused(error: String) async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            await stage.world.change { $0.authorizeError = error }
            #expect(await stage.failure(authorizer) == (error == "access_denied" ? .refused : .clientRefused))
            await stage.world.change { $0.authorizeError = nil }
            _ = try await stage.logIn(authorizer)
            #expect(await stage.world.requests("/register").count == (error == "access_denied" ? 1 : 2))
        }
    }

    @Test("ends when its caller gives up")
    func cancelled() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            let (steps, step) = AsyncStream.makeStream(of: Void.self)
            let login = Task {
                try await authorizer.login(to: stage.server, scopes: [], open: { _ in step.yield() }, patience: .seconds(300))
            }
            for await _ in steps { break }
            login.cancel()
            let problem = await #expect(throws: AuthorizationProblem.self) { try await login.value }
            #expect(problem?.code == .cancelled)
        }
    }

    @Test("goes on whatever else comes to its door, and answers without repeating it")
    func door() async throws {
        try await withStage { stage in
            let authorizer = stage.authorizer()
            let seen = Lines()
            _ = try await authorizer.login(
                to: stage.server, scopes: [],
                open: { url in
                    let callback = World.fields(String(url.drop { $0 != "?" }.dropFirst()))["redirect_uri"] ?? ""
                    let door = String(callback.dropLast("/callback".count))
                    for place in [
                        "/", "/callback?code=x&state=%3Cscript%3E", "/callback?error=access_denied", "/callback/x", "/favicon.ico",
                    ] {
                        let (status, body) = try await stage.visit(door + place)
                        seen.add("\(status) \(place)")
                        #expect(!body.contains("<script>"))
                    }
                    // Whoever opens the address is cancelled when the browser has come back; a browser is not.
                    let page = try await Task { try await stage.visit(url) }.value
                    seen.add("\(page.status) end")
                    #expect(page.body.contains("You can close this window"))
                }, patience: .seconds(30))
            #expect(
                seen.all == [
                    "404 /", "400 /callback?code=x&state=%3Cscript%3E", "400 /callback?error=access_denied", "404 /callback/x",
                    "404 /favicon.ico", "200 end",
                ])
        }
    }

    @Test("ends when somebody tries too many states")
    func guessing() async throws {
        try await withStage { stage in
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await stage.authorizer().login(
                    to: stage.server, scopes: [],
                    open: { url in
                        let callback = World.fields(String(url.drop { $0 != "?" }.dropFirst()))["redirect_uri"] ?? ""
                        for guess in 0..<AuthorizationLimits.foreignCallbacks {
                            _ = try? await stage.visit("\(callback)?code=c&state=\(guess)")
                        }
                    }, patience: .seconds(60))
            }
            #expect(problem?.code == .refused)
        }
    }

    @Test("comes back to the port that is configured, and says if it is taken")
    func port() async throws {
        try await withStage { stage in
            let taken = try await TestServer.start { _ in Response() }
            var server = stage.server
            server.callbackPort = Int(taken.url.split(separator: ":").last ?? "")
            #expect(await stage.failure(stage.authorizer(), server) == .cannotListen)
            await taken.stop()
            _ = try await stage.logIn(stage.authorizer(), server)
            let redirectURI = World.fields(try #require(await stage.world.requests("/authorize").first?.query))["redirect_uri"]
            #expect(redirectURI == "http://127.0.0.1:\(server.callbackPort ?? 0)/callback")
        }
    }

    @Test("follows the server's redirects within its origin only")
    func redirects() async throws {
        try await withStage { stage in
            let url = await stage.world.url
            for (target, code) in [(url + "/mcp", nil), ("https://evil.example/mcp", .contradiction)]
                as [(String, AuthorizationProblem.Code?)]
            {
                let world = stage.world
                let front = try await TestServer.start { request in
                    request.path == "/old" ? .redirect(target, status: 307) : await world.answer(request)
                }
                let server = ProtectedServer(key: "front", url: front.url + "/old")
                // Within the origin it is asked on, and its metadata is that of the other server: another lie.
                #expect(await stage.failure(stage.authorizer(), server) == (code ?? .contradiction))
                await front.stop()
            }
        }
    }

    @Test("is not for servers that everybody can listen to")
    func insecure() async throws {
        try await withStage { stage in
            let server = ProtectedServer(key: "open", url: "http://example.com/mcp")
            #expect(await stage.failure(stage.authorizer(), server) == .insecure)
            let token = try await stage.authorizer().token(for: server)
            #expect(token == nil)
        }
    }
}
