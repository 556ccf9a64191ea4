import JSONRPC
import NIOCore
import TestSupport
import Testing

@Suite("The line writer")
struct LineWriterTests {
    @Test("keeps the order of what it shares and what it copies, and counts truly", arguments: [UInt64(41), 42])
    func order(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var writer = LineWriter()
        for turn in 0..<30 {
            var expected = ""
            for index in 0..<random.below(12) {
                let size = random.pick([
                    0, 1, 100, LineWriter.sharingThreshold - 1, LineWriter.sharingThreshold, 3 * LineWriter.sharingThreshold,
                ])
                let payload = "\(index):" + String(repeating: "x", count: size)
                switch random.below(3) {
                case 0:
                    writer.append(line: ByteBuffer(string: payload))
                    expected += payload + "\n"
                default:
                    let space = random.pick(["", "\n"])
                    var splice = Splice(
                        try Message(scanning: ByteBuffer(string: #"{"jsonrpc":"2.0",\#(space)"id":1,"result":"\#(payload)"}"#)))
                    splice.replace(.id, with: random.pick([.integer(index), .json("\(index)"), .bytes(ByteBuffer(string: "\(index)"))]))
                    writer.append(splice)
                    expected += #"{"jsonrpc":"2.0","id":\#(index),"result":"\#(payload)"}"# + "\n"
                }
                #expect(writer.byteCount == expected.utf8.count, "seed \(seed), turn \(turn)")
            }
            #expect(writer.isEmpty == expected.isEmpty)
            #expect(writer.takeAll().joined() == expected, "seed \(seed), turn \(turn)")
            #expect(writer.isEmpty && writer.byteCount == 0)
        }
    }

    @Test("hands over many small lines as one buffer")
    func gathers() {
        var writer = LineWriter()
        for _ in 0..<1_000 { writer.append(line: ByteBuffer(string: "{}")) }
        #expect(writer.takeAll() == [String(repeating: "{}\n", count: 1_000)])
    }

    @Test("shares a long stretch, and copies around it")
    func shares() {
        let long = String(repeating: "x", count: LineWriter.sharingThreshold)
        var writer = LineWriter()
        writer.append(line: ByteBuffer(string: "a"))
        writer.append(line: ByteBuffer(string: long))
        writer.append(line: ByteBuffer(string: "b"))
        #expect(writer.takeAll() == ["a\n", long, "\nb\n"])
    }

    @Test("shares the two long stretches of one message, and copies the member between them")
    func sharesMessage() throws {
        let long = String(repeating: "x", count: LineWriter.sharingThreshold)
        var splice = Splice(try Message(scanning: ByteBuffer(string: #"{"x":"\#(long)","id":1,"jsonrpc":"2.0","result":"\#(long)"}"#)))
        splice.replace(.id, with: .integer(23))
        var writer = LineWriter()
        writer.append(splice)
        #expect(writer.takeAll() == [#"{"x":"\#(long)","id":"#, "23", #","jsonrpc":"2.0","result":"\#(long)"}"#, "\n"])
    }

    @Test("does not change what it handed over, though the peer still holds it")
    func handedOver() {
        var writer = LineWriter()
        writer.append(line: ByteBuffer(string: "first"))
        var held: [ByteBuffer] = []
        writer.drain(write: { held.append($0) }, flush: {})
        writer.append(line: ByteBuffer(string: "other"))
        writer.drain(write: { held.append($0) }, flush: {})
        #expect(held.map { String(buffer: $0) } == ["first\n", "other\n"])
    }

    @Test("keeps its memory for the next turn, but not that of a burst")
    func memory() {
        var writer = LineWriter()
        func capacity(after line: ByteBuffer, times: Int) -> Int {
            for _ in 0..<times { writer.append(line: line) }
            writer.drain(write: { _ in }, flush: {})
            writer.append(line: ByteBuffer(string: "{}"))
            var capacity = 0
            writer.drain(write: { capacity = $0.capacity }, flush: {})
            return capacity
        }
        let line = ByteBuffer(repeating: UInt8(ascii: "x"), count: 10_000)
        #expect(capacity(after: line, times: 5) >= 50_000)
        #expect(capacity(after: line, times: 500) <= LineWriter.keptCapacity)
    }

    @Test("hands over nothing if there is nothing")
    func empty() {
        var writer = LineWriter()
        #expect(writer.byteCount == 0 && writer.isEmpty)
        #expect(writer.takeAll().isEmpty)
    }
}
