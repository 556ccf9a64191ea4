/// A value of the file, in JSON or YAML alike, with its place.
struct Node: Equatable, Sendable {
    enum Content: Equatable, Sendable {
        case null
        case boolean(Bool)
        case integer(Int)
        /// A number with a fraction or exponent, or an integer that does not fit `Int`.
        case float(Double)
        case string(String)
        case list([Node])
        /// In file order, no key twice.
        case object([Member])
    }

    struct Member: Equatable, Sendable {
        var key: String
        var keyLocation: SourceLocation
        var value: Node
    }

    var content: Content
    /// A scalar as it is written, before variables are expanded; a string without its quotes and escapes. "" for lists and objects.
    var written: String
    var location: SourceLocation
    /// False for a string with a reference to a variable that is not set: there is no use in checking what it says.
    var isComplete = true

    init(_ content: Content, written: String = "", at location: SourceLocation) {
        self.content = content
        self.written = written
        self.location = location
    }

    /// For messages: "expected a string, found …".
    var kindName: String {
        switch content {
        case .null: "null"
        case .boolean: "a boolean"
        case .integer, .float: "a number"
        case .string: "a string"
        case .list: "a list"
        case .object: "an object"
        }
    }

    /// Values in it, itself included.
    var size: Int {
        switch content {
        case .null, .boolean, .integer, .float, .string: 1
        case .list(let elements): elements.reduce(1) { $0 + $1.size }
        case .object(let members): members.reduce(1) { $0 + 1 + $1.value.size }
        }
    }

    var isNull: Bool { content == .null }

    var members: [Member]? {
        if case .object(let members) = content { members } else { nil }
    }

    /// This object with the members of `defaults` that it does not have; objects inside objects likewise. A member that is null here
    /// stays null, which is how a server declines a default.
    func merged(with defaults: [Member]) -> Node {
        guard case .object(var members) = content else { return self }
        let places = Dictionary(members.enumerated().map { ($0.element.key, $0.offset) }, uniquingKeysWith: { first, _ in first })
        for addition in defaults {
            guard let index = places[addition.key] else {
                members.append(addition)
                continue
            }
            if let inner = addition.value.members { members[index].value = members[index].value.merged(with: inner) }
        }
        var result = self
        result.content = .object(members)
        return result
    }
}

/// What a reader may still build. Shared by both readers so that a file means the same in JSON and YAML.
struct NodeBudget {
    /// Values in a file, those that YAML aliases repeat counted each time. A thousand servers have about 20,000.
    static let nodeLimit = 100_000
    /// Objects and lists inside each other. The schema needs six.
    static let depthLimit = 64

    private(set) var used = 0

    /// - Returns: false if that was too much.
    mutating func spend(_ nodes: Int = 1) -> Bool {
        used += nodes
        return used <= Self.nodeLimit
    }

    static func tooManyValues(at location: SourceLocation) -> ConfigProblem {
        ConfigProblem(
            .tooManyValues, at: location, "the file holds more than \(nodeLimit) values, those repeated by aliases included",
            hint: "is this the right file?")
    }

    static func tooDeep(at location: SourceLocation) -> ConfigProblem {
        ConfigProblem(.tooDeep, at: location, "nested deeper than \(depthLimit) levels")
    }
}

/// Builds the members of one object, refusing keys that come twice.
struct MemberList {
    private(set) var members: [Node.Member] = []
    private var places: [String: SourceLocation] = [:]

    /// - Returns: false if the key is there already; the first one stays.
    mutating func add(_ key: String, at location: SourceLocation, _ value: Node, _ findings: Findings) -> Bool {
        if let first = places[key] {
            findings.add(
                .duplicateKey, at: location, "the key '\(key)' is there already, at \(first.shortDescription)",
                hint: "remove one of the two, or give it another name")
            return false
        }
        places[key] = location
        members.append(Node.Member(key: key, keyLocation: location, value: value))
        return true
    }

    func contains(_ key: String) -> Bool { places[key] != nil }
}

extension Findings {
    /// No string of ours may hold a NUL: they end up in `exec`, file names and headers, where it cuts them off.
    func checkCharacters(of text: String, at location: SourceLocation) {
        if text.utf8.contains(0) {
            add(.controlCharacter, at: location, "this text contains a NUL character", hint: "remove the escape that stands for it")
        }
    }
}
