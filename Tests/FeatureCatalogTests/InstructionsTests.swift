import FeatureCatalog
import TestSupport
import Testing

@Suite("Instructions of several servers")
struct InstructionsTests {
    private typealias Server = (key: String, text: String)

    /// What is shown of each server, by the headings.
    private func sections(_ merged: String, _ servers: [Server]) throws -> [String] {
        var rest = merged[...]
        var sections: [String] = []
        for (index, server) in servers.enumerated() {
            let heading = (index == 0 ? "" : "\n\n") + "## \(server.key)\n"
            try #require(rest.hasPrefix(heading), "at '\(rest.prefix(40))'")
            rest = rest.dropFirst(heading.count)
            let next = index + 1 < servers.count ? rest.ranges(of: "\n\n## \(servers[index + 1].key)\n").first?.lowerBound : nil
            sections.append(String(rest[..<(next ?? rest.endIndex)]))
            rest = rest[(next ?? rest.endIndex)...]
        }
        return sections
    }

    @Test(
        "are one text under a heading per server, in their order, without those that say nothing",
        arguments: [
            ([], nil), ([("a", "")], nil), ([("a", " \n\t"), ("b", "")], nil), ([("a", "Be kind.")], "Be kind."),
            ([("a", ""), ("b", " Be\nkind. ")], " Be\nkind. "), ([("b", "x"), ("a", "y")], "## b\nx\n\n## a\ny"),
            ([("a", "x"), ("b", "\n"), ("c", "y")], "## a\nx\n\n## c\ny"), ([("a", "x"), ("a", "x")], "## a\nx\n\n## a\nx"),
        ] as [([(String, String)], String?)])
    func texts(servers: [(String, String)], expected: String?) {
        #expect(Instructions.merged(servers.map { (key: $0.0, text: $0.1) }, limit: 1_000) == expected)
    }

    @Test("of one server are cut behind the limit, with the heading that tells whose they are", arguments: [10, 50, 99])
    func alone(limit: Int) {
        let text = String(repeating: "x", count: 100)
        let expected = "## a\n" + String(repeating: "x", count: limit - "## a\n".count - 1) + "…"
        #expect(Instructions.merged([(key: "a", text: text)], limit: limit) == expected)
        #expect(expected.count == limit)
        #expect(Instructions.merged([(key: "a", text: text)], limit: 100) == text)
    }

    @Test(
        "that are too long together get a share each, and what one does not need is the others'",
        arguments: [
            // Room for 90, 180 or 174 characters beside headings and separators.
            ([1_000, 1_000], [45, 45], 102), ([10, 1_000], [10, 80], 102), ([1_000, 10], [80, 10], 102), ([45, 45], [45, 45], 102),
            ([44, 47], [44, 46], 102), ([1_000, 1_000, 1_000], [58, 58, 58], 193), ([10, 1_000, 1_000], [10, 82, 82], 193),
            ([1_000, 10, 20], [144, 10, 20], 193), ([58, 59, 1_000], [58, 58, 58], 193), ([57, 58, 1_000], [57, 58, 59], 193),
        ])
    func shares(lengths: [Int], shown: [Int], limit: Int) throws {
        let servers: [Server] = lengths.enumerated().map { (key: "\($0)", text: String(repeating: "\($0)", count: $1)) }
        let merged = try #require(Instructions.merged(servers, limit: limit))
        #expect(try sections(merged, servers).map(\.count) == shown)
        #expect(merged.count == limit)
    }

    @Test("get the same share wherever their server stands", arguments: [UInt64(1), 2, 3])
    func fairness(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let servers: [Server] = (0..<12).map {
            (key: "server\($0)", text: String(repeating: "x", count: Int.random(in: 1...400, using: &random)))
        }
        var shares: [String: [Int]] = [:]
        for _ in 0..<20 {
            let shuffled = servers.shuffled(using: &random)
            let merged = try #require(Instructions.merged(shuffled, limit: 2_048))
            #expect(merged.count <= 2_048)
            for (server, shown) in zip(shuffled, try sections(merged, shuffled)) { shares[server.key, default: []].append(shown.count) }
        }
        // What cannot be divided is somebody's.
        for (key, counts) in shares { #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "\(key): \(counts)") }
    }

    @Test("are never longer than the limit, and never cut inside a character", arguments: [UInt64(1), 2, 3, 4])
    func characters(seed: UInt64) throws {
        let letters = ["a", "é", "e\u{301}", "日", "🇩🇪", "👩‍👩‍👧", "\u{1F44D}\u{1F3FD}", " ", "\n", "##", "\r\n"]
        var random = SeededGenerator(seed: seed)
        var cut = 0
        for _ in 0..<300 {
            let servers: [Server] = (0..<Int.random(in: 1...5, using: &random)).map { number in
                let letters = (0..<Int.random(in: 1...60, using: &random)).map { _ in letters.randomElement(using: &random) ?? "" }
                return (key: "s\(number)", text: "x" + letters.joined())
            }
            let limit = Int.random(in: 0...200, using: &random)
            guard let merged = Instructions.merged(servers, limit: limit) else {
                #expect(servers.reduce(2 * (servers.count - 1)) { $0 + "## \($1.key)\n".count } >= limit)
                continue
            }
            #expect(merged.count <= limit, "\(merged)")
            if servers.count == 1, merged == servers[0].text { continue }
            for (server, shown) in zip(servers, try sections(merged, servers)) where shown != server.text {
                cut += 1
                if shown.isEmpty { continue }
                #expect(shown.last == "…" && server.text.hasPrefix(shown.dropLast()), "'\(shown)' of '\(server.text)'")
                #expect(Array(server.text).starts(with: Array(shown.dropLast())), "whole characters")
            }
        }
        #expect(cut > 100)
    }

    @Test("are nothing where not even the headings have room", arguments: [-1, 0, 1, 5])
    func noRoom(limit: Int) {
        #expect(Instructions.merged([(key: "a", text: String(repeating: "x", count: 50))], limit: limit) == nil)
        #expect(Instructions.merged([(key: "a", text: "x"), (key: "b", text: "y")], limit: limit) == nil)
    }
}
