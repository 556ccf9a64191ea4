/// The members of one object, taken out by key: what is wrong with a value is noted, and reading goes on without it.
///
/// Every key that the schema knows must be taken, even if its value will not be used: ``finish()`` reports all others, and suggests
/// one of those that were asked for. A value of null is like no value.
struct Fields {
    /// For messages, for example `server 'git'`.
    let owner: String
    let findings: Findings
    private let members: [Node.Member]
    private let index: [String: Int]
    private var asked: Set<String> = []
    private var order: [String] = []

    /// - Returns: `nil`, and a problem is noted, if `node` is no object.
    init?(_ node: Node, _ owner: String, _ findings: Findings) {
        guard let members = node.members else {
            findings.add(.wrongType, at: node.location, "\(owner) must be an object, this is \(node.kindName)")
            return nil
        }
        self.owner = owner
        self.members = members
        index = Dictionary(members.enumerated().map { ($0.element.key, $0.offset) }, uniquingKeysWith: { first, _ in first })
        self.findings = findings
    }

    mutating func member(_ key: String) -> Node.Member? {
        if asked.insert(key).inserted { order.append(key) }
        guard let place = index[key], !members[place].value.isNull else { return nil }
        return members[place]
    }

    mutating func node(_ key: String) -> Node? { member(key)?.value }

    mutating func has(_ key: String) -> Bool { member(key) != nil }

    /// Accepts all keys that look as described.
    mutating func accept(where isAccepted: (String) -> Bool) {
        asked.formUnion(members.lazy.map(\.key).filter(isAccepted))
    }

    /// Accepts `keys` without a meaning, and notes it.
    mutating func ignore(_ keys: [String], because reason: String) {
        for key in keys {
            guard let member = member(key) else { continue }
            findings.add(.ignoredKey, at: member.keyLocation, "'\(key)' in \(owner) is ignored: \(reason)")
        }
    }

    /// Reports the keys that nobody asked for.
    /// - Parameter foreign: other programs' keys, and what to write instead.
    func finish(foreign: [String: String] = [:]) {
        for (count, member) in members.lazy.filter({ !asked.contains($0.key) }).enumerated() {
            var hint = foreign[member.key]
            // More are not shown, and looking for what was meant takes time.
            if hint == nil, count < ConfigProblems.limit {
                hint = Spelling.nearest(to: member.key, among: order).map { "did you mean '\($0)'?" }
            }
            if hint == nil, order.count <= 12 { hint = "the keys here are \(order.joined(separator: ", "))" }
            findings.add(.unknownKey, at: member.keyLocation, "unknown key '\(member.key)' in \(owner)", hint: hint)
        }
    }

    func wrongType(_ key: String, _ node: Node, _ expected: String, hint: String? = nil) {
        findings.add(.wrongType, at: node.location, "'\(key)' in \(owner) must be \(expected), this is \(node.kindName)", hint: hint)
    }

    // MARK: Typed values

    /// - Returns: the text even if a variable in it is not set; see ``Node/isComplete``.
    mutating func string(_ key: String) -> (text: String, node: Node)? {
        guard let node = node(key) else { return nil }
        guard case .string(let text) = node.content else {
            wrongType(key, node, "a string", hint: node.written.isEmpty ? nil : "put it in quotes: \"\(node.written)\"")
            return nil
        }
        return (text, node)
    }

    mutating func boolean(_ key: String) -> Bool? {
        guard let node = node(key) else { return nil }
        if case .boolean(let value) = node.content { return value }
        wrongType(key, node, "true or false")
        return nil
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = node(key) else { return nil }
        switch node.content {
        case .integer(let value) where range.contains(value): return value
        case .float(let number) where number.rounded() == number && number.isFinite:
            if let value = Int(exactly: number), range.contains(value) { return value }
            fallthrough
        case .integer:
            outOfRange(key, node, "\(range.lowerBound) to \(range.upperBound)")
        case .float: outOfRange(key, node, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        case .null, .boolean, .string, .list, .object: wrongType(key, node, "a number")
        }
        return nil
    }

    mutating func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let node = node(key) else { return nil }
        let number: Double
        switch node.content {
        case .integer(let value): number = Double(value)
        case .float(let value): number = value
        case .null, .boolean, .string, .list, .object:
            wrongType(key, node, "a number")
            return nil
        }
        if range.contains(number) { return number }
        outOfRange(key, node, "\(Self.plain(range.lowerBound)) to \(Self.plain(range.upperBound))")
        return nil
    }

    private static func plain(_ number: Double) -> String { Int(exactly: number).map(String.init) ?? "\(number)" }

    private func outOfRange(_ key: String, _ node: Node, _ expected: String) {
        findings.add(.outOfRange, at: node.location, "'\(key)' in \(owner) must be \(expected), this is \(node.written)")
    }

    /// - Returns: `nil` also for a string with a variable that is not set, which makes the server unusable anyway. So do ``choice``
    ///   and all that check what a text says.
    /// - Parameter shortest: the shortest that makes sense; shorter ones are problems, zero among them.
    mutating func duration(
        _ key: String, atLeast shortest: Duration = .milliseconds(1), atMost longest: Duration = Durations.longest
    ) -> Duration? {
        guard let node = node(key), node.isComplete else { return nil }
        let duration: Duration
        do throws(Durations.Failure) {
            switch node.content {
            case .string(let text): duration = try Durations.parse(text)
            case .integer(let count): duration = try Durations.milliseconds(count)
            case .float(let number):
                guard let count = Int(exactly: number) else {
                    guard number.isFinite else { throw .malformed }
                    throw number < 0 ? .negative : number >= 0x1p53 ? .tooLong : .missingUnit
                }
                duration = try Durations.milliseconds(count)
            case .null, .boolean, .list, .object:
                wrongType(key, node, "a duration", hint: "write it like \"30s\"")
                return nil
            }
        } catch {
            reportDuration(key, node, error)
            return nil
        }
        if case .string = node.content {
        } else if duration > .zero, duration < .milliseconds(Durations.suspiciouslyFewMilliseconds) {
            findings.add(
                .smallDuration, at: node.location, "'\(key)' in \(owner) is \(node.written) milliseconds",
                hint: "write \"\(node.written)s\" if seconds are meant")
        }
        guard duration >= shortest, duration <= longest else {
            findings.add(
                .invalidDuration, at: node.location,
                "'\(key)' in \(owner) must be between \(Durations.describe(shortest)) and \(Durations.describe(longest)), "
                    + "this is '\(node.written)'",
                hint: duration == .zero ? "leave the key out for the default" : nil)
            return nil
        }
        return duration
    }

    private func reportDuration(_ key: String, _ node: Node, _ failure: Durations.Failure) {
        let subject = "'\(key)' in \(owner)"
        switch failure {
        case .malformed:
            findings.add(
                .invalidDuration, at: node.location, "\(subject) is no duration: '\(node.written)'",
                hint: "write it like \"250ms\", \"30s\", \"2m\" or \"1h\"")
        case .negative: findings.add(.invalidDuration, at: node.location, "\(subject) is negative: '\(node.written)'")
        case .missingUnit:
            findings.add(
                .invalidDuration, at: node.location, "\(subject) has no unit: '\(node.written)'",
                hint: "write \"\(node.written)s\" for seconds or \"\(node.written)ms\" for milliseconds")
        case .tooLong:
            findings.add(
                .invalidDuration, at: node.location,
                "\(subject) is longer than the longest we take, \(Durations.describe(Durations.longest)): '\(node.written)'")
        }
    }

    mutating func choice<Choice: CaseIterable & RawRepresentable<String>>(_ key: String, _: Choice.Type) -> Choice? {
        guard let (text, node) = string(key), node.isComplete else { return nil }
        return choice(text, node, key)
    }

    func choice<Choice: CaseIterable & RawRepresentable<String>>(_ text: String, _ node: Node, _ key: String) -> Choice? {
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue)
        findings.add(
            .invalidValue, at: node.location, "'\(node.written)' is no value for '\(key)' in \(owner)",
            hint: Spelling.nearest(to: text, among: names).map { "did you mean '\($0)'?" }
                ?? "choose one of \(names.joined(separator: ", "))")
        return nil
    }

    /// - Returns: the elements as they are, so that the caller can point at each of them.
    mutating func strings(_ key: String) -> [(text: String, node: Node)]? {
        guard let node = node(key) else { return nil }
        guard case .list(let elements) = node.content else {
            wrongType(key, node, "a list of strings", hint: node.written.isEmpty ? nil : "put it in brackets: [\"\(node.written)\"]")
            return nil
        }
        return elements.compactMap { element in
            if case .string(let text) = element.content { return (text, element) }
            findings.add(
                .wrongType, at: element.location, "'\(key)' in \(owner) must hold strings, this is \(element.kindName)",
                hint: element.written.isEmpty ? nil : "put it in quotes: \"\(element.written)\"")
            return nil
        }
    }
}

extension Node {
    /// The text of an argument or of an environment variable. Numbers and booleans count as they are written: people write
    /// `args: [--port, 8080]`, and `1.10` stays `1.10`.
    var argumentText: String? {
        switch content {
        case .string(let text): text
        case .boolean, .integer, .float: written
        case .null, .list, .object: nil
        }
    }
}
