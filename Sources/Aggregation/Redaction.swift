/// Takes secrets out of texts that people and models get to see (DESIGN, D12).
package struct Redaction: Sendable {
    private let secrets: [String]

    package init(_ secrets: Set<String> = []) {
        // Longest first: one may be part of another. None is empty, or everything would be one.
        self.secrets = secrets.filter { !$0.isEmpty }.sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }
    }

    package func callAsFunction(_ text: String) -> String {
        guard !secrets.isEmpty else { return text }
        var bytes = Array(text.utf8)
        var changed = false
        for secret in secrets {
            let pattern = Array(secret.utf8)
            var index = 0
            while index + pattern.count <= bytes.count {
                if bytes[index] == pattern[0], bytes[index..<index + pattern.count].elementsEqual(pattern) {
                    bytes.replaceSubrange(index..<index + pattern.count, with: Self.mark)
                    index += Self.mark.count
                    changed = true
                } else {
                    index += 1
                }
            }
        }
        return changed ? String(decoding: bytes, as: UTF8.self) : text
    }

    private static let mark = Array("[redacted]".utf8)
}
