/// Why a call got no answer of its server: what a program may want to know of a result that we composed.
package enum RequestFailure: String, Sendable {
    /// It was not sent; nothing has happened.
    case unavailable
    /// The person has to log in, or to have more rights; nothing has happened.
    case authorizationNeeded
    /// It was sent and not answered in time.
    case timedOut
    /// It was sent, and will never be answered: it may have had effects, or not.
    case outcomeUnknown

    /// Under this key of the result's `_meta` stands the raw value.
    package static let metaKey = "dev.mcpagg/failure"
    /// And under this one what was tried: an object with `server`, `attempts`, `sent`, and, if it was, `sentAt` and `sentAgo_ms`.
    package static let deliveryKey = "dev.mcpagg/delivery"
}
