/// Tells whether a URI may have been made from a template (RFC 6570). Only for routing: the server that owns the template decides what
/// the URI means.
package struct URITemplate: Sendable {
    private enum Part: Sendable {
        case literal([UInt8])
        /// `{name}`: something without a slash.
        case segment
        /// `{+name}`, `{name*}`, `{?name}` and the like: anything, nothing included.
        case anything
    }

    /// Parts of one template, and bytes of it and of a URI that is compared with it: what is longer fits nothing. Whoever owns such a
    /// URI is still found by asking.
    private static let partLimit = 64
    private static let lengthLimit = 8 * 1024

    private let parts: [Part]
    private let isUsable: Bool

    package init(_ text: String) {
        guard text.utf8.count <= Self.lengthLimit else {
            (parts, isUsable) = ([], false)
            return
        }
        var parts: [Part] = []
        var rest = Substring(text)
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            if open > rest.startIndex { parts.append(.literal(Array(rest[..<open].utf8))) }
            let expression = rest[rest.index(after: open)..<close]
            let isSimple =
                expression.first.map { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "%" } == true && !expression.contains("*")
            parts.append(isSimple ? .segment : .anything)
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(Array(rest.utf8))) }
        isUsable = parts.count <= Self.partLimit
        self.parts = parts
    }

    /// - Parameter strictly: a simple variable holds no slash. Otherwise it may: servers are not always strict.
    package func matches(_ uri: String, strictly: Bool) -> Bool {
        guard isUsable, uri.utf8.count <= Self.lengthLimit else { return false }
        let text = Array(uri.utf8)
        // The offsets at which the parts so far can end. Sets instead of backtracking: the time is bounded by their product.
        var ends: Set<Int> = [0]
        for part in parts {
            var next: Set<Int> = []
            switch part {
            case .literal(let literal):
                for end in ends where text[end...].starts(with: literal) { next.insert(end + literal.count) }
            case .anything:
                if let first = ends.min() { next.formUnion(first...text.count) }
            case .segment:
                var isInside = false
                for offset in text.indices {
                    isInside = (isInside || ends.contains(offset)) && !(strictly && text[offset] == UInt8(ascii: "/"))
                    if isInside { next.insert(offset + 1) }
                }
            }
            if next.isEmpty { return false }
            ends = next
        }
        return ends.contains(text.count)
    }
}
