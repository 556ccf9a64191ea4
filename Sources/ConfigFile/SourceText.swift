/// The bytes of a config file once they are known to be text we can read: UTF-8 without a byte order mark, of bounded size.
///
/// Both readers get their text from here, so that neither has to guess encodings (libyaml would), and both refuse the same bytes
/// with the same words.
struct SourceText {
    /// Bytes of a file. A thousand servers take about a third of it.
    static let sizeLimit = 1_048_576

    let file: String
    let bytes: [UInt8]

    init(_ original: [UInt8], file: String) throws(ConfigProblem) {
        let start = SourceLocation(file: file, line: 1, column: 1)
        guard original.count <= Self.sizeLimit else {
            throw ConfigProblem(
                .fileTooLarge, at: start, "the file has \(original.count) bytes, more than the \(Self.sizeLimit) we read",
                hint: "is this the right file?")
        }
        if let encoding = Self.foreignEncoding(original) {
            throw ConfigProblem(.unsupportedEncoding, at: start, "the file is encoded as \(encoding)", hint: "save it as UTF-8")
        }
        let bytes = original.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(original.dropFirst(3)) : original
        if let offset = Self.firstInvalidByte(of: bytes) {
            var cursor = LocationCursor(file: file)
            throw ConfigProblem(
                .invalidUTF8, at: cursor.location(at: offset, in: bytes),
                "the byte 0x\(String(bytes[offset], radix: 16)) here is not UTF-8",
                hint: "save the file as UTF-8")
        }
        if let offset = bytes.firstIndex(of: 0) {
            var cursor = LocationCursor(file: file)
            throw ConfigProblem(
                .controlCharacter, at: cursor.location(at: offset, in: bytes), "a NUL byte stands here", hint: "is this a text file?")
        }
        self.file = file
        self.bytes = bytes
    }

    /// By byte order mark, or by where the zeros of an ASCII character are.
    private static func foreignEncoding(_ bytes: [UInt8]) -> String? {
        switch (bytes.first, bytes.dropFirst().first, bytes.dropFirst(2).first, bytes.dropFirst(3).first) {
        case (0xFF, 0xFE, 0, 0), (0, 0, 0xFE, 0xFF): "UTF-32"
        case (0xFF, 0xFE, _, _), (0xFE, 0xFF, _, _): "UTF-16"
        case (let first?, 0, 0, 0) where first != 0: "UTF-32"
        case (0, 0, 0, let last?) where last != 0: "UTF-32"
        case (let first?, 0, let third?, 0) where first != 0 && third != 0: "UTF-16"
        case (0, let second?, 0, let fourth?) where second != 0 && fourth != 0: "UTF-16"
        default: nil
        }
    }

    private static func firstInvalidByte(of bytes: [UInt8]) -> Int? {
        guard String(validating: bytes, as: UTF8.self) == nil else { return nil }
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): offset += UTF8.width(scalar)
            case .emptyInput: return nil
            case .error: return offset
            }
        }
    }
}
