/// What somebody may have meant who wrote a name that does not exist.
package enum NearestNames {
    /// Names longer than this are not compared; none that we expose or accept is.
    private static let lengthLimit = 128

    /// - Returns: at most `limit` of `names`, the likeliest first: those that end in the written name (the prefix was left out), then
    ///   those a few typing errors away.
    package static func suggestions(for written: String, among names: [String], limit: Int = 3) -> [String] {
        guard !written.isEmpty, written.utf8.count <= lengthLimit else { return [] }
        let lowered = Array(written.lowercased().utf8)
        var scored: [(name: String, score: Int, order: Int)] = []
        for (order, name) in names.enumerated() where name.utf8.count <= lengthLimit {
            let candidate = Array(name.lowercased().utf8)
            let isTail = candidate.count > lowered.count && candidate.suffix(lowered.count) == lowered[...]
            let distance = isTail ? 0 : distance(lowered, candidate)
            if distance <= max(2, candidate.count / 3) { scored.append((name, distance, order)) }
        }
        // What is much farther away than the nearest was not meant.
        let best = scored.map(\.score).min() ?? 0
        return scored.filter { $0.score <= best + 1 }.sorted { ($0.score, $0.order) < ($1.score, $1.order) }.prefix(limit).map(\.name)
    }

    /// Insertions, deletions and substitutions that lead from one to the other (Levenshtein).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
                diagonal = above
            }
        }
        return row[right.count]
    }
}
