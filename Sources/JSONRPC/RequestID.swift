/// The id of a JSON-RPC request, exactly as its sender wrote it.
///
/// Stands for JSON text, so `7` and `"7"` differ, an integer beyond 64 bits survives, and the answer carries the same bytes. MCP
/// allows strings and integers only (2025-11-25, basic, "Requests").
package struct RequestID: Hashable, Sendable {
    private enum Form {
        /// Written in the usual way, as nearly all are: no text to allocate, to compare and to hash.
        case plain(Int)
        /// Anything else: a string with its quotes, a negative integer or a very long one.
        case text(String)
    }

    private let form: Form

    /// - Parameter text: valid JSON text of a string or an integer.
    package init(text: String) {
        var text = text
        form = text.withUTF8 { Self.plain(UnsafeRawBufferPointer($0)) }.map(Form.plain) ?? .text(text)
    }

    /// - Parameter text: valid JSON text of a string or an integer.
    init(_ text: UnsafeRawBufferPointer) {
        form = Self.plain(text).map(Form.plain) ?? .text(String(decoding: text, as: UTF8.self))
    }

    package init(_ integer: Int) { self.init(text: String(integer)) }

    /// A JSON string with its quotes, or an integer.
    package var text: String {
        switch form {
        case .plain(let number): String(number)
        case .text(let text): text
        }
    }

    /// If it is written as a plain integer, which is not negative then.
    package var integer: Int? {
        switch form {
        case .plain(let number): number
        case .text: nil
        }
    }

    /// What stands in the place of an id.
    package var replacement: Splice.Replacement {
        switch form {
        case .plain(let number): .integer(number)
        case .text(let text): .json(text)
        }
    }

    /// One id has one form: what is written without need for text is never kept as text.
    /// - Returns: `nil` for anything but a non-negative integer of at most 18 digits that is written as short as can be.
    private static func plain(_ text: UnsafeRawBufferPointer) -> Int? {
        guard let number = text.plainInteger, text[0] != UInt8(ascii: "0") || text.count == 1 else { return nil }
        return number
    }
}

extension RequestID {
    // By bytes: two strings that only look alike are one to Swift, and to no other JSON peer.

    package static func == (left: Self, right: Self) -> Bool {
        switch (left.form, right.form) {
        case (.plain(let left), .plain(let right)): left == right
        case (.text(let left), .text(let right)): left.utf8.elementsEqual(right.utf8)
        case (.plain, .text), (.text, .plain): false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch form {
        case .plain(let number): hasher.combine(number)
        case .text(var text): text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }
}

extension RequestID: CustomStringConvertible {
    package var description: String { text }
}
