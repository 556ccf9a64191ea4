import JSONRPC
import NIOCore
import Testing

@Suite("Members that a splice takes out")
struct SpliceRemoveTests {
    /// A member of an object as it is written, and what it is to us.
    private struct Entry {
        var member: Message.Member?
        var name: String
        var value: String
        var inner: [Entry]?
    }

    private static func known(_ member: Message.Member, _ name: String, _ value: String = "1") -> Entry {
        Entry(member: member, name: name, value: value)
    }
    private static func other(_ name: String, _ value: String = #"[",",{"a":"}"}]"#) -> Entry { Entry(name: name, value: value) }

    /// How members are laid out: what stands around the tokens, and how their names are spelled.
    private struct Layout: Sendable, CustomTestStringConvertible {
        var space: String
        var isEscaped = false
        var testDescription: String { "space of \(space.utf8.count)\(isEscaped ? ", escaped names" : "")" }

        func text(_ entries: [Entry]) -> String {
            "{\(entries.isEmpty ? space : entries.map { space + text($0) + space }.joined(separator: ","))}"
        }
        func text(_ entry: Entry) -> String { name(entry) + space + ":" + space + (entry.inner.map { text($0) } ?? entry.value) }

        private func name(_ entry: Entry) -> String {
            guard isEscaped, let first = entry.name.unicodeScalars.first else { return "\"\(entry.name)\"" }
            let digits = String(first.value, radix: 16)
            return "\"\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)\(entry.name.dropFirst())\""
        }
    }

    private static let layouts = [Layout(space: ""), Layout(space: " "), Layout(space: "\n\t "), Layout(space: "", isEscaped: true)]

    private static func remaining(_ entries: [Entry], without gone: Set<Message.Member>) -> [Entry] {
        entries.filter { $0.member.map { !gone.contains($0) } ?? true }.map { entry in
            var entry = entry
            entry.inner = entry.inner.map { remaining($0, without: gone) }
            return entry
        }
    }

    /// The places are found again by reading, so a result that only looks right does not pass.
    private func agrees(_ view: JSONView, _ expected: [Entry], _ layout: Layout) -> Bool {
        let members = view.members
        guard members.map(\.name) == expected.map(\.name) else { return false }
        return zip(members, expected).allSatisfy { member, entry in
            if let inner = entry.inner { return agrees(member.value, inner, layout) }
            return member.value.jsonText == entry.value
        }
    }

    private func check(_ entries: [Entry], _ member: String, _ layout: Layout, without gone: [Message.Member], edits: Bool) throws {
        let head = member == "params" ? #"{"jsonrpc":"2.0","id":1 ,"method":"m""# : #"{"jsonrpc":"2.0","id":1 "#
        let (before, after) = (#"\#(head), "\#(member)": "#, #" ,"x":[ 1.0 ] } "#)
        let message = try Message(scanning: ByteBuffer(string: before + layout.text(entries) + after))
        var splice = Splice(message)
        splice.remove(gone)
        if edits { splice.replace(.id, with: .integer(22)) }
        let text = String(buffer: splice.bytes)
        let expected = Self.remaining(entries, without: Set(gone))
        let isAround = text.hasPrefix(edits ? before.replacing(":1 ", with: ":22 ") : before) && text.hasSuffix(after)
        #expect(isAround, "\(layout.text(entries)) without \(gone) is \(text)")
        let view = try JSONView(validating: ByteBuffer(string: text))
        #expect(view[member].map { agrees($0, expected, layout) } == true, "\(layout.text(entries)) without \(gone) is \(text)")
        // Of what stays no byte is touched, and nothing but blanks stays of what goes. The written line has no line breaks.
        let flat = Layout(space: layout.space.filter { $0 != "\n" }, isEscaped: layout.isEscaped)
        for entry in expected where entry.inner == nil { #expect(text.contains(flat.text(entry))) }
        let bare = text.filter { !$0.isWhitespace }
        #expect(bare.contains(Layout(space: "", isEscaped: layout.isEscaped).text(expected)), "\(bare)")
    }

    /// Every order of every choice of the elements.
    private static func arrangements<Element>(_ elements: [Element]) -> [[Element]] {
        [[]]
            + elements.indices.flatMap { index -> [[Element]] in
                var rest = elements
                let first = rest.remove(at: index)
                return arrangements(rest).map { [first] + $0 }
            }
    }

    private static func subsets<Element>(_ elements: [Element]) -> [[Element]] {
        elements.reduce([[]]) { sets, element in sets + sets.map { $0 + [element] } }
    }

    @Test("leave exactly the others, whichever are there, in whatever order", arguments: layouts)
    private func everyResult(layout: Layout) throws {
        let members: [Message.Member] = [.resultType, .ttlMs, .cacheScope]
        let entries = [
            Self.known(.resultType, "resultType", #""complete""#), Self.known(.ttlMs, "ttlMs", "0"),
            Self.known(.cacheScope, "cacheScope", #""a\",\"b""#), Self.other("content"), Self.other("y", "1.0"),
        ]
        let choices = Self.arrangements(entries)
        #expect(choices.count == 326)
        for choice in choices { for gone in Self.subsets(members) { try check(choice, "result", layout, without: gone, edits: false) } }
    }

    @Test("of an inner object leave exactly its others, beside those of the outer one", arguments: layouts)
    private func nested(layout: Layout) throws {
        let inner = Self.arrangements([
            Self.known(.metaServerInfo, "io.modelcontextprotocol/serverInfo", #"{"name":"}"}"#), Self.other("a"), Self.other("b", "\"\""),
        ])
        for inner in inner {
            let meta = Entry(member: .meta, name: "_meta", value: "", inner: inner)
            let outer = Self.arrangements([meta, Self.known(.resultType, "resultType", #""complete""#), Self.other("c", "{}")])
            for outer in outer {
                for gone in [[.metaServerInfo], [.resultType, .metaServerInfo], [.meta], [.meta, .resultType]] as [[Message.Member]] {
                    try check(outer, "result", layout, without: gone, edits: true)
                }
            }
        }
    }

    @Test("of 'params' leave exactly the others, beside other edits", arguments: layouts)
    private func everyParams(layout: Layout) throws {
        let members: [Message.Member] = [.inputResponses, .requestState, .task, .meta]
        let entries = [
            Self.known(.inputResponses, "inputResponses", #"{"k":{}}"#), Self.known(.requestState, "requestState", #""s""#),
            Self.known(.task, "task", "{}"), Entry(member: .meta, name: "_meta", value: "", inner: [Self.other("t")]),
            Self.known(.name, "name", #""n""#),
        ]
        for choice in Self.arrangements(entries) {
            for gone in Self.subsets(members) { try check(choice, "params", layout, without: gone, edits: true) }
        }
    }

    @Test("leave every member of random messages but those, and its bytes", arguments: [UInt64(41), 42, 43])
    func random(seed: UInt64) throws {
        var json = RandomJSON(seed: seed, spacing: .blanks)
        let candidates: [Message.Member] = [.name, .arguments, .cursor, .requestID, .metaProgressToken, .metaProtocolVersion]
        var removed = 0
        for index in 0..<1_500 {
            let message = try Message(scanning: ByteBuffer(string: json.message()))
            let gone = candidates.shuffled(using: &json.random).prefix(3)
            var splice = Splice(message)
            splice.remove(Array(gone))
            let again = try Message(scanning: splice.bytes)
            for member in Message.Member.allCases {
                let isGone = gone.contains(member)
                #expect(again[member].isPresent == (message[member].isPresent && !isGone), "seed \(seed), message \(index)")
                removed += isGone && message[member].isPresent ? 1 : 0
                guard again[member].isPresent, ![.params, .result, .meta].contains(member) else { continue }
                #expect(again.text(again[member]) == message.text(message[member]), "seed \(seed), message \(index)")
            }
        }
        #expect(removed > 500)  // or the loop says little
    }

    @Test("leave room for one that is inserted where the first of them stood")
    func insertion() throws {
        let message = try Message(
            scanning: ByteBuffer(
                string: #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"task":7,"requestState":"s","name":"n","_meta":{}}}"#))
        for gone in [[.task], [.task, .requestState], [.requestState], [.meta], [.task, .meta]] as [[Message.Member]] {
            var splice = Splice(message)
            splice.remove(gone)
            splice.insert(#""a":1"#, into: .params)
            splice.replace(.name, with: .json(#""other""#))
            let again = try Message(scanning: splice.bytes)
            let names = ["task", "requestState", "name", "_meta"].filter { name in !gone.contains { $0.name == name } }
            #expect(again.view(again[.params]).members.map(\.name) == ["a"] + names)
            #expect(again.string(again[.name]) == "other")
        }
    }
}

extension Message.Member {
    fileprivate var name: String { self == .meta ? "_meta" : "\(self)" }
}
