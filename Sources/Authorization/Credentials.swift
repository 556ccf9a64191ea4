/// All that is kept between two runs. A value; the file is ``TokenStore``'s business.
struct Credentials: Hashable, Sendable {
    /// What a token is for, and who gave it. Never one without the other: a token that one authorization server gave is not shown to
    /// what another one protects.
    struct GrantKey: Hashable, Sendable {
        var issuer: String
        /// Canonical.
        var resource: String
    }

    /// What one login came to.
    struct Grant: Hashable, Sendable {
        /// Random. See ``AccessToken/grant``.
        var id: String
        var tokenEndpoint: String
        var revocationEndpoint: String?
        /// Without its secret if that stands in the config file.
        var client: Client
        var isClientConfigured: Bool
        var accessToken: String
        var refreshToken: String?
        /// Seconds since 1970.
        var expiresAt: Int64?
        var scopes: [String]
        /// A later login asks for these too.
        var asked: [String]

        var token: AccessToken { AccessToken(value: accessToken, grant: id, expiresAt: expiresAt) }

        func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now } ?? false }
    }

    /// What is known of a server in the config file.
    struct Server: Hashable, Sendable {
        /// `nil` before its first login.
        var key: GrantKey?
        /// The client that the person had configured then.
        var configuredClient: String?
        /// What its next login asks for beside the rest: it was missing.
        var wanted: [String] = []
    }

    /// By the canonical form of the configured URL.
    var servers: [String: Server] = [:]
    /// By issuer.
    var registrations: [String: Registration] = [:]
    var grants: [GrantKey: Grant] = [:]

    /// The login that serves a server now.
    /// - Returns: `nil` too if it was made as another client than the one that is configured by now.
    func grant(for server: ProtectedServer, at url: String) -> (key: GrantKey, grant: Grant)? {
        guard let key = servers[url]?.key, let grant = grants[key] else { return nil }
        if let configured = server.clientID, grant.isClientConfigured || WebAddress(configured) == nil, grant.client.id != configured {
            return nil
        }
        return (key, grant)
    }
}

extension Credentials.Grant: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "Grant(\(id))" }
    var debugDescription: String { description }
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible {
    var description: String { "Credentials(\(grants.count) grants)" }
    var debugDescription: String { description }
}
