import NIOCore
import Testing
import Transports

@Suite("A stream of events")
struct EventStreamTests {
    /// What came out, for comparison: "type|data" for events, "!" for an oversized one.
    static func events(_ pieces: [[UInt8]], limit: Int = 1 << 20) -> (events: [String], lastEventID: String?, retry: Duration?) {
        var stream = EventStream(limit: limit)
        var events: [String] = []
        for piece in pieces {
            stream.append(ByteBuffer(bytes: piece))
            while let item = stream.next() {
                switch item {
                case .event(let event): events.append("\(event.type)|\(String(buffer: event.data))")
                case .oversized(let bytes): events.append("!\(bytes)")
                }
            }
        }
        return (events, stream.lastEventID, stream.retry)
    }

    static let cases: [(name: String, text: String, events: [String])] = [
        ("one line of data", "data: a\n\n", ["|a"]),
        ("lines of data are joined", "data: a\ndata: b\n\n", ["|a\nb"]),
        ("two events", "data: a\n\ndata: b\n\n", ["|a", "|b"]),
        ("CR ends a line", "data: a\r\rdata: b\r\r", ["|a", "|b"]),
        ("CR LF ends a line once", "data: a\r\n\r\ndata: b\r\n\r\n", ["|a", "|b"]),
        ("mixed line ends", "data: a\r\n\ndata: b\n\r\n", ["|a", "|b"]),
        ("no space behind the colon", "data:a\n\n", ["|a"]),
        ("one space is taken, not two", "data:  a\n\n", ["| a"]),
        ("a tab is no space", "data:\ta\n\n", ["|\ta"]),
        ("a colon in the data", "data: {\"a\":1}\n\n", ["|{\"a\":1}"]),
        ("a comment", ": hello\ndata: a\n\n", ["|a"]),
        ("a comment alone is no event", ":\n\n", []),
        ("a type", "event: endpoint\ndata: /x\n\n", ["endpoint|/x"]),
        ("the type is forgotten after its event", "event: x\ndata: a\n\ndata: b\n\n", ["x|a", "|b"]),
        ("a type without data is no event", "event: x\n\ndata: b\n\n", ["|b"]),
        ("data without a colon is an empty line of data", "data\n\n", ["|"]),
        ("two of them are a line break", "data\ndata\n\n", ["|\n"]),
        ("an empty line of data", "data:\n\n", ["|"]),
        ("an unknown field", "foo: 1\ndata: a\n\n", ["|a"]),
        ("a field with a space before its name is unknown", " data: x\ndata: a\n\n", ["|a"]),
        ("an event that is not ended is none", "data: a\n\ndata: b\n", ["|a"]),
        ("a byte order mark", "\u{FEFF}data: a\n\n", ["|a"]),
        ("a second byte order mark belongs to the field's name", "\u{FEFF}\u{FEFF}data: x\n\ndata: a\n\n", ["|a"]),
        ("text beyond ASCII", "data: é\u{2028}😀\n\n", ["|é\u{2028}😀"]),
    ]

    @Test("is read as the standard says", arguments: cases)
    func reads(name: String, text: String, events: [String]) {
        #expect(Self.events([Array(text.utf8)]).events == events, "\(name)")
    }

    @Test("may be split anywhere", arguments: cases)
    func split(name: String, text: String, events: [String]) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            #expect(Self.events([Array(bytes[..<cut]), Array(bytes[cut...])]).events == events, "\(name), cut at \(cut)")
        }
        #expect(Self.events(bytes.map { [$0] }).events == events, "\(name), byte by byte")
    }

    @Test("remembers the last id, of events without data too")
    func ids() {
        #expect(Self.events([Array("id: 1\ndata: a\n\nid: 2\n\n".utf8)]).lastEventID == "2")
        #expect(Self.events([Array("id: 1\ndata: a\n\n".utf8)]).lastEventID == "1")
    }

    @Test("does not take an id before its event has ended")
    func unfinishedID() { #expect(Self.events([Array("id: 1\n\nid: 2\ndata: a\n".utf8)]).lastEventID == "1") }

    @Test("an empty id is one")
    func emptyID() { #expect(Self.events([Array("id: 1\n\nid\n\n".utf8)]).lastEventID == "") }

    @Test("ignores an id with NUL, and one that is too long")
    func badIDs() {
        #expect(Self.events([Array("id: 1\n\nid: a\0b\n\n".utf8)]).lastEventID == "1")
        let long = String(repeating: "x", count: EventStream.shortFieldLimit + 1)
        #expect(Self.events([Array("id: 1\n\nid: \(long)\n\n".utf8)]).lastEventID == "1")
    }

    @Test(
        "takes digits for the time to wait, and nothing else",
        arguments: [
            ("250", Duration.milliseconds(250)), ("0", .zero), ("1.5", nil), ("-1", nil), ("", nil), ("1s", nil), ("9999999999999", nil),
        ])
    func retry(text: String, duration: Duration?) { #expect(Self.events([Array("retry: \(text)\n\n".utf8)]).retry == duration) }

    @Test("counts an event beyond the limit, and reads on", arguments: [1, 7, 64, 100_000])
    func oversized(piece: Int) {
        let limit = 1000
        let long = String(repeating: "x", count: 20_000)
        let text = Array("data: \(long)\n\ndata: a\n\n".utf8)
        let pieces = stride(from: 0, to: text.count, by: piece).map { Array(text[$0..<min($0 + piece, text.count)]) }
        let events = Self.events(pieces, limit: limit).events
        #expect(events.count == 2)
        #expect(events.first?.hasPrefix("!") == true)
        #expect(events.last == "|a")
    }

    @Test("counts lines of data together")
    func oversizedLines() {
        let lines = String(repeating: "data: 0123456789\n", count: 200)
        #expect(Self.events([Array((lines + "\ndata: a\n\n").utf8)], limit: 1000).events == ["!2199", "|a"])
    }

    @Test("counts empty lines of data too: each is a line break", arguments: ["data\n", "data:\n", "data: \r\n"])
    func oversizedEmptyLines(line: String) {
        let lines = String(repeating: line, count: 2000)
        #expect(Self.events([Array((lines + "\ndata: a\n\n").utf8)], limit: 1000).events == ["!1999", "|a"])
    }

    @Test("keeps nothing of a line that is no data and too long")
    func longComment() {
        let text = Array((":" + String(repeating: "x", count: 50_000) + "\ndata: a\n\n").utf8)
        let limit = 1000
        var stream = EventStream(limit: limit)
        var (events, kept): ([String], Int) = ([], 0)
        for start in stride(from: 0, to: text.count, by: 900) {
            stream.append(ByteBuffer(bytes: text[start..<min(start + 900, text.count)]))
            while case .event(let event) = stream.next() { events.append(String(buffer: event.data)) }
            let buffers = Mirror(reflecting: stream).children.compactMap { $0.value as? ByteBuffer }
            kept = max(kept, buffers.reduce(0) { $0 + $1.storageCapacity })
        }
        #expect(events == ["a"])
        // Memory grows to the next power of two.
        #expect(kept > 0 && kept <= 2 * (limit + EventStream.shortFieldLimit + 900), "\(kept) bytes")
    }

    @Test("shares the memory of a read")
    func slices() {
        let read = ByteBuffer(string: String(repeating: "data: 0123456789\n\n", count: 1000))
        var stream = EventStream()
        stream.append(read)
        var count = 0
        while case .event(let event) = stream.next() {
            count += 1
            // A copy would have room for itself alone.
            #expect(event.data.readableBytes == 10 && event.data.storageCapacity == read.storageCapacity)
        }
        #expect(count == 1000)
    }
}
