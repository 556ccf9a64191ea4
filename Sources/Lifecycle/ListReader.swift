package import JSONRPC
package import MCPProtocol
import NIOCore
import Resilience

/// Reads one list of a server, page by page, and again when it changes, at a pace that a server which never stops changing it cannot
/// drive.
struct ListReader: Sendable {
    /// Pages of one list. A server that never ends its list would keep us asking for ever.
    static let pageLimit = 1_000
    /// Features of one kind of one server.
    static let featureLimit = 20_000
    /// Bytes of all pages of one list.
    static let lengthLimit = 32 * 1024 * 1024
    /// After a list was read, a change is followed not before this time. It doubles with each list that follows another at once, up
    /// to the cap: a server that never stops changing its list costs the others no time.
    static let pause = Duration.milliseconds(250)
    static let pauseCap = Duration.seconds(16)

    enum Step: Sendable {
        /// Ask for the page behind this cursor, JSON text.
        case next(cursor: ByteBuffer)
        case complete([JSONView], Freshness)
        /// It cannot be read, for this reason; what was known before stays.
        case failed(String)
    }

    let kind: FeatureKind
    private(set) var isReading = false
    /// The list changed since it was last asked for.
    private(set) var isStale = false
    private var pages = 0
    private var collected: [JSONView] = []
    private var collectedLength = 0
    private var cursors: Set<String> = []
    /// Of all pages so far.
    private var freshness = Freshness.whole
    /// Before this the list is not read again, and how long that was after the last time.
    private var pausedUntil = Instant(nanoseconds: .min)
    private var currentPause = Self.pause

    init(_ kind: FeatureKind) { self.kind = kind }

    /// When ``begin(now:)`` is to be called; `nil` if the list is not known to have changed, or is being read.
    var due: Instant? { isStale && !isReading ? pausedUntil : nil }

    /// The list is known to have changed, and its time has not come.
    func awaits(_ now: Instant) -> Bool { isStale && !isReading && pausedUntil > now }

    /// The list has changed: ``due`` says when to read it again.
    mutating func changed() { isStale = true }

    /// The first page is asked for.
    mutating func begin() {
        isReading = true
        isStale = false
        pages = 0
        collected = []
        collectedLength = 0
        cursors = []
        freshness = .whole
    }

    /// A page came.
    mutating func received(_ message: Message, now: Instant) -> Step {
        pages += 1
        guard message.isResult else {
            let error = message.errorSummary
            // Declared, and yet not there: common for templates, and for servers that declare everything. Not behind a first page.
            if kind != .tools, pages == 1, error.code == ErrorCode.methodNotFound.rawValue {
                return end(.complete([], .none), now: now)
            }
            return end(.failed("it refused '\(kind.listMethod.rawValue)': \(error.text)"), now: now)
        }
        // A copy, because it is kept: the memory of a read is needed for the next one.
        let result = JSONView.whole(ByteBuffer(bytes: message.slice(message[.result]).readableBytesView))
        guard let features = result[kind.listMember], features.kind == .array else {
            return end(.failed("its answer to '\(kind.listMethod.rawValue)' has no array '\(kind.listMember)'"), now: now)
        }
        freshness = freshness.merged(with: message.freshness)
        collectedLength += message.bytes.readableBytes
        guard collectedLength <= Self.lengthLimit else {
            return end(.failed("its list of \(kind.noun)s is longer than \(Self.lengthLimit) bytes"), now: now)
        }
        collected += features.elements
        guard collected.count <= Self.featureLimit else {
            return end(.failed("it lists more than \(Self.featureLimit) \(kind.noun)s"), now: now)
        }
        // Only an absent or null cursor ends the list; an empty string is a cursor like any other.
        guard let cursor = result["nextCursor"], cursor.kind != .null else { return end(.complete(collected, freshness), now: now) }
        guard pages < Self.pageLimit else {
            return end(.failed("its list of \(kind.noun)s has more than \(Self.pageLimit) pages"), now: now)
        }
        guard cursors.insert(cursor.jsonText).inserted else {
            return end(.failed("its list of \(kind.noun)s goes round in circles"), now: now)
        }
        return .next(cursor: cursor.json)
    }

    /// No page comes any more.
    mutating func giveUp(again: Bool, now: Instant) {
        isStale = isStale || again
        _ = end(.complete([], .none), now: now)
    }

    private mutating func end(_ step: Step, now: Instant) -> Step {
        isReading = false
        collected = []
        cursors = []
        // In a row if the last list was read just before this one.
        currentPause = now < pausedUntil.advanced(by: Self.pauseCap) ? min(currentPause * 2, Self.pauseCap) : Self.pause
        pausedUntil = now.advanced(by: currentPause)
        return step
    }
}

extension Message {
    /// Of a result: what it says of itself. A time to live that is none counts as 0.
    package var freshness: Freshness {
        Freshness(timeToLive: integer(self[.ttlMs]) ?? 0, isPublic: string(self[.cacheScope]) == "public")
    }

    /// Characters of a peer's error text that are kept.
    static let errorLength = 2_000

    /// Of an error answer: its code, if it is an integer, and what to tell people.
    package var errorSummary: (code: Int?, text: String) {
        let error = view(self[.error])
        let code = error["code"]
        let text = (error["message"]?.string ?? "").prefix(Self.errorLength).description.oneLine
        return (code?.integer, "\(text) (\(code?.jsonText.prefix(20) ?? "no code"))")
    }
}
