#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension UnsafeRawBufferPointer {
    /// Whether these are exactly the bytes of `literal`.
    ///
    /// Inlined, so that the compiler knows length and bytes and makes one or two comparisons of whole words of it.
    @inline(__always)
    package func equals(_ literal: StaticString) -> Bool {
        guard count == literal.utf8CodeUnitCount, let baseAddress else { return false }
        return memcmp(baseAddress, literal.utf8Start, literal.utf8CodeUnitCount) == 0
    }

    package func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count, let mine = baseAddress, let others = other.baseAddress else { return count == other.count }
        return memcmp(mine, others, count) == 0
    }

    /// The value of one to eighteen digits; `nil` of anything else.
    var plainInteger: Int? {
        guard (1...18).contains(count), let baseAddress else { return nil }
        var value = 0
        for index in 0..<count {
            let digit = baseAddress.load(fromByteOffset: index, as: UInt8.self) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value &* 10 &+ Int(digit)
        }
        return value
    }

    /// Whether a raw CR or LF is among them.
    var holdsLineBreak: Bool { offset(of: UInt8(ascii: "\n")) != nil || offset(of: UInt8(ascii: "\r")) != nil }

    /// The offset of the first `byte`; `nil` if there is none.
    package func offset(of byte: UInt8) -> Int? {
        guard let baseAddress, let found = memchr(baseAddress, Int32(byte), count) else { return nil }
        return baseAddress.distance(to: UnsafeRawPointer(found))
    }
}
