package import OrderedCollections

/// A config file that was found valid, with every default filled in and every variable expanded.
package struct AggregatorConfig: Equatable, Sendable {
    /// In file order, by key, disabled ones included.
    package var servers: OrderedDictionary<String, ServerConfig>
    package var settings: AggregatorSettings
    /// What was read differently than someone might expect, for example hosts' keys that mean nothing here. For level debug.
    package var notes: [ConfigProblem]
    /// Texts that logs, errors and status must not show: what variables, headers and environments hold. See ``Secrets``.
    package var secrets: Set<String>

    package init(
        servers: OrderedDictionary<String, ServerConfig> = [:], settings: AggregatorSettings = AggregatorSettings(),
        notes: [ConfigProblem] = [], secrets: Set<String> = []
    ) {
        self.servers = servers
        self.settings = settings
        self.notes = notes
        self.secrets = secrets
    }
}

extension AggregatorConfig: CustomStringConvertible, CustomDebugStringConvertible {
    /// Shows no values, because some are secret.
    package var description: String { "AggregatorConfig(\(servers.keys.joined(separator: ", ")))" }
    package var debugDescription: String { description }
}

/// The file's `aggregator` part; its `defaults` are folded into the servers.
package struct AggregatorSettings: Equatable, Sendable {
    package enum LogLevel: String, CaseIterable, Sendable {
        case trace, debug, info, notice, warning, error, critical
    }

    /// Characters of the longest exposed name that may be configured: the longest that MCP allows a tool.
    package static let nameBudgetRange = 24...128
    /// Characters that a prefix and the separator must leave to the name behind them, so that a shortened one still says something.
    package static let roomForNames = 12
    package static let separatorLimit = 4
    package static let listWaitLimit = Duration.seconds(60)
    package static let instructionsLimitRange = 0...1_000_000
    package static let inputWaitRange = Duration.seconds(1)...Duration.seconds(24 * 3600)

    /// Between prefix and tool name.
    package var separator = "__"
    /// Characters of an exposed name.
    package var nameBudget = 48
    /// How long the first list may wait for servers that are still starting.
    package var listWait = Duration.seconds(8)
    package var logLevel = LogLevel.info
    /// Characters of the merged `instructions` that hosts get to see.
    package var instructionsLimit = 2048
    /// How long a call waits at its server for what a host of the stateless era was asked for.
    package var inputWait = Duration.seconds(600)

    package init() {}

    /// Characters of the longest prefix that fits.
    package var prefixLimit: Int { nameBudget - separator.count - Self.roomForNames }
}
