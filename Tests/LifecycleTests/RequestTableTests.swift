import Lifecycle
import TestSupport
import Testing

@Suite("The request table")
struct RequestTableTests {
    @Test("never uses an id again, and finds each entry under its own", arguments: [UInt64(1), 2, 3])
    func model(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var table = RequestTable<Int> { $0.isMultiple(of: 3) }
        var model: [Int: Int] = [:]
        var used: Set<Int> = []
        for step in 0..<4_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let id = try table.inserted(step)
                #expect(used.insert(id).inserted, "step \(step)")
                model[id] = step
            case 5..<9:
                // Of those that wait, or of those that once did.
                guard let id = (Bool.random(using: &random) ? Array(model.keys.sorted()) : used.sorted()).randomElement(using: &random)
                else { continue }
                #expect(table[id] == model[id], "step \(step)")
                #expect(table.remove(id) == model.removeValue(forKey: id), "step \(step)")
            default:
                guard Int.random(in: 0..<50, using: &random) == 0 else { continue }
                #expect(table.removeAll().sorted() == model.values.sorted(), "step \(step)")
                model = [:]
            }
            #expect(table.count == model.count && table.isEmpty == model.isEmpty, "step \(step)")
            #expect(table.countedCount == model.values.count { $0.isMultiple(of: 3) }, "step \(step)")
            if step % 500 == 0 {
                #expect(Dictionary(uniqueKeysWithValues: table.entries.map { ($0.id, $0.entry) }) == model, "step \(step)")
            }
            // Removing picks from sorted ids: with few of them the loop stays quick.
            if model.count > 40 { for id in model.keys.sorted().prefix(20) { #expect(table.remove(id) == model.removeValue(forKey: id)) } }
            if used.count > 400 { used = Set(used.sorted().suffix(200)) }
        }
    }

    @Test("takes as many as it has room for, and one more once one has gone")
    func full() throws {
        var table = RequestTable<Int>()
        let ids = (0..<RequestTable<Int>.capacity).compactMap { table.insert($0) }
        #expect(Set(ids).count == RequestTable<Int>.capacity)
        #expect(table.insert(-1) == nil)
        #expect(table.count == RequestTable<Int>.capacity)
        #expect(table.remove(ids[17]) == 17)
        let id = try table.inserted(-1)
        #expect(!ids.contains(id))
        #expect(table[id] == -1)
        #expect(table.insert(-2) == nil)
        #expect(ids.indices.filter { $0 != 17 }.allSatisfy { table[ids[$0]] == $0 })
    }

    @Test("keeps its ids exact for a peer that reads numbers as doubles, for 2^41 requests")
    func range() throws {
        var table = RequestTable<Int>()
        var last = 0
        for round in 1...10_000 {
            let id = try table.inserted(round)
            // Each request costs at most one capacity: 2^41 of them stay below 2^53.
            #expect(id > 0 && id < (round + 1) * RequestTable<Int>.capacity)
            last = id
            _ = table.remove(id)
        }
        #expect(last > 0)
        #expect((1 << 41) * RequestTable<Int>.capacity <= 1 << 53)
    }

    @Test("has nothing under a number that it never gave out", arguments: [Int.min, -4096, -1, 0, 1, 4095, 4098, 8192, 1 << 53, Int.max])
    func foreign(id: Int) throws {
        var table = RequestTable<String>()
        let first = try table.inserted("a")
        let second = try table.inserted("b")
        try #require(id != first && id != second)
        #expect(table[id] == nil)
        table[id] = "c"
        #expect(table.remove(id) == nil)
        #expect(table.count == 2 && table[first] == "a" && table[second] == "b")
    }

    @Test("changes an entry that waits, and none that has gone")
    func change() throws {
        var table = RequestTable<String>()
        let id = try table.inserted("a")
        table[id] = "b"
        #expect(table[id] == "b")
        table[id] = nil  // Only removing it ends a wait.
        #expect(table[id] == "b" && table.count == 1)
        #expect(table.remove(id) == "b")
        table[id] = "c"
        #expect(table[id] == nil && table.remove(id) == nil && table.isEmpty)
    }

    @Test("does not mistake an old id for the entry that took its place")
    func reusedSlot() throws {
        var table = RequestTable<String>()
        let old = try table.inserted("a")
        _ = table.remove(old)
        let new = try table.inserted("b")
        #expect(old != new)
        #expect(table[old] == nil && table.remove(old) == nil && table[new] == "b")
        _ = table.removeAll()
        let newest = try table.inserted("c")
        #expect(![old, new].contains(newest))
        #expect(table[new] == nil && table[newest] == "c")
    }
}

extension RequestTable {
    fileprivate mutating func inserted(_ entry: Entry) throws -> Int {
        let id = insert(entry)
        return try #require(id)
    }
}
