extension [Double] {
    /// Between the values, if it falls there. 0 of nothing.
    func quantile(_ share: Double) -> Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted(), place = share * Double(count - 1), below = Int(place)
        let above = Swift.min(below + 1, count - 1)
        return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }

    var median: Double { quantile(0.5) }
}

/// Measures each of several things so many times, in turns, so that whatever else the machine does falls on all. Who is first changes: none
/// always finds what another has warmed.
/// - Returns: for each of them its measurements, one of each turn.
func alternate<Subject, Sample>(_ subjects: [Subject], rounds: Int, _ measure: (Subject) throws -> Sample) rethrows -> [[Sample]] {
    var samples = subjects.map { _ in [Sample]() }
    for round in 0..<rounds {
        for offset in subjects.indices {
            let index = (round + offset) % subjects.count
            samples[index].append(try measure(subjects[index]))
        }
    }
    return samples
}
