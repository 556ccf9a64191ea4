extension String {
    /// The text in one line that shows what it says: without what a terminal would obey or a log would take for another line, and
    /// without the marks that turn the direction of writing.
    package var oneLine: String {
        guard unicodeScalars.contains(where: \.isTreacherous) else { return self }
        return String(unicodeScalars.map { $0.isTreacherous ? " " : Character($0) })
    }
}

extension Unicode.Scalar {
    /// Not for the eye: control characters, line and paragraph separators, marks of direction.
    package var isTreacherous: Bool {
        switch value {
        case 0..<0x20, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
