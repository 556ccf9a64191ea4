import FeatureCatalog
import Lifecycle

/// An id that counts up: each new one is greater than all before it.
protocol Numbered: Hashable, Sendable {
    var number: Int { get }
}

extension DownstreamID: Numbered {}
extension HostConnectionID: Numbered {}

/// What is found by such an id, with every message: a search among few neighbours costs less than a hash.
struct NumberedTable<ID: Numbered, Value> {
    fileprivate typealias Entry = (number: Int, value: Value)

    /// In the order of their numbers.
    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    subscript(id: ID) -> Value? {
        get {
            let index = index(of: id.number)
            return index < entries.count && entries[index].number == id.number ? entries[index].value : nil
        }
        set {
            let index = index(of: id.number)
            let isThere = index < entries.count && entries[index].number == id.number
            switch (newValue, isThere) {
            case (let value?, true): entries[index].value = value
            case (let value?, false): entries.insert((id.number, value), at: index)
            case (nil, true): entries.remove(at: index)
            case (nil, false): break
            }
        }
    }

    /// In the order of their ids, as they are now: what is changed meanwhile does not count.
    var values: Values { Values(entries: entries) }

    struct Values: RandomAccessCollection {
        fileprivate let entries: [Entry]

        var startIndex: Int { entries.startIndex }
        var endIndex: Int { entries.endIndex }
        subscript(index: Int) -> Value { entries[index].value }
    }

    /// Of the first entry with this number or a greater one.
    private func index(of number: Int) -> Int {
        // A guess: while nothing is gone from between them they follow each other. Else the search finds it.
        if !entries.isEmpty, case let guess = number - entries[0].number, entries.indices.contains(guess), entries[guess].number == number {
            return guess
        }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
