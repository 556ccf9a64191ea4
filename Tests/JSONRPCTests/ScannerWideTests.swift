import Foundation
import JSONRPC
import TestSupport
import Testing

/// Where the processor has no wide vectors, both sides of these comparisons are the same.
@Suite("The scanner with wide vectors")
struct ScannerWideTests {
    private struct Outcome: Hashable {
        var range: Range<Int>?
        var error: ScanError?
        var hasEscape = false
        var offset: Int
    }

    private static let pieces: [[UInt8]] = [
        "x", "plain text", "plain text that is longer than one block of bytes", "é", "漢", "😀", #"\n"#, #"\\"#, #"\""#, #"\/"#, #"\u00e9"#,
        #"\u6F22\u5b57"#,
    ].map { Array($0.utf8) }
    private static let ends: [[UInt8]] = [
        [], [0x22], [0x0A], [0x1F], [0x00], [0xFF], [0x80], [0xC3], Array(#"\"#.utf8), Array(#"\x"#.utf8), Array(#"\u12"#.utf8),
        Array(#"\u12g4 and more"#.utf8), Array(#"\U0041"#.utf8),
    ]

    @Test("finds in strings what it finds without them", arguments: [UInt64(71), 72, 73])
    func agreement(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for round in 0..<20_000 {
            var text: [UInt8] = [0x22]
            for _ in 0..<random.below(14) { text += random.pick(Self.pieces) }
            for _ in 0..<2 { text += random.pick(Self.ends) + random.pick(Self.pieces) }
            #expect(outcome(text, isWide: Scanner.canBeWide) == outcome(text, isWide: false), "seed \(seed), round \(round): \(text)")
        }
    }

    @Test("knows which of several backslashes is the last escape", arguments: 0..<70)
    func backslashes(before: Int) {
        for count in 0...70 {
            for next in #""nux/"# {
                let text = "\"" + String(repeating: "x", count: before) + String(repeating: "\\", count: count) + "\(next)"
                let bytes = Array((text + String(repeating: "y", count: 40) + "\"").utf8)
                let found = outcome(bytes, isWide: Scanner.canBeWide)
                #expect(found == outcome(bytes, isWide: false), "\(count) behind \(before), then \(next)")
                guard next == "\"" else { continue }
                // Behind an even number the quote ends the string.
                #expect(found.range?.upperBound == (count.isMultiple(of: 2) ? 1 + before + count : bytes.count - 1))
            }
        }
    }

    @Test("knows what may follow a backslash", arguments: UInt8.min...UInt8.max)
    func escapes(byte: UInt8) {
        let isEscape = #""\/bfnrt"#.utf8.contains(byte)
        let filler = [UInt8](repeating: 0x78, count: 40)
        for before in [0, 5, 30, 31, 32] {
            let text = [0x22] + filler.prefix(before) + [0x5C, byte] + filler + [0x22]
            for isWide in [false, Scanner.canBeWide] {
                let found = outcome(text, isWide: isWide)
                #expect((found.error == nil) == isEscape && found.hasEscape == isEscape, "\(byte) behind \(before), \(isWide)")
            }
        }
    }

    @Test("reads nothing behind the text, though the next page of memory may not be there")
    func end() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let memory = try #require(mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        try #require(memory != MAP_FAILED)
        defer { munmap(memory, 2 * page) }
        try #require(mprotect(memory + page, page, PROT_NONE) == 0)
        for piece in Self.pieces {
            for count in 0...80 {
                let text = Array(([0x22] + repeatElement(piece, count: 80).joined()).prefix(1 + count))
                // Cut anywhere, or whole.
                for whole in [text, text + [0x22]] {
                    let place = UnsafeMutableRawBufferPointer(start: memory + page - whole.count, count: whole.count)
                    place.copyBytes(from: whole)
                    #expect(outcome(UnsafeRawBufferPointer(place), isWide: Scanner.canBeWide) == outcome(whole, isWide: false))
                }
            }
        }
    }

    private func outcome(_ text: [UInt8], isWide: Bool) -> Outcome { text.withUnsafeBytes { outcome($0, isWide: isWide) } }

    private func outcome(_ text: UnsafeRawBufferPointer, isWide: Bool) -> Outcome {
        var scanner = Scanner(text, isWide: isWide)
        do throws(ScanError) {
            let place = try scanner.scanString()
            return Outcome(range: place.range, hasEscape: scanner.lastStringHasEscape, offset: scanner.offset)
        } catch {
            return Outcome(error: error, offset: 0)
        }
    }
}
