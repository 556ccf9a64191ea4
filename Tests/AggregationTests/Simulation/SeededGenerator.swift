/// SplitMix64: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in `0..<limit`. Quicker in debug builds than the generic one, which the mutation loops would feel.
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

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
