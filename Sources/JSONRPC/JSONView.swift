package import NIOCore

/// A look into JSON that has been scanned already: finds members and elements on demand, decodes nothing it is not asked for.
///
/// For the paths beside a call: capabilities, tool lists, schemas, the command line. Each look walks the text again, so nothing on
/// the hot path uses it.
package struct JSONView: Sendable {
    package enum Kind: Sendable { case object, array, string, number, boolean, null }

    /// The whole message or file; offsets in ``place`` count from its reader index.
    package let bytes: ByteBuffer
    /// This value in ``bytes``.
    package let place: Place

    /// - Parameter place: a value in `bytes`, which were scanned and found valid.
    package init(_ bytes: ByteBuffer, at place: Place) {
        self.bytes = bytes
        self.place = place
    }

    /// - Parameter bytes: one JSON value, scanned and found valid, with nothing around it.
    package static func whole(_ bytes: ByteBuffer) -> JSONView { JSONView(bytes, at: Place(0..<bytes.readableBytes)) }

    /// - Throws: ``ScanError`` if `bytes` are not exactly one valid JSON value.
    package init(validating bytes: ByteBuffer) throws(ScanError) {
        self.bytes = bytes
        place = try Scanner.whole(bytes)
    }

    package var kind: Kind {
        switch firstByte {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// The value's JSON text, sharing the message's memory.
    package var json: ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + Int(place.start), length: place.range.count) ?? ByteBuffer()
    }
    package var jsonText: String { String(buffer: json) }

    package var string: String? {
        guard kind == .string else { return nil }
        return withText { JSONString.decode(UnsafeRawBufferPointer(rebasing: $0.dropFirst().dropLast())) }
    }
    package var integer: Int? { kind == .number ? Int(jsonText) : nil }
    package var boolean: Bool? { kind == .boolean ? firstByte == UInt8(ascii: "t") : nil }

    /// The value of the first member with this name; `nil` if there is none, or this is no object.
    package subscript(_ name: String) -> JSONView? {
        members.first { $0.name == name }?.value
    }

    /// Whether these bytes stand in its text somewhere: a quick look before a slow one.
    package func mentions(_ text: String) -> Bool {
        json.withUnsafeReadableBytes { bytes in
            let wanted = Array(text.utf8)
            guard let first = wanted.first, bytes.count >= wanted.count else { return false }
            return (0...bytes.count - wanted.count).contains { start in
                bytes[start] == first && bytes[start..<start + wanted.count].elementsEqual(wanted)
            }
        }
    }

    /// The members of an object in their order; empty for anything else.
    package var members: [(name: String, value: JSONView)] {
        guard kind == .object else { return [] }
        var found: [(name: String, value: JSONView)] = []
        walk(until: UInt8(ascii: "}")) { (scanner, text) throws(ScanError) in
            try scanner.skipWhitespace()
            let key = try scanner.scanKey()
            let value = try scanner.scanValue(depth: 0)
            let name = JSONString.decode(UnsafeRawBufferPointer(rebasing: text[key.range]))
            found.append((name, JSONView(bytes, at: absolute(value))))
        }
        return found
    }

    /// The same with each name as JSON text, as it was written: what has no decoded form, half a surrogate pair for one, stays as it is.
    package var entries: [(key: ByteBuffer, name: String, value: JSONView)] {
        guard kind == .object else { return [] }
        var found: [(key: ByteBuffer, name: String, value: JSONView)] = []
        walk(until: UInt8(ascii: "}")) { (scanner, text) throws(ScanError) in
            try scanner.skipWhitespace()
            let key = try scanner.scanKey()
            let value = try scanner.scanValue(depth: 0)
            let name = JSONString.decode(UnsafeRawBufferPointer(rebasing: text[key.range]))
            let quoted = Place(key.range.lowerBound - 1..<key.range.upperBound + 1)
            found.append((JSONView(bytes, at: absolute(quoted)).json, name, JSONView(bytes, at: absolute(value))))
        }
        return found
    }

    /// The elements of an array in their order; empty for anything else.
    package var elements: [JSONView] {
        guard kind == .array else { return [] }
        var found: [JSONView] = []
        walk(until: UInt8(ascii: "]")) { (scanner, _) throws(ScanError) in
            found.append(JSONView(bytes, at: absolute(try scanner.scanValue(depth: 0))))
        }
        return found
    }

    /// Of an absent member as of `null`, not of whatever stands at the message's start.
    private var firstByte: UInt8 {
        guard place.isPresent else { return UInt8(ascii: "n") }
        return bytes.getInteger(at: bytes.readerIndex + Int(place.start)) ?? UInt8(ascii: "n")
    }

    private func absolute(_ inner: Place) -> Place {
        let base = Int(place.start)
        return Place(base + inner.range.lowerBound..<base + inner.range.upperBound)
    }

    private func withText<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeReadableBytes { body(UnsafeRawBufferPointer(rebasing: $0[place.range])) }
    }

    /// Calls `body` once per element. The text is valid, so errors cannot occur; if it were not, the rest is left out.
    private func walk(until close: UInt8, _ body: (inout Scanner, UnsafeRawBufferPointer) throws(ScanError) -> Void) {
        withText { text in
            var scanner = Scanner(text)
            do throws(ScanError) {
                guard try scanner.beginContainer(depth: 0, until: close) else { return }
                repeat { try body(&scanner, text) } while try scanner.continueContainer(until: close)
            } catch {
                return
            }
        }
    }
}

extension Scanner {
    /// Checks that `bytes` are exactly one JSON value, and returns its place.
    package static func whole(_ bytes: ByteBuffer, dialect: Dialect = .strict) throws(ScanError) -> Place {
        let result: Result<Place, ScanError> = bytes.withUnsafeReadableBytes { text in
            var scanner = Scanner(text, dialect: dialect)
            return Result { () throws(ScanError) in
                let place = try scanner.scanValue(depth: 0)
                try scanner.finish()
                return place
            }
        }
        return try result.get()
    }
}
