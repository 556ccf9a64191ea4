/// Something in the config file that the person can put right.
///
/// Texts show values as they are written in the file, never what a variable holds, and never the value of a header or of an
/// environment variable.
package struct ConfigProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// Characters of a message or hint: the file decides how long its keys are.
    package static let textLimit = 400

    package var code: Code
    package var location: SourceLocation
    package var message: String
    /// What to do about it.
    package var hint: String?

    package init(_ code: Code, at location: SourceLocation, _ message: String, hint: String? = nil) {
        self.code = code
        self.location = location
        self.message = Self.presentable(message)
        self.hint = hint.map(Self.presentable)
    }

    /// Problems are shown on terminals and in logs, where a control character out of the file could do harm.
    private static func presentable(_ text: String) -> String {
        let shortened = text.count > textLimit ? text.prefix(textLimit) + "…" : text[...]
        var result = ""
        for scalar in shortened.unicodeScalars {
            if scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    package var description: String {
        "\(location): \(code.severity.rawValue): \(message) [\(code.rawValue)]" + (hint.map { "\n  hint: \($0)" } ?? "")
    }
}

/// All that is wrong with one file.
package struct ConfigProblems: Error, Equatable, Sendable, CustomStringConvertible {
    /// Problems that are kept. Nobody reads more, and a file of garbage has one per line.
    package static let limit = 100

    /// In file order, at least one and at most ``limit``.
    package var problems: [ConfigProblem]
    /// Problems beyond ``limit``.
    package var omitted: Int

    package init(_ problems: [ConfigProblem]) {
        // The index makes the sort stable: of two problems at one place, the one found first is mostly the cause.
        let sorted = problems.enumerated().sorted { ($0.element.location, $0.offset) < ($1.element.location, $1.offset) }
        self.problems = sorted.prefix(Self.limit).map(\.element)
        omitted = max(0, problems.count - Self.limit)
    }

    package var description: String {
        let shown = problems.map(\.description).joined(separator: "\n")
        return omitted == 0 ? shown : shown + "\n(and \(omitted) more)"
    }
}

/// Collects what is found while reading goes on. Belongs to one read, and never leaves it.
final class Findings {
    private(set) var problems: [ConfigProblem] = []
    private(set) var notes: [ConfigProblem] = []
    private(set) var secrets: Set<String> = []
    private var known: Set<String> = []

    /// Keeps `problem` unless it is known: what stands in the defaults or behind an alias is read several times.
    func add(_ problem: ConfigProblem) {
        guard known.insert("\(problem.location) \(problem.code) \(problem.message)").inserted else { return }
        switch problem.code.severity {
        case .error: problems.append(problem)
        case .note: notes.append(problem)
        }
    }

    func add(_ code: ConfigProblem.Code, at location: SourceLocation, _ message: String, hint: String? = nil) {
        add(ConfigProblem(code, at: location, message, hint: hint))
    }

    /// Remembers a value that logs must not show, unless it is one that hides nothing. See ``Secrets``.
    func addSecret(_ value: String) {
        if Secrets.isWorthHiding(value) { secrets.insert(value) }
    }
}
