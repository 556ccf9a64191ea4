import FeatureCatalog
import TestSupport
import Testing

@testable import Aggregation

@Suite("The table of what is numbered")
struct NumberedTableTests {
    @Test("has what a dictionary would have, in the order of the numbers", arguments: [UInt64(1), 2, 3])
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = NumberedTable<DownstreamID, Int>()
        var model: [DownstreamID: Int] = [:]
        for step in 0..<3_000 {
            let id = DownstreamID(random.below(40))
            let value = random.below(3) == 0 ? nil : step
            table[id] = value
            model[id] = value
            for number in -1...40 { #expect(table[DownstreamID(number)] == model[DownstreamID(number)], "step \(step)") }
            #expect(table.count == model.count && table.isEmpty == model.isEmpty, "step \(step)")
            #expect(Array(table.values) == model.sorted { $0.key.number < $1.key.number }.map(\.value), "step \(step)")
        }
    }

    @Test("hands out its values as they were when it was asked")
    func snapshot() {
        var table = NumberedTable<DownstreamID, Int>()
        for number in 1...3 { table[DownstreamID(number)] = number }
        var seen: [Int] = []
        for value in table.values {
            table[DownstreamID(value)] = nil
            table[DownstreamID(value + 10)] = 0
            seen.append(value)
        }
        #expect(seen == [1, 2, 3] && table.count == 3)
    }
}
