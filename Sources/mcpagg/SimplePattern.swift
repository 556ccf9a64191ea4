/// A regular expression without groups or alternatives: the only kind in which a pattern that a server sends is checked here.
///
/// It is matched by following all ways at once, so no pattern can take more time than its length times the square of the text's. What
/// is not understood is left to the server, which knows its own pattern best.
struct SimplePattern {
    /// Repetitions that are counted; a pattern with more is not simple.
    private static let countLimit = 1_000

    private enum Atom {
        case any
        case scalars([ClosedRange<Unicode.Scalar>], isInverted: Bool)

        func matches(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .any: scalar != "\n" && scalar != "\r"
            case .scalars(let ranges, let isInverted): ranges.contains { $0.contains(scalar) } != isInverted
            }
        }
    }

    private struct Part {
        var atom: Atom
        var least = 1
        /// `nil` for any number.
        var most: Int? = 1
    }

    private var parts: [Part] = []
    private var isAnchoredAtStart = false
    private var isAnchoredAtEnd = false

    /// - Returns: `nil` if the pattern is not simple.
    init?(_ pattern: String) {
        var rest = Array(pattern.unicodeScalars)[...]
        if rest.first == "^" {
            isAnchoredAtStart = true
            rest.removeFirst()
        }
        while let scalar = rest.popFirst() {
            switch scalar {
            case "$" where rest.isEmpty: isAnchoredAtEnd = true
            case "^", "$", "(", ")", "|", "*", "+", "?", "{", "}", "]": return nil
            case ".": parts.append(Part(atom: .any))
            case "[":
                guard let atom = Self.set(&rest) else { return nil }
                parts.append(Part(atom: atom))
            case "\\":
                guard let atom = Self.escape(&rest) else { return nil }
                parts.append(Part(atom: atom))
            default: parts.append(Part(atom: .scalars([scalar...scalar], isInverted: false)))
            }
            guard isAnchoredAtEnd || repeatLast(&rest) else { return nil }
        }
    }

    // MARK: Matching

    /// Whether the pattern is found in the text.
    func matches(_ text: String) -> Bool {
        let text = Array(text.unicodeScalars)
        // The places that the parts so far can end at.
        var ends = [Bool](repeating: !isAnchoredAtStart, count: text.count + 1)
        ends[0] = true
        for part in parts {
            for _ in 0..<part.least { ends = step(ends, part.atom, text) }
            if let most = part.most {
                var latest = ends
                for _ in part.least..<most {
                    latest = step(latest, part.atom, text)
                    for index in ends.indices where latest[index] { ends[index] = true }
                }
            } else {
                for index in text.indices where ends[index] && part.atom.matches(text[index]) { ends[index + 1] = true }
            }
            guard ends.contains(true) else { return false }
        }
        return isAnchoredAtEnd ? ends[text.count] : ends.contains(true)
    }

    private func step(_ ends: [Bool], _ atom: Atom, _ text: [Unicode.Scalar]) -> [Bool] {
        var next = [Bool](repeating: false, count: ends.count)
        for index in text.indices where ends[index] && atom.matches(text[index]) { next[index + 1] = true }
        return next
    }

    // MARK: Reading

    /// Reads `*`, `+`, `?`, `{2}`, `{2,}` or `{2,5}`.
    /// - Returns: `false` for anything like it that is not understood.
    private mutating func repeatLast(_ rest: inout ArraySlice<Unicode.Scalar>) -> Bool {
        let last = parts.count - 1
        guard last >= 0, let sign = rest.first, ["*", "+", "?", "{"].contains(sign) else { return true }
        rest.removeFirst()
        switch sign {
        case "*": (parts[last].least, parts[last].most) = (0, nil)
        case "+": parts[last].most = nil
        case "?": parts[last].least = 0
        default:
            guard let close = rest.firstIndex(of: "}") else { return false }
            let words = rest[..<close].split(separator: ",", omittingEmptySubsequences: false).map { String(String.UnicodeScalarView($0)) }
            rest = rest[(close + 1)...]
            guard let least = Int(words[0]), (0...Self.countLimit).contains(least), words.count <= 2 else { return false }
            parts[last].least = least
            if words.count == 1 {
                parts[last].most = least
            } else if words[1].isEmpty {
                parts[last].most = nil
            } else {
                guard let most = Int(words[1]), (least...max(least, Self.countLimit)).contains(most) else { return false }
                parts[last].most = most
            }
        }
        // Lazy repetition finds the same texts; possessive and doubled ones do not exist.
        if rest.first == "?" { rest.removeFirst() }
        return rest.first.map { !["*", "+", "?", "{"].contains($0) } ?? true
    }

    private static let digits: [ClosedRange<Unicode.Scalar>] = ["0"..."9"]
    private static let wordScalars: [ClosedRange<Unicode.Scalar>] = ["0"..."9", "A"..."Z", "_"..."_", "a"..."z"]
    private static let spaces: [ClosedRange<Unicode.Scalar>] = [
        "\t"..."\r", " "..." ", "\u{A0}"..."\u{A0}", "\u{1680}"..."\u{1680}", "\u{2000}"..."\u{200A}", "\u{2028}"..."\u{2029}",
        "\u{202F}"..."\u{202F}", "\u{205F}"..."\u{205F}", "\u{3000}"..."\u{3000}", "\u{FEFF}"..."\u{FEFF}",
    ]

    /// Behind a backslash.
    private static func escape(_ rest: inout ArraySlice<Unicode.Scalar>) -> Atom? {
        guard let scalar = rest.popFirst() else { return nil }
        switch scalar {
        case "d", "D": return .scalars(digits, isInverted: scalar == "D")
        case "w", "W": return .scalars(wordScalars, isInverted: scalar == "W")
        case "s", "S": return .scalars(spaces, isInverted: scalar == "S")
        default: return escaped(scalar).map { .scalars([$0...$0], isInverted: false) }
        }
    }

    /// The one character that a backslash and this stand for.
    private static func escaped(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        switch scalar {
        case "n": "\n"
        case "r": "\r"
        case "t": "\t"
        case "0"..."9", "A"..."Z", "a"..."z": nil
        default: scalar
        }
    }

    /// Behind an opening bracket, up to the closing one.
    private static func set(_ rest: inout ArraySlice<Unicode.Scalar>) -> Atom? {
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isInverted = rest.first == "^"
        if isInverted { rest.removeFirst() }
        while let scalar = rest.popFirst() {
            if scalar == "]" { return .scalars(ranges, isInverted: isInverted) }
            // Sets in sets are of other dialects.
            if scalar == "[" { return nil }
            var first = scalar
            if scalar == "\\" {
                guard let next = rest.popFirst() else { return nil }
                if let more = ["d": digits, "w": wordScalars, "s": spaces][next] {
                    ranges += more
                    continue
                }
                guard let plain = escaped(next) else { return nil }
                first = plain
            }
            guard rest.first == "-", let end = rest.dropFirst().first, end != "]" else {
                ranges.append(first...first)
                continue
            }
            rest.removeFirst(2)
            var last = end
            if end == "\\" {
                guard let next = rest.popFirst(), let plain = escaped(next) else { return nil }
                last = plain
            }
            guard first <= last else { return nil }
            ranges.append(first...last)
        }
        return nil
    }
}
