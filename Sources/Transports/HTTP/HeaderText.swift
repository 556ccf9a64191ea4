import FoundationEssentials

/// Values of header fields.
package enum HeaderText {
    /// A text as a header carries it (MCP 2026-07-28, basic/transports, "Value Encoding"): as it is if that is plain ASCII, else in base64
    /// between marks.
    package static func encoded(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
        let hasEdges = text.utf8.first.map(isBlank) == true || text.utf8.last.map(isBlank) == true
        let looksEncoded = text.hasPrefix("=?base64?") && text.hasSuffix("?=")
        if isPlain, !hasEdges, !looksEncoded { return text }
        return "=?base64?\(Data(text.utf8).base64EncodedString())?="
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// One line, no control characters.
    static func isValue(_ text: String) -> Bool { text.unicodeScalars.allSatisfy { ($0.value >= 0x20 || $0 == "\t") && $0.value != 0x7F } }

    static func isVisibleASCII(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) } }

    /// Without its parameters.
    static func mediaType(_ value: String?) -> String? {
        value.map { value in
            let type = value.prefix { $0 != ";" }.lowercased()
            return String(type.filter { $0 != " " && $0 != "\t" })
        }
    }

    /// Seconds; the form with a date needs a clock that may be wrong on either side, and is taken for one of no length.
    static func retryAfter(_ value: String) -> Duration? {
        guard let seconds = Int(value.filter { $0 != " " }), seconds >= 0 else { return nil }
        return .seconds(min(seconds, 1_000_000))
    }
}
