/// Which logins are kept, found out without a wait and without a word to anybody: whether they still work is not known.
package struct KeptLogins {
    private let credentials: Credentials
    private let now: Int64

    /// - Parameters:
    ///   - store: one that cannot be read keeps none.
    ///   - now: seconds since 1970.
    package init(_ store: TokenStore, now: Int64) {
        credentials = (try? store.read().credentials) ?? Credentials()
        self.now = now
    }

    /// - Returns: see ``AccessToken/grant``; `nil` if there is none, or none that can still be used.
    package func grant(for server: ProtectedServer) -> String? {
        guard let address = try? server.address(), let (key, grant) = credentials.grant(for: server, at: address.canonical),
            WebAddress(key.resource)?.isSelfOrParent(of: address) == true, grant.refreshToken != nil || !grant.isExpired(at: now)
        else { return nil }
        return grant.id
    }
}
