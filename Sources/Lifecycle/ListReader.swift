package import JSONRPC
import MCPProtocol
import NIOCore

/// Reads one list of a server, page by page.
struct ListReader: Sendable {
    /// Pages of one list. A server that never ends its list would keep us asking for ever.
    static let pageLimit = 1_000
    /// Features of one kind of one server.
    static let featureLimit = 20_000

    enum Step: Sendable {
        /// Ask for the page behind this cursor, JSON text.
        case next(cursor: ByteBuffer)
        case complete([JSONView])
        /// It cannot be read, for this reason; what was known before stays.
        case failed(String)
    }

    let kind: FeatureKind
    private(set) var isReading = false
    /// The list changed while it was being read: read it once more.
    private(set) var isStale = false
    private var pages = 0
    private var collected: [JSONView] = []
    private var cursors: Set<String> = []

    init(_ kind: FeatureKind) { self.kind = kind }

    /// - Returns: whether to ask for the first page now; if the list is being read, it is read again afterwards.
    mutating func begin() -> Bool {
        guard !isReading else {
            isStale = true
            return false
        }
        self = ListReader(kind)
        isReading = true
        return true
    }

    /// A page came.
    mutating func received(_ message: Message) -> Step {
        pages += 1
        guard message.kind == .result else {
            let error = message.errorSummary
            // Declared, and yet not there: common for templates, and for servers that declare everything.
            if kind != .tools, error.code == ErrorCode.methodNotFound.rawValue { return end(.complete([])) }
            return end(.failed("it refused '\(kind.listMethod.rawValue)': \(error.text)"))
        }
        let result = message.view(message.places[.result])
        guard let features = result[kind.listMember], features.kind == .array else {
            return end(.failed("its answer to '\(kind.listMethod.rawValue)' has no array '\(kind.listMember)'"))
        }
        collected += features.elements
        guard collected.count <= Self.featureLimit else { return end(.failed("it lists more than \(Self.featureLimit) \(kind.noun)s")) }
        // Only an absent or null cursor ends the list; an empty string is a cursor like any other.
        guard let cursor = result["nextCursor"], cursor.kind != .null else { return end(.complete(collected)) }
        guard pages < Self.pageLimit else { return end(.failed("its list of \(kind.noun)s has more than \(Self.pageLimit) pages")) }
        guard cursors.insert(cursor.jsonText).inserted else { return end(.failed("its list of \(kind.noun)s goes round in circles")) }
        return .next(cursor: cursor.json)
    }

    /// No page comes any more.
    mutating func giveUp() { _ = end(.failed("")) }

    private mutating func end(_ step: Step) -> Step {
        isReading = false
        collected = []
        cursors = []
        return step
    }
}

extension Message {
    /// Of an error answer: its code, if it is an integer, and what to tell people.
    package var errorSummary: (code: Int?, text: String) {
        let error = view(places[.error])
        let code = error["code"]
        return (code?.integer, "\((error["message"]?.string ?? "").prefix(200)) (\(code?.jsonText.prefix(20) ?? "no code"))")
    }
}
