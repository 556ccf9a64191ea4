/// Replaces references to variables in the strings of one server entry.
///
/// `${VAR}`, `${env:VAR}`, and with a default for a variable that is unset or empty `${VAR:-default}`; a default may hold
/// references itself. VS Code's `${userHome}`, `${workspaceFolder}` and `${pathSeparator}` too. `$${` is a literal `${`; any other `$`
/// stays as it is, because arguments for a shell are full of them. What a variable holds is not expanded again.
struct Expansion {
    /// Defaults inside of defaults.
    static let depthLimit = 8
    /// Missing variables that are named for one server.
    static let missingLimit = 20

    let context: ConfigContext
    let findings: Findings
    /// Variables that are needed and not set, with the first place of each.
    private(set) var missing: [(name: String, location: SourceLocation)] = []
    /// The first reference to something that only another host can provide, for example `${input:token}`.
    private(set) var unsupported: (reference: String, location: SourceLocation)?

    init(context: ConfigContext, findings: Findings) {
        self.context = context
        self.findings = findings
    }

    /// `node` with every string in it expanded, keys excepted.
    mutating func expand(_ node: Node) -> Node {
        var result = node
        switch node.content {
        case .string(let text):
            guard text.utf8.contains(UInt8(ascii: "$")) else { return node }
            let expanded = expand(text, at: node.location)
            result.content = .string(expanded.text)
            result.isComplete = expanded.isComplete
        case .list(let elements):
            result.content = .list(elements.map { expand($0) })
        case .object(let members):
            result.content = .object(
                members.map {
                    var member = $0
                    member.value = expand($0.value)
                    return member
                })
        case .null, .boolean, .integer, .float: break
        }
        return result
    }

    /// - Returns: the text, references that cannot be resolved left as they are, and whether all were.
    mutating func expand(_ text: String, at location: SourceLocation) -> (text: String, isComplete: Bool) {
        var parser = Parser(expansion: self, bytes: Array(text.utf8), location: location)
        let (bytes, isComplete) = parser.run(depth: 0)
        self = parser.expansion
        return (String(decoding: bytes, as: UTF8.self), isComplete)
    }

    private struct Parser {
        var expansion: Expansion
        let bytes: [UInt8]
        let location: SourceLocation
        var index = 0
        /// One problem per string: what follows the first one makes no sense.
        private var hasFailed = false

        init(expansion: Expansion, bytes: [UInt8], location: SourceLocation) {
            self.expansion = expansion
            self.bytes = bytes
            self.location = location
        }

        /// Reads to the end, or inside a default to its closing brace, which it leaves.
        mutating func run(depth: Int) -> (bytes: [UInt8], isComplete: Bool) {
            var output: [UInt8] = []
            var isComplete = true
            while index < bytes.count {
                if depth > 0, bytes[index] == UInt8(ascii: "}") { break }
                if starts(with: "$${") {
                    output += Array("${".utf8)
                    index += 3
                } else if starts(with: "${") {
                    let start = index
                    if let value = reference(depth: depth) {
                        output += value
                    } else {
                        output += bytes[start..<index]
                        isComplete = false
                    }
                } else {
                    output.append(bytes[index])
                    index += 1
                }
            }
            return (output, isComplete)
        }

        /// Reads one reference.
        /// - Returns: what it stands for; `nil` if that is not known, reported already.
        private mutating func reference(depth: Int) -> [UInt8]? {
            let start = index
            guard depth < Expansion.depthLimit else {
                index = bytes.count
                report("defaults are nested deeper than \(Expansion.depthLimit) levels")
                return nil
            }
            index += 2
            let isEnvironment = starts(with: "env:")
            if isEnvironment { index += 4 }
            let nameStart = index
            while index < bytes.count, bytes[index] != UInt8(ascii: "}"), !starts(with: ":-") { index += 1 }
            let name = String(decoding: bytes[nameStart..<index], as: UTF8.self)
            var fallback: (bytes: [UInt8], isComplete: Bool, expansion: Expansion)?
            if starts(with: ":-") {
                index += 2
                // A default that is not used may name variables that are not set.
                let before = expansion
                let value = run(depth: depth + 1)
                fallback = (value.bytes, value.isComplete, expansion)
                expansion = before
            }
            guard index < bytes.count else {
                report("'${' has no closing '}'")
                return nil
            }
            index += 1
            let written = String(decoding: bytes[start..<index], as: UTF8.self)
            guard Self.isVariableName(name) else {
                if name.utf8.contains(UInt8(ascii: ":")), !isEnvironment {
                    if expansion.unsupported == nil { expansion.unsupported = (written, location) }
                } else {
                    report("'\(written)' is no reference to a variable")
                }
                return nil
            }
            if let value = expansion.context.environment[name], !value.isEmpty || fallback == nil {
                if !Secrets.publicVariables.contains(name) { expansion.findings.addSecret(value) }
                return Array(value.utf8)
            }
            if !isEnvironment, let value = hostVariable(name) { return Array(value.utf8) }
            if let fallback {
                expansion = fallback.expansion
                if fallback.isComplete { expansion.findings.addSecret(String(decoding: fallback.bytes, as: UTF8.self)) }
                return fallback.isComplete ? fallback.bytes : nil
            }
            if expansion.missing.count < Expansion.missingLimit, !expansion.missing.contains(where: { $0.name == name }) {
                expansion.missing.append((name, location))
            }
            return nil
        }

        private func hostVariable(_ name: String) -> String? {
            switch name {
            case "userHome": expansion.context.homeDirectory
            case "workspaceFolder": expansion.context.workingDirectory
            case "pathSeparator": "/"
            default: nil
            }
        }

        private mutating func report(_ message: String) {
            guard !hasFailed else { return }
            hasFailed = true
            expansion.findings.add(.invalidExpansion, at: location, message, hint: "write $${ for the characters ${ themselves")
        }

        private func starts(with text: StaticString) -> Bool {
            let length = text.utf8CodeUnitCount
            guard index + length <= bytes.count else { return false }
            for offset in 0..<length where bytes[index + offset] != text.utf8Start[offset] { return false }
            return true
        }

        private static func isVariableName(_ name: String) -> Bool {
            guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
            return name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: false
                }
            }
        }
    }

    /// What keeps the server of this entry from being used.
    func obstacle(server key: String) -> ConfigProblem? {
        if let first = missing.first {
            let names = missing.map(\.name).joined(separator: ", ")
            return ConfigProblem(
                .missingVariable, at: first.location,
                missing.count == 1
                    ? "server '\(key)' needs the environment variable \(names), which is not set"
                    : "server '\(key)' needs the environment variables \(names), which are not set",
                hint: "set \(missing.count == 1 ? "it" : "them"), or give a default: ${\(first.name):-}")
        }
        return unsupported.map {
            ConfigProblem(
                .unsupportedVariable, at: $0.location, "server '\(key)' refers to '\($0.reference)', which only another host can fill in",
                hint: "put the value in an environment variable and write ${NAME}")
        }
    }
}
