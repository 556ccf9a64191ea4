import JSONRPC
import TestSupport
import Testing

@testable import Aggregation

@Suite("The table of requests by their hosts' ids")
struct RequestIDTableTests {
    /// Multiplied with the inverse of the table's factor, small numbers are what is left of its product: all have the first slot.
    private static func colliding(_ count: UInt64) -> [RequestID] {
        (0..<count).map { $0 &* 0xF1DE_83E1_9937_733D }.filter { $0 < 1_000_000_000_000_000_000 }.map { RequestID(Int($0)) }
    }

    /// Those that hosts use: counted, far apart, in strings; and integers that collide.
    private static let ids: [RequestID] =
        (0..<40).map { RequestID($0) } + colliding(400) + [0, 1, 999_999_999_999_999_999].map { RequestID($0) }
        + ["\"a\"", "\"7\"", "\"\"", "-1", "-0", "123456789012345678901"].map { RequestID(text: $0) }

    @Test("has what a dictionary would have", arguments: [UInt64(1), 2, 3])
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = RequestIDTable<Int>()
        var model: [RequestID: Int] = [:]
        for step in 0..<3_000 {
            let id = Self.ids[random.below(Self.ids.count)]
            switch random.below(3) {
            case 0: #expect(table.remove(id) == model.removeValue(forKey: id), "step \(step)")
            case 1: (table[id], model[id]) = (nil, nil)
            default: (table[id], model[id]) = (step, step)
            }
            for id in Self.ids {
                #expect(table[id] == model[id] && table.contains(id) == (model[id] != nil), "step \(step), \(id)")
            }
            #expect(table.count == model.count && table.isEmpty == model.isEmpty, "step \(step)")
            #expect(Set(table.ids) == Set(model.keys) && table.ids.count == model.count, "step \(step)")
        }
    }

    @Test("holds as many as a host may have, however far apart", arguments: [1, 1000, 1 << 20, 1 << 45])
    func many(distance: Int) {
        var table = RequestIDTable<Int>()
        for round in 0..<3 {
            let ids = (0..<Limits.hostRequests).map { RequestID((round + $0) * distance) }
            for (number, id) in ids.enumerated() { table[id] = number }
            #expect(table.count == ids.count && ids.indices.allSatisfy { table[ids[$0]] == $0 })
            for (number, id) in ids.enumerated() { #expect(table.remove(id) == number) }
            #expect(table.isEmpty && table.ids.isEmpty && !table.contains(ids[0]) && table.remove(ids[0]) == nil)
        }
    }
}
