import Foundation
import JSONRPC
import NIOCore
import Testing

/// Other parsers' verdicts. Where ours accepts what a peer's refuses, or the other way round, one bad message could be two things.
enum Reference {
    static func foundationAccepts(_ bytes: [UInt8]) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
    }

    /// One child process judges all texts: starting one per text would take minutes.
    static func pythonAccepts(_ texts: [[UInt8]]) throws -> [Bool] {
        let corpus = FileManager.default.temporaryDirectory.appending(path: "mcpagg-corpus-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: corpus) }
        let hexDigits = Array("0123456789abcdef".utf8)
        var lines: [UInt8] = []
        for text in texts {
            for byte in text {
                lines.append(hexDigits[Int(byte >> 4)])
                lines.append(hexDigits[Int(byte & 15)])
            }
            lines.append(UInt8(ascii: "\n"))
        }
        try Data(lines).write(to: corpus)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, corpus.path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let verdicts = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        try #require(verdicts.count == texts.count)
        return verdicts.map { $0 == UInt8(ascii: "1") }
    }

    private static let script = """
        import json, sys
        def refuse(name):
            raise ValueError(name)
        verdicts = []
        for line in open(sys.argv[1]):
            try:
                json.loads(bytes.fromhex(line).decode("utf-8", "strict"), parse_constant=refuse)
                verdicts.append("1")
            except (ValueError, RecursionError):
                verdicts.append("0")
        sys.stdout.write("".join(verdicts))
        """
}

/// A text on which we differ from a reference, on purpose.
struct KnownDifference: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    var ours: Bool
    var python: Bool
    var foundation: Bool
    var reason: String

    var testDescription: String { name }

    static let all: [KnownDifference] = [
        KnownDifference(
            name: "lone high surrogate", text: #""\ud800""#, ours: true, python: true, foundation: false,
            reason:
                "RFC 8259 leaves it open (8.2). We forward the escape as it came; refusing it would lose a message that both ends may understand."
        ),
        KnownDifference(
            name: "lone low surrogate", text: #""\udc00""#, ours: true, python: true, foundation: false, reason: "as for the high one"),
        KnownDifference(
            name: "surrogates in the wrong order", text: #""\ude00\ud83d""#, ours: true, python: true, foundation: false,
            reason: "as for the lone ones"),
        KnownDifference(
            name: "deeper than our limit", text: GrammarCase.nested("[", "]", Scanner.depthLimit + 1), ours: false, python: true,
            foundation: false,
            reason: "our limit protects the stack; Python's is higher"),
        KnownDifference(
            name: "number beyond a double", text: "1e999", ours: true, python: true, foundation: false,
            reason: "we forward numbers as text, so their size is the receiver's affair"),
        KnownDifference(
            name: "integer of 5,000 digits", text: String(repeating: "9", count: 5_000), ours: true, python: false, foundation: false,
            reason: "Python limits the conversion to 4,300 digits; we convert nothing"),
        KnownDifference(
            name: "byte order mark", text: "\u{FEFF}[]", ours: false, python: false, foundation: true,
            reason: "RFC 8259, 8.1: must not be added, may be ignored; MCP's UTF-8 lines have none"),
        KnownDifference(
            name: "trailing comma in an array", text: "[1,]", ours: false, python: false, foundation: true,
            reason: "no RFC 8259; Foundation on Linux takes it"),
        KnownDifference(
            name: "trailing comma in an object", text: #"{"a":1,}"#, ours: false, python: false, foundation: true,
            reason: "as in an array"),
        KnownDifference(
            name: "UTF-16", text: "[\u{0}]\u{0}", ours: false, python: false, foundation: true,
            reason: "Foundation guesses the encoding; we take UTF-8 only"),
    ]
}

@Suite("The scanner and other parsers")
struct ScannerAgreementTests {
    @Test("differ where we want them to, and still do", arguments: KnownDifference.all)
    func knownDifferences(_ difference: KnownDifference) throws {
        let bytes = Array(difference.text.utf8)
        #expect(isValid(bytes) == difference.ours, "\(difference.reason)")
        #expect(try Reference.pythonAccepts([bytes]) == [difference.python], "\(difference.reason)")
        #expect(Reference.foundationAccepts(bytes) == difference.foundation, "\(difference.reason)")
    }

    @Test("refuse NaN and Infinity alike; Python only when told to", arguments: ["NaN", "Infinity", "-Infinity", "[NaN]"])
    func constants(text: String) throws {
        let bytes = Array(text.utf8)
        #expect(!isValid(bytes))
        #expect(try Reference.pythonAccepts([bytes]) == [false])
        #expect(!Reference.foundationAccepts(bytes))
    }

    @Test("judge the grammar table alike")
    func table() throws {
        let python = try Reference.pythonAccepts(GrammarCase.all.map(\.bytes))
        for (grammarCase, verdict) in zip(GrammarCase.all, python) {
            #expect(verdict == grammarCase.isValid, "Python on \(grammarCase.name)")
            let foundation = Reference.foundationAccepts(grammarCase.bytes)
            #expect(foundation == grammarCase.isValid || foundationGoesItsOwnWay(grammarCase.bytes), "Foundation on \(grammarCase.name)")
        }
    }

    @Test("judge generated and mutated texts alike", arguments: [UInt64(1), 2, 3])
    func corpus(seed: UInt64) throws {
        var json = RandomJSON(seed: seed, spacing: .blanks)
        var texts: [[UInt8]] = []
        for index in 0..<2_500 {
            let text = Array((index % 3 == 0 ? json.message() : json.value()).utf8)
            texts.append(text)
            texts.append(json.mutated(text))
        }
        let python = try Reference.pythonAccepts(texts)
        var accepted = 0
        for (index, text) in texts.enumerated() {
            let ours = isValid(text)
            if ours { accepted += 1 }
            if index.isMultiple(of: 2) { #expect(ours, "seed \(seed), text \(index): \(String(decoding: text, as: UTF8.self))") }
            #expect(ours == python[index], "seed \(seed), text \(index), Python: \(text) \(String(decoding: text, as: UTF8.self))")
            if ours != Reference.foundationAccepts(text) {
                #expect(
                    foundationGoesItsOwnWay(text),
                    "seed \(seed), text \(index), Foundation: \(text) \(String(decoding: text, as: UTF8.self))")
            }
        }
        // Both kinds are there in numbers, or the comparison says little.
        #expect((2_600..<4_500).contains(accepted))
    }

    /// Whether a text is of a kind on which Foundation is known to differ (``KnownDifference``).
    private func foundationGoesItsOwnWay(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        if bytes.prefix(4).contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return true }
        if text.lowercased().contains(#"\ud"#) { return true }  // surrogates, paired or not
        if text.contains(/,[ \t\r\n]*[\]}]/) { return true }
        // Three digits of exponent or more: perhaps beyond a double.
        return text.contains(/[eE][+]?[0-9]{3,}/)
    }
}
