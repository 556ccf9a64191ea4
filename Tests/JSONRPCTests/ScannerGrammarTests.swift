import JSONRPC
import NIOCore
import Testing

/// A JSON text with its verdict by RFC 8259. `python3` and Foundation judge the same table in `ScannerAgreementTests`.
struct GrammarCase: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let isValid: Bool

    var testDescription: String { name }

    private static func good(_ text: String, _ name: String? = nil) -> GrammarCase {
        GrammarCase(name: name ?? text, bytes: Array(text.utf8), isValid: true)
    }
    private static func bad(_ text: String, _ name: String? = nil) -> GrammarCase {
        GrammarCase(name: name ?? text, bytes: Array(text.utf8), isValid: false)
    }
    private static func inString(_ bytes: [UInt8], isValid: Bool, _ name: String) -> GrammarCase {
        GrammarCase(name: name, bytes: [0x22] + bytes + [0x22], isValid: isValid)
    }

    static let all = literals + numbers + escapes + utf8 + controls + structure + whitespace + nesting

    private static let literals: [GrammarCase] = [
        good("true"), good("false"), good("null"), bad("True"), bad("nul"), bad("nulll"), bad("tru"), bad("fals"), bad("undefined"),
        bad("'a'"), bad("a"),
        bad("truefalse"), bad("true1"),
    ]

    private static let numbers: [GrammarCase] = [
        good("0"), good("-0"), good("-0.0"), good("0.0"), good("1"), good("-1"), good("10"), good("1.5"), good("1e1"), good("1E1"),
        good("1e+1"), good("1e-1"),
        good("0e0"), good("0e+00"), good("1.25e007"), good("123456789012345678901234567890"), good("-9223372036854775809"),
        good("0.00000000000000000001"),
        good("[1,2]"), good("[0 ]"), bad("-"), bad("+1"), bad("01"), bad("-01"), bad("00"), bad("1."), bad(".5"), bad("-.5"), bad("1.e1"),
        bad("1e"), bad("1e+"),
        bad("1e1.5"), bad("1.5.5"), bad("0x10"), bad("1_000"), bad("1a"), bad("1-"), bad("--1"), bad("1 2"), bad("0e"), bad("[-]"),
        bad("[1.]"), bad("٣", "an Arabic digit"),
        bad("1٣", "an Arabic digit behind an ASCII one"), bad("１", "a full-width digit"), bad("Infinit"), bad("-Inf"), bad("1/2"),
        bad("0b1"),
    ]

    private static let escapes: [GrammarCase] = [
        good(#""\"\\\/\b\f\n\r\t""#), good(#""\u0000""#), good(#""\u0022""#), good(#""\uABCD\uabcd""#),
        good(#""\ud83d\ude00""#, "an escaped surrogate pair"),
        good(#""\\u""#), good(#""\\""#), good(#""\uFFFF""#), good(#"{"\u0069d":1}"#), bad(#""\""#), bad(#""\"#), bad(#""\x41""#),
        bad(#""\a""#), bad(#""\'""#), bad(#""\0""#),
        bad(#""\v""#), bad(#""\U0041""#), bad(#""\u""#), bad(#""\u1""#), bad(#""\u12""#), bad(#""\u123""#), bad(#""\u12G4""#),
        bad(#""\u 123""#), bad(#""\u-123""#),
        bad(#""\u+123""#), bad(#""\u00"#), bad(#""\ud83d\u""#), bad("\"\\\n\"", "a line break behind a backslash"),
        bad("\"\\é\"", "an escaped letter beyond ASCII"),
        bad(#"\u0022a\u0022"#, "escaped quotes around a string"), bad(#"[\n]"#, "an escape between tokens"), bad(#"{"a\"}"#),
    ]

    private static let utf8: [GrammarCase] = [
        good("\"é漢😀\u{7F}\u{80}\u{2028}\u{2029}\u{FEFF}\u{FFFF}\u{10FFFF}\""),
        inString([0xC2, 0x80], isValid: true, "U+0080"), inString([0xDF, 0xBF], isValid: true, "U+07FF"),
        inString([0xE0, 0xA0, 0x80], isValid: true, "U+0800"),
        inString([0xED, 0x9F, 0xBF], isValid: true, "U+D7FF"), inString([0xEE, 0x80, 0x80], isValid: true, "U+E000"),
        inString([0xEF, 0xBF, 0xBE], isValid: true, "U+FFFE, a noncharacter"),
        inString([0xF0, 0x90, 0x80, 0x80], isValid: true, "U+10000"),
        inString([0xF4, 0x8F, 0xBF, 0xBF], isValid: true, "U+10FFFF"), inString([0xC0, 0x80], isValid: false, "overlong NUL"),
        inString([0xC1, 0xBF], isValid: false, "overlong U+007F"),
        inString([0xE0, 0x80, 0xAF], isValid: false, "overlong slash in three bytes"),
        inString([0xE0, 0x9F, 0xBF], isValid: false, "overlong U+07FF"),
        inString([0xF0, 0x80, 0x80, 0xAF], isValid: false, "overlong slash in four bytes"),
        inString([0xF0, 0x8F, 0xBF, 0xBF], isValid: false, "overlong U+FFFF"),
        inString([0xED, 0xA0, 0x80], isValid: false, "a high surrogate in UTF-8"),
        inString([0xED, 0xBF, 0xBF], isValid: false, "a low surrogate in UTF-8"),
        inString([0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80], isValid: false, "a surrogate pair in UTF-8"),
        inString([0xF4, 0x90, 0x80, 0x80], isValid: false, "U+110000"),
        inString([0xF5, 0x80, 0x80, 0x80], isValid: false, "lead byte F5"),
        inString([0xF8, 0x88, 0x80, 0x80, 0x80], isValid: false, "a sequence of five"),
        inString([0xFE], isValid: false, "byte FE"), inString([0xFF], isValid: false, "byte FF"),
        inString([0x80], isValid: false, "a lone continuation byte"),
        inString([0xBF], isValid: false, "the last lone continuation byte"),
        inString([0xC3], isValid: false, "a two-byte sequence cut short"),
        inString([0xE2, 0x82], isValid: false, "a three-byte sequence cut short"),
        inString([0xF0, 0x9F, 0x98], isValid: false, "a four-byte sequence cut short"),
        inString([0xC3, 0x28], isValid: false, "a lead byte before ASCII"),
        inString([0xE2, 0x28, 0xA1], isValid: false, "a bad second byte"),
        inString([0xE2, 0x82, 0x28], isValid: false, "a bad third byte"),
        inString([0xF0, 0x9F, 0x98, 0x28], isValid: false, "a bad fourth byte"),
        inString(Array("1234567".utf8) + [0xC3, 0xA9], isValid: true, "a letter across a word of eight"),
        inString(Array("123456781234567".utf8) + [0xFF], isValid: false, "a bad byte at the end of the second word of eight"),
        GrammarCase(name: "a sequence cut by the end of the text", bytes: [0x22, 0xF0, 0x9F], isValid: false),
        GrammarCase(name: "a lead byte at the very end", bytes: [0x22, 0xC3], isValid: false),
        GrammarCase(name: "Latin-1", bytes: Array("[\"caf".utf8) + [0xE9] + Array("\"]".utf8), isValid: false),
        GrammarCase(name: "a byte beyond ASCII between tokens", bytes: [0x5B, 0xC3, 0xA9, 0x5D], isValid: false),
    ]

    private static let controls: [GrammarCase] =
        (UInt8(0)..<0x20).map { inString([0x61, $0, 0x62], isValid: false, "control character \($0) in a string") }
        + (UInt8(0)..<0x20).map {
            inString(
                Array("a longer string".utf8) + [$0] + Array("behind it".utf8), isValid: false, "control character \($0) in a long string")
        }
        + [
            inString([0x7F], isValid: true, "DEL in a string"), bad("\u{0}", "NUL"), bad("1\u{0}", "NUL at the end"),
            bad("[1\u{0}]", "NUL between tokens"),
        ]

    private static let structure: [GrammarCase] = [
        good("{}"), good("[]"), good(#"{"":0}"#), good(#"{"a":1,"a":2}"#), good(#"{"a":{"b":[1,{"c":null}]}}"#), good(#"[[],{},"",0]"#),
        good(#""""#), bad(""), bad(" "), bad("["),
        bad("]"), bad("{"), bad("}"), bad("[1"), bad("[1,"), bad("[1,]"), bad("[,1]"), bad("[,]"), bad("[1,,2]"), bad("[1 2]"), bad("[1}"),
        bad("{]"), bad(#"{"a"}"#), bad(#"{"a":}"#),
        bad(#"{"a":1,}"#), bad(#"{,"a":1}"#), bad(#"{"a":1 "b":2}"#), bad(#"{"a":1,,"b":2}"#), bad(#"{"a"::1}"#), bad(#"{"a":1:2}"#),
        bad(#"{a:1}"#), bad(#"{'a':1}"#), bad(#"{1:1}"#),
        bad(#"{null:1}"#), bad(#"{"a",1}"#), bad(#"["a":1]"#), bad("[][]"), bad("[]]"), bad("{}}"), bad("{} x"), bad("[1]1"), bad(#""a"b"#),
        bad(#""a""b""#), bad(#""a"#), bad(#"""#),
        bad("// c\n1", "a line comment"), bad("/* c */1", "a block comment"), bad("1 // c", "a comment at the end"),
        bad("[1/**/]", "a comment between tokens"), bad("/"), bad("[1]#"),
        bad("\u{FEFF}[]", "a byte order mark"), bad("[]\u{FEFF}", "a byte order mark at the end"),
        bad("\u{FEFF}", "a byte order mark alone"), bad("<html>"),
    ]

    private static let whitespace: [GrammarCase] = [
        good(" \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n", "all four kinds"), good(" { \"a\" : 1 , \"b\" : 2 } ", "blanks everywhere"),
        good("\n1\n", "line breaks around a number"),
        bad("[\u{0B}]", "vertical tab"), bad("[\u{0C}]", "form feed"), bad("[\u{A0}]", "no-break space"), bad("[\u{2003}]", "em space"),
        bad("[\u{2028}]", "line separator"),
        bad("[\u{85}]", "next line"), bad("[\u{1F}]", "unit separator"), bad("[\u{200B}]", "zero width space"),
        bad("- 1", "a blank in a number"), bad("1 .5"), bad("t rue"),
    ]

    private static let nesting: [GrammarCase] = [
        good(nested("[", "]", 100), "100 arrays"), good(nested("[", "]", Scanner.depthLimit), "as many arrays as the limit"),
        good(nested(#"{"a":"#, "}", Scanner.depthLimit, inner: "0"), "as many objects as the limit"),
        bad(String(repeating: "[", count: 400), "400 arrays that do not end"),
        bad(String(repeating: #"{"a":"#, count: 400), "400 objects that do not end"),
        bad(nested("[", "]", 100) + "]", "a bracket too many"),
    ]

    static func nested(_ open: String, _ close: String, _ depth: Int, inner: String = "") -> String {
        String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)
    }
}

@Suite("The scanner")
struct ScannerGrammarTests {
    @Test("accepts what RFC 8259 allows and refuses all else", arguments: GrammarCase.all)
    func verdict(_ grammarCase: GrammarCase) {
        #expect(isValid(grammarCase.bytes) == grammarCase.isValid)
    }

    @Test("gives a valid text the same verdict in an array, in an object, and between blanks", arguments: GrammarCase.all)
    func embedded(_ grammarCase: GrammarCase) {
        // One level less than the deepest case needs; a text that is no value alone is none inside either.
        guard !grammarCase.name.contains("limit") else { return }
        let aroundIt: [(String, String)] = [("[", "]"), ("{\"key\":", "}"), (" ", "\n"), ("[0,", ",0]")]
        // Nothing at all is no value, but between brackets it is an empty array.
        guard grammarCase.bytes.contains(where: { $0 != 0x20 }) else { return }
        for (before, after) in aroundIt {
            #expect(isValid(Array(before.utf8) + grammarCase.bytes + Array(after.utf8)) == grammarCase.isValid, "inside \(before)\(after)")
        }
    }

    @Test("refuses every beginning of a valid text, except of a number")
    func truncated() {
        let text = Array(#" {"a":[1.5e3,true,false,null,"é😀\u00e9\n"],"b":{"c":{}}}"#.utf8)
        #expect(isValid(text))
        for length in 0..<text.count { #expect(!isValid(Array(text.prefix(length))), "the first \(length) bytes") }
    }

    @Test("refuses what nests deeper than its limit", arguments: [("[", "]", ""), (#"{"a":"#, "}", "0"), (#"[{"a":"#, "}]", "0")])
    func tooDeep(open: String, close: String, inner: String) {
        let levels = open.count > 5 ? 2 : 1
        let limit = Scanner.depthLimit / levels
        #expect(isValid(Array(GrammarCase.nested(open, close, limit, inner: inner).utf8)))
        let deeper = ByteBuffer(string: GrammarCase.nested(open, close, limit + 1, inner: inner))
        let error = #expect(throws: ScanError.self) { _ = try Scanner.whole(deeper) }
        #expect(error?.reason == .tooDeep(limit: Scanner.depthLimit))
    }

    @Test("refuses a million brackets without using up the stack")
    func flood() {
        #expect(!isValid(Array(repeating: UInt8(ascii: "["), count: 1_000_000)))
    }

    @Test("finds every byte that ends a run of plain characters, wherever it stands in its word")
    func everyByteEverywhere() {
        for length in 0..<40 {
            for byte in UInt8.min...UInt8.max {
                var text = [UInt8](repeating: UInt8(ascii: "x"), count: 40)
                text[length] = byte
                let expected = (0x20...0x7F).contains(byte) && byte != 0x22 && byte != 0x5C
                #expect(isValid([0x22] + text + [0x22]) == expected, "byte \(byte) at \(length)")
            }
        }
    }

    @Test(
        "says what is wrong and where",
        arguments: [
            ("", "the text ends too early at byte 1"), ("[1,}", "found '}', expected a value at byte 4"),
            ("{1}", "found '1', expected a member name in quotes at byte 2"),
            (#"{"a" 1}"#, "found '1', expected ':' at byte 6"), ("[1 2]", "found '2', expected ',' or ']' at byte 4"),
            (#"{"a":1 2}"#, "found '2', expected ',' or '}' at byte 8"),
            ("\"a\u{1}\"", "control character in a string (write it as an escape) at byte 3"),
            (#""\x""#, "invalid escape in a string at byte 2"),
            (#""\u12"}"#, "invalid escape in a string at byte 2"), (#""\u12"#, "the text ends too early at byte 6"),
            ("[01]", "invalid number at byte 2"),
            ("{} {}", "something follows the end of the value at byte 4"), ("\u{FEFF}1", "found byte 0xef, expected a value at byte 1"),
            ("nul", "found 'n', expected a value at byte 1"),
        ])
    func description(text: String, expected: String) {
        let error = #expect(throws: ScanError.self) { _ = try Scanner.whole(ByteBuffer(string: text)) }
        #expect(error?.description == expected)
    }

    @Test(
        "takes comments and trailing commas in its lenient dialect only",
        arguments: [
            ("// c\n1", true), ("/* c */1", true), ("1//", true), ("1 /**/", true), ("[1,]", true), (#"{"a":1,}"#, true),
            ("[1, // one\n 2, /* two */ ]", true), ("[/**/]", true), ("[,]", false),
            ("[1,,]", false), ("/*", false), ("/**", false), ("/*/", false), ("/", false), ("1/", false), ("{,}", false), ("/**//", false),
        ])
    func lenient(text: String, isValid expected: Bool) {
        let bytes = ByteBuffer(string: text)
        #expect(((try? Scanner.whole(bytes, dialect: .lenient)) != nil) == expected)
        #expect((try? Scanner.whole(bytes)) == nil)
    }

    @Test("reads within the bytes it is lent, wherever they end")
    func bounds() {
        let text = Array(#"{"jsonrpc":"2.0","id":12,"method":"tools\/call","params":{"é":[true,false,null,-1.5e+7,"😀\u00e9"]}}"#.utf8)
        for start in 0...text.count {
            for end in start...text.count {
                // A copy of its own, so that a read beyond it is a read beyond an allocation; debug builds also check each index.
                let slice = Array(text[start..<end])
                let place = slice.withUnsafeBytes { bytes -> Place? in
                    var scanner = Scanner(bytes)
                    let place = try? scanner.scanValue(depth: 0)
                    #expect(scanner.offset <= bytes.count)
                    return place
                }
                if let place { #expect(place.range.upperBound <= slice.count) }
            }
        }
    }
}

func isValid(_ bytes: [UInt8]) -> Bool { (try? Scanner.whole(ByteBuffer(bytes: bytes))) != nil }
