/// A place in the config file, as editors show it.
package struct SourceLocation: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The file's name as the person knows it, for example `mcp.yaml`.
    package var file: String
    /// Counted from 1. CR, LF and CR LF end a line.
    package var line: Int
    /// Counted from 1, in Unicode code points.
    package var column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// The order of places in one file.
    package static func < (left: Self, right: Self) -> Bool { (left.line, left.column) < (right.line, right.column) }

    package var description: String { "\(file):\(line):\(column)" }
    /// For a place in a file that the sentence around it has named already.
    var shortDescription: String { "line \(line), column \(column)" }
}

/// Turns byte offsets into lines and columns.
///
/// It remembers the last place: readers ask in ascending order, and counting from the start each time would make a file that is
/// one long line take quadratic time.
struct LocationCursor {
    private let file: String
    private var offset = 0
    private var line = 1
    private var column = 1

    init(file: String) { self.file = file }

    mutating func location(at target: Int, in bytes: some RandomAccessCollection<UInt8>) -> SourceLocation {
        if target < offset { self = LocationCursor(file: file) }
        let count = bytes.count
        while offset < min(target, count) {
            let byte = bytes[bytes.index(bytes.startIndex, offsetBy: offset)]
            offset += 1
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                column = 1
            case UInt8(ascii: "\r"):
                // In CR LF the LF ends the line.
                if offset < count, bytes[bytes.index(bytes.startIndex, offsetBy: offset)] == UInt8(ascii: "\n") { break }
                line += 1
                column = 1
            case 0x80..<0xC0: break  // the second to fourth byte of a code point
            default: column += 1
            }
        }
        return SourceLocation(file: file, line: line, column: column)
    }
}
