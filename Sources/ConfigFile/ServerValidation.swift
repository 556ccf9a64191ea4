import Resilience

/// Reads one entry of `mcpServers`, or the defaults for all of them.
///
/// An entry is completed by the defaults and then expanded, both as a tree, before any value is looked at. So every key can be a
/// default, and every string can refer to variables, without a word about it in the code per key.
struct ServerValidation {
    struct Result {
        var config: ServerConfig
        /// Where to point at if the prefix is a problem.
        var prefixLocation: SourceLocation
    }

    /// Keys that make no sense as a default.
    static let keysOfOneServer: Set<String> = ["args", "command", "httpUrl", "type", "url"]
    static let commandKeys = ["args", "cwd", "env", "envFile", "inheritEnv"]
    static let httpKeys = ["caFile", "clientCertificate", "clientKey", "headers", "headersFrom", "headersHelper", "oauth"]
    static let maxConcurrentCallsRange = 1...10_000

    let member: Node.Member
    var isDefaults = false
    /// Known to be valid.
    let defaults: [Node.Member]
    let source: ConfigSource
    let context: ConfigContext
    let settings: AggregatorSettings
    let findings: Findings

    var key: String { member.key }
    private var owner: String { isDefaults ? "'defaults'" : "server '\(key)'" }

    /// - Returns: `nil` if there is nothing to go on with; a problem was noted then. A result says nothing about problems: what could be
    ///   read still serves to find out what servers do not agree on.
    func validate() -> Result? {
        if key.isEmpty, !isDefaults {
            findings.add(.invalidValue, at: member.keyLocation, "a server needs a name")
            return nil
        }
        // It is shown in logs and lists everywhere.
        if key.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            findings.add(.controlCharacter, at: member.keyLocation, "the name of \(owner) contains a control character", hint: "rename it")
        }
        guard let own = member.value.members else {
            findings.add(
                .wrongType, at: member.value.location, "\(owner) must be an object, this is \(member.value.kindName)",
                hint: "write at least { command: … } or { url: … }")
            return nil
        }
        var expansion = Expansion(context: context, findings: findings)
        let entry = expansion.expand(member.value.merged(with: defaults.filter { Self.applies($0.key, to: own) }))
        guard var fields = Fields(entry, owner, findings) else { return nil }

        let endpoint = self.endpoint(&fields)
        var config = ServerConfig(key: key, endpoint: endpoint ?? .command(Command(executable: "")))
        let prefixLocation = readPrefix(&fields, &config)
        config.tools = toolRules(&fields, prefix: config.prefix)
        readTimes(&fields, &config)
        readPolicies(&fields, &config)
        config.protocolEra = fields.choice("protocol", ServerConfig.ProtocolEra.self) ?? config.protocolEra
        config.start = fields.choice("start", ServerConfig.StartMode.self) ?? config.start
        config.isDisabled = readIsDisabled(&fields)
        fields.ignore(HostDialects.ignoredServerKeys, because: "it is for other hosts")
        fields.finish(foreign: HostDialects.foreignServerKeys)
        if !config.isDisabled { config.unusable = expansion.obstacle(server: key) }
        return Result(config: config, prefixLocation: prefixLocation)
    }

    /// Whether a default suits a server with these members: headers are nothing for a command.
    private static func applies(_ key: String, to members: [Node.Member]) -> Bool {
        let isCommand = members.contains { $0.key == "command" && !$0.value.isNull }
        return !(isCommand ? httpKeys : commandKeys).contains(key)
    }

    // MARK: The endpoint

    private func endpoint(_ fields: inout Fields) -> Endpoint? {
        let (command, url, httpURL) = (fields.member("command"), fields.member("url"), fields.member("httpUrl"))
        let type = transport(&fields)
        if isDefaults {
            _ = self.command(&fields)
            _ = http(&fields, urlKey: "url", type: nil)
            return nil
        }
        if let command, let other = url ?? httpURL {
            let (first, second) = command.keyLocation < other.keyLocation ? (command, other) : (other, command)
            findings.add(
                .conflictingKeys, at: second.keyLocation, "\(owner) has both '\(first.key)' and '\(second.key)'",
                hint: "a server is either started by a command or reached by a URL")
        } else if let url, let httpURL {
            findings.add(
                .conflictingKeys, at: max(url.keyLocation, httpURL.keyLocation), "\(owner) has both 'url' and 'httpUrl'",
                hint: "keep 'url', with type: sse if it is one of the old kind")
        }
        if command != nil {
            if let (transport, node) = type, !transport.isCommand {
                reportType(node, "is started by a command, so its type is 'stdio'")
            }
            fields.ignore(Self.httpKeys, because: "the server is started by a command")
            return self.command(&fields).map(Endpoint.command)
        }
        let endpoint = http(&fields, urlKey: httpURL == nil ? "url" : "httpUrl", type: type?.0)
        if url == nil, httpURL == nil {
            ignoreCommandKeys(&fields)
            findings.add(
                .missingEndpoint, at: member.keyLocation, "\(owner) has neither 'command' nor 'url'",
                hint: type.map { $0.0.isCommand ? "add the command that starts it" : "add the URL that reaches it" }
                    ?? "add the command that starts it, or the URL that reaches it")
            return nil
        }
        if let (transport, node) = type, transport.isCommand { reportType(node, "is reached by a URL, so its type is 'http' or 'sse'") }
        ignoreCommandKeys(&fields)
        return endpoint.map(Endpoint.http)
    }

    private func ignoreCommandKeys(_ fields: inout Fields) {
        fields.ignore(Self.commandKeys, because: "the server is not started by a command")
    }

    private func transport(_ fields: inout Fields) -> (HostDialects.Transport, Node)? {
        guard let (text, node) = fields.string("type"), node.isComplete else { return nil }
        if let transport = HostDialects.Transport(rawValue: text) { return (transport, node) }
        findings.add(
            .invalidValue, at: node.location, "'\(node.written)' is no value for 'type' in \(owner)",
            hint: "choose one of stdio, http, sse")
        return nil
    }

    private func reportType(_ node: Node, _ sentence: String) {
        findings.add(
            .conflictingKeys, at: node.location, "\(owner) has the type '\(node.written)', but \(sentence)", hint: "remove 'type'")
    }

    // MARK: Times and switches

    private func readTimes(_ fields: inout Fields, _ config: inout ServerConfig) {
        let timeoutPlace = fields.node("timeout")?.location
        config.timeout = fields.duration("timeout") ?? config.timeout
        config.startupTimeout = fields.duration("startupTimeout") ?? config.startupTimeout
        config.idleTimeout = fields.duration("idleTimeout", atLeast: .seconds(1))
        guard let maximum = fields.duration("maxTimeout"), let place = fields.node("maxTimeout")?.location else { return }
        config.maxTimeout = maximum
        if maximum < config.timeout {
            findings.add(
                .conflictingKeys, at: max(place, timeoutPlace ?? place),
                "'maxTimeout' in \(owner) is \(Durations.describe(maximum)), shorter than its timeout of "
                    + Durations.describe(config.timeout),
                hint: "'timeout' is the longest silence, 'maxTimeout' the longest call")
        }
    }

    private func readIsDisabled(_ fields: inout Fields) -> Bool {
        let disabled = fields.boolean("disabled")
        let place = fields.member("enabled")?.keyLocation
        let enabled = fields.boolean("enabled")
        if let disabled, let enabled, let place, disabled == enabled {
            findings.add(
                .conflictingKeys, at: place, "'disabled' and 'enabled' in \(owner) contradict each other", hint: "remove 'enabled'")
        }
        return disabled ?? enabled.map { !$0 } ?? false
    }
}
