import Foundation
import NIOCore
import Testing
import Transports

@Suite("A connection whose peer is slow", .timeLimit(.minutes(2)))
struct BackPressureTests {
    @Test("tells when too much is left untaken, and when that is over; nothing is lost")
    func writing() async throws {
        // Reads nothing until we say so, and then is an echo.
        let directory = try TemporaryDirectory()
        let gate = try directory.pipe("gate")
        var child = try await LaunchedChild.shell("read go < '\(directory["gate"])'; exec cat")
        try await child.launch()
        let line = String(repeating: "x", count: 100_000)
        let count = 3 * LineConnection.highWaterMark / line.utf8.count
        #expect(try await child.perform { $0.connection.backlog } == 0)
        let gathered = try await child.perform { child in
            for _ in 0..<count { child.connection.send(line: ByteBuffer(string: line)) }
            return child.connection.backlog
        }
        #expect(gathered == count * (line.utf8.count + 1))
        _ = try await child.events { $0 == .writable(false) }
        // A pipe takes some, as much as the system wants to keep in it.
        let backlog = try #require(try await child.perform { $0.connection.backlog })
        #expect(backlog > LineConnection.highWaterMark && backlog <= count * (line.utf8.count + 1))
        try gate.write(contentsOf: Data("\n".utf8))
        var events = try await child.events { $0 == .writable(true) }
        #expect(try await child.perform { $0.connection.backlog } ?? .max <= LineConnection.lowWaterMark)
        try await child.perform { $0.connection.closeOutput() }
        events += try await child.end()
        #expect(events.lines.count == count && events.lines.allSatisfy { $0 == line })
        #expect(events.filter { if case .writable = $0 { true } else { false } }.count == 1)
        // Nobody may see the end of the pipe before, nor it gone.
        try gate.close()
        try directory.remove("gate")
    }

    @Test("is not read while its owner does not want to, and loses nothing by it")
    func reading() async throws {
        var child = try await LaunchedChild.shell("echo early; echo written >&2; while read x; do echo \"$x\"; echo $x >&2; done") {
            $0.connection.setReading(false)
        }
        _ = try await child.events { $0 == .errorOutput("written\n") }
        // Turns enough for a line that is there to be read.
        for _ in 0..<20 { try await child.perform { _ in } }
        child.mark()
        try await child.perform { $0.connection.setReading(true) }
        let first = try await child.events { $0 == .line("early") }
        #expect(first.suffix(2) == [.mark, .line("early")])

        try await child.perform { $0.connection.setReading(false) }
        try await child.send("a", "b")
        var errors = ""
        while errors != "a\nb\n" { if case .errorOutput(let text) = try await child.next() { errors += text } }
        for _ in 0..<20 { try await child.perform { _ in } }
        child.mark()
        try await child.perform { $0.connection.setReading(true) }
        let rest = try await child.events { $0 == .line("b") }
        #expect(rest.suffix(3) == [.mark, .line("a"), .line("b")])
        try await child.perform { $0.connection.finish() }
        #expect(try await child.end().status == .exited(0))
    }

    @Test("that sends far more lines than one read takes is heard to the last line, in order, and then its end")
    func portions() async throws {
        let count = 20_001
        var child = try await LaunchedChild.shell("seq 1 \(count); printf 'no end'")
        let events = try await child.end()
        #expect(events.lines == (1...count).map(String.init))
        let end = try #require(events.firstIndex(of: .closed(unterminated: 6)))
        #expect(Array(events[end...]).lines.isEmpty)
    }

    @Test("that floods loses nothing while its owner does not want to read, however much has come by then")
    func portionsAndReading() async throws {
        var child = try await LaunchedChild.shell("read go; seq 1 100000; read x; echo last")
        try await child.send("go")
        var events = try await child.events { if case .line = $0 { true } else { false } }
        try await child.perform { $0.connection.setReading(false) }
        for _ in 0..<20 { try await child.perform { _ in } }
        try await child.perform { $0.connection.setReading(true) }
        events += try await child.events { $0 == .line("100000") }
        #expect(events.lines == (1...100_000).map(String.init))
        try await child.send("x")
        events = try await child.end()
        #expect(events.lines == ["last"])
    }

    @Test("that sends long lines among short ones loses nothing, whichever of them is read in what pieces")
    func longAndShort() async throws {
        let lengths = [
            1, LineConnection.shortRead - 1, LineConnection.shortRead, 3, 5 * LineConnection.longRead, 2, LineConnection.longRead,
        ]
        let script = lengths.map { "head -c \($0) /dev/zero | tr '\\0' x; echo; seq 1 500" }.joined(separator: "; ")
        var child = try await LaunchedChild.shell(script)
        let lines = try await child.end().lines
        let heard: (long: [String], short: [String]) = (lines.filter { $0.hasPrefix("x") }, lines.filter { !$0.hasPrefix("x") })
        let counted: [String] = (1...500).map(String.init)
        #expect(heard.long.map(\.utf8.count) == lengths)
        #expect(heard.short == [[String]](repeating: counted, count: lengths.count).flatMap(\.self))
    }

    @Test("that sends one long line after the other loses nothing, and neither if it stops in the middle")
    func longLines() async throws {
        let (short, long) = (LineConnection.shortRead, LineConnection.longRead)
        let lengths = [
            long + 200, long + 200, 3 * long, long, short, short + 1, long, 2 * short, 5 * long, 1, long - 1, long, short - 1, 4 * long,
        ]
        // After each piece it waits for us: a line comes whole, or in two pieces, or with the beginning of the next one.
        let pieces = lengths.enumerated().map { index, length in
            let piece = "head -c \(index.isMultiple(of: 3) ? length / 2 : length) /dev/zero | tr '\\0' x"
            let rest = index.isMultiple(of: 3) ? "read go; head -c \(length - length / 2) /dev/zero | tr '\\0' x; " : ""
            return "\(piece); \(rest)echo; \(index.isMultiple(of: 2) ? "read go" : ":")"
        }
        var child = try await LaunchedChild.shell(pieces.joined(separator: "; "))
        for _ in 0..<lengths.count * 2 { try await child.send("go") }
        #expect(try await child.end().lines.map(\.utf8.count) == lengths)

        child = try await LaunchedChild.shell(pieces.joined(separator: "; "), marksReads: true)
        var lines: [Int] = []
        while lines.count < lengths.count {
            // It says nothing more until it is told to.
            let event = try await child.next()
            if case .line(let line) = event { lines.append(line.utf8.count) } else if event == .mark { try await child.send("go") }
        }
        #expect(lines == lengths)
        try await child.end()
    }

    @Test("that floods after a long line is heard in small portions all the same")
    func portionsAfterLongLine() async throws {
        let length = 3 * LineConnection.longRead
        var child = try await LaunchedChild.shell("head -c \(length) /dev/zero | tr '\\0' x; echo; seq 1 50000", marksReads: true)
        let events = try await child.end()
        #expect(events.lines.dropFirst() == (1...50_000).map(String.init)[...])
        // The read with the end of the long line is as large as that needed.
        let portions = events.split(separator: .mark).map(\.count)
        let first = try #require(events.split(separator: .mark).firstIndex { $0.contains(.line("1")) })
        #expect(portions[(first + 1)...].allSatisfy { $0 <= LineConnection.shortRead / 2 })
    }

    @Test("is sent what came before it was open, and closes once all is taken")
    func finish() async throws {
        var child = try await LaunchedChild.shell("cat >&2") { child in
            child.connection.send(line: ByteBuffer(string: "first"))
            child.connection.send(line: ByteBuffer(string: "second"))
            child.connection.finish()
        }
        var output = ""
        var events: [LaunchedChild.Event] = []
        while output != "first\nsecond\n" {
            events.append(try await child.next())
            output = events.errorOutput
        }
        events += try await child.end()
        #expect(events.status == .exited(0))
    }

    @Test("that has gone away is an end like any other")
    func brokenPipe() async throws {
        var child = try await LaunchedChild.shell("exec <&-; echo closed; exit 3")
        var events = try await child.events { $0 == .line("closed") }
        try await child.send("nobody", "reads", "this")
        events += try await child.end()
        #expect(events.count { if case .closed = $0 { true } else { false } } == 1)
        #expect(events.status == .exited(3))
        try await child.send("nor this")
        try await child.perform { $0.connection.finish() }
    }

    @Test("that has gone away while it was not read is read to its end, though nobody takes what it is sent")
    func lastWords() async throws {
        var child = try await LaunchedChild.shell("echo last words") { $0.connection.setReading(false) }
        // Where the system says that the other end is gone, it may be read before its owner wants to.
        var events = try await child.events { if case .exited = $0 { true } else { false } }
        try await child.send("nobody", "reads", "this")
        try await child.perform { $0.connection.setReading(true) }
        events += try await child.end()
        #expect(events.lines == ["last words"])
    }

    @Test("that takes nothing any more says so once")
    func outputClosed() async throws {
        var child = try await LaunchedChild.shell("exec <&-; echo closed; sleep 1000")
        var events = try await child.events { $0 == .line("closed") }
        for _ in 0..<3 { try await child.send("nobody reads this") }
        if !events.contains(.outputClosed) { events += try await child.events { $0 == .outputClosed } }
        try await child.perform { $0.send(.kill) }
        events += try await child.end()
        #expect(events.count { $0 == .outputClosed } == 1)
    }
}
