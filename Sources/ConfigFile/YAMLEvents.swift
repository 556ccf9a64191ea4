import CLibYAML

/// What libyaml reports next, in Swift terms.
struct YAMLEvent {
    enum Kind {
        case streamStart, streamEnd, documentStart, documentEnd
        case alias(String)
        case scalar(text: String, isPlain: Bool)
        case listStart, listEnd, objectStart, objectEnd
    }

    var kind: Kind
    var location: SourceLocation
    var anchor: String?
    /// Resolved, for example `tag:yaml.org,2002:int`.
    var tag: String?
}

/// libyaml's event parser over a text in memory.
///
/// A class for its `deinit`; it lives no longer than the bytes it was given, because ``YAMLReader`` makes it inside their scope.
final class YAMLEvents {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeBufferPointer<UInt8>
    private let file: String
    private let end: SourceLocation

    init(_ bytes: UnsafeBufferPointer<UInt8>, file: String) {
        self.bytes = bytes
        self.file = file
        var cursor = LocationCursor(file: file)
        end = cursor.location(at: bytes.count, in: bytes)
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        // Fails only without memory, as every allocation in Swift.
        precondition(yaml_parser_initialize(parser) == 1, "out of memory")
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
        // ``SourceText`` has decided that already; libyaml would guess again.
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Not to be called again after `streamEnd` or an error.
    func next() throws(ConfigProblem) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw problem() }
        defer { yaml_event_delete(&event) }
        var result = YAMLEvent(kind: .streamEnd, location: location(event.start_mark))
        switch event.type {
        case YAML_STREAM_START_EVENT: result.kind = .streamStart
        case YAML_DOCUMENT_START_EVENT: result.kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: result.kind = .documentEnd
        case YAML_ALIAS_EVENT: result.kind = .alias(string(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            result.kind = .scalar(text: text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            result.anchor = string(scalar.anchor)
            result.tag = string(scalar.tag)
        case YAML_SEQUENCE_START_EVENT:
            result.kind = .listStart
            result.anchor = string(event.data.sequence_start.anchor)
            result.tag = string(event.data.sequence_start.tag)
        case YAML_SEQUENCE_END_EVENT: result.kind = .listEnd
        case YAML_MAPPING_START_EVENT:
            result.kind = .objectStart
            result.anchor = string(event.data.mapping_start.anchor)
            result.tag = string(event.data.mapping_start.tag)
        case YAML_MAPPING_END_EVENT: result.kind = .objectEnd
        default: result.kind = .streamEnd
        }
        return result
    }

    private func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    /// libyaml counts from 0, in code points, as we do from 1. Behind the last line it begins one more, even if no line break is there.
    private func location(_ mark: yaml_mark_t) -> SourceLocation {
        min(SourceLocation(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1), end)
    }

    // MARK: Errors

    private func problem() -> ConfigProblem {
        let state = parser.pointee
        let text = state.problem.map { String(cString: $0) } ?? "it cannot be read"
        guard state.error != YAML_READER_ERROR else {
            // The text is valid UTF-8 by now, so this is a control character.
            var cursor = LocationCursor(file: file)
            return ConfigProblem(
                .controlCharacter, at: cursor.location(at: Int(state.problem_offset), in: bytes),
                "the control character 0x\(String(UInt32(bitPattern: state.problem_value), radix: 16)) stands here",
                hint: "remove it, or write it as an escape in double quotes")
        }
        let location = location(state.problem_mark)
        if text.contains("tab character") || byte(at: location) == UInt8(ascii: "\t") {
            return ConfigProblem(
                .tabIndentation, at: location, "a tab stands here; YAML is indented by spaces", hint: "replace tabs by spaces")
        }
        var message = text
        if let context = state.context {
            let start = self.location(state.context_mark)
            message += " \(String(cString: context))"
            if start != location { message += " that begins at \(start.shortDescription)" }
        }
        return ConfigProblem(.invalidYAML, at: location, message, hint: Self.hint(text, byte: byte(at: location)))
    }

    private func byte(at location: SourceLocation) -> UInt8? {
        var line = 1
        var column = 1
        for byte in bytes {
            if line == location.line, column == location.column, !(0x80..<0xC0).contains(byte) { return byte }
            if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 1) } else if !(0x80..<0xC0).contains(byte) { column += 1 }
            if line > location.line { break }
        }
        return nil
    }

    /// libyaml says what its state machine missed; this says what people mostly did.
    private static func hint(_ problem: String, byte: UInt8?) -> String? {
        switch problem {
        case "did not find expected key", "did not find expected '-' indicator":
            "look at the indentation of this line and the one above; text with special characters needs quotes"
        case "mapping values are not allowed in this context": "text that contains ': ' needs quotes; is the indentation right?"
        case "could not find expected ':'": "each line of a mapping is 'key: value'"
        case "did not find expected ',' or ']'", "did not find expected ',' or '}'": "is a comma or the closing bracket missing?"
        case "did not find expected alphabetic or numeric character": "text that begins with '*' or '&' needs quotes"
        case "found character that cannot start any token":
            byte.map { "text that begins with '\(Character(Unicode.Scalar($0)))' needs quotes" }
        case "found unexpected end of stream", "found unexpected document indicator": "are the closing quotes missing?"
        case "found unknown escape character": "in double quotes write '\\\\' for a backslash, or use single quotes"
        case "block sequence entries are not allowed in this context": "begin the list on a new line"
        case "found invalid Unicode character escape code": "write the character itself"
        case "found incompatible YAML document": "YAML 1.2 is read; the %YAML line can be removed"
        default: nil
        }
    }
}
