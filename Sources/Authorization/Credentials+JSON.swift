import JSONRPC
import NIOCore

extension Credentials {
    static let version = 1

    /// The text does not hold what it should.
    struct Unreadable: Error {
        /// Completes "the file …".
        var reason: String
        /// Another mcpagg can use it.
        var isOfAnotherVersion = false
    }

    // MARK: Writing

    /// In an order of its own, so that equal values make equal files.
    var json: ByteBuffer {
        JSONWriter.object { file in
            file.member("version", Self.version)
            file.array("servers") { list in
                for (url, server) in servers.sorted(by: { $0.key < $1.key }) { list.object { Self.write(server, url, to: &$0) } }
            }
            file.array("registrations") { list in
                for (issuer, registration) in registrations.sorted(by: { $0.key < $1.key }) {
                    list.object { Self.write(registration, issuer, to: &$0) }
                }
            }
            file.array("grants") { list in
                for (key, grant) in grants.sorted(by: { ($0.key.issuer, $0.key.resource) < ($1.key.issuer, $1.key.resource) }) {
                    list.object { Self.write(grant, key, to: &$0) }
                }
            }
        }
    }

    private static func write(_ server: Server, _ url: String, to entry: inout JSONWriter) {
        entry.member("url", url)
        if let key = server.key {
            entry.member("issuer", key.issuer)
            entry.member("resource", key.resource)
        }
        if let client = server.configuredClient { entry.member("configuredClientId", client) }
        if !server.wanted.isEmpty { entry.member("wantedScope", server.wanted.joined(separator: " ")) }
    }

    private static func write(_ client: Client, to entry: inout JSONWriter) {
        entry.member("clientId", client.id)
        if let secret = client.secret { entry.member("clientSecret", secret) }
        entry.member("clientAuthentication", client.authentication.rawValue)
    }

    private static func write(_ registration: Registration, _ issuer: String, to entry: inout JSONWriter) {
        entry.member("issuer", issuer)
        write(registration.client, to: &entry)
        entry.member("redirectUri", registration.redirectURI)
        if !registration.scopes.isEmpty { entry.member("scope", registration.scopes.joined(separator: " ")) }
        if let expiry = registration.secretExpiresAt { entry.member("clientSecretExpiresAt", Int(expiry)) }
    }

    private static func write(_ grant: Grant, _ key: GrantKey, to entry: inout JSONWriter) {
        entry.member("issuer", key.issuer)
        entry.member("resource", key.resource)
        entry.member("id", grant.id)
        entry.member("tokenEndpoint", grant.tokenEndpoint)
        if let endpoint = grant.revocationEndpoint { entry.member("revocationEndpoint", endpoint) }
        write(grant.client, to: &entry)
        if grant.isClientConfigured { entry.member("isClientConfigured", true) }
        entry.member("accessToken", grant.accessToken)
        if let token = grant.refreshToken { entry.member("refreshToken", token) }
        if let expiry = grant.expiresAt { entry.member("expiresAt", Int(expiry)) }
        entry.member("scope", grant.scopes.joined(separator: " "))
        entry.member("askedScope", grant.asked.joined(separator: " "))
    }

    // MARK: Reading

    /// All or nothing: an entry that is left out would be lost with the next write.
    init(_ text: ByteBuffer) throws(Unreadable) {
        guard let file = try? JSONView(validating: text), file.kind == .object else { throw Unreadable(reason: "is no JSON object") }
        guard let version = file["version"]?.integer else { throw Unreadable(reason: "has no version") }
        guard version == Self.version else {
            throw Unreadable(reason: "has version \(version), and this mcpagg knows version \(Self.version)", isOfAnotherVersion: true)
        }
        for (list, read) in [("servers", Self.readServer), ("registrations", Self.readRegistration), ("grants", Self.readGrant)] {
            guard let entries = file[list], entries.kind == .array else { throw Unreadable(reason: "has no list '\(list)'") }
            for (index, entry) in entries.elements.enumerated() where !read(&self, entry) {
                throw Unreadable(reason: "has a broken entry in '\(list)', number \(index + 1)")
            }
        }
    }

    private static func readServer(_ credentials: inout Credentials, _ entry: JSONView) -> Bool {
        guard let url = entry["url"]?.string else { return false }
        credentials.servers[url] = Server(
            key: key(entry), configuredClient: entry["configuredClientId"]?.string, wanted: Scopes.parse(entry["wantedScope"]?.string ?? "")
        )
        return true
    }

    private static func readRegistration(_ credentials: inout Credentials, _ entry: JSONView) -> Bool {
        guard let issuer = entry["issuer"]?.string, let client = client(entry), let redirectURI = entry["redirectUri"]?.string else {
            return false
        }
        credentials.registrations[issuer] = Registration(
            client: client, redirectURI: redirectURI, scopes: Scopes.parse(entry["scope"]?.string ?? ""),
            secretExpiresAt: entry["clientSecretExpiresAt"]?.integer.map(Int64.init))
        return true
    }

    private static func readGrant(_ credentials: inout Credentials, _ entry: JSONView) -> Bool {
        guard let key = key(entry), let id = entry["id"]?.string, let client = client(entry),
            let endpoint = entry["tokenEndpoint"]?.string, let token = entry["accessToken"]?.string
        else { return false }
        credentials.grants[key] = Grant(
            id: id, tokenEndpoint: endpoint, revocationEndpoint: entry["revocationEndpoint"]?.string, client: client,
            isClientConfigured: entry["isClientConfigured"]?.boolean == true, accessToken: token,
            refreshToken: entry["refreshToken"]?.string, expiresAt: entry["expiresAt"]?.integer.map(Int64.init),
            scopes: Scopes.parse(entry["scope"]?.string ?? ""), asked: Scopes.parse(entry["askedScope"]?.string ?? ""))
        return true
    }

    private static func key(_ entry: JSONView) -> GrantKey? {
        guard let issuer = entry["issuer"]?.string, let resource = entry["resource"]?.string else { return nil }
        return GrantKey(issuer: issuer, resource: resource)
    }

    private static func client(_ entry: JSONView) -> Client? {
        guard let id = entry["clientId"]?.string,
            let authentication = entry["clientAuthentication"]?.string.flatMap(ClientAuthentication.init(rawValue:))
        else { return nil }
        return Client(id: id, secret: entry["clientSecret"]?.string, authentication: authentication)
    }
}
