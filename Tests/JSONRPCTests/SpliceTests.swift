import Foundation
import JSONRPC
import NIOCore
import TestSupport
import Testing

@Suite("A splice")
struct SpliceTests {
    @Test("without edits gives the message as it came", arguments: [UInt64(11), 12, 13])
    func identity(seed: UInt64) throws {
        var json = RandomJSON(seed: seed, spacing: .blanks)
        for index in 0..<1_500 {
            let text = json.message()
            let message = try Message(scanning: ByteBuffer(string: text))
            #expect(line(Splice(message)) == text + "\n", "seed \(seed), message \(index)")
        }
    }

    @Test("changes the members it is told to and no other byte", arguments: [UInt64(21), 22, 23])
    func edits(seed: UInt64) throws {
        var json = RandomJSON(seed: seed, spacing: .blanks)
        var edited = 0
        for index in 0..<1_500 {
            let text = json.message()
            let message = try Message(scanning: ByteBuffer(string: text))
            var splice = Splice(message)
            var replacements: [(place: Range<Int>, text: String)] = []
            // Leaves only, so that no edit lies inside another; in random order.
            var members: [Message.Member] = [.id, .name, .cursor, .requestID, .metaProgressToken, .metaProtocolVersion]
            members.shuffle(using: &json.random)
            for member in members.prefix(Splice.editLimit) {
                let (replacement, written) = self.replacement(using: &json)
                splice.replace(member, with: replacement)
                if message[member].isPresent { replacements.append((message[member].range, written)) }
            }
            edited += replacements.count
            var expected = Array(text.utf8)
            for replacement in replacements.sorted(by: { $0.place.lowerBound > $1.place.lowerBound }) {
                expected.replaceSubrange(replacement.place, with: Array(replacement.text.utf8))
            }
            let result = line(splice)
            #expect(result == String(decoding: expected, as: UTF8.self) + "\n", "seed \(seed), message \(index)")
            let again = try Message(scanning: ByteBuffer(string: String(result.dropLast())))
            #expect(again.kind == message.kind, "seed \(seed), message \(index)")
            for member in Message.Member.allCases {
                #expect(again[member].isPresent == message[member].isPresent, "seed \(seed), message \(index), \(member)")
            }
        }
        #expect(edited > 1_000)  // or the loop says little
    }

    @Test("with raw line breaks between its tokens becomes one line of the same value", arguments: [UInt64(31), 32])
    func lineBreaks(seed: UInt64) throws {
        var json = RandomJSON(seed: seed, spacing: .lineBreaks)
        var broken = 0
        for index in 0..<600 {
            let text = json.message()
            let message = try Message(scanning: ByteBuffer(string: text))
            #expect(message.hasLineBreaks == text.utf8.contains { $0 == 0x0A || $0 == 0x0D }, "seed \(seed), message \(index)")
            if message.hasLineBreaks { broken += 1 }
            let result = line(Splice(message))
            #expect(result.utf8.dropLast().allSatisfy { $0 != 0x0A && $0 != 0x0D }, "seed \(seed), message \(index)")
            #expect(result.utf8.elementsEqual(text.utf8.filter { $0 != 0x0A && $0 != 0x0D } + [0x0A]), "seed \(seed), message \(index)")
            #expect(try foundationValue(result) == foundationValue(text), "seed \(seed), message \(index)")
            var splice = Splice(message)
            splice.replace(.id, with: .integer(99))
            let edited = try Message(scanning: ByteBuffer(string: String(decoding: Array(line(splice).utf8.dropLast()), as: UTF8.self)))
            #expect(!edited.hasLineBreaks && (message[.id].isAbsent || edited.integerID == 99), "seed \(seed), message \(index)")
        }
        #expect(broken > 500)
    }

    @Test("keeps line breaks out although what it writes holds some")
    func replacementWithLineBreaks() throws {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{}}}"#))
        for replacement in [Splice.Replacement.json("{\r\n\"a\": [\n1]}"), .bytes(ByteBuffer(string: "{\r\n\"a\": [\n1]}"))] {
            var splice = Splice(message)
            splice.replace(.meta, with: replacement)
            #expect(line(splice) == #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"a": [1]}}}"# + "\n")
        }
    }

    @Test("leaves a message alone that has no such member")
    func absent() throws {
        let text = #"{"jsonrpc":"2.0","method":"a"}"#
        var splice = Splice(try Message(scanning: ByteBuffer(string: text)))
        splice.replace(.id, with: .integer(5))
        splice.replace(.name, with: .json("\"x\""))
        #expect(line(splice) == text + "\n")
    }

    @Test(
        "writes every integer as Swift does", arguments: [0, 7, 10, 99, 12_345_678, 100_000_000, 9_876_543_210, -1, -10, Int.max, Int.min])
    func integers(value: Int) throws {
        for padding in [0, LineWriter.sharingThreshold] {  // the short way and the long one
            var splice = Splice(
                try Message(
                    scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":"\#(String(repeating: "x", count: padding))"}"#)))
            splice.replace(.id, with: .integer(value))
            #expect(line(splice).hasPrefix(#"{"jsonrpc":"2.0","id":\#(value),"#))
        }
    }

    @Test("takes edits in any order, at both ends of a message, and of members side by side")
    func orders() throws {
        let message = try Message(
            scanning: ByteBuffer(string: #"{"id":1,"jsonrpc":"2.0","method":"m","params":{"name":"n","cursor":"c"}}"#))
        let edits: [(Message.Member, Splice.Replacement)] = [
            (.id, .integer(22)), (.method, .json("\"longer\"")), (.name, .bytes(ByteBuffer(string: "\"\""))), (.cursor, .json("\"d\"")),
        ]
        for rotation in 0..<edits.count {
            var splice = Splice(message)
            for (member, replacement) in edits[rotation...] + edits[..<rotation] { splice.replace(member, with: replacement) }
            #expect(line(splice) == #"{"id":22,"jsonrpc":"2.0","method":"longer","params":{"name":"","cursor":"d"}}"# + "\n")
            var backwards = Splice(message)
            for (member, replacement) in (edits[rotation...] + edits[..<rotation]).reversed() {
                backwards.replace(member, with: replacement)
            }
            #expect(line(backwards) == line(splice))
        }
    }

    @Test(
        "inserts a member as the first of an object, beside other edits",
        arguments: [
            (#"{"_meta":{}}"#, #"{"_meta":{"a":1}}"#), (#"{"_meta":{ }}"#, #"{"_meta":{"a":1 }}"#),
            (#"{"_meta":{"x":"}"}}"#, #"{"_meta":{"a":1,"x":"}"}}"#), (#"{"_meta":{ "x":2}}"#, #"{"_meta":{"a":1, "x":2}}"#),
            (#"{"_meta":{"progressToken":7}}"#, #"{"_meta":{"a":1,"progressToken":99}}"#),
            (#"{"name":"n","_meta":{}}"#, #"{"name":"m","_meta":{"a":1}}"#),
            (#"{"_meta":{},"name":"n"}"#, #"{"_meta":{"a":1},"name":"m"}"#),
            ("{}", "{}"),
        ])
    func insert(params: String, expected: String) throws {
        let message = try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"m","params":\#(params)}"#))
        let edits: [(inout Splice) -> Void] = [
            { $0.insert(#""a":1"#, into: .meta) }, { $0.replace(.metaProgressToken, with: .integer(99)) },
            { $0.replace(.name, with: .json("\"m\"")) }, { $0.replace(.id, with: .integer(22)) },
        ]
        for order in [edits, edits.reversed()] {
            var splice = Splice(message)
            for edit in order { edit(&splice) }
            #expect(line(splice) == #"{"jsonrpc":"2.0","id":22,"method":"m","params":\#(expected)}"# + "\n")
        }
    }

    @Test("as bytes is its line without the end", arguments: [0, LineWriter.sharingThreshold])
    func bytes(padding: Int) throws {
        let text = #"{"jsonrpc":"2.0","id":1,"result":"\#(String(repeating: "x", count: padding))"}"#
        var splice = Splice(try Message(scanning: ByteBuffer(string: text)))
        splice.replace(.id, with: .integer(2))
        #expect(String(buffer: splice.bytes) + "\n" == line(splice))
    }

    @Test("copies a message of 10 MB unharmed")
    func big() throws {
        let payload = String(repeating: #"0123456789é\n"#, count: 800_000)
        var splice = Splice(try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":{"text":"\#(payload)"}}"#)))
        splice.replace(.id, with: .json("\"host\""))
        #expect(line(splice) == #"{"jsonrpc":"2.0","id":"host","result":{"text":"\#(payload)"}}"# + "\n")
    }

    private func replacement(using json: inout RandomJSON) -> (Splice.Replacement, String) {
        let integer = json.random.below(1_000_000_000_000)
        let text = json.string()
        return switch json.random.below(3) {
        case 0: (.integer(integer), String(integer))
        case 1: (.json(text), text)
        default: (.bytes(ByteBuffer(string: text)), text)
        }
    }

    private func foundationValue(_ text: String) throws -> NSDictionary? {
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary
    }
}

func line(_ splice: borrowing Splice) -> String {
    var writer = LineWriter()
    writer.append(splice)
    return writer.takeAll().joined()
}

extension LineWriter {
    /// What it hands over, piece by piece.
    mutating func takeAll() -> [String] {
        var pieces: [String] = []
        drain(write: { pieces.append(String(buffer: $0)) }, flush: {})
        return pieces
    }
}
