import JSONRPC
import TestSupport
import Testing

/// Long strings are looked at in blocks, so what is wrong may stand anywhere in one, or across two.
@Suite("The scanner and UTF-8")
struct ScannerUTF8Tests {
    private static let sequences: [[UInt8]] = [
        [], [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xE1, 0x80, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80],
        [0xEF, 0xBF, 0xBF], [0xF0, 0x90, 0x80, 0x80], [0xF1, 0x80, 0x80, 0x80], [0xF3, 0xBF, 0xBF, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF],
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xC3, 0xC3, 0xA9], [0xC3, 0xA9, 0xA9], [0xE0, 0x9F, 0xBF],
        [0xE0, 0xA0], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xE2, 0x82, 0xAC, 0x80], [0xED, 0xA0, 0x80],
        [0xED, 0xBF, 0xBF],
        [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x28], [0xF0, 0x9F, 0xC3, 0xA9], [0xF4, 0x90, 0x80, 0x80],
        [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
    ]

    private static let plain = ["plain text", "й", "語", "🙂"].map { Array($0.utf8) }

    @Test("finds what is wrong, and where, behind and before anything", arguments: ["x", "é", "漢", "😀", "xé漢😀", "\\n", "é\\u00e9x"])
    func places(filler: String) {
        let filler = Array(filler.utf8)
        for sequence in Self.sequences {
            for before in [Int](0..<20) + [37, 38] {
                for behind in [0, 1, 20, 45] {
                    // What is beyond ASCII and comes behind the string is another matter.
                    let text =
                        Array(repeatElement(filler, count: before).joined()) + sequence
                        + Array(repeatElement(filler, count: behind).joined())
                    check(text, behind: [0xFF])
                    check(text, behind: [])
                }
            }
        }
    }

    @Test("agrees with the standard library about random bytes", arguments: [UInt64(91), 92])
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<5_000 {
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 0...60, using: &random) {
                // Mostly what is right, or nothing long ever is.
                switch Int.random(in: 0..<200, using: &random) {
                case 0: text.append(UInt8.random(in: 0x80...0xFF, using: &random))
                case 1: text += Self.sequences.randomElement(using: &random) ?? []
                default: text += Self.plain.randomElement(using: &random) ?? []
                }
            }
            check(text, behind: [])
        }
    }

    private func check(_ text: [UInt8], behind: [UInt8], _ location: SourceLocation = #_sourceLocation) {
        let bytes = [0x22] + text + [0x22] + behind
        let expected = firstBadSequence(in: text)
        for isWide in [false, Scanner.canBeWide] {
            let found: Int? = bytes.withUnsafeBytes { buffer in
                var scanner = Scanner(buffer, isWide: isWide)
                do throws(ScanError) {
                    let place = try scanner.scanString()
                    return place.range == 1..<1 + text.count ? nil : -1
                } catch {
                    return error.reason == .invalidUTF8 ? error.offset - 1 : -2
                }
            }
            #expect(found == expected, "\(isWide ? "wide" : "narrow"): \(text)", sourceLocation: location)
        }
    }

    /// As the standard library has it.
    private func firstBadSequence(in text: [UInt8]) -> Int? {
        var parser = Unicode.UTF8.ForwardParser()
        var bytes = text.makeIterator()
        var offset = 0
        while true {
            switch parser.parseScalar(from: &bytes) {
            case .valid(let scalar): offset += scalar.count
            case .error: return offset
            case .emptyInput: return nil
            }
        }
    }
}
