/// Finds what someone probably meant.
enum Spelling {
    /// The candidate nearest to `word`, if it is near enough to be a slip: a third of its letters, at least two. A beginning of at least
    /// three letters counts too: `warn` means `warning`.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        // A longer word is no slip, and the comparison is quadratic.
        guard word.utf8.count <= 64 else { return nil }
        let letters = Array(normalized(word))
        var best: (candidate: String, distance: Int)?
        for candidate in candidates {
            let distance = distance(letters, Array(normalized(candidate)))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        if let best, best.distance <= max(2, best.candidate.count / 3), best.distance < letters.count { return best.candidate }
        return letters.count < 3 ? nil : candidates.first { normalized($0).hasPrefix(String(letters)) }
    }

    /// Upper case, `_` and `-` make no difference: `start_up-timeout` is spelled like `startupTimeout`.
    private static func normalized(_ word: String) -> String {
        word.lowercased().filter { $0 != "_" && $0 != "-" }
    }

    /// Insertions, deletions, replacements and swaps of neighbours between the two words (optimal string alignment).
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var beforePrevious = [Int](repeating: 0, count: right.count + 1)
        var previous = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var current = [i + 1]
            for (j, b) in right.enumerated() {
                var cost = min(previous[j] + (a == b ? 0 : 1), previous[j + 1] + 1, current[j] + 1)
                if i > 0, j > 0, a == right[j - 1], left[i - 1] == b { cost = min(cost, beforePrevious[j - 1] + 1) }
                current.append(cost)
            }
            (beforePrevious, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
