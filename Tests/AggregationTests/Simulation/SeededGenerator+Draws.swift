import TestSupport

extension SeededGenerator {
    /// One for each thing that draws numbers of its own, so that in one run they do not depend on who draws first.
    init(seed: UInt64, of name: String) {
        var mixed = SeededGenerator(seed: seed)
        var state = mixed.next()
        for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        self.init(seed: state)
    }

    /// A number in this range.
    mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// One of these, each as often as its weight says.
    mutating func weighted<Element>(_ elements: [(weight: Int, element: Element)]) -> Element {
        var left = below(elements.reduce(0) { $0 + $1.weight })
        for (weight, element) in elements {
            if left < weight { return element }
            left -= weight
        }
        return elements[elements.count - 1].element
    }
}
