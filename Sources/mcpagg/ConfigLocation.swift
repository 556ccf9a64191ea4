import ConfigFile

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Which config file is used, and what it says.
struct ConfigLocation: Sendable {
    /// Bytes of a config file; nobody writes more by hand.
    private static let lengthLimit = 8 * 1024 * 1024

    /// As the person named it, or as it was found: what messages show.
    let name: String
    /// Absolute.
    let path: String
    private let surroundings: ProcessSurroundings

    /// The first that exists of: the one named on the command line, `$MCPAGG_CONFIG`, then the usual places.
    /// - Throws: ``Failure``, naming every place.
    static func find(named: String?, surroundings: ProcessSurroundings) throws -> ConfigLocation {
        let environment = surroundings.environment
        if named?.isEmpty == true { throw Failure(status: .usage, code: "configNotFound", message: "--config names no file") }
        if let name = named ?? environment["MCPAGG_CONFIG"].flatMap({ $0.isEmpty ? nil : $0 }) {
            let location = ConfigLocation(name: name, surroundings: surroundings)
            try location.refuseAncestor()
            guard access(location.path, F_OK) == 0 else {
                throw Failure(
                    status: .usage, code: "configNotFound", message: "there is no config file '\(name)'",
                    hint: named == nil ? "the name comes from MCPAGG_CONFIG" : nil)
            }
            return location
        }
        let home = environment["XDG_CONFIG_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? surroundings.homeDirectory + "/.config"
        let candidates =
            ["mcp.json", "mcp.yaml", "mcp.yml", ".mcp.json"] + ["mcp.json", "mcp.yaml", "mcp.yml"].map { "\(home)/mcpagg/\($0)" }
        for name in candidates {
            let location = ConfigLocation(name: name, surroundings: surroundings)
            guard access(location.path, F_OK) == 0 else { continue }
            try location.refuseAncestor()
            return location
        }
        throw Failure(
            status: .usage, code: "configNotFound", message: "there is no config file; looked for \(candidates.joined(separator: ", "))",
            hint: """
                write one, or name one with --config; the smallest is \
                {"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}
                """)
    }

    private init(name: String, surroundings: ProcessSurroundings) {
        self.name = name
        self.surroundings = surroundings
        // Hosts start us without a shell, so nobody else has done this.
        let expanded = name.hasPrefix("~/") ? surroundings.homeDirectory + name.dropFirst() : name
        path = expanded.hasPrefix("/") ? expanded : surroundings.workingDirectory + "/" + expanded
    }

    // MARK: Ancestry

    /// Holds the config files of the mcpaggs that a process descends from, one per line.
    private static let ancestryVariable = "MCPAGG_ANCESTRY"

    /// What children are told, so that one of them that is an mcpagg with the same file does not start us, and itself, without end. A
    /// host's project file may name mcpagg and be, by its name, our config file too.
    var ancestryMark: [String: String] {
        let ancestors = surroundings.environment[Self.ancestryVariable].map { $0 + "\n" } ?? ""
        return [Self.ancestryVariable: ancestors + realPath]
    }

    private func refuseAncestor() throws {
        let ancestors = surroundings.environment[Self.ancestryVariable]?.split(separator: "\n").map(String.init) ?? []
        guard ancestors.contains(realPath) else { return }
        throw Failure(
            status: .usage, code: "startsItself",
            message: "the config file '\(name)' names mcpagg as one of its own servers, which would start itself without end",
            hint: "remove that server, or give this mcpagg another file with --config")
    }

    private var realPath: String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The bytes of the file as it is now.
    /// - Parameter isFollowed: it is read again and again: a pipe, which may be empty for ever, will not do.
    func read(isFollowed: Bool = false) throws(ConfigUnreadable) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (isFollowed ? O_NONBLOCK : 0))
        guard descriptor >= 0 else { throw ConfigUnreadable(name: name) }
        defer { close(descriptor) }
        var status = stat()
        if isFollowed, fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFREG {
            throw ConfigUnreadable(name: name, why: "it is not a regular file")
        }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = chunk.withUnsafeMutableBytes { buffer in
                #if canImport(Glibc)
                Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                #elseif canImport(Musl)
                Musl.read(descriptor, buffer.baseAddress, buffer.count)
                #else
                Darwin.read(descriptor, buffer.baseAddress, buffer.count)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ConfigUnreadable(name: name) }
            guard count > 0 else { return text }
            text += chunk[..<count]
            guard text.count <= Self.lengthLimit else { throw ConfigUnreadable(name: name, why: "longer than \(Self.lengthLimit) bytes") }
        }
    }

    func parse(_ text: [UInt8]) throws(ConfigProblems) -> AggregatorConfig {
        try ConfigReader.read(
            text, source: ConfigSource(name: name),
            context: ConfigContext(
                environment: surroundings.environment, homeDirectory: surroundings.homeDirectory,
                workingDirectory: surroundings.workingDirectory))
    }

    /// For commands that cannot do without.
    /// - Throws: ``Failure`` with all problems.
    func load() throws -> AggregatorConfig {
        do {
            return try parse(try read())
        } catch let problems as ConfigProblems {
            throw Failure(status: .usage, code: "configInvalid", message: "the config file cannot be used\n\(problems)")
        } catch let error as ConfigUnreadable {
            throw Failure(status: .usage, code: "configUnreadable", message: error.description)
        }
    }
}

/// The file is there, or was, and cannot be read.
struct ConfigUnreadable: Error, CustomStringConvertible {
    let description: String

    init(name: String, why: String? = nil) { description = "\(name): cannot be read: \(why ?? String(cString: strerror(errno)))" }
}
