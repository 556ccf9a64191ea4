/// What can be told of the envelope of a text that the scanner refused.
///
/// An id written behind the damage, as some SDKs do, would be lost to the scan, and its request would wait for an answer for ever.
/// This walk knows only strings and brackets. It says something only if those are in order up to the end: then the damage lies
/// inside a value (nested too deep, a bad escape, `NaN`), and the members around it are what they seem to be.
struct EnvelopeSkim {
    /// Written exactly once, as a string or an integer.
    private(set) var id: RequestID?
    private(set) var namesMethod = false
    private var idCount = 0

    /// - Returns: `nil` if the text is not one object, or its brackets or quotes do not match.
    init?(_ text: UnsafeRawBufferPointer) {
        var depth = 0
        var index = 0
        var lastString = 0..<0
        var key: Range<Int>?
        var valueStart = 0
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "\""):
                let start = index + 1
                index = start
                while index < text.count, text[index] != UInt8(ascii: "\"") { index += text[index] == UInt8(ascii: "\\") ? 2 : 1 }
                guard index < text.count else { return nil }
                lastString = start..<index
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth > 0 || text[index] == UInt8(ascii: "{") else { return nil }
                depth += 1
            case UInt8(ascii: ":") where depth == 1 && key == nil:
                key = lastString
                valueStart = index + 1
            case UInt8(ascii: ",") where depth == 1:
                member(key, valueStart..<index, in: text)
                key = nil
            case UInt8(ascii: "}") where depth == 1:
                member(key, valueStart..<index, in: text)
                guard text[(index + 1)...].allSatisfy(\.isWhitespace) else { return nil }
                if idCount > 1 { id = nil }
                return
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 1 else { return nil }
                depth -= 1
            default: break
            }
            index += 1
        }
        return nil
    }

    private mutating func member(_ key: Range<Int>?, _ value: Range<Int>, in text: UnsafeRawBufferPointer) {
        guard let key else { return }
        switch JSONString.decode(UnsafeRawBufferPointer(rebasing: text[key])) {
        case "id":
            idCount += 1
            id = RequestID(scanning: UnsafeRawBufferPointer(rebasing: text[value]))
        case "method": namesMethod = true
        default: break
        }
    }
}

extension RequestID {
    /// An id with perhaps white space around it; `nil` if the text is anything else.
    init?(scanning text: UnsafeRawBufferPointer) {
        var scanner = Scanner(text)
        do throws(ScanError) {
            try scanner.skipWhitespace()
            let start = scanner.offset
            if try scanner.peek() == UInt8(ascii: "\"") {
                _ = try scanner.scanString()
            } else {
                guard try scanner.scanNumber() else { return nil }
            }
            let end = scanner.offset
            try scanner.finish()
            self.init(UnsafeRawBufferPointer(rebasing: text[start..<end]))
        } catch {
            return nil
        }
    }
}
