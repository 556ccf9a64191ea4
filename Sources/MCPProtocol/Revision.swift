/// A published revision of the Model Context Protocol.
// swift-format-ignore: AlwaysUseLowerCamelCase
// Revisions are called by their dates, and a date without its marks cannot be read.
package enum Revision: String, CaseIterable, Comparable, Sendable {
    case v2024_11_05 = "2024-11-05"
    case v2025_03_26 = "2025-03-26"
    case v2025_06_18 = "2025-06-18"
    case v2025_11_25 = "2025-11-25"
    case v2026_07_28 = "2026-07-28"

    /// How two parties that speak a revision get to know each other.
    package enum Era: Sendable {
        /// `initialize` opens a session that both sides remember.
        case handshake
        /// Every request carries its own envelope; there is no session.
        case stateless

        // By hand, so that it is inlined in other modules: a dozen times for each call.
        @inlinable package static func == (one: Era, other: Era) -> Bool {
            switch (one, other) {
            case (.handshake, .handshake), (.stateless, .stateless): true
            case (.handshake, .stateless), (.stateless, .handshake): false
            }
        }
    }

    /// What we answer to an `initialize` that asks for something we cannot speak there, and what we offer to servers.
    package static let newestHandshake = v2025_11_25

    /// What we put into the envelope of a stateless request.
    package static let newestStateless = v2026_07_28

    package var era: Era { self < .v2026_07_28 ? .handshake : .stateless }

    /// JSON-RPC batches exist in this revision alone.
    package var hasBatches: Bool { self == .v2025_03_26 }

    /// Whether an error about an unreadable message may go out without an id: schemas before this demand one.
    package var allowsErrorsWithoutID: Bool { self >= .v2025_11_25 }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The revision to answer an `initialize` with (2025-11-25, basic/lifecycle, "Version Negotiation"): the one asked for if it is
    /// a handshake revision that we know, else the newest such. Never an error, and never a stateless revision.
    package static func negotiated(asked: String) -> Revision {
        guard let revision = Revision(rawValue: asked), revision.era == .handshake else { return newestHandshake }
        return revision
    }
}
