/// Where mcpagg keeps what it must not forget between two runs (XDG Base Directory Specification).
struct StateDirectory {
    /// Absolute. It need not exist.
    let path: String

    /// - Throws: ``Failure`` if there is no home directory.
    init(_ surroundings: ProcessSurroundings) throws {
        guard let path = Self.path(environment: surroundings.environment, homeDirectory: surroundings.homeDirectory) else {
            throw Failure(
                status: .usage, code: "noStateDirectory",
                message: "there is no directory for tokens: neither HOME nor XDG_STATE_HOME is set",
                hint: "set XDG_STATE_HOME to a directory of yours, with its whole path")
        }
        self.path = path
    }

    /// `$XDG_STATE_HOME/mcpagg`, else `~/.local/state/mcpagg`. A relative one is none, as that specification has it.
    static func path(environment: [String: String], homeDirectory: String) -> String? {
        if let home = environment["XDG_STATE_HOME"], home.hasPrefix("/") { return home + "/mcpagg" }
        return homeDirectory.hasPrefix("/") ? homeDirectory + "/.local/state/mcpagg" : nil
    }

    /// The tokens of all servers.
    var credentials: String { path + "/credentials.json" }
}
