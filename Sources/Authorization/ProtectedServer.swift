/// An MCP server behind a URL, as far as access to it goes.
package struct ProtectedServer: Hashable, Sendable {
    /// Its name in the config file, for texts.
    package var key: String
    package var url: String
    /// Of a client that was registered by hand, or the HTTPS URL of a client-id metadata document.
    package var clientID: String?
    package var clientSecret: String?
    /// What to ask for; empty for what the server says.
    package var scopes: [String]
    /// Where the browser comes back to, on the loopback address; `nil` for any free port.
    package var callbackPort: Int?

    package init(
        key: String, url: String, clientID: String? = nil, clientSecret: String? = nil, scopes: [String] = [], callbackPort: Int? = nil
    ) {
        self.key = key
        self.url = url
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.scopes = scopes
        self.callbackPort = callbackPort
    }

    /// Its URL, if tokens may go there.
    /// - Throws: ``AuthorizationProblem/Code/insecure``.
    func address() throws(AuthorizationProblem) -> WebAddress {
        guard let address = WebAddress(url) else {
            throw AuthorizationProblem(.unsupported, "its URL cannot be used for a login", hint: "correct 'url' in the config file")
        }
        guard address.isSecure else {
            throw AuthorizationProblem(
                .insecure, "its URL begins with http://, so everybody on the way could read its tokens", hint: "use https://")
        }
        return address
    }
}

extension ProtectedServer: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "ProtectedServer(\(key))" }
    package var debugDescription: String { description }
}

/// What opens a server. Its value is a secret.
package struct AccessToken: Hashable, Sendable {
    package let value: String
    /// A random name of the login that it stems from. It stays while the token is refreshed, so it stands for the person.
    package let grant: String
    /// Seconds since 1970; `nil` if the authorization server does not say.
    package let expiresAt: Int64?

    package init(value: String, grant: String, expiresAt: Int64?) {
        self.value = value
        self.grant = grant
        self.expiresAt = expiresAt
    }
}

extension AccessToken: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "AccessToken(of login \(grant))" }
    package var debugDescription: String { description }
}
