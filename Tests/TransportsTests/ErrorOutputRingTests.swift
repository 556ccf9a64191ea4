import NIOCore
import Testing
import Transports

@Suite("What is kept of a child's standard error")
struct ErrorOutputRingTests {
    private func lines(_ pieces: String...) -> [String] {
        var ring = ErrorOutputRing()
        return pieces.flatMap { ring.append(ByteBuffer(string: $0)) }
    }

    @Test("is told line by line, however it comes")
    func completed() {
        #expect(lines("a\nb\n") == ["a", "b"])
        #expect(lines("a", "b\nc", "\n", "d") == ["ab", "c"])
        #expect(lines("", "\n\n", "\r\n", "x\r\n") == ["x"])
        var ring = ErrorOutputRing()
        let text = "première ligne\nzweite Zeile\n"
        #expect(text.utf8.flatMap { ring.append(ByteBuffer(bytes: [$0])) } == ["première ligne", "zweite Zeile"])
        #expect(ring.lines == ["première ligne", "zweite Zeile"])
    }

    @Test("is the last lines, the one that has not ended included")
    func tail() {
        var ring = ErrorOutputRing()
        #expect(ring.tail(3).isEmpty)
        _ = ring.append(ByteBuffer(string: "a\nb\nc"))
        #expect(ring.tail(5) == ["a", "b", "c"] && ring.tail(2) == ["b", "c"] && ring.tail(0) == [])
        _ = ring.append(ByteBuffer(string: "\n"))
        #expect(ring.tail(2) == ["b", "c"] && ring.lines == ["a", "b", "c"])
    }

    @Test("never grows beyond its limits, and forgets the oldest lines first")
    func limits() {
        var ring = ErrorOutputRing()
        let limit = ErrorOutputRing.lineLimit
        for number in 0..<limit * 3 { _ = ring.append(ByteBuffer(string: "\(number)\n")) }
        #expect(ring.lines == (limit * 2..<limit * 3).map { "\($0)" })
        let long = String(repeating: "x", count: ErrorOutputRing.lineLength)
        #expect(ring.append(ByteBuffer(string: long + "\n" + long + "y\n")) == [long, long])
        for _ in 0..<100 { _ = ring.append(ByteBuffer(string: long)) }
        #expect(ring.tail(1) == [long])
        #expect(ring.append(ByteBuffer(string: "\nnext\n")) == [long, "next"])
    }

    @Test("holds nothing that a terminal would obey, and nothing that is no text")
    func controls() {
        #expect(lines("\u{1B}[31mred\u{1B}[0m\tx\u{7}\u{7F}\u{9B}y\n") == ["[31mred[0m\txy"])
        #expect(lines("\u{1B}\u{7}\n") == [])
        var ring = ErrorOutputRing()
        #expect(ring.append(ByteBuffer(bytes: [0x61, 0xFF, 0xC3, 0x0A])) == ["a\u{FFFD}\u{FFFD}"])
    }
}
