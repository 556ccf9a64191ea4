import JSONRPC
import NIOCore
import TestSupport
import Testing

@Suite("Line framing")
struct LineFramingTests {
    private static let limit = 20
    /// Lines of all kinds around a limit of 20 bytes, with what is to come of them.
    private static let transcript: [(bytes: String, lines: [String])] = [
        ("one\n", ["one"]), ("two\r\n", ["two"]), ("\n", []), ("\r\n", []), (" \t \n", []), ("a\rb\n", ["a\rb"]),
        ("three\r\r\n", ["three\r"]),
        (String(repeating: "=", count: 20) + "\n", [String(repeating: "=", count: 20)]),
        (String(repeating: "=", count: 20) + "\r\n", [String(repeating: "=", count: 20)]),
        (String(repeating: "+", count: 21) + "\n", ["<21>"]), (String(repeating: "+", count: 21) + "\r\n", ["<21>"]),
        (String(repeating: "+", count: 21) + "\r\r\n", ["<22>"]),
        ("good\n", ["good"]), (String(repeating: "#", count: 100) + "\n", ["<100>"]),
        (String(repeating: "#", count: 19) + "\r\r\n", [String(repeating: "#", count: 19) + "\r"]),
        (String(repeating: " ", count: 30) + "\n", ["<30>"]), ("last\n", ["last"]),
    ]
    private static let text = Array(transcript.map(\.bytes).joined().utf8)
    private static let lines = transcript.flatMap(\.lines)

    @Test("gives the same lines wherever one read ends and the next begins")
    func everySplit() {
        for split in 0...Self.text.count {
            #expect(frame([Self.text[..<split], Self.text[split...]]) == Self.lines, "split at \(split)")
        }
    }

    @Test("gives the same lines for every two splits close to each other, around every byte")
    func everyTwoSplits() {
        for first in 0..<Self.text.count {
            for length in 1...3 where first + length <= Self.text.count {
                let chunks = [Self.text[..<first], Self.text[first..<first + length], Self.text[(first + length)...]]
                #expect(frame(chunks) == Self.lines, "\(length) bytes alone at \(first)")
            }
        }
    }

    @Test("gives the same lines for reads of any one size", arguments: [1, 2, 3, 7, 16, 64, 10_000])
    func sizes(size: Int) {
        let chunks = stride(from: 0, to: Self.text.count, by: size).map { Self.text[$0..<min(Self.text.count, $0 + size)] }
        #expect(frame(chunks) == Self.lines)
    }

    @Test("gives the same lines for random reads of a long stream", arguments: [UInt64(51), 52, 53])
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var text: [UInt8] = []
        var expected: [String] = []
        for _ in 0..<2_000 {
            let (bytes, lines) = random.pick(Self.transcript)
            text += Array(bytes.utf8)
            expected += lines
        }
        for round in 0..<10 {
            var chunks: [ArraySlice<UInt8>] = []
            var start = 0
            while start < text.count {
                let end = min(text.count, start + random.below(random.pick([3, 30, 3_000])))
                chunks.append(text[start..<end])
                start = end
            }
            #expect(frame(chunks) == expected, "seed \(seed), round \(round)")
        }
    }

    @Test("gives the same lines if what follows the beginning of a line is read right behind it", arguments: [0, 1, 5])
    func extended(spareRoom: Int) {
        for first in 0...Self.text.count {
            for length in [1, 2, 3, 21, 40] where first + length <= Self.text.count {
                let chunks = [Self.text[..<first], Self.text[first..<first + length], Self.text[(first + length)...]]
                var framing = LineFraming(limit: Self.limit)
                var lines: [String] = []
                for chunk in chunks {
                    let wasExtensible = framing.isExtensible
                    let count = framing.extend(room: chunk.count + spareRoom) { room in
                        room.copyBytes(from: chunk)
                        return chunk.count
                    }
                    #expect(count == (wasExtensible ? chunk.count : 0))
                    if !wasExtensible { framing.append(ByteBuffer(bytes: chunk)) }
                    lines += drain(&framing)
                }
                #expect(lines == Self.lines, "\(length) bytes at \(first)")
            }
        }
    }

    @Test("lends no room if all that came is handed out, and is as it was if nothing is read into it")
    func nothingToExtend() {
        var framing = LineFraming()
        #expect(!framing.isExtensible && framing.extend(room: 8) { _ in 8 } == 0)
        framing.append(ByteBuffer(string: "one\ntw"))
        #expect(drain(&framing) == ["one"])
        #expect(framing.isExtensible && framing.extend(room: 8) { _ in 0 } == 0)
        #expect(framing.unterminated == 2)
        framing.append(ByteBuffer(string: "o\n"))
        #expect(drain(&framing) == ["two"])
    }

    @Test("does not keep much more room for a line than that needs", arguments: ["two\nthree", ""])
    func roomOfLines(readOn: String) throws {
        var framing = LineFraming()
        framing.append(ByteBuffer(string: "one"))
        #expect(drain(&framing).isEmpty)
        let count = framing.extend(room: 60_000) { room in
            room.copyBytes(from: readOn.utf8)
            return readOn.utf8.count
        }
        #expect(count == readOn.utf8.count)
        if readOn.isEmpty { framing.append(ByteBuffer(string: "two\nthree")) }
        let line = try #require(framing.next().flatMap { if case .complete(let line) = $0 { line } else { nil } })
        #expect(String(buffer: line) == "onetwo" && line.storageCapacity <= 4 * line.readableBytes)
        #expect(drain(&framing).isEmpty && framing.unterminated == 5)
    }

    @Test("takes several reads before it is asked for lines")
    func severalAppends() {
        var framing = LineFraming()
        for piece in ["on", "e\ntw", "o\r", "\n", "thr"] { framing.append(ByteBuffer(string: piece)) }
        #expect(drain(&framing) == ["one", "two"])
        framing.append(ByteBuffer(string: "ee\n"))
        #expect(drain(&framing) == ["three"])
    }

    @Test(
        "says how many bytes of an unterminated line the end leaves behind",
        arguments: [
            ("", 0), ("a\n", 0), ("a\nbc", 2), ("b", 1), (String(repeating: "x", count: 20), 20), (String(repeating: "x", count: 50), 50),
            ("\n\r", 1),
        ])
    func finish(text: String, leftover: Int) {
        for size in [1, 7, 100] {
            var framing = LineFraming(limit: Self.limit)
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                framing.append(ByteBuffer(bytes: bytes[start..<min(bytes.count, start + size)]))
                _ = drain(&framing)
            }
            #expect(framing.finish() == leftover)
            #expect(framing.finish() == 0)
            framing.append(ByteBuffer(string: "next\n"))
            #expect(drain(&framing) == ["next"])
        }
    }

    @Test("hands out a line that came in one read without copying it")
    func shares() {
        var framing = LineFraming()
        let read = ByteBuffer(string: String(repeating: "x", count: 1_000) + "\n{}\n")
        framing.append(read)
        guard case .complete(let line)? = framing.next() else { Issue.record("no line"); return }
        let whole = read.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
        #expect(line.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) } == whole)
    }

    @Test("keeps lines that arrive in pieces apart, though they use the same memory in turn")
    func held() {
        var framing = LineFraming()
        var lines: [ByteBuffer] = []
        for number in 0..<100 {
            for byte in "{\"line\":\(number)}\n".utf8 {
                framing.append(ByteBuffer(bytes: [byte]))
                while case .complete(let line)? = framing.next() { lines.append(line) }
            }
        }
        #expect(lines.map { String(buffer: $0) } == (0..<100).map { "{\"line\":\($0)}" })
    }

    @Test("joins a line of 10 MB out of reads of 64 KiB")
    func big() {
        var framing = LineFraming()
        let read = ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 * 1024)
        for _ in 0..<160 {
            framing.append(read)
            if framing.next() != nil { Issue.record("a line too early") }
        }
        framing.append(ByteBuffer(string: "\n"))
        guard case .complete(let line)? = framing.next() else { Issue.record("no line"); return }
        #expect(line.readableBytes == 160 * 64 * 1024)
    }

    @Test("never has a limit whose line a buffer could not hold")
    func limits() {
        #expect(LineFraming().limit == 64 * 1024 * 1024)
        #expect(LineFraming(limit: .max).limit == LineFraming.largestLimit)
    }

    private func frame(_ chunks: [ArraySlice<UInt8>]) -> [String] {
        var framing = LineFraming(limit: Self.limit)
        var lines: [String] = []
        for chunk in chunks {
            framing.append(ByteBuffer(bytes: chunk))
            lines += drain(&framing)
        }
        return lines
    }

    private func drain(_ framing: inout LineFraming) -> [String] {
        var lines: [String] = []
        while let line = framing.next() {
            switch line {
            case .complete(let bytes): lines.append(String(buffer: bytes))
            case .oversized(let line): lines.append("<\(line.byteCount)>")
            }
        }
        return lines
    }
}
