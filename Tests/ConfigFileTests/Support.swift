import ConfigFile
import OrderedCollections

let environment = [
    "HOME": "/home/ann", "USER": "ann", "TOKEN": "s3cr3t-token", "EMPTY": "", "PORT": "8080", "DOLLAR": "${TOKEN}", "MULTILINE": "a\nb",
]

func read(
    _ text: some Collection<UInt8>, _ name: String = "mcp.yaml", environment: [String: String] = environment, home: String = "/home/ann"
) throws(ConfigProblems) -> AggregatorConfig {
    let context = ConfigContext(environment: environment, homeDirectory: home, workingDirectory: "/work")
    return try ConfigReader.read(Array(text), source: ConfigSource(name: name), context: context)
}

func read(
    _ text: String, _ name: String = "mcp.yaml", environment: [String: String] = environment, home: String = "/home/ann"
) throws(ConfigProblems) -> AggregatorConfig {
    try read(Array(text.utf8), name, environment: environment, home: home)
}

/// All problems of a text; none if it is valid.
func problems(_ text: some Collection<UInt8>, _ name: String = "mcp.yaml", environment: [String: String] = environment) -> [ConfigProblem] {
    do throws(ConfigProblems) {
        _ = try read(text, name, environment: environment)
        return []
    } catch {
        return error.problems
    }
}

func problems(_ text: String, _ name: String = "mcp.yaml", environment: [String: String] = environment) -> [ConfigProblem] {
    problems(Array(text.utf8), name, environment: environment)
}

/// `code line:column` of each problem.
func summary(_ problems: [ConfigProblem]) -> [String] {
    problems.map { "\($0.code.rawValue) \($0.location.line):\($0.location.column)" }
}

/// The one server `s` with these members, in YAML's flow style.
func server(_ members: String, environment: [String: String] = environment, home: String = "/home/ann") throws -> ServerConfig {
    let config = try read("mcpServers: { s: { \(members) } }", environment: environment, home: home)
    return config.servers.values[0]
}

/// The codes of the problems of one server with these members.
func codes(_ members: String) -> [String] {
    problems("mcpServers: { s: { \(members) } }").map(\.code.rawValue)
}

extension ServerConfig {
    var command: Command? { if case .command(let command) = endpoint { command } else { nil } }
    var http: HTTPEndpoint? { if case .http(let endpoint) = endpoint { endpoint } else { nil } }
}
