import JSONRPC

/// JSON, with comments and trailing commas, to a ``Node`` tree.
struct JSONReader {
    private let bytes: UnsafeRawBufferPointer
    private let findings: Findings
    private var scanner: Scanner
    private var cursor: LocationCursor
    private var budget = NodeBudget()

    /// - Returns: `nil` if there is no value to go on with; `findings` then say why, unless the file is empty.
    static func read(_ text: SourceText, _ findings: Findings) -> Node? {
        text.bytes.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes, file: text.file, findings)
            return reader.document()
        }
    }

    private init(_ bytes: UnsafeRawBufferPointer, file: String, _ findings: Findings) {
        self.bytes = bytes
        self.findings = findings
        scanner = Scanner(bytes, dialect: .lenient)
        cursor = LocationCursor(file: file)
    }

    private mutating func document() -> Node? {
        do throws(ScanError) {
            try scanner.skipWhitespace()
            if scanner.isAtEnd { return nil }
            let node = try value(depth: 0)
            try scanner.finish()
            return node
        } catch {
            findings.add(problem(error))
            return nil
        }
    }

    private mutating func value(depth: Int) throws(ScanError) -> Node {
        try scanner.skipWhitespace()
        let start = scanner.offset
        let location = location(at: start)
        // The reason is never shown: ``problem(_:)`` looks at the budget first.
        guard budget.spend() else { throw ScanError(.trailingBytes, at: start) }
        switch try scanner.peek() {
        case UInt8(ascii: "{"):
            try checkDepth(depth)
            return Node(.object(try members(depth: depth)), at: location)
        case UInt8(ascii: "["):
            try checkDepth(depth)
            var elements: [Node] = []
            if try scanner.beginContainer(depth: depth, until: UInt8(ascii: "]")) {
                repeat { elements.append(try value(depth: depth + 1)) } while try scanner.continueContainer(until: UInt8(ascii: "]"))
            }
            return Node(.list(elements), at: location)
        case UInt8(ascii: "\""):
            let text = text(try scanner.scanString(), at: location)
            return Node(.string(text), written: text, at: location)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let isInteger = try scanner.scanNumber()
            let text = String(decoding: bytes[start..<scanner.offset], as: UTF8.self)
            if isInteger, let integer = Int(text) { return Node(.integer(integer), written: text, at: location) }
            return Node(.float(Double(text) ?? .infinity), written: text, at: location)
        case UInt8(ascii: "t"):
            try scanner.scanLiteral("true")
            return Node(.boolean(true), written: "true", at: location)
        case UInt8(ascii: "f"):
            try scanner.scanLiteral("false")
            return Node(.boolean(false), written: "false", at: location)
        case UInt8(ascii: "n"):
            try scanner.scanLiteral("null")
            return Node(.null, written: "null", at: location)
        case let byte:
            throw ScanError(.unexpected(byte: byte, expected: "a value"), at: start)
        }
    }

    private mutating func members(depth: Int) throws(ScanError) -> [Node.Member] {
        var list = MemberList()
        guard try scanner.beginContainer(depth: depth, until: UInt8(ascii: "}")) else { return [] }
        repeat {
            try scanner.skipWhitespace()
            let location = location(at: scanner.offset)
            let key = text(try scanner.scanKey(), at: location)
            let value = try value(depth: depth + 1)
            _ = list.add(key, at: location, value, findings)
        } while try scanner.continueContainer(until: UInt8(ascii: "}"))
        return list.members
    }

    private func checkDepth(_ depth: Int) throws(ScanError) {
        if depth >= NodeBudget.depthLimit { throw ScanError(.tooDeep(limit: NodeBudget.depthLimit), at: scanner.offset) }
    }

    private mutating func location(at offset: Int) -> SourceLocation { cursor.location(at: offset, in: bytes) }

    private func text(_ place: Place, at location: SourceLocation) -> String {
        let raw = UnsafeRawBufferPointer(rebasing: bytes[place.range])
        let text = JSONString.decode(raw)
        findings.checkCharacters(of: text, at: location)
        // Half a surrogate pair has no meaning, and decoding has put a replacement character in its place.
        if text.unicodeScalars.contains("\u{FFFD}"), raw.contains(UInt8(ascii: "\\")) {
            let source = String(decoding: raw, as: UTF8.self)
            if !source.unicodeScalars.contains("\u{FFFD}"), !source.lowercased().contains("\\ufffd") {
                findings.add(
                    .invalidJSON, at: location, "this string contains half of a surrogate pair", hint: "write the character itself")
            }
        }
        return text
    }

    // MARK: Errors

    private mutating func problem(_ error: ScanError) -> ConfigProblem {
        let location = location(at: error.offset)
        guard budget.used <= NodeBudget.nodeLimit else { return NodeBudget.tooManyValues(at: location) }
        if case .tooDeep = error.reason { return NodeBudget.tooDeep(at: location) }
        return ConfigProblem(.invalidJSON, at: location, "\(error.reason)", hint: hint(error))
    }

    private func hint(_ error: ScanError) -> String? {
        switch error.reason {
        case .unexpectedEnd: return "a closing '}', ']' or '\"' is missing"
        case .unexpected(let byte, let expected):
            switch byte {
            case UInt8(ascii: "'"): return "JSON strings stand in double quotes"
            case UInt8(ascii: "#"): return "comments begin with '//' in JSON; a YAML file needs the ending .yaml or .yml"
            case UInt8(ascii: "\""), UInt8(ascii: "{"), UInt8(ascii: "["):
                return expected.hasPrefix("','") ? "a comma is missing in front of this" : nil
            default: return error.offset == 0 ? "a YAML file needs the ending .yaml or .yml" : nil
            }
        case .controlCharacterInString: return "is the closing '\"' of this string missing?"
        case .invalidEscape: return "write '\\\\' for a backslash"
        case .trailingBytes: return "a file holds one object"
        case .invalidUTF8, .invalidNumber, .tooDeep, .duplicateMember, .unterminatedComment: return nil
        }
    }
}
