/// Where a JSON value, or the inside of a string, stands in the bytes of its message: offsets from the message's first byte.
///
/// 32 bits are enough because a `ByteBuffer` holds no more: its own indices have 32.
package struct Place: Hashable, Sendable {
    package var start: UInt32
    package var end: UInt32

    /// The member is not there. No value is empty, so an empty place at the very start cannot mean anything else.
    package static let absent = Place(0..<0)

    package init(_ range: Range<Int>) {
        start = UInt32(truncatingIfNeeded: range.lowerBound)
        end = UInt32(truncatingIfNeeded: range.upperBound)
    }

    @inlinable package var range: Range<Int> { Int(start)..<Int(end) }
    @inlinable package var isAbsent: Bool { end == 0 }
    @inlinable package var isPresent: Bool { end != 0 }
}
