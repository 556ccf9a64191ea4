extension Authorizer {
    /// Forgets the login to a server, and tells the authorization server if it takes that. Servers that share the login, because they
    /// are parts of one resource, are logged out too.
    /// - Returns: whether there was one.
    package func logout(from server: ProtectedServer) async throws(AuthorizationProblem) -> Bool {
        guard let url = WebAddress(server.url)?.canonical else { return false }
        guard let entry = try credentials().servers[url] else { return false }
        let removed = try await store.update(pause: web.pause) { credentials -> Credentials.Grant? in
            credentials.servers[url] = nil
            return entry.key.flatMap { credentials.grants.removeValue(forKey: $0) }
        }
        guard let removed, let key = entry.key else { return false }
        await revoke(removed, key, of: server)
        return true
    }

    /// Best effort: what is forgotten is forgotten.
    private func revoke(_ grant: Credentials.Grant, _ key: Credentials.GrantKey, of server: ProtectedServer) async {
        guard let place = grant.revocationEndpoint else { return }
        do {
            let endpoint = try tokenEndpoint(of: grant, place, key, for: server)
            // With it go the access tokens that it gave (RFC 7009, 2.1).
            if let token = grant.refreshToken {
                try await endpoint.revoke(token, kind: "refresh_token")
            } else {
                try await endpoint.revoke(grant.accessToken, kind: "access_token")
            }
        } catch {
            store.warn("\(key.issuer) could not be told of the logout: \(error.message)")
        }
    }
}
