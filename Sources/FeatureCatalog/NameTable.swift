import JSONRPC

/// Finds an exposed name by its bytes in a message, without making a string of them.
///
/// Open addressing over positions in `names`; hashed with the process's own seed, so no server can choose names that collide.
struct NameTable: Sendable {
    private let names: [String]
    /// Positions in ``names``, or -1. A power of two, at least twice as long.
    private var slots: [Int32]

    /// - Parameter names: all different.
    init(_ names: [String]) {
        self.names = names
        var size = 8
        while size < names.count * 2 { size *= 2 }
        slots = Array(repeating: -1, count: size)
        for (position, name) in names.enumerated() {
            var name = name
            let hash = name.withUTF8 { Self.hash(UnsafeRawBufferPointer($0)) }
            var slot = hash & (size - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Int32(truncatingIfNeeded: position)
        }
    }

    /// - Returns: the position of the name in the array this was made from.
    func position(of name: UnsafeRawBufferPointer) -> Int? {
        var slot = Self.hash(name) & (slots.count - 1)
        while slots[slot] >= 0 {
            let position = Int(slots[slot])
            var candidate = names[position]
            if candidate.withUTF8({ name.equals(UnsafeRawBufferPointer($0)) }) { return position }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return hasher.finalize() & .max
    }
}
