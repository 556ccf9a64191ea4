import JSONRPC
package import NIOCore

// A definition as it is kept between two runs: with what was found out about it, so that nothing of its JSON is looked at again.
extension FeatureDefinition {
    private static let repeatable: UInt8 = 1
    private static let needsTask: UInt8 = 2
    private static let hasHandshakeForm: UInt8 = 4

    /// Appends it.
    package func write(to buffer: inout ByteBuffer) {
        var flags: UInt8 = 0
        if isRepeatable { flags |= Self.repeatable }
        if needsTask { flags |= Self.needsTask }
        if handshakeForm != nil { flags |= Self.hasHandshakeForm }
        buffer.writeInteger(flags)
        Form(json: json, namePlace: namePlace).write(to: &buffer)
        handshakeForm?.write(to: &buffer)
    }

    /// Reads what ``write(to:)`` has written, sharing its memory.
    /// - Returns: `nil` if it is anything else.
    package init?(record buffer: inout ByteBuffer) {
        guard let flags = buffer.readInteger(as: UInt8.self), let form = Form(record: &buffer) else { return nil }
        let name = JSONView(form.json, at: form.namePlace)
        guard let text = name.string, !text.isEmpty else { return nil }
        var handshakeForm: Form?
        if flags & Self.hasHandshakeForm != 0 {
            guard let form = Form(record: &buffer) else { return nil }
            handshakeForm = form
        }
        self.init(
            form, name: OwnName(text), nameJSON: name.jsonText, handshakeForm: handshakeForm,
            isRepeatable: flags & Self.repeatable != 0, needsTask: flags & Self.needsTask != 0)
    }
}

extension FeatureDefinition.Form {
    fileprivate func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt32(truncatingIfNeeded: json.readableBytes))
        buffer.writeInteger(namePlace.start)
        buffer.writeInteger(namePlace.end)
        buffer.writeImmutableBuffer(json)
    }

    fileprivate init?(record buffer: inout ByteBuffer) {
        guard let (length, start, end) = buffer.readMultipleIntegers(as: (UInt32, UInt32, UInt32).self),
            let json = buffer.readSlice(length: Int(length)), start < end, end <= length, length >= 2
        else { return nil }
        let namePlace = Place(Int(start)..<Int(end))
        // Spliced as it is: what is no JSON, or more than a line, would break the lists of all servers.
        guard Self.isLine(json, of: .object), Self.isLine(JSONView(json, at: namePlace).json, of: .string) else { return nil }
        self.init(json: json, namePlace: namePlace)
    }

    private static func isLine(_ json: ByteBuffer, of kind: JSONView.Kind) -> Bool {
        guard let value = try? JSONView(validating: json), value.kind == kind, value.json == json else { return false }
        return json.withUnsafeReadableBytes { $0.offset(of: 0x0A) == nil && $0.offset(of: 0x0D) == nil }
    }
}
