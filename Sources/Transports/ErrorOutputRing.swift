import JSONRPC
package import NIOCore

/// The last lines a child wrote to its standard error.
package struct ErrorOutputRing: Sendable {
    /// Lines kept.
    package static let lineLimit = 50
    /// Bytes kept of one line.
    package static let lineLength = 1_000

    package private(set) var lines: [String] = []
    private var partial: [UInt8] = []

    package init() {}

    /// - Returns: the lines that these bytes completed.
    package mutating func append(_ bytes: ByteBuffer) -> [String] {
        var completed: [String] = []
        for piece in bytes.readableBytesView.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0, let line = endLine() { completed.append(line) }
            partial += piece.element.prefix(Self.lineLength - partial.count)
        }
        return completed
    }

    /// The kept lines, with the one that has not ended.
    package func tail(_ count: Int) -> [String] {
        Array((lines + (partial.isEmpty ? [] : [Self.text(partial)])).suffix(count))
    }

    private mutating func endLine() -> String? {
        defer { partial.removeAll(keepingCapacity: true) }
        let line = Self.text(partial)
        guard !line.isEmpty else { return nil }
        lines.append(line)
        if lines.count > Self.lineLimit { lines.removeFirst() }
        return line
    }

    /// Without what would make a terminal do things.
    private static func text(_ bytes: [UInt8]) -> String {
        String(String(decoding: bytes, as: UTF8.self).unicodeScalars.filter { !$0.isTreacherous || $0 == "\t" }.map(Character.init))
    }
}
