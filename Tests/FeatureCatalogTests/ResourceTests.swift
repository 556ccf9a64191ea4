import FeatureCatalog
import JSONRPC
import MCPProtocol
import NIOCore
import TestSupport
import Testing

@Suite("Templates of URIs")
struct URITemplateTests {
    @Test(
        "match what may have been made from them",
        arguments: [
            // A URI, whether it matches strictly, and whether it matches at all.
            ("plain://x", "plain://x", true, true), ("plain://x", "plain://xy", false, false), ("plain://x", "plain://", false, false),
            ("plain://x", "PLAIN://x", false, false), ("", "", true, true), ("", "x", false, false),
            ("file:///{path}", "file:///a", true, true), ("file:///{path}", "file:///a/b", false, true),
            ("file:///{path}", "file:///", false, false), ("file:///{path}", "file://a", false, false),
            ("file:///{+path}", "file:///a/b", true, true), ("file:///{+path}", "file:///", true, true),
            ("x://{a}/{b}", "x://1/2", true, true), ("x://{a}/{b}", "x://1/", false, false), ("x://{a}/{b}", "x:///2", false, false),
            ("x://{a}/{b}", "x://1/2/3", false, true), ("x://{a}/end", "x://1/end", true, true),
            ("x://{a}/end", "x://1/2/end", false, true),
            ("x://{a}/end", "x://1/end/", false, false), ("x://{a}/end", "x://end/end/end", false, true),
            ("{a}{b}", "x", false, false), ("{a}{b}", "xy", true, true), ("a{x}a", "aa", false, false), ("a{x}a", "aaa", true, true),
            ("a{x}a", "aaaa", true, true), ("{a}-{b}-c", "1-2-3-c", true, true),
            // Operators, lists and modifiers.
            ("x{?q,r}", "x", true, true), ("x{?q,r}", "x?q=1&r=a/b", true, true), ("x{&q}", "x&q=1", true, true),
            ("x{/path}", "x/a/b", true, true), ("x{#part}", "x#p", true, true), ("x{.ext}", "x.txt", true, true),
            ("x{;p}", "x;p", true, true),
            ("x{p*}", "x", true, true), ("x/{p*}", "x/a/b", true, true), ("x/{a,b}", "x/1,2", true, true),
            ("x/{a,b}", "x/1/2", false, true),
            ("x/{a:3}", "x/abc", true, true), ("x/{_a}", "x/1", true, true), ("x/{1}", "x/1/", false, true), ("x{}", "x", true, true),
            // What is no expression stands for itself.
            ("a{b", "a{b", true, true), ("a{b", "ab", false, false), ("a}b", "a}b", true, true), ("a}{b}", "a}c", true, true),
            // Bytes count, not what they look like.
            ("é/{x}", "é/日", true, true), ("\u{E9}", "e\u{301}", false, false), ("{x}", "\u{E9}", true, true),
        ])
    func table(template: String, uri: String, strictly: Bool, loosely: Bool) {
        let template = URITemplate(template)
        #expect(template.matches(uri, strictly: true) == strictly)
        #expect(template.matches(uri, strictly: false) == loosely)
    }

    @Test("agree with a matcher that tries everything", arguments: [UInt64(1), 2, 3])
    func model(seed: UInt64) {
        enum Part { case literal(Character), segment, anything }
        func matches(_ parts: ArraySlice<Part>, _ text: Substring, _ isStrict: Bool) -> Bool {
            guard let first = parts.first else { return text.isEmpty }
            let rest = parts.dropFirst()
            switch first {
            case .literal(let letter): return text.first == letter && matches(rest, text.dropFirst(), isStrict)
            case .anything: return (0...text.count).contains { matches(rest, text.dropFirst($0), isStrict) }
            case .segment:
                let length = isStrict ? text.prefix { $0 != "/" }.count : text.count
                return length > 0 && (1...length).contains { matches(rest, text.dropFirst($0), isStrict) }
            }
        }
        var random = SeededGenerator(seed: seed)
        var found = 0
        for _ in 0..<3_000 {
            let parts = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                switch Int.random(in: 0..<6, using: &random) {
                case 0: Part.segment
                case 1: Part.anything
                default: Part.literal("ab/".randomElement(using: &random) ?? "a")
                }
            }
            let template = parts.map { part in
                switch part {
                case .literal(let letter): String(letter)
                case .segment: "{x}"
                case .anything: "{+x}"
                }
            }.joined()
            let uri = String((0..<Int.random(in: 0...7, using: &random)).map { _ in "ab/".randomElement(using: &random) ?? "a" })
            for isStrict in [true, false] {
                let expected = matches(parts[...], uri[...], isStrict)
                if expected { found += 1 }
                #expect(URITemplate(template).matches(uri, strictly: isStrict) == expected, "'\(template)' on '\(uri)'")
            }
        }
        #expect(found > 200 && found < 5_800, "both answers are tried")
    }

    @Test("take no longer for being spiteful, and neither do URIs")
    func spiteful() {
        let uri = String(repeating: "a", count: 8 * 1024)
        #expect(!URITemplate(String(repeating: "{x}", count: 20) + "b").matches(uri, strictly: false))
        #expect(!URITemplate(String(repeating: "{+x}a", count: 20) + "b").matches(uri, strictly: true))
        #expect(URITemplate(String(repeating: "{x}", count: 20)).matches(uri, strictly: true))
    }

    @Test("that are too long, or of too many parts, fit nothing, and nothing too long fits any")
    func limits() {
        let longest = String(repeating: "a", count: 8 * 1024)
        #expect(URITemplate(longest).matches(longest, strictly: true))
        #expect(!URITemplate(longest + "a").matches(longest + "a", strictly: true))
        #expect(!URITemplate("{+x}").matches(longest + "a", strictly: false))
        #expect(URITemplate(String(repeating: "{x}", count: 64)).matches(String(repeating: "a", count: 64), strictly: true))
        #expect(!URITemplate(String(repeating: "{x}", count: 65)).matches("a", strictly: true))
    }
}

@Suite("Whom a URI came from")
struct OwnershipTests {
    private let one = DownstreamID(1)
    private let two = DownstreamID(2)

    @Test("is remembered, the last one who mentioned it counting")
    func last() {
        var ownership = Ownership()
        #expect(ownership.owner(of: "a") == nil)
        ownership.saw("a", from: one)
        ownership.saw("b", from: one)
        ownership.saw("a", from: two)
        #expect(ownership.owner(of: "a") == two && ownership.owner(of: "b") == one && ownership.owner(of: "A") == nil)
    }

    @Test("is forgotten when the server is gone, and what the others said is not")
    func forget() {
        var ownership = Ownership()
        for number in 0..<10 { ownership.saw("\(number)", from: number.isMultiple(of: 2) ? one : two) }
        ownership.saw("0", from: two)
        ownership.forget(one)
        #expect((0..<10).map { ownership.owner(of: "\($0)") } == [two, two, nil, two, nil, two, nil, two, nil, two])
        ownership.forget(two)
        ownership.forget(two)
        #expect((0..<10).allSatisfy { ownership.owner(of: "\($0)") == nil })
    }

    @Test("is forgotten beyond the limit, the oldest first")
    func limit() {
        var ownership = Ownership()
        for number in 0..<Ownership.limit { ownership.saw("\(number)", from: one) }
        #expect((0..<Ownership.limit).allSatisfy { ownership.owner(of: "\($0)") == one })
        // What another server mentions is new again.
        ownership.saw("3", from: two)
        ownership.saw("one more", from: one)
        #expect(ownership.owner(of: "0") == nil && ownership.owner(of: "3") == two && ownership.owner(of: "one more") == one)
        #expect(ownership.owner(of: "\(Ownership.limit - 1)") == one)
        #expect((0..<Ownership.limit).count { ownership.owner(of: "\($0)") != nil } >= Ownership.limit * 8 / 10)
    }

    @Test("is not remembered of what is no URI for its length", arguments: [0, 1])
    func length(excess: Int) {
        var ownership = Ownership()
        // Two bytes each: bytes are what is kept.
        let uri = String(repeating: "é", count: Ownership.lengthLimit / 2) + String(repeating: "x", count: excess)
        ownership.saw(uri, from: one)
        #expect(ownership.owner(of: uri) == (excess == 0 ? one : nil))
    }
}

@Suite("The server that is asked for a resource")
struct ResourceOwnerTests {
    private func number(_ key: String) -> Int { key.utf8.reduce(0) { $0 * 256 + Int($1) } }

    @Test("is the one that lists it, the first if there are several")
    func listed() throws {
        let catalog = Catalog(
            try source("a", .resources, ["note://1", "note://2"]), try source("b", .resources, ["note://2", "note://3"]),
            try source("c", .templates, ["note://{id}"]))
        let owners = ["note://1", "note://2", "note://3", "note://4", "NOTE://1", ""].map { catalog.owner(ofResource: $0)?.number }
        #expect(owners == [number("a"), number("a"), number("b"), nil, nil, nil])
    }

    @Test(
        "is one whose template fits, the strictest first, each once",
        arguments: [
            ("x://1", ["a", "b", "c"]), ("x://1/2", ["b", "c", "a"]), ("x://", ["c"]), ("y://1", ["a"]), ("z://1", []), ("", []),
        ])
    func templates(uri: String, expected: [String]) throws {
        let catalog = Catalog(
            try source("a", .templates, ["x://{p}", "y://{p}"]), try source("b", .templates, ["x://{id}", "x://{p}/{q}"]),
            try source("c", .templates, ["x://{+p}"]), try source("d", .resources, ["z://1"]))
        #expect(catalog.owners(byTemplate: uri).map(\.number) == expected.map { number($0) })
    }
}
