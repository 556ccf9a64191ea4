/// Everything in here that can grow or wait, with its bound.
package enum AuthorizationLimits {
    // MARK: Requests

    /// For one request, its answer included.
    package static let requestTime = Duration.seconds(30)
    /// Bytes of an answer.
    static let answerLength = 1024 * 1024
    /// Redirects of one request, all within its origin.
    static let redirects = 3
    /// Bytes of all `WWW-Authenticate` headers of one answer that are looked at.
    static let challengeLength = 16 * 1024
    /// Authorization servers of one resource that are tried.
    static let authorizationServers = 4
    /// Bytes of a URL.
    static let urlLength = 8 * 1024
    /// Bytes of a token, which has to fit into a header.
    static let tokenLength = 16 * 1024
    /// Seconds that a token may claim to live, about a hundred years: a sum with the present time must not overflow.
    static let tokenLife = 3_155_760_000.0
    /// Scopes that are asked for.
    static let scopes = 100
    /// Characters of what somebody else says that are shown.
    static let shownText = 200

    // MARK: Tokens

    /// A token that expires within so many seconds is refreshed first: it has to arrive, and clocks differ.
    package static let refreshAhead: Int64 = 60

    // MARK: Login

    /// Bytes of the line and headers of one request of a browser.
    static let callbackRequestLength = 16 * 1024
    /// Connections to our listener at a time. A browser opens a few more than it needs.
    static let callbackConnections = 16
    /// Seconds that a connection to our listener may be silent.
    static let callbackSilence = Duration.seconds(30)
    /// Answers with a wrong state during one login. They are somebody else's, and end nothing; but so many are an attack.
    static let foreignCallbacks = 100

    // MARK: Store

    /// For another process to be done with the file, or with a refresh.
    package static let lockWait = Duration.seconds(60)
    /// Between two attempts to get the lock.
    static let lockPause = Duration.milliseconds(20)
    /// Bytes of the file.
    static let storeLength = 4 * 1024 * 1024
    /// Broken files that are kept.
    static let brokenFiles = 9
}
