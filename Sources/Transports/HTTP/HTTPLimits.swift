import JSONRPC

/// Everything of an HTTP connection that can grow or wait, with its bound.
package enum HTTPLimits {
    /// Requests sent to one server and not answered; more wait for their turn.
    package static let requestsInFlight = 64
    /// TCP connections to one server: besides those for requests there are some for answers, notifications and streams, or a server
    /// that waits for an answer of ours in each of its requests would never get it.
    package static let connections = requestsInFlight + 16
    /// To connect, TLS handshake included.
    package static let connectTimeout = Duration.seconds(10)
    /// An unused connection is closed after this.
    package static let connectionIdleTime = Duration.seconds(60)
    /// For a notification or an answer of ours to be accepted.
    package static let acceptanceWait = Duration.seconds(30)
    /// For the stream of notifications to be opened; after that requests wait for it no longer.
    package static let openingWait = Duration.seconds(1)
    /// For the `DELETE` that ends a session.
    package static let goodbyeWait = Duration.seconds(1)
    /// A stream that is still open this long after its request was answered is closed.
    package static let lingerWait = Duration.seconds(1)
    /// Sessions in a row that a server forgets before it has done anything in them.
    package static let sessionLosses = 3
    /// No stream is asked for again sooner, whatever the server asks for.
    package static let shortestRetry = Duration.milliseconds(100)
    /// Addresses of one server, each with a method, that are kept in the form that requests need.
    package static let requestTemplates = 8
    /// Redirects of one request.
    package static let redirects = 3
    /// Bytes kept of a body that tells of a failure.
    package static let failureBody = 64 * 1024
    /// Characters of it that are shown.
    package static let shownBody = 160
    /// Attempts in a row to go on with the stream of a request, of which none brought anything.
    package static let resumptions = 8
    /// The longest time a server may make us wait before we connect again to a stream, or repeat what it had no time for.
    package static let longestRetry = Duration.seconds(300)
    /// Bytes of a session id or a header of a parameter.
    package static let headerValue = 8 * 1024
    /// Bytes of requests that wait for their turn.
    package static let outbox = 2 * LineFraming.defaultLimit
}
