import JSONRPC
package import NIOCore

/// The last lines a child wrote to its standard error.
///
/// They are kept as bytes: a child that floods writes many lines for one that anybody looks at.
package struct ErrorOutputRing: Sendable {
    /// Lines kept.
    package static let lineLimit = 50
    /// Bytes kept of one line.
    package static let lineLength = 1_000

    private var kept: [[UInt8]] = []
    private var partial: [UInt8] = []

    package init() {}

    /// - Parameter tells: without it the lines that are pushed out at once are not even looked at.
    /// - Returns: the lines that these bytes completed, if that is wanted.
    package mutating func append(_ bytes: ByteBuffer, tells: Bool = true) -> [String] {
        var completed: [String] = []
        bytes.withUnsafeReadableBytes { bytes in
            var rest = tells ? bytes : lastLines(of: bytes)
            while let end = rest.offset(of: UInt8(ascii: "\n")) {
                partial += rest.prefix(min(end, Self.lineLength - partial.count))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(end + 1))
                if tells, let line = Self.text(partial) { completed.append(line) }
                endLine()
            }
            partial += rest.prefix(Self.lineLength - partial.count)
        }
        return completed
    }

    /// The kept lines.
    package var lines: [String] { kept.compactMap(Self.text) }

    /// The kept lines, with the one that has not ended.
    package func tail(_ count: Int) -> [String] { Array((kept + [partial]).compactMap(Self.text).suffix(count)) }

    /// What is left of the bytes without the lines that would be pushed out by those behind them.
    private mutating func lastLines(of bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var count = 0
        for index in bytes.indices.reversed() where bytes[index] == UInt8(ascii: "\n") {
            count += 1
            // One more than is kept: blank lines do not count.
            guard count > 2 * Self.lineLimit else { continue }
            partial = []
            return UnsafeRawBufferPointer(rebasing: bytes[(index + 1)...])
        }
        return bytes
    }

    private mutating func endLine() {
        defer { partial = [] }
        guard partial.contains(where: { $0 > 0x20 }) else { return }
        kept.append(partial)
        if kept.count > Self.lineLimit { kept.removeFirst() }
    }

    /// Without what would make a terminal do things; `nil` if nothing is left.
    private static func text(_ bytes: [UInt8]) -> String? {
        let text = String(
            String(decoding: bytes, as: UTF8.self).unicodeScalars.filter { !$0.isTreacherous || $0 == "\t" }.map(Character.init))
        return text.isEmpty ? nil : text
    }
}
