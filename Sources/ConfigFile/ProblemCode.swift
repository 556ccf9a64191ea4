extension ConfigProblem {
    /// What kind of problem it is. The raw values are documented (docs/configuration.md), so they stay as they are.
    package enum Code: String, CaseIterable, Sendable {
        // The file as a whole.
        case emptyFile, fileTooLarge, invalidUTF8, missingServers, notAnObject, unsupportedEncoding
        // The text as JSON or YAML.
        case controlCharacter, duplicateKey, invalidJSON, invalidYAML, nonStringKey, severalDocuments, tabIndentation, tooDeep,
            tooManyValues
        case unknownAlias, unsupportedTag
        // Keys and values.
        case conflictingKeys, duplicatePrefix, invalidCommand, invalidDuration, invalidEnvironment, invalidHeader, invalidPath
        case invalidPattern, invalidPrefix, invalidRename, invalidSeparator, invalidURL, invalidValue, missingEndpoint, misplacedKey
        case outOfRange, unknownKey, wrongType
        // References to variables.
        case invalidExpansion, missingVariable, unsupportedVariable
        // Not errors: what was read differently than someone might expect.
        case derivedPrefix, ignoredHeader, ignoredKey, smallDuration

        package var severity: Severity {
            switch self {
            case .derivedPrefix, .ignoredHeader, .ignoredKey, .smallDuration: .note
            case .emptyFile, .fileTooLarge, .invalidUTF8, .missingServers, .notAnObject, .unsupportedEncoding, .controlCharacter,
                .duplicateKey, .invalidJSON, .invalidYAML, .nonStringKey, .severalDocuments, .tabIndentation, .tooDeep, .tooManyValues,
                .unknownAlias, .unsupportedTag, .conflictingKeys, .duplicatePrefix, .invalidCommand, .invalidDuration,
                .invalidEnvironment, .invalidHeader, .invalidPath, .invalidPattern, .invalidPrefix, .invalidRename, .invalidSeparator,
                .invalidURL, .invalidValue, .missingEndpoint, .misplacedKey, .outOfRange, .unknownKey, .wrongType, .invalidExpansion,
                .missingVariable, .unsupportedVariable:
                .error
            }
        }
    }

    package enum Severity: String, Sendable { case error, note }
}
