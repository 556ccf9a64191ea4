/// Where mcpagg keeps what it must not forget between two runs (XDG Base Directory Specification).
struct StateDirectory {
    /// Absolute. It need not exist.
    let path: String

    /// `$XDG_STATE_HOME/mcpagg`, else `~/.local/state/mcpagg`.
    /// - Throws: ``Failure`` if there is no home directory.
    init(_ surroundings: ProcessSurroundings) throws {
        if let home = surroundings.environment["XDG_STATE_HOME"], home.hasPrefix("/") {
            path = home + "/mcpagg"
            return
        }
        guard surroundings.homeDirectory.hasPrefix("/") else {
            throw Failure(
                status: .usage, code: "noStateDirectory",
                message: "there is no directory for tokens: neither HOME nor XDG_STATE_HOME is set",
                hint: "set XDG_STATE_HOME to a directory of yours, with its whole path")
        }
        path = surroundings.homeDirectory + "/.local/state/mcpagg"
    }

    /// The tokens of all servers.
    var credentials: String { path + "/credentials.json" }
}
