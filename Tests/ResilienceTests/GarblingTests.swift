import Foundation
import Testing

@testable import Resilience

@Suite("Garbling")
struct GarblingTests {
    static let messages =
        [
            #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":19,"b":23}}}"#,
            #"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"line\nbreak, \"quotes\" and é"}]}}"#,
            #"  [{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]  "#, "{}", "{\r\n  \"a\": 1\r\n}", "a banner", "x", "1",
            " ", "",
        ] + Garbling.replacements

    @Test("never leaves a message as it was, makes no second line of it and no blank one", arguments: messages)
    func changes(message: String) {
        let bytes = Array(message.utf8)
        for seed in 0..<400 as Range<UInt64> {
            let (garbled, how) = Garbling(seed: seed).apply(to: bytes)
            #expect(garbled != bytes)
            #expect(!garbled.contains(0x0A) && !garbled.contains(0x0D))
            #expect(garbled.contains { $0 != 0x20 && $0 != 0x09 })
            #expect(!how.isEmpty)
        }
    }

    @Test("leaves no JSON, or JSON that has nothing of the message in it", arguments: messages.prefix(5))
    func meaning(message: String) throws {
        var replaced = 0
        for seed in 0..<400 as Range<UInt64> {
            let (garbled, _) = Garbling(seed: seed).apply(to: Array(message.utf8))
            guard (try? JSONSerialization.jsonObject(with: Data(garbled), options: .fragmentsAllowed)) != nil else { continue }
            #expect(Garbling.replacements.contains(String(decoding: garbled, as: UTF8.self)))
            replaced += 1
        }
        // One of the four ways.
        #expect((60...140).contains(replaced))
    }

    @Test("is the same for the same seed, and all its ways are gone")
    func ways() {
        let message = Array(Self.messages[0].utf8)
        var ways: Set<String> = []
        for seed in 0..<200 as Range<UInt64> {
            let (bytes, how) = Garbling(seed: seed).apply(to: message)
            #expect(Garbling(seed: seed).apply(to: message).bytes == bytes)
            ways.insert(String(how.prefix(7)))
        }
        #expect(ways == ["cut off", "bytes o", "its two", "replace"])
    }
}
