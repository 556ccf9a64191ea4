/// What servers want the host's model to know, as one text.
package enum Instructions {
    /// Joins them under a heading per server, in order. If they are too long together, each gets its share of the limit: one that is
    /// shorter leaves what it does not need to the others, and a longer one is cut behind its share.
    /// - Parameter limit: characters of the whole.
    /// - Returns: `nil` if there is nothing to say.
    package static func merged(_ servers: [(key: String, text: String)], limit: Int) -> String? {
        let texts = servers.filter { !$0.text.allSatisfy(\.isWhitespace) }
        guard !texts.isEmpty else { return nil }
        if texts.count == 1, texts[0].text.count <= limit { return texts[0].text }
        let headings = texts.map { "## \($0.key)\n" }
        let separators = 2 * (texts.count - 1)
        var room = limit - headings.reduce(separators) { $0 + $1.count }
        guard room > 0 else { return nil }
        // The shortest first: what they leave over is the others'.
        var shares = [Int](repeating: 0, count: texts.count)
        for (place, index) in texts.indices.sorted(by: { texts[$0].text.count < texts[$1].text.count }).enumerated() {
            shares[index] = min(texts[index].text.count, room / (texts.count - place))
            room -= shares[index]
        }
        return texts.indices.map { index in
            let text = texts[index].text
            if text.count <= shares[index] { return headings[index] + text }
            // Of the smallest share not even the mark is left.
            return headings[index] + (shares[index] == 0 ? "" : text.prefix(shares[index] - 1) + "…")
        }.joined(separator: "\n\n")
    }
}
