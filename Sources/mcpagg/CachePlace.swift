import Transports

/// Where mcpagg keeps what it can find out anew, but not at once (XDG Base Directory Specification).
enum CachePlace {
    /// `$XDG_CACHE_HOME/mcpagg`, else `~/.cache/mcpagg`, on macOS `~/Library/Caches/mcpagg`. A relative one is none, as that specification
    /// has it.
    /// - Returns: `nil` if there is no home directory.
    static func path(environment: [String: String], homeDirectory: String) -> String? {
        if let home = environment["XDG_CACHE_HOME"], home.hasPrefix("/") { return home + "/mcpagg" }
        guard homeDirectory.hasPrefix("/") else { return nil }
        #if canImport(Darwin)
        return homeDirectory + "/Library/Caches/mcpagg"
        #else
        return homeDirectory + "/.cache/mcpagg"
        #endif
    }

    static func files(_ surroundings: ProcessSurroundings) -> (any CacheFiles)? {
        path(environment: surroundings.environment, homeDirectory: surroundings.homeDirectory).map { CacheDirectory($0) }
    }
}
