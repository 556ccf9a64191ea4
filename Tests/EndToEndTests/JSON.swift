/// A JSON value as a reader of transcripts sees it: the order of members does not count, the text of a number does.
///
/// Not the program's own scanner: a test that reads with the eyes of what it tests finds nothing.
indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    /// As it is written: `1` and `1.0` differ.
    case number(String)
    case string(String)
    case array([JSON])
    case object([(name: String, value: JSON)])

    struct SyntaxError: Error, CustomStringConvertible {
        let description: String
    }

    init(_ text: String) throws {
        var parser = JSONParser(Array(text.utf8))
        self = try parser.document()
    }

    subscript(_ name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let text): Self.quoted(text)
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let members): "{" + members.map { "\(Self.quoted($0.name)):\($0.value.text)" }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Strict: what a transcript accepts as an answer must be JSON, and every name must be there once.
private struct JSONParser {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws -> JSON {
        let value = try value()
        skipSpace()
        guard index == bytes.count else { throw error("something stands behind the value") }
        return value
    }

    private mutating func value() throws -> JSON {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object() throws -> JSON {
        var members: [(name: String, value: JSON)] = []
        try list(from: "{", to: "}") { parser in
            let name = try parser.string()
            guard !members.contains(where: { $0.name == name }) else { throw parser.error("'\(name)' is there twice") }
            try parser.expect(":")
            members.append((name, try parser.value()))
        }
        return .object(members)
    }

    private mutating func array() throws -> JSON {
        var elements: [JSON] = []
        try list(from: "[", to: "]") { elements.append(try $0.value()) }
        return .array(elements)
    }

    private mutating func list(from start: Character, to end: Character, _ element: (inout JSONParser) throws -> Void) throws {
        try expect(start)
        skipSpace()
        if peek == end.asciiValue {
            index += 1
            return
        }
        while true {
            skipSpace()
            try element(&self)
            skipSpace()
            if peek != UInt8(ascii: ",") { break }
            index += 1
        }
        try expect(end)
    }

    private mutating func string() throws -> String {
        try expect("\"")
        var units: [UInt8] = []
        while let byte = peek, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw error("a control character in a string") }
            index += 1
            if byte == UInt8(ascii: "\\") { units += try escape() } else { units.append(byte) }
        }
        try expect("\"")
        guard let text = String(validating: units, as: UTF8.self) else { throw error("a string that is not UTF-8") }
        return text
    }

    private mutating func escape() throws -> [UInt8] {
        guard let byte = peek else { throw error("an escape without its end") }
        index += 1
        switch byte {
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "u"): return Array(try unicode().utf8)
        default: throw error("an unknown escape")
        }
    }

    private mutating func unicode() throws -> String {
        let first = try fourDigits()
        if (0xD800..<0xDC00).contains(first), bytes[index...].starts(with: Array("\\u".utf8)) {
            let start = index
            index += 2
            let second = try fourDigits()
            if (0xDC00..<0xE000).contains(second), let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) {
                return String(Character(scalar))
            }
            index = start
        }
        // Half a pair has no character: its escape stays what it is.
        return Unicode.Scalar(first).map { String(Character($0)) } ?? "\\u" + String(first, radix: 16)
    }

    private mutating func fourDigits() throws -> UInt32 {
        guard index + 4 <= bytes.count, let value = UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16) else {
            throw error("an escape without four digits")
        }
        index += 4
        return value
    }

    private mutating func number() throws -> JSON {
        let start = index
        while let byte = peek, "+-.eE0123456789".utf8.contains(byte) { index += 1 }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        guard Double(text) != nil else { throw error("no value") }
        return .number(text)
    }

    private mutating func word(_ word: String, _ value: JSON) throws -> JSON {
        guard bytes[index...].starts(with: Array(word.utf8)) else { throw error("no value") }
        index += word.utf8.count
        return value
    }

    private mutating func expect(_ character: Character) throws {
        skipSpace()
        guard peek == character.asciiValue else { throw error("'\(character)' is missing") }
        index += 1
    }

    private mutating func skipSpace() {
        while let byte = peek, " \t\r\n".utf8.contains(byte) { index += 1 }
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }
    private func error(_ text: String) -> JSON.SyntaxError { JSON.SyntaxError(description: "\(text) (byte \(index))") }
}
