import AsyncHTTPClient
import JSONRPC
import NIOCore
import NIOHTTP1
import TestSupport

@testable import Authorization

/// An MCP server and its authorization server, behind one port. It approves at once, checks everything, and can lie.
actor World {
    /// What it does otherwise than it should.
    struct Behaviour: Sendable {
        var challenge: String? = "Bearer resource_metadata=\"{url}/.well-known/oauth-protected-resource/mcp\", scope=\"read\""
        var probeStatus = 401
        var hasResourceMetadata = true
        var resource = "{url}/mcp"
        var hasIssuerMetadata = true
        var issuerMetadataPath = "/.well-known/oauth-authorization-server"
        var issuer = "{url}"
        var named = "{url}"
        /// Into its metadata, as JSON members.
        var metadata = ""
        var tokenEndpoint = "{url}/token"
        var methods = "[\"S256\"]"
        var canRegister = true
        /// Into what it answers to a registration, as JSON members.
        var registered = ""
        /// Into its redirect.
        var iss: String? = "{url}"
        var authorizeError: String?
        var tokenStatus = 200
        var tokenError: String?
        var rotates = true
        var lifetime: String? = "3600"
        var grantedScope: String?
        /// Whether the browser comes back.
        var isApproved = true
    }

    var behaviour: Behaviour
    private(set) var requests: [Request] = []
    private(set) var url = ""
    private var codes: [String: (challenge: String, redirectURI: String, client: String, scope: String)] = [:]
    private var refreshTokens: Set<String> = []
    private var count = 0
    /// Waits before it answers a refresh.
    var beforeRefresh: @Sendable () async -> Void = {}

    init(_ behaviour: Behaviour) { self.behaviour = behaviour }

    func began(at url: String) { self.url = url }
    func change(_ change: @Sendable (inout Behaviour) -> Void) { change(&behaviour) }
    func hold(_ wait: @escaping @Sendable () async -> Void) { beforeRefresh = wait }
    func requests(_ path: String) -> [Request] { requests.filter { $0.path == path } }
    func forms(_ path: String) -> [[String: String]] { requests(path).map { Self.fields($0.body) } }

    static func fields(_ text: String) -> [String: String] {
        Dictionary((FormText.decode(text) ?? []).map { ($0.name, $0.value) }) { first, _ in first }
    }

    private func filled(_ text: String) -> String {
        var text = text
        while let range = text.firstRange(of: "{url}") { text.replaceSubrange(range, with: url) }
        return text
    }

    func answer(_ request: Request) async -> Response {
        requests.append(request)
        switch request.path {
        case "/mcp":
            var response = Response(status: behaviour.probeStatus)
            if let challenge = behaviour.challenge { response.headers = [("WWW-Authenticate", filled(challenge))] }
            return response
        case "/.well-known/oauth-protected-resource/mcp" where behaviour.hasResourceMetadata:
            return .json(
                filled(
                    "{\"resource\":\"\(behaviour.resource)\",\"authorization_servers\":[\"\(behaviour.named)\"],\"scopes_supported\":[\"all\"]}"
                ))
        case behaviour.issuerMetadataPath where behaviour.hasIssuerMetadata: return .json(filled(issuerMetadata))
        case "/register" where behaviour.canRegister: return register(request)
        case "/authorize": return authorize(request)
        case "/token": return await token(request)
        case "/revoke": return .json("{}")
        default: return Response(status: 404, body: "<html>no</html>")
        }
    }

    private var issuerMetadata: String {
        let registration = behaviour.canRegister ? "\"registration_endpoint\":\"{url}/register\"," : ""
        return """
            {"issuer":"\(behaviour.issuer)","authorization_endpoint":"{url}/authorize","token_endpoint":"\(behaviour.tokenEndpoint)",\(registration)
            "revocation_endpoint":"{url}/revoke","code_challenge_methods_supported":\(behaviour.methods)
            \(behaviour.metadata.isEmpty ? "" : ",")\(behaviour.metadata)}
            """
    }

    private func register(_ request: Request) -> Response {
        count += 1
        let extra = behaviour.registered.isEmpty ? "" : ",\(behaviour.registered)"
        return .json("{\"client_id\":\"client-\(count)\"\(extra)}", status: 201)
    }

    private func authorize(_ request: Request) -> Response {
        let fields = Self.fields(request.query)
        guard behaviour.isApproved, let redirectURI = fields["redirect_uri"], let state = fields["state"] else {
            return Response(body: "<html>who are you?</html>")
        }
        count += 1
        var back = [(name: "state", value: state)]
        if let iss = behaviour.iss { back.append(("iss", filled(iss))) }
        if let error = behaviour.authorizeError {
            back.append(("error", error))
        } else {
            codes["code-\(count)"] = (fields["code_challenge"] ?? "", redirectURI, fields["client_id"] ?? "", fields["scope"] ?? "")
            back.append(("code", "code-\(count)"))
        }
        return .redirect("\(redirectURI)?\(FormText.encode(back))")
    }

    private func token(_ request: Request) async -> Response {
        let fields = Self.fields(request.body)
        if fields["grant_type"] == "refresh_token" { await beforeRefresh() }
        if behaviour.tokenStatus != 200 {
            // An explanation that gives away what it was asked with.
            let said = "no \(fields["refresh_token"] ?? fields["code"] ?? "")"
            let body = behaviour.tokenError.map { "{\"error\":\"\($0)\",\"error_description\":\"\(said)\"}" } ?? "<html>"
            return .json(body, status: behaviour.tokenStatus)
        }
        guard fields["resource"] == filled(behaviour.resource) else { return .json("{\"error\":\"invalid_target\"}", status: 400) }
        var scope = ""
        if fields["grant_type"] == "authorization_code" {
            guard let code = codes.removeValue(forKey: fields["code"] ?? ""), code.redirectURI == fields["redirect_uri"],
                Randomness.challenge(of: fields["code_verifier"] ?? "") == code.challenge
            else { return .json("{\"error\":\"invalid_grant\"}", status: 400) }
            scope = code.scope
        } else {
            guard refreshTokens.remove(fields["refresh_token"] ?? "") != nil else {
                return .json("{\"error\":\"invalid_grant\"}", status: 400)
            }
        }
        count += 1
        if behaviour.rotates { refreshTokens.insert("refresh-\(count)") }
        let expiry = behaviour.lifetime.map { ",\"expires_in\":\($0)" } ?? ""
        let refresh = behaviour.rotates ? ",\"refresh_token\":\"refresh-\(count)\"" : ""
        let granted = behaviour.grantedScope ?? (scope.isEmpty ? nil : scope)
        return .json(
            "{\"access_token\":\"access-\(count)\",\"token_type\":\"bearer\"\(expiry)\(refresh)\(granted.map { ",\"scope\":\"\($0)\"" } ?? "")}"
        )
    }
}

/// A world that runs, and a directory of tokens.
struct Stage: Sendable {
    let world: World
    let http: HTTPClient
    let directory: String
    let server: ProtectedServer
    let clock: ManualTime

    var path: String { directory + "/mcpagg/credentials.json" }

    func authorizer(seed: UInt64 = 1, warn: @escaping @Sendable (String) -> Void = { _ in }) -> Authorizer {
        Authorizer(
            store: TokenStore(path: path, warn: warn), client: { [http] _ in http }, on: http.eventLoopGroup.any(), now: { clock.now },
            random: SeededGenerator(seed: seed))
    }

    /// Opens an address as a browser does: follows where it is sent.
    var browser: @Sendable (String) async throws -> Void {
        { url in _ = try await visit(url) }
    }

    func visit(_ url: String) async throws -> (status: Int, body: String) {
        var url = url
        while true {
            let response = try await http.execute(HTTPClientRequest(url: url), timeout: .seconds(10))
            let body = String(buffer: try await response.body.collect(upTo: 1 << 20))
            guard let location = response.headers.first(name: "Location") else { return (Int(response.status.code), body) }
            url = location
        }
    }

    func logIn(_ authorizer: Authorizer, _ server: ProtectedServer? = nil, scopes: [String] = []) async throws -> LoginSummary {
        try await authorizer.login(to: server ?? self.server, scopes: scopes, open: browser, patience: .seconds(30))
    }

    /// The code of the problem that a login ends with.
    func failure(_ authorizer: Authorizer, _ server: ProtectedServer? = nil) async -> AuthorizationProblem.Code? {
        do {
            _ = try await logIn(authorizer, server)
            return nil
        } catch {
            return (error as? AuthorizationProblem)?.code
        }
    }
}

/// Sets a stage, and clears it away.
func withStage(_ behaviour: World.Behaviour = World.Behaviour(), _ body: (Stage) async throws -> Void) async throws {
    let world = World(behaviour)
    let running = try await TestServer.start { await world.answer($0) }
    await world.began(at: running.url)
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.connectionPool.retryConnectionEstablishment = false
    let http = HTTPClient(configuration: configuration)
    let directory = try Files.makeTemporaryDirectory()
    let stage = Stage(
        world: world, http: http, directory: directory, server: ProtectedServer(key: "files", url: running.url + "/mcp"),
        clock: ManualTime())
    do {
        try await body(stage)
    } catch {
        await running.stop()
        try? await http.shutdown()
        Files.remove(directory)
        throw error
    }
    await running.stop()
    try await http.shutdown()
    Files.remove(directory)
}
