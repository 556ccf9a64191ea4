import JSONRPC

/// What is known of a host's requests, by the ids it gave them.
///
/// Looked into several times for each message. Hosts count their requests, so nearly all ids are integers; those have a table of their
/// own, whose hash is one multiplication, where that of a dictionary withstands keys that an enemy chose and costs as much as the scan
/// of a short message. A host that chooses ids which collide pays for it with a search among all its requests, of which there are
/// ``Limits/hostRequests`` at most: some 35 µs for each call (decision 0018).
struct RequestIDTable<Value> {
    private var integers = IntegerTable<Value>()
    private var texts: [RequestID: Value] = [:]

    var count: Int { integers.count + texts.count }
    var isEmpty: Bool { count == 0 }
    var ids: [RequestID] { integers.keys.map { RequestID($0) } + texts.keys }

    subscript(id: RequestID) -> Value? {
        get {
            if let integer = id.integer { integers[integer] } else { texts[id] }
        }
        set {
            guard let integer = id.integer else { return texts[id] = newValue }
            if let newValue { integers.set(newValue, for: integer) } else { _ = integers.remove(integer) }
        }
    }

    func contains(_ id: RequestID) -> Bool {
        if let integer = id.integer { integers.contains(integer) } else { texts[id] != nil }
    }

    mutating func remove(_ id: RequestID) -> Value? {
        if let integer = id.integer { integers.remove(integer) } else { texts.removeValue(forKey: id) }
    }
}

/// Open addressing with linear probing. Keys are not negative.
private struct IntegerTable<Value> {
    private static var leastCapacity: Int { 16 }
    /// Beyond it a table gives its memory back when there is nothing in it.
    private static var keptCapacity: Int { 1024 }
    private static var noKey: Int { -1 }

    private(set) var count = 0
    // Apart from the values, so that a search touches nothing else. None, or a power of two of each, a quarter of which is free at least.
    private var slots: [Int] = []
    private var values: [Value?] = []

    var keys: [Int] { slots.filter { $0 != Self.noKey } }

    subscript(key: Int) -> Value? { count == 0 ? nil : values[slot(of: key)] }

    func contains(_ key: Int) -> Bool { count > 0 && slots[slot(of: key)] == key }

    mutating func set(_ value: Value, for key: Int) {
        if !contains(key) {
            if (count + 1) * 4 > slots.count * 3 { grow() }
            count += 1
        }
        let slot = slot(of: key)
        (slots[slot], values[slot]) = (key, value)
    }

    mutating func remove(_ key: Int) -> Value? {
        guard count > 0 else { return nil }
        var hole = slot(of: key)
        guard let removed = values[hole].take() else { return nil }
        slots[hole] = Self.noKey
        count -= 1
        if count == 0, slots.count > Self.keptCapacity { (slots, values) = ([], []) }
        guard count > 0 else { return removed }
        // What was put behind it because its own slot was taken moves up, or it would not be found any more.
        var next = after(hole)
        while slots[next] != Self.noKey {
            if distance(from: home(of: slots[next]), to: next) >= distance(from: hole, to: next) {
                slots.swapAt(hole, next)
                values.swapAt(hole, next)
                hole = next
            }
            next = after(next)
        }
        return removed
    }

    /// Where the key is, or would be put.
    private func slot(of key: Int) -> Int {
        var slot = home(of: key)
        while slots[slot] != key, slots[slot] != Self.noKey { slot = after(slot) }
        return slot
    }

    /// The highest bits of the product, which all bits of the key have a part in: keys that follow each other lie far apart. (The factor
    /// is 2^64 divided by the golden ratio.)
    private func home(of key: Int) -> Int {
        let product = UInt64(truncatingIfNeeded: key) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: product >> (UInt64.bitWidth - slots.count.trailingZeroBitCount))
    }

    private func after(_ slot: Int) -> Int { (slot + 1) & (slots.count - 1) }
    private func distance(from start: Int, to end: Int) -> Int { (end - start) & (slots.count - 1) }

    private mutating func grow() {
        let (oldSlots, oldValues) = (slots, values)
        let capacity = max(Self.leastCapacity, slots.count * 2)
        slots = Array(repeating: Self.noKey, count: capacity)
        values = Array(repeating: nil, count: capacity)
        for (key, value) in zip(oldSlots, oldValues) where key != Self.noKey {
            let slot = slot(of: key)
            (slots[slot], values[slot]) = (key, value)
        }
    }
}
