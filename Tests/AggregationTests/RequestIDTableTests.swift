import JSONRPC
import TestSupport
import Testing

@testable import Aggregation

@Suite("The table of requests by their hosts' ids")
struct RequestIDTableTests {
    /// Those that hosts use: counted, far apart, in strings; and integers whose first slots are the same.
    private static let ids: [RequestID] =
        (0..<40).map { RequestID($0) } + (0..<20).map { RequestID($0 * 4096 + 7) } + [0, 1, 999_999_999_999_999_999].map { RequestID($0) }
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

    @Test("holds as many as a host may have, and begins anew when it is empty")
    func many() {
        var table = RequestIDTable<Int>()
        for round in 0..<3 {
            let ids = (0..<Limits.hostRequests).map { RequestID(round * 1_000_000 + $0) }
            for (number, id) in ids.enumerated() { table[id] = number }
            #expect(table.count == ids.count && ids.indices.allSatisfy { table[ids[$0]] == $0 })
            for (number, id) in ids.enumerated() { #expect(table.remove(id) == number) }
            #expect(table.isEmpty && table.ids.isEmpty && !table.contains(ids[0]) && table.remove(ids[0]) == nil)
        }
    }
}
