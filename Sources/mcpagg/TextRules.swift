import JSONRPC

/// What a form demands of a text.
struct TextRules {
    enum Format: String {
        case email, uri, date
        case dateTime = "date-time"
    }

    let format: Format?
    /// Unicode characters, as JSON Schema counts them.
    let leastLength: Int?
    let mostLength: Int?
    let pattern: String?

    /// - Parameter schema: of a property whose type is `string`.
    init(schema: JSONView) {
        format = schema["format"]?.string.flatMap(Format.init(rawValue:))
        leastLength = schema["minLength"]?.integer
        mostLength = schema["maxLength"]?.integer
        pattern = schema["pattern"]?.string
    }

    /// For the person, before the answer.
    var description: String {
        var words: [String]
        switch format {
        case .email: words = ["e-mail address"]
        case .uri: words = ["URI, as https://example.com/"]
        case .date: words = ["date, as 2025-12-31"]
        case .dateTime: words = ["date and time, as 2025-12-31T23:59:00Z"]
        case nil: words = ["text"]
        }
        if let length = Self.span(leastLength.flatMap { $0 > 0 ? "\($0)" : nil }, mostLength.map { "\($0)" }) {
            words.append("\(length) characters")
        }
        if let pattern { words.append("of the form \(pattern)") }
        return words.joined(separator: ", ")
    }

    /// "2 to 5", "at least 2", "at most 5".
    static func span(_ least: String?, _ most: String?) -> String? {
        switch (least, most) {
        case (let least?, let most?): least == most ? least : "\(least) to \(most)"
        case (let least?, nil): "at least \(least)"
        case (nil, let most?): "at most \(most)"
        case (nil, nil): nil
        }
    }

    /// - Returns: why the text will not do; `nil` if it will, as far as it can be told here.
    func complaint(about text: String) -> String? {
        let length = text.unicodeScalars.count
        if let leastLength, length < leastLength { return "that is too short; it needs at least \(leastLength) characters" }
        if let mostLength, length > mostLength { return "that is too long; it may have at most \(mostLength) characters" }
        if let pattern, let simple = SimplePattern(pattern), !simple.matches(text) { return "that is not of the form \(pattern)" }
        switch format {
        case .email: return Self.isEmail(text) ? nil : "that is no e-mail address"
        case .uri: return Self.isURI(text) ? nil : "that is no URI; it needs a scheme, as in https://example.com/"
        case .date: return Self.isDate(text[...]) ? nil : "that is no date; write it like 2025-12-31"
        case .dateTime: return Self.isDateTime(text) ? nil : "that is no date and time; write it like 2025-12-31T23:59:00Z"
        case nil: return nil
        }
    }

    // MARK: Formats

    /// Only what every address has: what the rest may be, only its server knows.
    private static func isEmail(_ text: String) -> Bool {
        guard let sign = text.lastIndex(of: "@"), !text.contains(where: \.isWhitespace) else { return false }
        return sign != text.startIndex && text.index(after: sign) != text.endIndex
    }

    private static func isURI(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let scheme = text[..<colon]
        guard let first = scheme.first, first.isASCII, first.isLetter else { return false }
        guard scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }) else { return false }
        return text.index(after: colon) != text.endIndex && !text.contains { $0.isWhitespace || "<>\"{}|\\^`".contains($0) }
    }

    private static func isDate(_ text: Substring) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.count) == [4, 2, 2], let year = number(parts[0]), let month = number(parts[1]), let day = number(parts[2]),
            (1...12).contains(month)
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return (1...lengths[month - 1]).contains(day)
    }

    /// RFC 3339, section 5.6.
    private static func isDateTime(_ text: String) -> Bool {
        guard text.count > 11, isDate(text.prefix(10)), "Tt".contains(text.dropFirst(10).prefix(1)) else { return false }
        var rest = text.dropFirst(11)
        if rest.last == "Z" || rest.last == "z" {
            rest.removeLast()
        } else {
            let offset = rest.suffix(6)
            guard let sign = offset.first, "+-".contains(sign), isClock(offset.dropFirst(), [23, 59]) else { return false }
            rest = rest.dropLast(6)
        }
        if let dot = rest.firstIndex(of: ".") {
            let fraction = rest[rest.index(after: dot)...]
            guard !fraction.isEmpty, fraction.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
            rest = rest[..<dot]
        }
        return isClock(rest, [23, 59, 60])
    }

    /// Numbers of two digits between colons, none above its limit.
    private static func isClock(_ text: Substring, _ limits: [Int]) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == limits.count
            && zip(parts, limits).allSatisfy { part, limit in part.count == 2 && number(part).map { $0 <= limit } == true }
    }

    private static func number(_ digits: Substring) -> Int? {
        digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(digits) : nil
    }
}
