/// A rule of the house: what is wrong with a file, one entry per place. A function of path and text, so that it can be tried out.
enum Rules {
    static let lineLength = 140
    static let fileLength = 500

    /// What each module may import beside the C library; the table of ARCHITECTURE.md, from the wire up.
    static let imports: [String: Set<String>] = {
        let jsonrpc: Set = ["CScan", "NIOCore"]
        let mcpProtocol: Set = ["JSONRPC", "NIOCore"]
        let resilience: Set = ["DequeModule"]
        let configFile: Set = ["CLibYAML", "JSONRPC", "OrderedCollections", "Resilience"]
        let featureCatalog: Set = ["Crypto", "JSONRPC", "MCPProtocol", "NIOCore", "OrderedCollections"]
        let lifecycle: Set = ["JSONRPC", "MCPProtocol", "NIOCore", "Resilience"]
        let transports: Set = [
            "AsyncHTTPClient", "CGuard", "DequeModule", "Dispatch", "FoundationEssentials", "JSONRPC", "Logging", "MCPProtocol", "NIOCore",
            "NIOHTTP1",
            "NIOPosix", "NIOSSL", "Resilience",
        ]
        let authorization: Set = ["AsyncHTTPClient", "Crypto", "JSONRPC", "NIOCore", "NIOHTTP1", "NIOPosix"]
        let modules: Set = [
            "Authorization", "ConfigFile", "FeatureCatalog", "JSONRPC", "Lifecycle", "MCPProtocol", "Resilience", "Transports",
        ]
        let aggregation = modules.union([
            "Crypto", "DequeModule", "FoundationEssentials", "Logging", "NIOCore", "OrderedCollections",
        ])
        let program: Set = ["Aggregation", "ArgumentParser", "CMemory", "FoundationEssentials", "NIOPosix"]
        return [
            "JSONRPC": jsonrpc, "MCPProtocol": mcpProtocol, "Resilience": resilience, "ConfigFile": configFile,
            "FeatureCatalog": featureCatalog, "Lifecycle": lifecycle, "Transports": transports, "Authorization": authorization,
            "Aggregation": aggregation,
            "mcpagg": aggregation.union(program), "fake-mcp-server": ["ArgumentParser", "JSONRPC", "NIOCore"],
        ]
    }()

    /// Modules that do I/O, and so may call the C library.
    private static let cLibraries: Set = ["Glibc", "Musl", "Darwin"]
    /// `JSONRPC` calls `memchr` and its like there, and nothing that does I/O.
    private static let cLibraryUsers: Set = ["Authorization", "JSONRPC", "Transports", "mcpagg", "fake-mcp-server"]

    /// Programs, which may have a clock and print; everything else is handed both.
    private static let programs: Set = ["mcpagg", "fake-mcp-server"]

    static func module(of path: String) -> String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    // MARK: Imports

    static func wrongImports(path: String, text: String) -> [String] {
        guard let module = module(of: path) else { return ["\(path) belongs to no module"] }
        guard var allowed = imports[module] else { return ["\(path): nothing is said about what module '\(module)' may import"] }
        if cLibraryUsers.contains(module) { allowed.formUnion(cLibraries) }
        return places(in: path, code(of: text)) { line in
            let pattern = /^\s*(?:@\w+\s+)*(?:(?:public|package|internal|private)\s+)?import\s+(?:(?:struct|class|enum|func)\s+)?(\w+)/
            guard let match = line.firstMatch(of: pattern) else { return nil }
            return allowed.contains(String(match.1)) ? nil : "imports \(match.1)"
        }
    }

    // MARK: Words

    static func prints(path: String, text: String) -> [String] {
        // Results go through `StandardOutput`, which knows about closed pipes.
        found([(/(?:^|[^\w.])(?:debugPrint|print)\(/, "prints")], path, text)
    }

    static func clocksAndChance(path: String, text: String) -> [String] {
        if let module = module(of: path), programs.contains(module) { return [] }
        return found(
            [
                (/\bDate\(\)/, "reads the clock"), (/\b(?:Continuous|Suspending)Clock\b/, "picks a clock"),
                (/\bSystemRandomNumberGenerator\b/, "picks the randomness"), (/\bNIODeadline\.now\(\)/, "reads the clock"),
                (/\bTask\.sleep\b/, "sleeps"),
                (/\.(?:random|randomElement|shuffled|shuffle)\((?!.*using:)/, "draws a random number of its own"),
            ], path, text)
    }

    static func unsafeWords(path: String, text: String) -> [String] {
        found(
            [
                (/\btry!/, "try!"), (/\bas!/, "as!"), (/\bfatalError\b/, "fatalError"), (/@unchecked\s+Sendable\b/, "@unchecked Sendable"),
                (/nonisolated\(unsafe\)/, "nonisolated(unsafe)"),
            ], path, text)
            // Only for what a C library declares as a variable: `environ`.
            + found([(/@preconcurrency\b(?!\s+import\s+(?:Glibc|Musl|Darwin)\b)/, "@preconcurrency")], path, text)
    }

    /// Where tasks run is said: see `LoopExecutor`.
    static func tasksAnywhere(path: String, text: String) -> [String] {
        if module(of: path) == "fake-mcp-server" { return [] }
        return found(
            [
                (/\bTask(?:\.detached)?\s*(?:<[^()]*>)?\s*\{/, "starts a task without an executor"),
                (/\bTask(?:\.detached)?\s*(?:<[^()]*>)?\((?!executorPreference:)/, "starts a task without an executor"),
                (/\bDispatchQueue\.(?:global|main)\b|\bDispatchSource\b|\bdispatchMain\b/, "starts a common thread of libdispatch"),
            ], path, text)
    }

    // MARK: Sizes

    static func longLines(path: String, text: String) -> [String] {
        var isInText = false
        return places(in: path, text.split(separator: "\n", omittingEmptySubsequences: false)) { line in
            let delimiters = line.ranges(of: "\"\"\"").count
            defer { if delimiters % 2 == 1 { isInText.toggle() } }
            // A text of several lines is laid out as its readers will see it.
            return line.count > lineLength && !isInText ? "has \(line.count) characters" : nil
        }
    }

    static func tooLong(path: String, text: String) -> [String] {
        let count = text.split(separator: "\n", omittingEmptySubsequences: false).count - (text.hasSuffix("\n") ? 1 : 0)
        return count > fileLength ? ["\(path) has \(count) lines"] : []
    }

    // MARK: Pages

    /// - Returns: the pages that a text links to nowhere.
    static func unlinked(_ pages: [String], from text: String) -> [String] {
        let targets = Set(
            text.matches(of: /\]\(([^)#\s]+)[^)]*\)/).map { match in
                match.1.hasPrefix("./") ? String(match.1.dropFirst(2)) : String(match.1)
            })
        return pages.filter { page in
            // A directory of notes is linked as one.
            let directories = page.split(separator: "/").dropLast().indices.map { page.split(separator: "/")[...$0].joined(separator: "/") }
            return !targets.contains(page) && !targets.contains(page + "/")
                && !directories.contains { $0 != "docs" && (targets.contains($0) || targets.contains($0 + "/")) }
        }
    }

    // MARK: Reading

    private static func found(_ words: [(Regex<Substring>, String)], _ path: String, _ text: String) -> [String] {
        // Simple boundaries: by default there is none at the dot of `ContinuousClock.now`.
        let words = words.map { ($0.0.wordBoundaryKind(.simple), $0.1) }
        return places(in: path, code(of: text)) { line in words.first { line.contains($0.0) }?.1 }
    }

    private static func places(in path: String, _ lines: [Substring], _ problem: (Substring) -> String?) -> [String] {
        lines.enumerated().compactMap { index, line in problem(line).map { "\(path):\(index + 1): \($0)" } }
    }

    /// The lines without their comments. A `//` in a string, as in a URL, only counts if something other than `:` stands before it.
    private static func code(of text: String) -> [Substring] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let comment = line.firstMatch(of: /(?:^|[^:])\/\//) else { return line }
            return line[..<comment.range.lowerBound]
        }
    }
}
