/// What is wrong with a JSON text, and where.
package struct ScanError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        case unexpectedEnd
        /// `expected` completes the sentence "expected …".
        case unexpected(byte: UInt8, expected: String)
        case controlCharacterInString
        case invalidEscape
        case invalidUTF8
        case invalidNumber
        case tooDeep(limit: Int)
        case trailingBytes
        case duplicateMember(String)
        case unterminatedComment
    }

    package var reason: Reason
    /// Bytes before the offending one.
    package var offset: Int

    package init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

extension ScanError: CustomStringConvertible {
    package var description: String { "\(reason) at byte \(offset + 1)" }
}

extension ScanError.Reason: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unexpectedEnd: "the text ends too early"
        case .unexpected(let byte, let expected): "found \(Self.name(of: byte)), expected \(expected)"
        case .controlCharacterInString: "control character in a string (write it as an escape)"
        case .invalidEscape: "invalid escape in a string"
        case .invalidUTF8: "invalid UTF-8"
        case .invalidNumber: "invalid number"
        case .tooDeep(let limit): "nested deeper than \(limit) levels"
        case .trailingBytes: "something follows the end of the value"
        case .duplicateMember(let name): "the member '\(name)' stands twice"
        case .unterminatedComment: "the comment has no end"
        }
    }

    private static func name(of byte: UInt8) -> String {
        (0x21...0x7E).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    }
}

/// Reads JSON tokens (RFC 8259) out of bytes, checking the grammar and the UTF-8 as it goes.
///
/// It keeps nothing but an offset: callers decide what to remember. Strict for messages; lenient, that is with comments and
/// trailing commas, for the config files people write. It never reads outside `bytes` and never traps, whatever they hold.
package struct Scanner {
    package enum Dialect: Sendable { case strict, lenient }

    /// Levels of nesting we follow. Deep enough for any honest payload; a peer that sends more gets an error instead of our stack.
    package static let depthLimit = 512

    // A pointer and a count, not a buffer: in release neither is checked, and this is the form that costs least. Every read goes
    // through `byte(at:)`, `word(at:)` or `block(at:)`, behind a comparison with `count`, or through `CScan`, which
    // reads no further than `count`, or than the range it is given.
    let base: UnsafeRawPointer
    let count: Int
    private let dialect: Dialect
    let isWide: Bool
    /// Bytes consumed so far.
    package internal(set) var offset = 0
    /// Whether a raw CR or LF stood between tokens: such a text is no stdio line until they are removed.
    package private(set) var sawLineBreak = false
    /// Whether an object inside the value had a member `uri`.
    package private(set) var sawURI = false
    /// Whether the string or key scanned last holds an escape; if not, its bytes are its text.
    package internal(set) var lastStringHasEscape = false

    /// - Parameter isWide: long strings are looked at with what not every processor has. Not without ``canBeWide``.
    package init(_ bytes: UnsafeRawBufferPointer, dialect: Dialect = .strict, isWide: Bool = Self.canBeWide) {
        // An empty buffer may have no address. Then `count` is 0, and nothing is read through this one.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
        self.dialect = dialect
        self.isWide = isWide
    }

    /// - Precondition: `index` is in `0..<count`; checked in debug builds, where the tests run.
    @inline(__always)
    func byte(at index: Int) -> UInt8 {
        assert((0..<count).contains(index))
        return base.load(fromByteOffset: index, as: UInt8.self)
    }

    /// Eight bytes, the first in the lowest place.
    /// - Precondition: `index` is in `0...(count - 8)`; checked in debug builds.
    @inline(__always)
    func word(at index: Int) -> UInt64 {
        assert(index >= 0 && index + 8 <= count)
        return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    /// Sixteen bytes.
    /// - Precondition: `index` is in `0...(count - 16)`; checked in debug builds.
    @inline(__always)
    func block(at index: Int) -> SIMD16<UInt8> {
        assert(index >= 0 && index + 16 <= count)
        return base.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
    }

    package var isAtEnd: Bool { offset >= count }

    /// The next byte, not consumed.
    @inline(__always)
    package func peek() throws(ScanError) -> UInt8 {
        guard offset < count else { throw ScanError(.unexpectedEnd, at: offset) }
        return byte(at: offset)
    }

    /// Consumes `byte` if it is the next one.
    @inline(__always)
    package mutating func take(_ byte: UInt8) -> Bool {
        guard offset < count, self.byte(at: offset) == byte else { return false }
        offset += 1
        return true
    }

    /// Consumes `text` if it stands here.
    @inline(__always)
    mutating func take(_ text: StaticString) -> Bool {
        let rest = UnsafeRawBufferPointer(start: base + offset, count: min(text.utf8CodeUnitCount, count - offset))
        guard rest.equals(text) else { return false }
        offset += text.utf8CodeUnitCount
        return true
    }

    @inline(__always)
    package mutating func expect(_ byte: UInt8, _ expected: @autoclosure () -> String) throws(ScanError) {
        guard take(byte) else { throw unexpected(expected()) }
    }

    /// What to throw at the next byte, or at the lack of one.
    @inline(never)
    func unexpected(_ expected: String) -> ScanError {
        offset < count
            ? ScanError(.unexpected(byte: byte(at: offset), expected: expected), at: offset) : ScanError(.unexpectedEnd, at: offset)
    }

    @inline(__always)
    package mutating func skipWhitespace() throws(ScanError) {
        // Most messages have none. No white space lies above the blank; '/' may begin a comment.
        if offset < count, byte(at: offset) > UInt8(ascii: " "), byte(at: offset) != UInt8(ascii: "/") { return }
        try skipWhitespaceThatIsThere()
    }

    private mutating func skipWhitespaceThatIsThere() throws(ScanError) {
        while offset < count {
            switch byte(at: offset) {
            case UInt8(ascii: " "), UInt8(ascii: "\t"): offset += 1
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                sawLineBreak = true
                offset += 1
            case UInt8(ascii: "/") where dialect == .lenient: try skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() throws(ScanError) {
        let start = offset
        offset += 1
        if take(UInt8(ascii: "/")) {
            while offset < count, byte(at: offset) != UInt8(ascii: "\n") { offset += 1 }
        } else if take(UInt8(ascii: "*")) {
            while offset + 1 < count {
                if byte(at: offset) == UInt8(ascii: "*"), byte(at: offset + 1) == UInt8(ascii: "/") {
                    offset += 2
                    return
                }
                offset += 1
            }
            throw ScanError(.unterminatedComment, at: start)
        } else {
            throw ScanError(.unexpected(byte: UInt8(ascii: "/"), expected: "a value or a comment"), at: start)
        }
    }

    // MARK: Other values

    /// Consumes a number.
    /// - Returns: whether it is written as an integer, without fraction and exponent.
    @discardableResult
    package mutating func scanNumber() throws(ScanError) -> Bool {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")), skipDigits() == 0 { throw ScanError(.invalidNumber, at: start) }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            if skipDigits() == 0 { throw ScanError(.invalidNumber, at: start) }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if skipDigits() == 0 { throw ScanError(.invalidNumber, at: start) }
        }
        // "01" and "1x" would otherwise be reported as something odd that follows.
        if offset < count, byte(at: offset).isDigit || byte(at: offset).isLetter { throw ScanError(.invalidNumber, at: start) }
        return isInteger
    }

    private mutating func skipDigits() -> Int {
        let start = offset
        while offset < count, byte(at: offset).isDigit { offset += 1 }
        return offset - start
    }

    package mutating func scanLiteral(_ literal: StaticString) throws(ScanError) {
        let length = literal.utf8CodeUnitCount
        guard offset + length <= count else { throw unexpected("a value") }
        for index in 0..<length where byte(at: offset + index) != literal.utf8Start[index] {
            throw unexpected("a value")
        }
        offset += length
    }

    /// Consumes one value of any kind, checking all of it.
    /// - Parameter depth: how many objects and arrays are open around it.
    /// - Returns: its place, without the white space around it.
    @discardableResult
    package mutating func scanValue(depth: Int) throws(ScanError) -> Place {
        try skipWhitespace()
        let start = offset
        switch try peek() {
        case UInt8(ascii: "\""): _ = try scanString()
        case UInt8(ascii: "{"): try scanObject(depth: depth)
        case UInt8(ascii: "["): try scanArray(depth: depth)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try scanNumber()
        case UInt8(ascii: "t"): try scanLiteral("true")
        case UInt8(ascii: "f"): try scanLiteral("false")
        case UInt8(ascii: "n"): try scanLiteral("null")
        default: throw unexpected("a value")
        }
        return Place(start..<offset)
    }

    private mutating func scanObject(depth: Int) throws(ScanError) {
        guard try beginContainer(depth: depth, until: UInt8(ascii: "}")) else { return }
        repeat {
            try skipWhitespace()
            let key = try scanKey()
            // The letter tells most keys of that length apart; then two more.
            if key.end &- key.start == 3, byte(at: Int(key.start)) == UInt8(ascii: "u"), byte(at: Int(key.start) + 1) == UInt8(ascii: "r"),
                byte(at: Int(key.start) + 2) == UInt8(ascii: "i")
            {
                sawURI = true
            }
            try scanValue(depth: depth + 1)
        } while try continueContainer(until: UInt8(ascii: "}"))
    }

    private mutating func scanArray(depth: Int) throws(ScanError) {
        guard try beginContainer(depth: depth, until: UInt8(ascii: "]")) else { return }
        repeat { try scanValue(depth: depth + 1) } while try continueContainer(until: UInt8(ascii: "]"))
    }

    /// Consumes the opening bracket, and the closing one too if the container is empty.
    /// - Returns: whether there is a first element to read.
    @inline(__always)
    package mutating func beginContainer(depth: Int, until close: UInt8) throws(ScanError) -> Bool {
        guard depth < Self.depthLimit else { throw ScanError(.tooDeep(limit: Self.depthLimit), at: offset) }
        offset += 1
        try skipWhitespace()
        return !take(close)
    }

    /// Consumes what stands behind an element: a comma, or the closing bracket.
    /// - Returns: whether another element follows.
    @inline(__always)
    package mutating func continueContainer(until close: UInt8) throws(ScanError) -> Bool {
        if dialect == .strict, offset < count {
            let next = byte(at: offset)
            if next == close || next == UInt8(ascii: ",") {
                offset += 1
                return next != close
            }
        }
        return try continueContainerSlowly(until: close)
    }

    @inline(never)
    private mutating func continueContainerSlowly(until close: UInt8) throws(ScanError) -> Bool {
        try skipWhitespace()
        if take(close) { return false }
        try expect(UInt8(ascii: ","), close == UInt8(ascii: "}") ? "',' or '}'" : "',' or ']'")
        guard dialect == .lenient else { return true }
        try skipWhitespace()
        return !take(close)
    }

    /// Consumes a member's key and the colon behind it.
    /// - Returns: the place of the key between its quotes.
    @inline(__always)
    package mutating func scanKey() throws(ScanError) -> Place {
        guard try peek() == UInt8(ascii: "\"") else { throw unexpected("a member name in quotes") }
        let key = try scanString()
        try skipWhitespace()
        try expect(UInt8(ascii: ":"), "':'")
        return key
    }

    /// Checks that nothing but white space follows.
    package mutating func finish() throws(ScanError) {
        try skipWhitespace()
        guard isAtEnd else { throw ScanError(.trailingBytes, at: offset) }
    }
}

extension UInt8 {
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }
    var isWhitespace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
    var isHexDigit: Bool { isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) }
}
