import JSONRPC

/// What an MCP server says about the authorization it wants (RFC 9728, 2).
struct ResourceMetadata: Hashable, Sendable {
    /// The resource that a token is for, as authorization servers are told it.
    var resource: String
    /// Issuers, as they are written; at least one.
    var authorizationServers: [String]
    var scopes: [String]?

    /// - Parameter server: the URL that the person configured. The document must be about it, or an attacker could have us get a token
    ///   for one server and send it to another.
    init(_ document: JSONView, from source: WebAddress, for server: WebAddress) throws(AuthorizationProblem) {
        guard let text = document["resource"]?.string else {
            throw AuthorizationProblem(.badAnswer, "the metadata at \(source.text) does not say what resource it is about")
        }
        guard let resource = WebAddress(text), resource.isSelfOrParent(of: server) else {
            let other = AuthorizationProblem.quote(text)
            throw AuthorizationProblem(
                .contradiction, "the metadata at \(source.text) is about the resource '\(other)', and not about \(server.canonical)",
                hint: "compare it with 'url' in the config file")
        }
        self.resource = resource.canonical
        authorizationServers = document["authorization_servers"]?.elements.compactMap(\.string) ?? []
        guard !authorizationServers.isEmpty else {
            throw AuthorizationProblem(.badAnswer, "the metadata at \(source.text) names no authorization server")
        }
        scopes = document["scopes_supported"].map { Scopes.valid($0.elements.compactMap(\.string)) }
    }
}
