import TestSupport

/// Writes random JSON texts and messages: what peers may send, odd but valid.
struct RandomJSON {
    enum Spacing { case none, blanks, lineBreaks }

    var random: SeededGenerator
    var spacing = Spacing.none

    init(seed: UInt64, spacing: Spacing = .none) {
        random = SeededGenerator(seed: seed)
        self.spacing = spacing
    }

    mutating func space() -> String {
        switch spacing {
        case .none: ""
        case .blanks: random.pick(["", "", " ", "\t", "  "])
        case .lineBreaks: random.pick(["", "", " ", "\n", "\r\n", "\r", "\n  "])
        }
    }

    mutating func string() -> String {
        let pieces = [
            "a", "name", "id", "plain text of some length, longer than two words of eight bytes", "é", "漢字", "😀", "\u{2028}", "\u{7F}",
            #"\""#, #"\\"#,
            #"\/"#, #"\b\f\n\r\t"#, #"\u0000"#, #"\u00e9"#, #"\u00E9"#, #"\ud83d\ude00"#, #"\\u0069d"#, "{", "]", ":", ",", #"\"id\":7"#,
        ]
        var text = "\""
        for _ in 0..<random.below(5) { text += random.pick(pieces) }
        return text + "\""
    }

    mutating func number() -> String {
        random.pick([
            "0", "-0", "-0.0", "1.0", "7", "-12", "3.14159", "1e5", "1E+10", "2.5e-7", "9007199254740993", "123456789012345678901234567890",
            "0.1000", String(random.below(1_000_000)),
        ])
    }

    mutating func value(depth: Int = 0) -> String {
        switch random.below(depth > 4 ? 6 : 9) {
        case 0: return "null"
        case 1: return random.pick(["true", "false"])
        case 2, 3: return number()
        case 4, 5: return string()
        case 6: return object(depth: depth)
        default:
            let elements = (0..<random.below(4)).map { _ in space() + value(depth: depth + 1) + space() }
            return elements.isEmpty ? "[" + space() + "]" : "[" + elements.joined(separator: ",") + "]"
        }
    }

    /// An object whose keys are all different.
    mutating func object(depth: Int = 0) -> String {
        let members = (0..<random.below(4)).map { index in
            let name = string()
            return "\"\(index)" + name.dropFirst() + ":" + value(depth: depth + 1)
        }
        return object(ofMembers: members)
    }

    mutating func object(ofMembers members: [String]) -> String {
        let spaced = members.map { space() + $0 + space() }
        return spaced.isEmpty ? "{" + space() + "}" : "{" + spaced.joined(separator: ",") + "}"
    }

    mutating func member(_ name: String, _ value: String) -> String { "\"\(name)\"" + space() + ":" + space() + value }

    mutating func id() -> String {
        random.pick(["0", "7", "-3", "\"7\"", "\"a b\"", "123456789012345678901234567890", #""\u0061""#, #""😀""#])
    }

    /// A message that is to be accepted, with its members in any order and unknown ones among them.
    mutating func message() -> String {
        var members = [member("jsonrpc", "\"2.0\"")]
        let kind = random.below(4)
        if kind != 1 { members.append(member("id", id())) }
        switch kind {
        case 0, 1:
            members.append(member("method", random.pick(["\"tools/call\"", #""tools\/call""#, "\"ping\"", "\"notifications/progress\""])))
            if random.chance(80) { members.append(member("params", params())) }
        case 2: members.append(member("result", random.chance(70) ? object(ofMembers: [meta(), member("content", value())]) : value()))
        default: members.append(member("error", value()))
        }
        if random.chance(30) { members.append(member("x-unknown", value())) }
        members.shuffle(using: &random)
        return space() + object(ofMembers: members) + space()
    }

    private mutating func params() -> String {
        var members = [member("content", value())]
        if random.chance(70) { members.append(member("name", string())) }
        if random.chance(70) { members.append(member("arguments", object())) }
        if random.chance(40) { members.append(meta()) }
        if random.chance(20) { members.append(member("cursor", string())) }
        if random.chance(20) { members.append(member("requestId", id())) }
        members.shuffle(using: &random)
        return object(ofMembers: members)
    }

    private mutating func meta() -> String {
        var members = [member("example.com/trace", value())]
        if random.chance(70) { members.append(member("progressToken", id())) }
        if random.chance(20) { members.append(member("io.modelcontextprotocol/protocolVersion", "\"2026-07-28\"")) }
        members.shuffle(using: &random)
        return member("_meta", object(ofMembers: members))
    }

    /// Damages a text in one to three places.
    mutating func mutated(_ text: [UInt8]) -> [UInt8] {
        var bytes = text
        let odd: [UInt8] = [
            0x00, 0x09, 0x0A, 0x0D, 0x1F, 0x20, 0x22, 0x27, 0x2C, 0x2D, 0x2E, 0x2F, 0x30, 0x3A, 0x5B, 0x5C, 0x5D, 0x65, 0x75, 0x7B, 0x7D,
            0x7F, 0x80, 0xBF,
            0xC0, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF,
        ]
        for _ in 0...random.below(3) {
            let index = random.below(bytes.count + 1)
            switch random.below(6) {
            case 0 where index < bytes.count: bytes[index] = random.pick(odd)
            case 1 where index < bytes.count: bytes[index] ^= UInt8(1 << random.below(8))
            case 2 where index < bytes.count: bytes.remove(at: index)
            case 3: bytes.insert(random.pick(odd), at: index)
            case 4 where index > 0 && random.chance(30): bytes.removeSubrange(index...)
            default:
                let end = min(bytes.count, index + random.below(20))
                bytes.insert(contentsOf: Array(bytes[index..<end]), at: random.below(bytes.count + 1))
            }
        }
        return bytes
    }
}
