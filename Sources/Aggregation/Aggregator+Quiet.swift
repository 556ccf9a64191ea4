/// Whether there was traffic of late.
struct QuietWatch {
    var hadTraffic = false
    /// The timer is set.
    var isExpected = false
    var delays = 0
    /// What the start needed was given back.
    var isStartOver = false
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
            surroundings.releaseMemory()
            // Until the first silence much has run once and for all: lists were made, handed out and kept.
            if areAllSettled, !quiet.isStartOver {
                quiet.isStartOver = true
                surroundings.releaseStart()
            }
            return
        }
        quiet.hadTraffic = false
        quiet.delays += 1
        set(.quiet, after: Limits.quietTime)
    }
}
