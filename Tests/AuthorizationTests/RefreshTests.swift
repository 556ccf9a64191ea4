import Testing

@testable import Authorization

@Suite("A token that grows old")
struct RefreshTests {
    /// A stage on which somebody has logged in.
    private static func loggedIn(
        _ behaviour: World.Behaviour = World.Behaviour(), _ body: (Stage, Authorizer, AccessToken) async throws -> Void
    ) async throws {
        try await withStage(behaviour) { stage in
            let authorizer = stage.authorizer()
            _ = try await stage.logIn(authorizer)
            try await body(stage, authorizer, try #require(try await authorizer.token(for: stage.server)))
        }
    }

    private static func refreshes(_ stage: Stage) async -> Int {
        await stage.world.forms("/token").count { $0["grant_type"] == "refresh_token" }
    }

    @Test("is renewed before it expires, and keeps its login")
    func renewed() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            stage.clock.advance(3600 - AuthorizationLimits.refreshAhead - 1)
            #expect(try await authorizer.token(for: stage.server) == first)
            stage.clock.advance(1)
            let second = try #require(try await authorizer.token(for: stage.server))
            #expect(second.value != first.value && second.grant == first.grant)
            #expect(second.expiresAt == stage.clock.now + 3600)
            let form = try #require(await stage.world.forms("/token").last)
            #expect(form["resource"] == stage.server.url && form["grant_type"] == "refresh_token")
            // The refresh token was rotated; the new one is good for the next time.
            stage.clock.advance(3600)
            #expect(try await stage.authorizer(seed: 2).token(for: stage.server) != nil)
        }
    }

    @Test("is replaced when it is refused, by what another process has got meanwhile if there is something")
    func replaced() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let second = try #require(try await authorizer.replacement(for: first, of: stage.server))
            #expect(second.value != first.value && second.grant == first.grant)
            #expect(try await stage.authorizer(seed: 2).replacement(for: first, of: stage.server) == second)
            #expect(await Self.refreshes(stage) == 1)
        }
    }

    @Test("is renewed once, however many ask at once, in however many processes")
    func once() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let processes = [authorizer, stage.authorizer(seed: 2), stage.authorizer(seed: 3)]
            let gate = Gate()
            await stage.world.hold { await gate.pass() }
            try await withThrowingTaskGroup(of: AccessToken?.self) { group in
                for process in processes + processes {
                    group.addTask { try await process.replacement(for: first, of: stage.server) }
                }
                await gate.reached()
                await gate.open()
                var tokens: Set<AccessToken?> = []
                for try await token in group { tokens.insert(token) }
                #expect(tokens.count == 1 && !tokens.contains(nil) && !tokens.contains(first))
            }
            #expect(await Self.refreshes(stage) == 1)
        }
    }

    @Test("is renewed again and again by two processes, and never lost")
    func race() async throws {
        try await Self.loggedIn { stage, authorizer, _ in
            let processes = [authorizer, stage.authorizer(seed: 2)]
            for round in 1...10 {
                stage.clock.advance(3600)
                try await withThrowingTaskGroup(of: AccessToken?.self) { group in
                    for process in processes { group.addTask { try await process.token(for: stage.server) } }
                    var tokens: Set<AccessToken?> = []
                    for try await token in group { tokens.insert(token) }
                    #expect(tokens.count == 1 && !tokens.contains(nil))
                }
                #expect(await Self.refreshes(stage) == round)
            }
        }
    }

    @Test("that never lives long is not renewed for each request")
    func shortLived() async throws {
        var behaviour = World.Behaviour()
        behaviour.lifetime = "30"
        try await Self.loggedIn(behaviour) { stage, authorizer, second in
            // What a login gave, perhaps long ago, is renewed once; then it is known when.
            #expect(await Self.refreshes(stage) == 1)
            stage.clock.advance(14)
            #expect(try await authorizer.token(for: stage.server) == second)
            stage.clock.advance(1)
            let third = try #require(try await authorizer.token(for: stage.server))
            #expect(third != second && third.grant == second.grant)
            #expect(await Self.refreshes(stage) == 2)
        }
    }

    @Test("that never lives long is renewed once by all who find it old at once")
    func shortLivedAtOnce() async throws {
        var behaviour = World.Behaviour()
        behaviour.lifetime = "30"
        try await withStage(behaviour) { stage in
            _ = try await stage.logIn(stage.authorizer())
            let gate = Gate()
            await stage.world.hold { await gate.pass() }
            try await withThrowingTaskGroup(of: AccessToken?.self) { group in
                for seed in 1...4 {
                    let process = stage.authorizer(seed: UInt64(seed))
                    group.addTask { try await process.token(for: stage.server) }
                }
                await gate.reached()
                await gate.open()
                for try await token in group { #expect(token != nil) }
            }
        }
    }

    @Test("goes on being renewed when the one who asked gives up")
    func abandoned() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let gate = Gate()
            await stage.world.hold { await gate.pass() }
            let caller = Task { try await authorizer.replacement(for: first, of: stage.server) }
            await gate.reached()
            caller.cancel()
            await gate.open()
            await authorizer.settled()
            let kept = try await stage.authorizer(seed: 2).token(for: stage.server)
            #expect(kept != nil && kept != first)
        }
    }

    @Test("that has no refresh token is used to its end, and then a login is needed")
    func unrenewable() async throws {
        var behaviour = World.Behaviour()
        behaviour.rotates = false
        try await Self.loggedIn(behaviour) { stage, authorizer, first in
            let replacement = try await authorizer.replacement(for: first, of: stage.server)
            #expect(replacement == nil)
            stage.clock.advance(3599)
            #expect(try await authorizer.token(for: stage.server) == first)
            stage.clock.advance(1)
            #expect(try await authorizer.token(for: stage.server) == nil)
            #expect(await Self.refreshes(stage) == 0)
        }
    }

    @Test("of which nobody said when it expires is never renewed before it is refused")
    func timeless() async throws {
        var behaviour = World.Behaviour()
        behaviour.lifetime = nil
        try await Self.loggedIn(behaviour) { stage, authorizer, first in
            stage.clock.advance(1_000_000_000)
            let present = try await authorizer.token(for: stage.server)
            #expect(present == first)
            #expect(try await authorizer.replacement(for: first, of: stage.server) != first)
        }
    }

    @Test("survives an outage of the authorization server", arguments: [500, 503, 429, 408])
    func outage(status: Int) async throws {
        try await Self.loggedIn { stage, authorizer, first in
            await stage.world.change { $0.tokenStatus = status }
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await authorizer.replacement(for: first, of: stage.server)
            }
            #expect(problem?.code == .unreachable && problem?.isOutage == true && problem?.isLoginNeeded == false)
            // It is good for a while yet.
            stage.clock.advance(3600 - 10)
            let present = try await authorizer.token(for: stage.server)
            #expect(present == first)
            stage.clock.advance(10)
            await #expect(throws: AuthorizationProblem.self) { try await authorizer.token(for: stage.server) }
            await stage.world.change { $0.tokenStatus = 200 }
            #expect(try await authorizer.token(for: stage.server) != nil)
        }
    }

    @Test("survives an answer that cannot be understood", arguments: [200, 302, 404])
    func badAnswer(status: Int) async throws {
        try await Self.loggedIn { stage, authorizer, first in
            await stage.world.change {
                $0.tokenStatus = status
                if status == 200 { $0.lifetime = "}" }
            }
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await authorizer.replacement(for: first, of: stage.server)
            }
            #expect(problem?.code == .badAnswer)
            let present = try await authorizer.token(for: stage.server)
            #expect(present == first)
        }
    }

    @Test("is forgotten when its refresh is refused, and the reason shows no secret", arguments: ["invalid_grant", "invalid_client"])
    func refused(error: String) async throws {
        try await Self.loggedIn { stage, authorizer, first in
            await stage.world.change {
                $0.tokenStatus = 400
                $0.tokenError = error
            }
            let problem = try #require(
                await #expect(throws: AuthorizationProblem.self) { try await authorizer.replacement(for: first, of: stage.server) })
            #expect(problem.isLoginNeeded && problem.hint == "run: mcpagg login files")
            #expect(problem.message.contains(error) && !problem.description.contains("refresh-"))
            #expect(try await authorizer.token(for: stage.server) == nil)
            let text = try #require(Files.read(stage.path))
            #expect(!text.contains("refresh-") && !text.contains("access-"))
            #expect(text.contains("client-") == (error == "invalid_grant"))
        }
    }

    @Test("is kept when its refresh is refused for another reason")
    func otherwise() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            await stage.world.change {
                $0.tokenStatus = 400
                $0.tokenError = "invalid_target"
            }
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await authorizer.replacement(for: first, of: stage.server)
            }
            #expect(problem?.isLoginNeeded == true)
            let present = try await authorizer.token(for: stage.server)
            #expect(present == first)
        }
    }

    @Test("gives way to a login, or a logout, that comes while it is renewed", arguments: [true, false])
    func overtaken(byLogin: Bool) async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let gate = Gate()
            await stage.world.hold { await gate.pass() }
            let refresh = Task { try await authorizer.replacement(for: first, of: stage.server) }
            await gate.reached()
            let other = stage.authorizer(seed: 2)
            if byLogin { _ = try await stage.logIn(other) } else { #expect(try await other.logout(from: stage.server)) }
            let expected = try await other.token(for: stage.server)
            await gate.open()
            #expect(try await refresh.value == expected)
            #expect(try await authorizer.token(for: stage.server) == expected)
            #expect((expected != nil) == byLogin && expected?.grant != first.grant)
        }
    }

    @Test("is good for this process even if it cannot be written")
    func unwritable() async throws {
        try await withStage { stage in
            let warnings = Lines()
            let authorizer = stage.authorizer(warn: { warnings.add($0) })
            _ = try await stage.logIn(authorizer)
            let first = try #require(try await authorizer.token(for: stage.server))
            try Files.makeDirectory(stage.path + ".new")
            let second = try #require(try await authorizer.replacement(for: first, of: stage.server))
            #expect(second != first && warnings.all.count == 1)
            #expect(try await authorizer.token(for: stage.server) == second)
            Files.remove(stage.path + ".new")
            // The next one is written, and was got with the refresh token that was not.
            let third = try #require(try await authorizer.replacement(for: second, of: stage.server))
            #expect(try await stage.authorizer(seed: 2).token(for: stage.server) == third)
        }
    }

    @Test("is not given to another server, even by a file that was edited")
    func edited() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let text = try #require(Files.read(stage.path))
            let other = text.replacing("\"url\":\"\(stage.server.url)\"", with: "\"url\":\"https://other.example/mcp\"")
            #expect(other != text)
            try Files.write(other, to: stage.path)
            #expect(try await authorizer.token(for: ProtectedServer(key: "o", url: "https://other.example/mcp")) == nil)
            // Nor is a refresh token sent where others can read it.
            let place = "\"tokenEndpoint\":\"http://"
            try Files.write(text.replacing(place + "127.0.0.1", with: place + "10.0.0.1"), to: stage.path)
            let problem = await #expect(throws: AuthorizationProblem.self) {
                try await authorizer.replacement(for: first, of: stage.server)
            }
            #expect(problem?.code == .storeBroken)
        }
    }

    @Test("is seen as soon as another process has logged in")
    func seen() async throws {
        try await withStage { stage in
            let waiting = stage.authorizer(seed: 2)
            #expect(try await waiting.token(for: stage.server) == nil)
            _ = try await stage.logIn(stage.authorizer())
            #expect(try await waiting.token(for: stage.server) != nil)
        }
    }

    @Test("is forgotten by a logout, which the authorization server hears of")
    func logout() async throws {
        try await Self.loggedIn { stage, authorizer, first in
            let token = try #require(Files.read(stage.path)?.split(separator: "\"").first { $0.hasPrefix("refresh-") })
            #expect(try await authorizer.logout(from: stage.server))
            #expect(try await authorizer.token(for: stage.server) == nil)
            #expect(await stage.world.forms("/revoke").first?["token"] == String(token))
            #expect(try await !authorizer.logout(from: stage.server))
            #expect(await stage.world.requests("/revoke").count == 1)
            #expect(Files.read(stage.path)?.contains("access-") == false)
        }
    }

    @Test("is forgotten by a logout even if nobody hears of it")
    func deafLogout() async throws {
        try await withStage { stage in
            let warnings = Lines()
            let authorizer = stage.authorizer(warn: { warnings.add($0) })
            _ = try await stage.logIn(authorizer)
            // Port 1 of this machine refuses.
            let text = try #require(Files.read(stage.path))
            let url = await stage.world.url
            try Files.write(text.replacing(url + "/revoke", with: "http://127.0.0.1:1/revoke"), to: stage.path)
            #expect(try await authorizer.logout(from: stage.server))
            #expect(warnings.all.count == 1)
            #expect(try await authorizer.token(for: stage.server) == nil)
        }
    }
}
