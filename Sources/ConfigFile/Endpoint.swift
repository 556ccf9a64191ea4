package import OrderedCollections

/// Where a server is.
package enum Endpoint: Equatable, Sendable {
    case command(Command)
    case http(HTTPEndpoint)
}

/// A child process that speaks MCP on its stdin and stdout.
package struct Command: Equatable, Sendable {
    package enum InheritedEnvironment: Equatable, Sendable {
        case all
        case none
        /// Only variables with these names, if they are set.
        case only([String])
    }

    /// A name to be looked up in PATH, or an absolute path.
    package var executable: String
    package var arguments: [String]
    /// On top of ``inheritedEnvironment``.
    package var environment: [String: String]
    /// Absolute; `nil` for our own.
    package var workingDirectory: String?
    package var inheritedEnvironment: InheritedEnvironment

    package init(
        executable: String, arguments: [String] = [], environment: [String: String] = [:], workingDirectory: String? = nil,
        inheritedEnvironment: InheritedEnvironment = .all
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.inheritedEnvironment = inheritedEnvironment
    }
}

/// A server behind a URL.
package struct HTTPEndpoint: Equatable, Sendable {
    package enum Kind: String, Sendable {
        /// Streamable HTTP, MCP 2025-03-26 and later.
        case http
        /// HTTP with SSE, MCP 2024-11-05.
        case sse
    }

    /// A command that prints a JSON object of headers, run before a connection is opened.
    package struct HeadersCommand: Equatable, Sendable {
        package static let defaultTimeout = Duration.seconds(10)

        package var executable: String
        package var arguments: [String]
        package var timeout: Duration
        /// What it printed is used for so long; `nil` for until the server refuses it.
        package var lifetime: Duration?

        package init(
            executable: String, arguments: [String] = [], timeout: Duration = Self.defaultTimeout, lifetime: Duration? = nil
        ) {
            self.executable = executable
            self.arguments = arguments
            self.timeout = timeout
            self.lifetime = lifetime
        }
    }

    /// A client that was registered by hand.
    package struct OAuth: Equatable, Sendable {
        package var clientID: String?
        package var clientSecret: String?
        /// Empty for those the server asks for.
        package var scopes: [String]
        /// Where the browser comes back to, on the loopback address; `nil` for any free port.
        package var callbackPort: Int?

        package init(clientID: String? = nil, clientSecret: String? = nil, scopes: [String] = [], callbackPort: Int? = nil) {
            self.clientID = clientID
            self.clientSecret = clientSecret
            self.scopes = scopes
            self.callbackPort = callbackPort
        }
    }

    /// Begins with `http://` or `https://`; no user, no fragment.
    package var url: String
    /// `nil` to find out.
    package var kind: Kind?
    /// In file order; names are unique in any case.
    package var headers: OrderedDictionary<String, String>
    package var headersFrom: HeadersCommand?
    /// PEM files, absolute paths. Certificate and key come together.
    package var caFile: String?
    package var clientCertificate: String?
    package var clientKey: String?
    package var oauth: OAuth?

    package init(url: String, kind: Kind? = nil, headers: OrderedDictionary<String, String> = [:]) {
        self.url = url
        self.kind = kind
        self.headers = headers
    }
}

extension Command {
    private static let secretNames = ["CREDENTIAL", "KEY", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN"]

    /// What is to be hidden of what it inherits: variables that the config names, and those whose own names say so.
    /// - Parameter environment: ours.
    package func inheritedSecrets(of environment: [String: String]) -> [String] {
        let inherited: [String: String]
        switch inheritedEnvironment {
        case .none: return []
        case .only(let names): inherited = environment.filter { names.contains($0.key) }
        case .all:
            inherited = environment.filter { variable in Self.secretNames.contains { variable.key.uppercased().contains($0) } }
        }
        return inherited.filter { !Secrets.publicVariables.contains($0.key) && Secrets.isWorthHiding($0.value) }.map(\.value)
    }
}

extension HTTPEndpoint {
    /// What is to be hidden of the value of a header that was fetched for a server.
    package static func secrets(in value: String) -> [String] { Secrets.parts(of: value) }

    /// Whether the transport sets this header itself.
    package static func isTransportHeader(_ lowercased: String) -> Bool { HostDialects.transportHeaders.contains(lowercased) }
}

// The synthesized descriptions would print secrets into a log by mere interpolation.

extension Endpoint: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        switch self {
        case .command(let command): command.description
        case .http(let endpoint): endpoint.description
        }
    }
    package var debugDescription: String { description }
}

extension Command: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "Command(\(arguments.count) arguments, \(environment.count) variables)" }
    package var debugDescription: String { description }
}

extension HTTPEndpoint: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "HTTPEndpoint(\(kind?.rawValue ?? "any"), \(headers.count) headers)" }
    package var debugDescription: String { description }
}

extension HTTPEndpoint.HeadersCommand: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "HeadersCommand(\(arguments.count) arguments)" }
    package var debugDescription: String { description }
}

extension HTTPEndpoint.OAuth: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "OAuth(\(scopes.count) scopes)" }
    package var debugDescription: String { description }
}
