import JSONRPC
import NIOCore
import Testing

@testable import Authorization

@Suite("What servers say of themselves")
struct MetadataTests {
    private static func view(_ text: String) throws -> JSONView { try JSONView(validating: ByteBuffer(string: text)) }
    private static let source = WebAddress("https://as.example/.well-known/oauth-authorization-server")
    private static let good: [String: String] = [
        "issuer": "\"https://as.example\"", "authorization_endpoint": "\"https://as.example/authorize\"",
        "token_endpoint": "\"https://as.example/token\"", "code_challenge_methods_supported": "[\"plain\", \"S256\"]",
    ]

    private static func issuer(_ changes: [String: String?], issuer: String = "https://as.example") throws -> IssuerMetadata {
        let members = good.merging(changes.compactMapValues(\.self)) { $1 }.filter { changes[$0.key] != .some(nil) }
        let text = "{" + members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
        return try IssuerMetadata(try view(text), from: try #require(source), issuers: [issuer])
    }

    private static func code(_ body: () throws -> Void) -> AuthorizationProblem.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? AuthorizationProblem)?.code
        }
    }

    @Test("is taken if it is as it should be")
    func accepted() throws {
        let metadata = try Self.issuer([
            "registration_endpoint": "\"https://other.example/register\"", "scopes_supported": "[\"a\", 1, \"b\"]",
            "authorization_response_iss_parameter_supported": "true",
        ])
        #expect(metadata.issuer == "https://as.example")
        #expect(metadata.tokenEndpoint.text == "https://as.example/token")
        #expect(metadata.registrationEndpoint?.text == "https://other.example/register")
        #expect(metadata.revocationEndpoint == nil)
        #expect(metadata.scopes == ["a", "b"])
        #expect(metadata.sendsIssuer)
        #expect(!metadata.takesClientDocuments)
    }

    @Test(
        "and each lie is refused",
        arguments: [
            (["issuer": "\"https://evil.example\""], .contradiction), (["issuer": "\"https://as.example/\""], .contradiction),
            (["issuer": "\"https://AS.example\""], .contradiction), (["issuer": nil], .contradiction), (["issuer": "[]"], .contradiction),
            (["code_challenge_methods_supported": "[\"plain\"]"], .unsupported), (["code_challenge_methods_supported": nil], .unsupported),
            (["code_challenge_methods_supported": "\"S256\""], .unsupported),
            (["authorization_endpoint": "\"http://as.example/authorize\""], .insecure),
            (["token_endpoint": "\"http://as.example/token\""], .insecure), (["token_endpoint": "\"http://127.0.0.1/token\""], .insecure),
            (["registration_endpoint": "\"http://as.example/r\""], .insecure),
            (["revocation_endpoint": "\"http://as.example/r\""], .insecure),
            (["authorization_endpoint": "\"javascript:alert(1)\""], .badAnswer), (["authorization_endpoint": nil], .badAnswer),
            (["authorization_endpoint": "\"file:///etc/passwd\""], .badAnswer), (["token_endpoint": "null"], .badAnswer),
            (["token_endpoint": "7"], .badAnswer), (["token_endpoint": "\"https://as.example/$(reboot) x\""], .badAnswer),
        ] as [([String: String?], AuthorizationProblem.Code)])
    func lies(changes: [String: String?], code: AuthorizationProblem.Code) {
        #expect(Self.code { _ = try Self.issuer(changes) } == code)
    }

    @Test(
        "says how clients show who they are",
        arguments: [
            (nil, true, .basic), (nil, false, ClientAuthentication.none), ("[\"client_secret_post\"]", true, .post),
            ("[\"client_secret_post\", \"client_secret_basic\"]", true, .basic), ("[\"private_key_jwt\"]", true, nil),
            ("[\"private_key_jwt\"]", false, ClientAuthentication.none),
        ] as [(String?, Bool, ClientAuthentication?)])
    func authentication(methods: String?, hasSecret: Bool, authentication: ClientAuthentication?) throws {
        let metadata = try Self.issuer(methods.map { ["token_endpoint_auth_methods_supported": $0] } ?? [:])
        #expect(metadata.authentication(hasSecret: hasSecret) == authentication)
    }

    @Test(
        "says which resource it is about: the server that is asked, or a parent of it",
        arguments: [
            ("https://h/mcp", "https://h/mcp"), ("https://h/mcp/", "https://h/mcp"), ("https://H", "https://h"), ("https://h/mcp/v1", nil),
            ("https://h/mc", nil), ("https://evil.example/mcp", nil), ("http://h/mcp", nil), ("h", nil),
        ] as [(String, String?)])
    func resource(said: String, resource: String?) throws {
        let server = try #require(WebAddress("https://h/mcp"))
        let document = try Self.view("{\"resource\":\"\(said)\",\"authorization_servers\":[\"https://as\"],\"scopes_supported\":[\"x\"]}")
        #expect((try? ResourceMetadata(document, from: server, for: server))?.resource == resource)
        if resource == nil {
            #expect(Self.code { _ = try ResourceMetadata(document, from: server, for: server) } == .contradiction)
        }
    }

    @Test(
        "must name a resource and an authorization server",
        arguments: [
            "{}", "{\"resource\":\"https://h\"}", "{\"resource\":\"https://h\",\"authorization_servers\":[]}",
            "{\"resource\":\"https://h\",\"authorization_servers\":\"https://as\"}", "{\"authorization_servers\":[\"https://as\"]}",
            "{\"resource\":[\"https://h\"],\"authorization_servers\":[\"https://as\"]}",
        ])
    func incomplete(text: String) throws {
        let server = try #require(WebAddress("https://h"))
        let document = try Self.view(text)
        #expect(Self.code { _ = try ResourceMetadata(document, from: server, for: server) } == .badAnswer)
    }

    @Test(
        "gives tokens",
        arguments: [
            ("{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", nil),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":60}", 160),
            ("{\"access_token\":\"t\",\"token_type\":\"BEARER\",\"expires_in\":\"60\"}", 160),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":60.9}", 160),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":-5}", 100),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"soon\"}", nil),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":null}", nil),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"nan\"}", nil),
            ("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":1e300}", 3_155_760_100),
        ] as [(String, Int64?)])
    func tokens(text: String, expiresAt: Int64?) throws {
        let answer = try TokenAnswer(try Self.view(text), from: try #require(WebAddress("https://as")), now: 100)
        #expect(answer.accessToken == "t")
        #expect(answer.expiresAt == expiresAt)
    }

    @Test(
        "gives no token that could not be sent, or is of another kind",
        arguments: [
            ("{\"token_type\":\"bearer\"}", .badAnswer), ("{\"access_token\":\"\",\"token_type\":\"bearer\"}", .badAnswer),
            ("{\"access_token\":\"a b\",\"token_type\":\"bearer\"}", .badAnswer),
            ("{\"access_token\":\"a\\r\\nX: y\",\"token_type\":\"bearer\"}", .badAnswer),
            ("{\"access_token\":7,\"token_type\":\"bearer\"}", .badAnswer), ("{\"access_token\":\"t\"}", .unsupported),
            ("{\"access_token\":\"t\",\"token_type\":\"DPoP\"}", .unsupported),
        ] as [(String, AuthorizationProblem.Code)])
    func badTokens(text: String, code: AuthorizationProblem.Code) throws {
        let (view, address) = (try Self.view(text), try #require(WebAddress("https://as")))
        #expect(Self.code { _ = try TokenAnswer(view, from: address, now: 0) } == code)
    }
}
