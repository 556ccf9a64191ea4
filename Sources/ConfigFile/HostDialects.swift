/// What other programs write into the same files: their keys are either taken in our meaning, or accepted and noted.
///
/// Sources: the documentation and code of Claude Code, Cursor, VS Code, Gemini CLI, Codex, Cline, Roo, Windsurf, Copilot and Zed.
enum HostDialects {
    /// Keys beside the servers that mean something to the host only.
    static let ignoredTopLevelKeys = ["$schema", "inputs", "sandbox"]

    /// Keys of a server that mean something to the host only, mostly permissions of its model.
    static let ignoredServerKeys = [
        "alwaysAllow", "alwaysLoad", "autoApprove", "authProviderType", "description", "dev", "gallery", "icon", "name", "required",
        "sandbox",
        "sandboxEnabled", "source", "targetAudience", "targetServiceAccount", "trust", "version",
    ]

    /// Keys of `oauth` that we find out from the server itself.
    static let ignoredOAuthKeys = [
        "audiences", "authServerMetadataUrl", "authorizationUrl", "enabled", "issuer", "redirectUri", "registrationUrl", "tokenParamName",
        "tokenUrl",
    ]

    /// Keys beside the servers that are refused, and what to write instead.
    static let foreignTopLevelKeys = [
        "context_servers": "rename it to 'mcpServers'", "extensions": "put the servers under 'mcpServers'",
        "mcp": "put the servers under 'mcpServers'", "mcp_servers": "rename it to 'mcpServers'",
        "defaults": "put it into 'aggregator'",
    ]

    /// Keys of a server that are refused because their meaning would be lost, and what to write instead.
    static let foreignServerKeys = [
        "bearer_token_env_var": "write headers: { Authorization: \"Bearer ${NAME}\" }", "cmd": "write 'command'",
        "connectTimeout": "write 'startupTimeout'", "env_http_headers": "write headers: { Name: \"${VARIABLE}\" }",
        "env_keys": "write inheritEnv: [NAME]", "env_vars": "write inheritEnv: [NAME]", "envs": "write 'env'",
        "http_headers": "write 'headers'", "maxRetries": "write retry: { attempts: 3 }", "requestInit": "write 'headers'",
        "startup_timeout_ms": "write startupTimeout: \"30s\"", "startup_timeout_sec": "write startupTimeout: \"30s\"",
        "tool_timeout_sec": "write timeout: \"60s\"", "transport": "write 'type'", "transportType": "write 'type'", "uri": "write 'url'",
    ]

    enum Transport: String, CaseIterable {
        case stdio, http, sse
        case streamableWithHyphen = "streamable-http"
        case streamableInCamelCase = "streamableHttp"
        case streamableWithUnderscore = "streamable_http"
        case local

        var isCommand: Bool { self == .stdio || self == .local }
        var kind: HTTPEndpoint.Kind { self == .sse ? .sse : .http }
    }

    /// Headers that the transport sets itself; some hosts' examples list them.
    static let transportHeaders: Set<String> = [
        "accept", "connection", "content-length", "content-type", "host", "keep-alive", "last-event-id", "mcp-method", "mcp-name",
        "mcp-protocol-version", "mcp-session-id", "te", "trailer", "transfer-encoding", "upgrade",
    ]
}
