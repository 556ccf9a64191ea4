/// What a YAML scalar means: the core schema of YAML 1.2.2, §10.3.2. `yes`, `no`, `on` and `off` are strings.
enum YAMLScalar {
    static let tagPrefix = "tag:yaml.org,2002:"

    /// The value of a scalar that has neither quotes nor a tag.
    static func resolve(_ text: String) -> Node.Content {
        switch text {
        case "", "~", "null", "Null", "NULL": .null
        case "true", "True", "TRUE": .boolean(true)
        case "false", "False", "FALSE": .boolean(false)
        default: number(text) ?? .string(text)
        }
    }

    /// The value of a scalar with a tag; `nil` if the tag is none of ours, or the text does not suit it.
    static func resolve(_ text: String, tag: String) -> Node.Content? {
        switch tag {
        case "!", tagPrefix + "str": return .string(text)
        case tagPrefix + "null": return resolve(text) == .null ? .null : nil
        case tagPrefix + "bool":
            guard case .boolean(let value) = resolve(text) else { return nil }
            return .boolean(value)
        case tagPrefix + "int":
            guard case .integer(let value)? = number(text) else { return nil }
            return .integer(value)
        case tagPrefix + "float":
            switch number(text) {
            case .integer(let value)?: return .float(Double(value))
            case let value: return value
            }
        default: return nil
        }
    }

    private static func number(_ text: String) -> Node.Content? {
        let bytes = Array(text.utf8)
        guard let first = bytes.first else { return nil }
        if text.hasPrefix("0x") { return radix(text.dropFirst(2), 16) }
        if text.hasPrefix("0o") { return radix(text.dropFirst(2), 8) }
        let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
        let unsigned = text.utf8.dropFirst(isSigned ? 1 : 0)
        switch String(decoding: unsigned, as: UTF8.self) {
        case ".inf", ".Inf", ".INF": return .float(first == UInt8(ascii: "-") ? -.infinity : .infinity)
        case ".nan", ".NaN", ".NAN": return isSigned ? nil : .float(.nan)
        default: break
        }
        guard let isInteger = decimalShape(Array(unsigned)) else { return nil }
        if isInteger, let value = Int(text) { return .integer(value) }
        return .float(Double(text) ?? .infinity)
    }

    private static func radix(_ digits: Substring, _ radix: Int) -> Node.Content? {
        guard let first = digits.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+") else { return nil }
        return Int(digits, radix: radix).map(Node.Content.integer)
    }

    /// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    /// - Returns: whether it is an integer; `nil` if it is no number.
    private static func decimalShape(_ bytes: [UInt8]) -> Bool? {
        var index = 0
        func skipDigits() -> Int {
            let start = index
            while index < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) { index += 1 }
            return index - start
        }
        func take(_ choices: UInt8...) -> Bool {
            guard index < bytes.count, choices.contains(bytes[index]) else { return false }
            index += 1
            return true
        }
        let whole = skipDigits()
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            if skipDigits() + whole == 0 { return nil }
        } else if whole == 0 {
            return nil
        }
        if take(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            isInteger = false
            _ = take(UInt8(ascii: "-"), UInt8(ascii: "+"))
            if skipDigits() == 0 { return nil }
        }
        return index == bytes.count ? isInteger : nil
    }
}
