package import Resilience

/// Why a request over HTTP has no answer, or a stream of events has ended (DESIGN, D8).
package struct HTTPFailure: Error, Sendable {
    /// What can be done about it.
    package enum Kind: Hashable, Sendable {
        /// Nothing, before the person changes something.
        case configuration
        /// The person has to be authorized, or to have more rights.
        case authorization
        /// It may work the next time.
        case transient
        /// It may work after this time, or after any if the server does not say.
        case overload(retryAfter: Duration?)
        /// What answers there does not speak MCP, or not as it should.
        case notMCP
    }

    /// What became of the request (DESIGN, D7).
    package typealias Delivery = Resilience.Delivery

    package var kind: Kind
    package var delivery: Delivery
    /// Completes "server 'x' is down: …" and "the request failed: …".
    package var cause: String
    package var hint: String?
    /// The status of the answer, if there was one.
    package var status: Int?

    package init(_ kind: Kind, _ delivery: Delivery, cause: String, hint: String? = nil, status: Int? = nil) {
        self.kind = kind
        self.delivery = delivery
        self.cause = cause
        self.hint = hint
        self.status = status
    }
}

extension HTTPFailure: CustomStringConvertible {
    package var description: String { cause + (hint.map { " (\($0))" } ?? "") }
}
