/// Where a config text comes from.
package struct ConfigSource: Sendable {
    package enum Format: Sendable { case json, yaml }

    /// As problems show it, for example `mcp.yaml`.
    package var name: String
    package var format: Format
    /// The directory of the file, which relative paths in it count from; if it is relative itself, from the working directory.
    package var directory: String

    /// Picks the format by the extension: `.yaml` and `.yml` are YAML, everything else is JSON.
    /// - Parameter directory: by default what stands before the last slash of `name`.
    package init(name: String, directory: String? = nil) {
        self.name = name
        let lowercased = name.lowercased()
        format = lowercased.hasSuffix(".yaml") || lowercased.hasSuffix(".yml") ? .yaml : .json
        self.directory = directory ?? name.lastIndex(of: "/").map { $0 == name.startIndex ? "/" : String(name[..<$0]) } ?? "."
    }
}

/// What the meaning of a config text depends on beside the text.
package struct ConfigContext: Sendable {
    /// For `${VAR}`.
    package var environment: [String: String]
    /// For `~`; "" if there is none.
    package var homeDirectory: String
    /// Absolute.
    package var workingDirectory: String

    package init(environment: [String: String], homeDirectory: String, workingDirectory: String) {
        self.environment = environment
        self.homeDirectory = homeDirectory
        self.workingDirectory = workingDirectory
    }
}

/// The way from the text of a config file to its meaning: bytes, ``SourceText``, ``Node``, ``AggregatorConfig``.
package enum ConfigReader {
    /// - Throws: everything that is wrong with the text, in file order. A variable that is not set is no such problem: it makes one
    ///   server ``ServerConfig/unusable``.
    package static func read(
        _ text: [UInt8], source: ConfigSource, context: ConfigContext
    ) throws(ConfigProblems) -> AggregatorConfig {
        let findings = Findings()
        let config = read(text, source: source, context: context, findings)
        guard findings.problems.isEmpty, var config else { throw ConfigProblems(findings.problems) }
        config.notes = ConfigProblems(findings.notes).problems
        config.secrets = findings.secrets
        return config
    }

    /// - Returns: `nil` only if `findings` say why.
    private static func read(
        _ text: [UInt8], source: ConfigSource, context: ConfigContext, _ findings: Findings
    ) -> AggregatorConfig? {
        let sourceText: SourceText
        do throws(ConfigProblem) {
            sourceText = try SourceText(text, file: source.name)
        } catch {
            findings.add(error)
            return nil
        }
        let root =
            switch source.format {
            case .json: JSONReader.read(sourceText, findings)
            case .yaml: YAMLReader.read(sourceText, findings)
            }
        guard let root else {
            if findings.problems.isEmpty {
                findings.add(
                    .emptyFile, at: SourceLocation(file: source.name, line: 1, column: 1), "the file says nothing",
                    hint: smallestFile(source.format))
            }
            return nil
        }
        return FileValidation(source: source, context: context, findings: findings).validate(root)
    }

    static func smallestFile(_ format: ConfigSource.Format) -> String {
        switch format {
        case .json: #"the smallest file is { "mcpServers": { "time": { "command": "uvx", "args": ["mcp-server-time"] } } }"#
        case .yaml: "the smallest file is mcpServers: { time: { command: uvx, args: [mcp-server-time] } }"
        }
    }
}
