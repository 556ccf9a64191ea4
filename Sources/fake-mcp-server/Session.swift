/// What the handshake era remembers of its client. A second `initialize` begins anew.
struct Session {
    var revision: String
    var capabilities: ClientCapabilities
    var logLevel: LogLevel?
    /// The URIs it wants to hear about.
    var subscriptions: Set<String> = []

    var peer: Peer { Peer(era: .handshake, revision: revision, capabilities: capabilities, logLevel: logLevel) }
}
