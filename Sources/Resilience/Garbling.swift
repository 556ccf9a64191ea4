/// A way to spoil a message.
///
/// What comes out is never what went in, has no line break, and is no blank line. Nor is it ever the same request with other arguments:
/// what a tool does to somebody's data must not be a matter of chance. So it is either no JSON at all, or JSON that says something else
/// altogether.
package struct Garbling: Hashable, Sendable {
    /// JSON, and no message, or one that is nobody's business.
    static let replacements = [
        "null", "[]", "{}", "0", #""garbled""#, #"{"jsonrpc":"2.0"}"#, #"{"jsonrpc":"1.0","id":1,"result":{}}"#,
        #"{"jsonrpc":"2.0","id":"mcpagg-chaos","result":{}}"#, #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"garbled"}}"#,
        #"{"jsonrpc":"2.0","method":"notifications/mcpagg-chaos"}"#, "[[]]",
    ]
    /// Bytes that stand nowhere in JSON: control characters, and what begins no character in UTF-8.
    private static let intruders: [UInt8] = [0x00, 0x01, 0x07, 0x08, 0x1B, 0x1F, 0xC0, 0xFF]
    /// Most bytes that are overwritten in one message.
    private static let overwrittenLimit = 8

    private let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    /// - Parameter message: a line without its end.
    /// - Returns: what comes in its place, and for people how that was made, which completes "garbled: …".
    package func apply(to message: [UInt8]) -> (bytes: [UInt8], how: String) {
        var random = SplitMix(seed: seed)
        let choice = random.below(4)
        // What stands behind the last token may go without anybody seeing it.
        let end = message.lastIndex { !Self.isWhitespace($0) } ?? 0
        let start = message.firstIndex { !Self.isWhitespace($0) } ?? 0
        switch choice {
        case 0 where end > start:
            let length = start + 1 + random.below(end - start)
            return (Self.withoutLineBreaks(message[..<length]), "cut off after \(length) of \(message.count) bytes")
        case 1 where end > start:
            var bytes = message
            let count = 1 + random.below(Self.overwrittenLimit)
            for _ in 0..<count { bytes[start + random.below(end - start + 1)] = Self.intruders[random.below(Self.intruders.count)] }
            return (Self.withoutLineBreaks(bytes[...]), "bytes of it are overwritten")
        case 2 where end > start && (message[start] == UInt8(ascii: "{") || message[start] == UInt8(ascii: "[")):
            // Its beginning is behind its end: brackets never match so.
            let place = start + 1 + random.below(end - start)
            let bytes = Self.withoutLineBreaks(message[place...]) + Self.withoutLineBreaks(message[..<place])
            return (bytes, "its two parts are exchanged at byte \(place)")
        default: break
        }
        let index = random.below(Self.replacements.count)
        var replacement = Self.replacements[index]
        if Array(replacement.utf8) == message { replacement = Self.replacements[(index + 1) % Self.replacements.count] }
        return (Array(replacement.utf8), "replaced by \(replacement)")
    }

    private static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private static func withoutLineBreaks(_ bytes: ArraySlice<UInt8>) -> [UInt8] { bytes.filter { $0 != 0x0A && $0 != 0x0D } }
}
