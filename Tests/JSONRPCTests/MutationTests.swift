import JSONRPC
import NIOCore
import TestSupport
import Testing

/// Damaged traffic: whatever a peer sends, nothing traps, nothing reads outside its bytes, and what is accepted holds together.
@Suite("Mutated traffic")
struct MutationTests {
    @Test("never breaks the scan of a message", arguments: [UInt64(91), 92, 93, 94])
    func messages(seed: UInt64) {
        var json = RandomJSON(seed: seed, spacing: seed.isMultiple(of: 2) ? .lineBreaks : .none)
        var accepted = 0
        var unreadable = 0
        for index in 0..<500 {
            var original = Array(json.message().utf8)
            if json.random.chance(10) { original = [UInt8(ascii: "[")] + original + [UInt8(ascii: ",")] + original + [UInt8(ascii: "]")] }
            for round in 0..<100 {
                let bytes = ByteBuffer(bytes: json.mutated(original))
                switch Incoming(scanning: bytes) {
                case .message(let message):
                    accepted += 1
                    if let problem = problem(of: message, in: bytes, deeply: round < 10) {
                        Issue.record("seed \(seed), message \(index), round \(round): \(problem)")
                    }
                case .batch(let elements):
                    for case .success(let message) in elements {
                        if let problem = problem(of: message, in: message.bytes, deeply: round < 10) {
                            Issue.record("seed \(seed), batch \(index), round \(round): \(problem)")
                        }
                    }
                case .unreadable(let error):
                    unreadable += 1
                    if let id = error.id, !isID(id) { Issue.record("seed \(seed), message \(index), round \(round): id \(id)") }
                    if case .notJSON(let scan) = error.reason, !(0...bytes.readableBytes).contains(scan.offset) {
                        Issue.record("seed \(seed), message \(index), round \(round): offset \(scan.offset)")
                    }
                }
            }
        }
        // Both outcomes are there in numbers, or the loop says little.
        #expect(accepted > 2_000 && unreadable > 20_000, "seed \(seed)")
    }

    @Test("never breaks line framing: every byte is in a line, in an oversized one, or left over", arguments: [UInt64(95), 96])
    func framing(seed: UInt64) {
        var json = RandomJSON(seed: seed, spacing: .none)
        for index in 0..<200 {
            var stream: [UInt8] = []
            for _ in 0..<10 {
                stream += json.mutated(Array(json.message().utf8))
                stream += json.random.pick([[0x0A], [0x0D, 0x0A], [0x0A, 0x0A], []])
            }
            let limit = json.random.pick([10, 100, 100_000])
            var framing = LineFraming(limit: limit)
            var lines: [[UInt8]?] = []
            var start = 0
            while start < stream.count {
                let end = min(stream.count, start + 1 + json.random.below(300))
                framing.append(ByteBuffer(bytes: stream[start..<end]))
                while let line = framing.next() {
                    switch line {
                    case .complete(let bytes): lines.append(Array(bytes.readableBytesView))
                    case .oversized(let line):
                        lines.append(nil)
                        if let id = line.error(limit: limit).id, !isID(id) { Issue.record("seed \(seed), stream \(index): id \(id)") }
                    }
                }
                start = end
            }
            // The same, the plain way.
            var pieces = stream.split(separator: 0x0A, omittingEmptySubsequences: false)
            let rest = pieces.removeLast()
            var expected: [[UInt8]?] = []
            for piece in pieces {
                let line = piece.last == 0x0D ? piece.dropLast() : piece
                if line.count > limit {
                    expected.append(nil)
                } else if line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) {
                    expected.append(Array(line))
                }
            }
            #expect(lines == expected, "seed \(seed), stream \(index)")
            #expect(framing.finish() == rest.count, "seed \(seed), stream \(index)")
        }
    }

    /// What is wrong with an accepted message; `nil` if nothing is. No `#expect`s, as 200,000 messages come through here.
    private func problem(of message: Message, in bytes: ByteBuffer, deeply: Bool) -> String? {
        if message.bytes != bytes { return "its bytes are not those it was scanned from" }
        for member in Message.Member.allCases {
            let place = message[member]
            if place.start > place.end || Int(place.end) > bytes.readableBytes { return "\(member) lies outside" }
        }
        if let id = message.id, !isID(id) { return "its id is \(id)" }
        if message.kind == .request && message.id == nil { return "a request without an id" }
        guard deeply else { return nil }
        guard let again = try? Message(scanning: bytes) else { return "a second scan refuses it" }
        if again.kind != message.kind || again.hasLineBreaks != message.hasLineBreaks { return "a second scan finds another kind" }
        let view = message.view(Place(0..<bytes.readableBytes))
        _ = view.members
        var splice = Splice(message)
        for member in Message.Member.allCases {
            let place = message[member]
            if again[member] != place { return "a second scan finds \(member) elsewhere" }
            if place.isPresent, !isValid(Array(message.slice(place).readableBytesView)) { return "\(member) is no JSON value" }
            _ = (message.string(place), message.integer(place), message.view(place).members, message.view(place).elements)
        }
        splice.replace(.id, with: .integer(12_345))
        splice.replace(.metaProgressToken, with: .json("\"token\""))
        var writer = LineWriter()
        writer.append(splice)
        var line = ByteBuffer()
        writer.drain(write: { line.writeImmutableBuffer($0) }, flush: {})
        guard let spliced = try? Message(scanning: line) else { return "a splice of it is refused" }
        if spliced.kind != message.kind { return "a splice of it is of another kind" }
        if message.id != nil && spliced.integerID != 12_345 { return "a splice of it has the id \(spliced.id as Any)" }
        if line.readableBytesView.dropLast().contains(where: { $0 == 0x0A || $0 == 0x0D }) { return "a splice of it is no line" }
        return nil
    }

    private func isID(_ id: RequestID) -> Bool {
        isValid(Array(id.text.utf8)) && (id.text.hasPrefix("\"") || id.text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2D })
    }
}
