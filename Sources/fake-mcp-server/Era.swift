import ArgumentParser

/// How client and server get to know each other: by `initialize`, or by an envelope in every request.
enum Era: Sendable {
    case handshake, stateless

    /// The one revision without a handshake.
    static let statelessRevision = "2026-07-28"

    /// What `--era` says.
    enum Choice: String, ExpressibleByArgument, CaseIterable { case handshake, stateless, both }
}

/// How `server/discover` is answered, in whatever era.
enum DiscoverManners: String, ExpressibleByArgument, CaseIterable { case good, silent, exit, error, garbage }

/// Who may share what a client has cached.
enum CacheScope: String, ExpressibleByArgument, CaseIterable { case `public`, `private` }
