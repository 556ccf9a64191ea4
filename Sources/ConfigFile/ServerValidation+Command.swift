extension ServerValidation {
    /// - Returns: `nil` if there is no command that could be run; a problem was noted then.
    func command(_ fields: inout Fields) -> Command? {
        let workingDirectory = directory(&fields)
        let executable = executable(&fields, "command", relativeTo: workingDirectory)
        var command = Command(executable: executable ?? "")
        command.arguments = arguments(&fields)
        command.workingDirectory = workingDirectory
        command.environment = environment(&fields)
        command.inheritedEnvironment = inheritedEnvironment(&fields)
        fields.ignore(["envFile"], because: "files of variables are not read; use 'env', or start mcpagg with them")
        return executable.map { _ in command }
    }

    /// - Parameter workingDirectory: of the server; a path that is not absolute counts from there, as for a shell in it.
    func executable(_ fields: inout Fields, _ key: String, relativeTo workingDirectory: String?) -> String? {
        guard let node = fields.node(key) else { return nil }
        if case .list(let elements) = node.content {
            let first = elements.first?.written ?? "uvx"
            fields.wrongType(key, node, "a string", hint: "write command: \"\(first)\" and put the rest into 'args'")
            return nil
        }
        guard let (text, _) = fields.string(key) else { return nil }
        guard node.isComplete else { return text }
        func report(_ message: String, hint: String?) {
            findings.add(.invalidCommand, at: node.location, message, hint: hint)
        }
        let words = text.split { $0 == " " || $0 == "\t" || $0 == "\n" }
        guard let program = words.first else {
            report("'\(key)' in \(fields.owner) is empty", hint: "write the program that starts the server")
            return nil
        }
        // A path may hold spaces; a name to be looked up in PATH never does in practice.
        if words.count > 1, !program.contains("/"), !program.hasPrefix("~") {
            let writtenProgram = node.written.split(separator: " ").first.map(String.init) ?? "uvx"
            report(
                "'\(key)' in \(fields.owner) holds more than a program: '\(node.written)'",
                hint: "write command: \"\(writtenProgram)\" and put the rest into 'args'")
            return nil
        }
        guard text.contains("/") || text.hasPrefix("~") else { return text }
        return path(text, node, key, fields.owner, relativeTo: workingDirectory ?? context.workingDirectory)
    }

    /// Makes a path absolute.
    ///
    /// - Parameter base: absolute, or relative to the working directory.
    func path(_ text: String, _ node: Node, _ key: String, _ owner: String, relativeTo base: String) -> String? {
        guard node.isComplete else { return text }
        if text.isEmpty {
            findings.add(.invalidPath, at: node.location, "'\(key)' in \(owner) is empty", hint: "remove it, or write a path")
            return nil
        }
        if text == "~" || text.hasPrefix("~/") {
            if context.homeDirectory.isEmpty {
                findings.add(
                    .invalidPath, at: node.location, "'~' in \(owner) needs a home directory, and there is none",
                    hint: "write the whole path")
                return nil
            }
            return Self.join(context.homeDirectory, String(text.dropFirst(2)))
        }
        if text.hasPrefix("~") {
            findings.add(
                .invalidPath, at: node.location, "'\(key)' in \(owner) begins with the home directory of someone else: '\(node.written)'",
                hint: "only ~ and ~/ are known; write the whole path")
            return nil
        }
        if text.hasPrefix("/") { return text }
        return Self.join(base.hasPrefix("/") ? base : Self.join(context.workingDirectory, base), text)
    }

    /// A path of a file or directory that belongs to the config, so a relative one counts from the config's directory.
    func configuredPath(_ fields: inout Fields, _ key: String) -> String? {
        guard let (text, node) = fields.string(key) else { return nil }
        return path(text, node, key, fields.owner, relativeTo: source.directory)
    }

    private static func join(_ directory: String, _ path: String) -> String {
        var rest = path[...]
        while rest.hasPrefix("./") { rest = rest.dropFirst(2) }
        if rest.isEmpty || rest == "." { return directory }
        return directory.hasSuffix("/") ? directory + rest : "\(directory)/\(rest)"
    }

    private func directory(_ fields: inout Fields) -> String? { configuredPath(&fields, "cwd") }

    func arguments(_ fields: inout Fields) -> [String] {
        guard let node = fields.node("args") else { return [] }
        guard case .list(let elements) = node.content else {
            fields.wrongType(
                "args", node, "a list", hint: node.written.isEmpty ? nil : "write each argument by itself: [\"--flag\", \"value\"]")
            return []
        }
        return elements.compactMap { element in
            if let text = element.argumentText { return text }
            findings.add(.wrongType, at: element.location, "'args' in \(fields.owner) must hold strings, this is \(element.kindName)")
            return nil
        }
    }

    private func environment(_ fields: inout Fields) -> [String: String] {
        guard let node = fields.node("env") else { return [:] }
        guard let members = node.members else {
            fields.wrongType("env", node, "an object", hint: "write env: { NAME: value }")
            return [:]
        }
        var environment: [String: String] = [:]
        for member in members {
            checkVariableName(member.key, at: member.keyLocation, in: fields.owner)
            guard let value = member.value.argumentText else {
                findings.add(
                    .wrongType, at: member.value.location,
                    "the variable '\(member.key)' in \(fields.owner) must be a string, this is \(member.value.kindName)",
                    hint: member.value.isNull ? "write \"\" for an empty one" : nil)
                continue
            }
            environment[member.key] = value
            if member.value.isComplete, !Secrets.publicVariables.contains(member.key) { findings.addSecret(value) }
        }
        return environment
    }

    private func checkVariableName(_ name: String, at location: SourceLocation, in owner: String) {
        findings.checkCharacters(of: name, at: location)
        if name.isEmpty || name.utf8.contains(UInt8(ascii: "=")) {
            findings.add(
                .invalidEnvironment, at: location, "'\(name)' in \(owner) is no name for an environment variable",
                hint: name.isEmpty ? nil : "a name has no '=' in it")
        }
    }

    private func inheritedEnvironment(_ fields: inout Fields) -> Command.InheritedEnvironment {
        guard let node = fields.node("inheritEnv") else { return .all }
        switch node.content {
        case .string("all"): return .all
        case .string("none"): return .none
        case .string where !node.isComplete: return .all
        case .list:
            let names = fields.strings("inheritEnv") ?? []
            for (name, element) in names where element.isComplete {
                checkVariableName(name, at: element.location, in: fields.owner)
            }
            return .only(names.map(\.text))
        case .string:
            findings.add(
                .invalidValue, at: node.location, "'\(node.written)' is no value for 'inheritEnv' in \(fields.owner)",
                hint: "choose all, none, or a list of names")
        case .null, .boolean, .integer, .float, .object:
            fields.wrongType("inheritEnv", node, "'all', 'none' or a list of names")
        }
        return .all
    }
}
