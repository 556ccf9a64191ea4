/// What is to be done later, the earliest first. A timer is not taken out when its request is cancelled: it finds no work then.
struct Timers {
    struct Timer: Comparable {
        let deadline: UInt64  // nanoseconds of the monotonic clock
        let order: Int  // of two timers for the same moment, the one that was set first
        let action: () -> Void

        static func < (one: Timer, other: Timer) -> Bool { (one.deadline, one.order) < (other.deadline, other.order) }
        static func == (one: Timer, other: Timer) -> Bool { one.order == other.order }
    }

    /// The latest first, so that taking the earliest moves nothing. There are few more than calls in flight.
    private var waiting: [Timer] = []
    private var count = 0

    mutating func set(milliseconds: Int, _ action: @escaping () -> Void) {
        count += 1
        let deadline = Descriptor.now() + UInt64(max(0, milliseconds)) * 1_000_000
        let timer = Timer(deadline: deadline, order: count, action: action)
        var low = 0
        var high = waiting.count
        while low < high {
            let middle = (low + high) / 2
            if timer < waiting[middle] { low = middle + 1 } else { high = middle }
        }
        waiting.insert(timer, at: low)
    }

    /// The next timer whose moment has come.
    mutating func due() -> Timer? {
        guard let first = waiting.last, first.deadline <= Descriptor.now() else { return nil }
        return waiting.removeLast()
    }

    /// For poll: until the first timer, rounded up so that it is due then; `nil` without one.
    var millisecondsToWait: Int32? {
        guard let first = waiting.last else { return nil }
        let now = Descriptor.now()
        guard first.deadline > now else { return 0 }
        return Int32(clamping: (first.deadline - now + 999_999) / 1_000_000)
    }
}
