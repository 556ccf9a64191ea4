/// The requests that wait for their answers on one connection, found by the ids we mint for them.
///
/// An id is a serial number and the entry's slot in one integer: found without hashing, and never used again on this connection
/// (2025-11-25, basic, "Requests"). Ids stay below 2^53 for 2^41 requests, so a peer that reads numbers as doubles keeps them exact.
package struct RequestTable<Entry> {
    /// Requests that may wait at once.
    package static var capacity: Int { 4096 }

    private struct Slot {
        var id = 0
        var entry: Entry?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []
    private var serial = 0
    package private(set) var count = 0
    /// Of those that are waiting, the ones that `isCounted` is true of.
    package private(set) var countedCount = 0
    private let isCounted: (Entry) -> Bool

    /// - Parameter isCounted: never changes for an entry, nor does one take the place of another for which it is different.
    package init(counting isCounted: @escaping (Entry) -> Bool = { _ in false }) { self.isCounted = isCounted }

    package var isEmpty: Bool { count == 0 }

    /// - Returns: the id under which the entry waits; `nil` if the table is full.
    package mutating func insert(_ entry: Entry) -> Int? {
        guard count < Self.capacity else { return nil }
        let slot: Int
        if let last = free.popLast() {
            slot = last
        } else {
            slot = slots.count
            slots.append(Slot())
        }
        serial += 1
        let id = serial * Self.capacity + slot
        if isCounted(entry) { countedCount += 1 }
        slots[slot] = Slot(id: id, entry: entry)
        count += 1
        return id
    }

    /// The entry that waits under `id`; `nil` if none does, whatever the number.
    package subscript(id: Int) -> Entry? {
        get {
            guard let slot = slot(of: id) else { return nil }
            return slots[slot].entry
        }
        set {
            guard let slot = slot(of: id), newValue != nil else { return }
            slots[slot].entry = newValue
        }
    }

    package mutating func remove(_ id: Int) -> Entry? {
        guard let slot = slot(of: id) else { return nil }
        let entry = slots[slot].entry.take()
        if let entry, isCounted(entry) { countedCount -= 1 }
        free.append(slot)
        count -= 1
        return entry
    }

    /// Whether this is the id of a request that waited here once.
    package func wasUsed(_ id: Int) -> Bool { id >= Self.capacity && id / Self.capacity <= serial && self[id] == nil }

    /// Empties the table; its ids stay used.
    package mutating func removeAll() -> [Entry] {
        let entries = slots.compactMap(\.entry)
        slots.removeAll()
        free.removeAll()
        count = 0
        countedCount = 0
        return entries
    }

    package var entries: some Sequence<(id: Int, entry: Entry)> {
        slots.lazy.compactMap { slot in slot.entry.map { (slot.id, $0) } }
    }

    private func slot(of id: Int) -> Int? {
        guard id > 0 else { return nil }
        let slot = id % Self.capacity
        guard slot < slots.count, slots[slot].id == id, slots[slot].entry != nil else { return nil }
        return slot
    }
}
