/// Whether there was traffic of late.
struct QuietWatch {
    var hadTraffic = false
    /// The timer is set.
    var isExpected = false
    var delays = 0
}

// What is done when there is nothing else to do.
//
// A burst leaves pages behind that the allocator keeps for the next one. They are given back, but not while messages come: each would
// have to be got again. Without traffic there is no timer.
extension Aggregator {
    func expectQuiet() {
        quiet.hadTraffic = true
        guard !quiet.isExpected else { return }
        quiet.isExpected = true
        quiet.delays = 0
        set(.quiet, after: Limits.quietTime)
    }

    func quietIsDue() {
        guard quiet.hadTraffic, quiet.delays < Limits.quietDelays else {
            quiet.isExpected = false
            return surroundings.releaseMemory()
        }
        quiet.hadTraffic = false
        quiet.delays += 1
        set(.quiet, after: Limits.quietTime)
    }
}
