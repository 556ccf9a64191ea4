import Crypto

/// How the names that hosts see are made (DESIGN, D5).
package struct NameStyle: Hashable, Sendable {
    /// Stands between prefix and name.
    package var separator: String
    /// Characters of an exposed name. Hosts allow 60 to 64 and put something like `mcp__mcpagg__` in front.
    package var budget: Int

    package init(separator: String = "__", budget: Int = 48) {
        self.separator = separator
        self.budget = budget
    }
}

/// Which of a server's tools are offered, and under which names.
package struct ExposureRules: Hashable, Sendable {
    /// In front of every name, with the separator behind it; nothing at all if empty.
    package var prefix: String
    /// Patterns with `*` and `?` over the server's own names; a tool is offered if one of these matches and none of `exclude` does.
    package var include: [String]
    package var exclude: [String]
    /// The server's own name → what stands behind the prefix instead.
    package var rename: [String: String]

    package init(prefix: String, include: [String] = ["*"], exclude: [String] = [], rename: [String: String] = [:]) {
        self.prefix = prefix
        self.include = include
        self.exclude = exclude
        self.rename = rename
    }

    package func offers(_ name: OwnName) -> Bool {
        include.contains { Glob.matches($0, name.text) } && !exclude.contains { Glob.matches($0, name.text) }
    }
}

/// A name on its way to being exposed.
struct NameCandidate {
    /// Prefix, separator and name, in the alphabet all hosts take.
    let plain: String
    /// Nothing of the server's own name was changed, so this name has the first claim on `plain`.
    let isVerbatim: Bool
    private let server: String
    private let own: OwnName

    /// - Parameter server: the server's key in the config file. With its own name it is what the hash is made of, so that
    ///   another server never changes it.
    init(server: String, own: OwnName, rules: ExposureRules, style: NameStyle) {
        let wanted = rules.rename.isEmpty ? own.text : rules.rename[own.text] ?? own.text
        // Nearly all are: a list of thousands is made of them.
        let isAllowed = wanted.utf8.allSatisfy { Unicode.Scalar($0).isAllowedInName }
        var allowed = isAllowed ? wanted : String(String.UnicodeScalarView(wanted.unicodeScalars.map { $0.isAllowedInName ? $0 : "_" }))
        if !rules.prefix.isEmpty {
            allowed = rules.prefix + style.separator + allowed
        } else if allowed.unicodeScalars.first?.isLetter != true {
            allowed = "t_" + allowed
        }
        plain = allowed
        isVerbatim = allowed.utf8.count <= style.budget && (isAllowed || allowed.hasSuffix(wanted))
        self.server = server
        self.own = own
    }

    /// The plain name cut to make room for a hash of the raw identity.
    /// - Parameter digits: hexadecimal digits of the hash; more of them if two hashes collide.
    func hashed(budget: Int, digits: Int) -> String {
        let hash = SHA256.hash(data: Array((server + "\u{0}" + own.text).utf8)).flatMap {
            [Self.hexDigits[Int($0 >> 4)], Self.hexDigits[Int($0 & 15)]]
        }
        let suffix = "_" + String(decoding: hash.prefix(digits), as: UTF8.self)
        return String(plain.prefix(max(1, budget - suffix.utf8.count))) + suffix
    }

    /// Whether this is a name that the rules as they are now would give, if nobody else claimed it.
    func canBe(_ name: String, budget: Int) -> Bool {
        if name == plain { return name.utf8.count <= budget }
        let digits = name.utf8.reversed().prefix { $0 != UInt8(ascii: "_") }.count
        return (8...64).contains(digits) && name == hashed(budget: budget, digits: digits)
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}

extension Unicode.Scalar {
    fileprivate var isLetter: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
    fileprivate var isAllowedInName: Bool { isLetter || ("0"..."9").contains(self) || self == "_" || self == "-" }
}
