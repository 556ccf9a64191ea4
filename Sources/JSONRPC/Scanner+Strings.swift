import CScan

// Strings: nearly all bytes of a long message stand in them, so they are looked at sixteen at a time; by `CScan` 32, where the processor
// can do that.
extension Scanner {
    /// Whether the processor has what `CScan` needs.
    package static let canBeWide = scan_is_wide()

    /// Consumes a string.
    /// - Returns: the place of what stands between its quotes, escapes as they are.
    @inline(__always)
    package mutating func scanString() throws(ScanError) -> Place {
        guard take(UInt8(ascii: "\"")) else { throw unexpected("a string") }
        // Keys, names and ids are short and plain: what is needed for those is inlined, and no more.
        let start = offset
        var index = start
        for _ in 0..<2 where index + 8 <= count {
            let stops = Self.stops(in: word(at: index))
            if stops == 0 {
                index += 8
                continue
            }
            index += stops.trailingZeroBitCount >> 3
            guard byte(at: index) == UInt8(ascii: "\"") else { break }
            lastStringHasEscape = false
            offset = index + 1
            return Place(start..<index)
        }
        return try scanString(from: start, plainUntil: index)
    }

    @inline(never)
    private mutating func scanString(from start: Int, plainUntil: Int) throws(ScanError) -> Place {
        var index = plainUntil
        var checked = start
        var isASCII = true
        lastStringHasEscape = false
        while true {
            if isWide { passWide(&index, &isASCII) }
            index = endOfCharacters(from: index, &isASCII)
            let stop = index < count ? byte(at: index) : 0
            if stop == UInt8(ascii: "\\"), index + 1 < count, byte(at: index + 1).isSimpleEscape {
                lastStringHasEscape = true
                index += 2
                continue
            }
            // What is wrong first counts.
            if !isASCII {
                try checkUTF8(checked..<index)
                checked = index
                isASCII = true
            }
            offset = index
            switch stop {
            case _ where index >= count: throw ScanError(.unexpectedEnd, at: offset)
            case UInt8(ascii: "\""):
                offset += 1
                return Place(start..<index)
            case UInt8(ascii: "\\"):
                lastStringHasEscape = true
                index = try endOfEscape()
            default: throw ScanError(.controlCharacterInString, at: offset)
            }
        }
    }

    /// Passes over characters and escapes, up to anything else, or near the end.
    @inline(__always)
    private mutating func passWide(_ index: inout Int, _ isASCII: inout Bool) {
        var found: UInt32 = 0
        index = scan_string(base.assumingMemoryBound(to: UInt8.self), count, index, &found)
        if found & SCAN_ESCAPES != 0 { lastStringHasEscape = true }
        if found & SCAN_BEYOND_ASCII != 0 { isASCII = false }
    }

    /// The first byte that is a quote, a backslash or a control character; the end, if there is none.
    /// - Parameter isASCII: becomes `false` if a byte before it is not, and perhaps if one shortly behind it is not.
    @inline(__always)
    private func endOfCharacters(from start: Int, _ isASCII: inout Bool) -> Int {
        var index = start
        var seen = SIMD16<UInt8>.all(0)
        defer { if !(seen .< .all(0x80)).isAll { isASCII = false } }
        while index <= count &- 16 {
            let block = block(at: index)
            let stops = (block .== .all(UInt8(ascii: "\""))) .| (block .== .all(UInt8(ascii: "\\"))) .| (block .< .all(0x20))
            seen = seen | block
            if let first = stops.first { return index &+ first }
            index &+= 16
        }
        while index < count {
            switch byte(at: index) {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20: return index
            case 0x80...: isASCII = false
            default: break
            }
            index += 1
        }
        return index
    }

    /// Sets the high bit of each byte that is a quote, a backslash, a control character or non-ASCII (SWAR).
    ///
    /// A subtraction sets the high bit of a byte that is smaller than the subtrahend. It also may of one that is non-ASCII, which
    /// stops us anyway, and of one behind a true match, which has borrowed from it: so only the lowest bit set counts.
    @inline(__always)
    private static func stops(in word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        let control = word &- (ones &* 0x20)
        return (quote | backslash | control | word) & highs
    }

    /// What is no simple escape.
    /// - Returns: where the escape at the offset ends.
    private func endOfEscape() throws(ScanError) -> Int {
        guard offset + 1 < count else { throw ScanError(.unexpectedEnd, at: count) }
        guard byte(at: offset + 1) == UInt8(ascii: "u") else { throw ScanError(.invalidEscape, at: offset) }
        for index in offset + 2..<offset + 6 {
            guard index < count else { throw ScanError(.unexpectedEnd, at: count) }
            guard byte(at: index).isHexDigit else { throw ScanError(.invalidEscape, at: offset) }
        }
        return offset + 6
    }

    // MARK: UTF-8

    /// Well-formed sequences only: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode, table 3-7).
    @inline(never)
    private func checkUTF8(_ range: Range<Int>) throws(ScanError) {
        // Each block is looked at together with the three bytes before it, which must be of this string, too.
        let first = try endOfSequences(from: range.lowerBound, until: min(range.lowerBound + 3, range.upperBound), of: range)
        if first + 16 <= range.upperBound, areSequencesWhole(first..<range.upperBound) { return }
        // It is known that something is wrong, not where; or it is too short for that.
        _ = try endOfSequences(from: first, until: range.upperBound, of: range)
    }

    /// Whether a stretch of at least sixteen bytes, and with three before it, is well-formed.
    @inline(__always)
    private func areSequencesWhole(_ range: Range<Int>) -> Bool {
        let end = range.upperBound
        // What should go on behind the end is cut off.
        if byte(at: end - 1) >= 0xC0 || byte(at: end - 2) >= 0xE0 || byte(at: end - 3) >= 0xF0 { return false }
        if isWide, range.count >= Int(SCAN_WIDTH) {
            return scan_utf8(base.assumingMemoryBound(to: UInt8.self), range.lowerBound, end)
        }
        var index = range.lowerBound
        var bad = SIMDMask<SIMD16<Int8>>(repeating: false)
        var wasASCII = false
        while index + 16 <= end {
            let isASCII = (block(at: index) .< .all(0x80)).isAll
            if !isASCII || !wasASCII { bad = bad .| misplaced(at: index) }
            wasASCII = isASCII
            index += 16
        }
        // The last sixteen: some of them once more.
        return (bad .| misplaced(at: end - 16)).first == nil
    }

    /// Bytes that cannot stand where they do: continuations behind nothing, anything else where one is due, and what table 3-7 excludes.
    @inline(__always)
    private func misplaced(at index: Int) -> SIMDMask<SIMD16<Int8>> {
        let bytes = block(at: index)
        let before = block(at: index - 1)
        let isContinuation = (bytes & .all(0xC0)) .== .all(0x80)
        let isDue = (before .>= .all(0xC0)) .| (block(at: index - 2) .>= .all(0xE0)) .| (block(at: index - 3) .>= .all(0xF0))
        let isNever = ((bytes & .all(0xFE)) .== .all(0xC0)) .| (bytes .>= .all(0xF5))
        let isOverlong = ((before .== .all(0xE0)) .& (bytes .< .all(0xA0))) .| ((before .== .all(0xF0)) .& (bytes .< .all(0x90)))
        let isTooMuch = ((before .== .all(0xED)) .& (bytes .>= .all(0xA0))) .| ((before .== .all(0xF4)) .& (bytes .>= .all(0x90)))
        return (isContinuation .^ isDue) .| isNever .| isOverlong .| isTooMuch
    }

    /// Checks one sequence after the other.
    /// - Returns: where the one ends that reaches `end`.
    private func endOfSequences(from start: Int, until end: Int, of range: Range<Int>) throws(ScanError) -> Int {
        var index = start
        while index < end {
            let length: Int
            let second: ClosedRange<UInt8>
            switch byte(at: index) {
            case 0..<0x80:
                index += 1
                continue
            case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: throw ScanError(.invalidUTF8, at: index)
            }
            guard index + length <= range.upperBound, second.contains(byte(at: index + 1)) else { throw ScanError(.invalidUTF8, at: index) }
            for next in index + 2..<index + length where !(0x80...0xBF).contains(byte(at: next)) {
                throw ScanError(.invalidUTF8, at: index)
            }
            index += length
        }
        return index
    }
}

extension SIMD16<UInt8> {
    /// For comparisons of two vectors, which are one instruction; those with a number are a loop over the lanes.
    @inline(__always)
    fileprivate static func all(_ byte: UInt8) -> Self { Self(repeating: byte) }
}

extension SIMDMask<SIMD16<Int8>> {
    /// All bits of a lane are set, or none.
    @inline(__always)
    private var words: SIMD2<UInt64> { unsafeBitCast(self, to: SIMD2<UInt64>.self) }

    @inline(__always)
    fileprivate var isAll: Bool { words.x & words.y == .max }

    /// The first lane that is set.
    @inline(__always)
    fileprivate var first: Int? {
        let (low, high) = (UInt64(littleEndian: words.x), UInt64(littleEndian: words.y))
        guard low | high != 0 else { return nil }
        return low != 0 ? low.trailingZeroBitCount >> 3 : 8 + high.trailingZeroBitCount >> 3
    }
}

extension UInt8 {
    /// What may follow a backslash, and is all that follows.
    @inline(__always)
    fileprivate var isSimpleEscape: Bool {
        switch self {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            true
        default: false
        }
    }
}
