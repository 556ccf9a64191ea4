package import Resilience

/// One server of the file, as it is to be run.
package struct ServerConfig: Equatable, Sendable {
    package enum ProtocolEra: String, CaseIterable, Sendable {
        /// Find out which one the server speaks.
        case auto
        /// `initialize` first: MCP 2024-11-05 to 2025-11-25.
        case handshake
        /// MCP 2026-07-28.
        case stateless
    }

    package enum StartMode: String, CaseIterable, Sendable {
        /// With us.
        case eager
        /// With the first call.
        case lazy
    }

    package static let defaultTimeout = Duration.seconds(120)
    package static let defaultStartupTimeout = Duration.seconds(30)
    package static let defaultMaxConcurrentCalls = 64

    /// Its name in the file.
    package var key: String
    package var endpoint: Endpoint
    /// Why this server cannot be used although the file is fine: a variable is not set. ``endpoint`` then holds such references as
    /// they are written. Always `nil` for a disabled server.
    package var unusable: ConfigProblem?
    /// In front of the names of its tools and prompts, without the separator; "" for none.
    package var prefix: String
    package var tools = ToolRules()
    /// Longest silence during one call; progress begins it anew.
    package var timeout = Self.defaultTimeout
    /// Longest duration of one call whatever its progress; not below ``timeout``.
    package var maxTimeout: Duration?
    /// From launch to the end of the handshake.
    package var startupTimeout = Self.defaultStartupTimeout
    package var retry = RetryPolicy()
    package var circuitBreaker = CircuitBreakerPolicy()
    package var rateLimit: RateLimit?
    /// Calls sent and not answered yet; more wait.
    package var maxConcurrentCalls = Self.defaultMaxConcurrentCalls
    package var healthCheck: HealthCheckPolicy? = HealthCheckPolicy()
    package var protocolEra = ProtocolEra.auto
    package var start = StartMode.eager
    /// A server that had no call for so long is stopped until the next one; `nil` keeps it.
    package var idleTimeout: Duration?
    package var isDisabled = false

    package init(key: String, endpoint: Endpoint, prefix: String? = nil) {
        self.key = key
        self.endpoint = endpoint
        self.prefix = prefix ?? key
    }
}

extension ServerConfig: CustomStringConvertible, CustomDebugStringConvertible {
    /// Shows neither arguments nor URLs, environments or headers: any of them can hold a secret.
    package var description: String {
        let kind =
            switch endpoint {
            case .command: "command"
            case .http(let endpoint): endpoint.kind?.rawValue ?? "url"
            }
        return "ServerConfig(\(key), \(kind)\(isDisabled ? ", disabled" : "")\(unusable == nil ? "" : ", unusable"))"
    }
    package var debugDescription: String { description }
}

/// Which tools of a server the host sees, and under which names.
package struct ToolRules: Equatable, Sendable {
    /// Patterns over the server's own names: `*` is any number of characters, `?` is one, everything else is itself.
    package var include: [String]
    /// Patterns that take away from ``include``.
    package var exclude: [String]
    /// The server's own name to the one behind the prefix.
    package var rename: [String: String]

    package init(include: [String] = ["*"], exclude: [String] = [], rename: [String: String] = [:]) {
        self.include = include
        self.exclude = exclude
        self.rename = rename
    }
}
