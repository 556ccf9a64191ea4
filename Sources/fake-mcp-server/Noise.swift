import NIOCore

/// What an MCP server should not write.
enum Noise {
    /// Not UTF-8, not JSON, but one line.
    static let garbage: [UInt8] = [0xFF, 0xFE, 0x00, 0x7B, 0x22, 0xC3, 0x28, 0x80, 0x7D, 0x5D, 0x1B, 0x5B]

    static func banner(_ number: Int, of count: Int) -> String { "*** welcome, this is line \(number) of \(count), and no JSON ***" }

    /// Floods stderr, and then writes the line, so that it is the last one there.
    static func writeToStandardError(line: String?, floodBytes: Int) {
        let piece = Array("flood flood flood flood flood flood flood flood flood flood flood flood flood flood flood flood\n".utf8)
        var left = floodBytes
        while left > 0 {
            let part = piece.suffix(left)
            part.withUnsafeBytes { Descriptor.writeAll(Descriptor.standardError, $0) }
            left -= part.count
        }
        guard let line else { return }
        Array((line + "\n").utf8).withUnsafeBytes { Descriptor.writeAll(Descriptor.standardError, $0) }
    }
}
