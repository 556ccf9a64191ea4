package import NIOCore

/// Writes the JSON that we compose ourselves. What is forwarded is spliced, never written anew.
///
/// ```swift
/// let result = JSONWriter.object { result in
///     result.member("protocolVersion", "2025-11-25")
///     result.object("capabilities") { $0.object("tools") { $0.member("listChanged", true) } }
/// }
/// ```
package struct JSONWriter: Sendable {
    package private(set) var buffer = ByteBuffer()
    private var needsComma = false

    package init() {}

    package static func object(_ body: (inout JSONWriter) -> Void) -> ByteBuffer {
        var writer = JSONWriter()
        writer.object(body)
        return writer.buffer
    }

    // MARK: Values

    package mutating func object(_ body: (inout JSONWriter) -> Void) { container("{", "}", body) }
    package mutating func array(_ body: (inout JSONWriter) -> Void) { container("[", "]", body) }

    private mutating func container(_ open: StaticString, _ close: StaticString, _ body: (inout JSONWriter) -> Void) {
        separate()
        buffer.writeStaticString(open)
        needsComma = false
        body(&self)
        buffer.writeStaticString(close)
        needsComma = true
    }

    package mutating func value(_ text: String) {
        separate()
        writeString(text)
    }
    package mutating func value(_ integer: Int) { value(json: String(integer)) }
    package mutating func value(_ flag: Bool) { value(json: flag ? "true" : "false") }

    /// - Parameter json: JSON text, written as it is.
    package mutating func value(json: String) {
        separate()
        buffer.writeString(json)
    }
    /// - Parameter json: JSON text, written as it is.
    package mutating func value(json: ByteBuffer) {
        separate()
        buffer.writeImmutableBuffer(json)
    }

    // MARK: Members

    package mutating func member(_ name: String, _ text: String) {
        key(name)
        value(text)
    }
    package mutating func member(_ name: String, _ integer: Int) {
        key(name)
        value(integer)
    }
    package mutating func member(_ name: String, _ flag: Bool) {
        key(name)
        value(flag)
    }
    package mutating func member(_ name: String, json: String) {
        key(name)
        value(json: json)
    }
    package mutating func member(_ name: String, json: ByteBuffer) {
        key(name)
        value(json: json)
    }
    /// - Parameter key: the name as JSON text.
    package mutating func member(key: ByteBuffer, json: ByteBuffer) {
        separate()
        buffer.writeImmutableBuffer(key)
        buffer.writeInteger(UInt8(ascii: ":"))
        needsComma = false
        value(json: json)
    }
    package mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }
    package mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
        key(name)
        array(body)
    }

    private mutating func key(_ name: String) {
        separate()
        writeString(name)
        buffer.writeInteger(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func writeString(_ text: String) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 2)
        JSONString.encode(text, into: &bytes)
        buffer.writeBytes(bytes)
    }
}
