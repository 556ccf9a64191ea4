import DequeModule
import MCPProtocol
import NIOCore
import NIOHTTP1
import Resilience

// Who we are to the server, and in which session.
extension RemoteServer {
    // MARK: Authorization

    /// From now on requests carry these headers. What was refused is sent again.
    /// - Parameter identity: whom they speak for. A session is never used by two: with another one, it is ended and a new one is begun.
    package func authorize(_ headers: [(name: String, value: String)], identity: String) {
        let wasSomebodyElse = credentials > 0 && identity != self.identity
        if wasSomebodyElse, wire == .streamable, sessionID != nil || session == .beginning || session == .announcing { forsakeSession() }
        self.identity = identity
        self.headers = HTTPHeaders(headers.map { ($0.name, $0.value) })
        credentials += 1
        isUnauthorized = false
        sendHeld()
        if wire == .legacy, listening == nil { listen() }
        listening?.authorized()
        expectFlush()
    }

    /// There is no authorization: what was refused fails.
    package func refuse(_ failure: HTTPFailure) {
        let refused = held
        held = []
        isUnauthorized = false
        for post in refused { post.fail(failure, mayRepeat: false) }
        listening?.refused(failure)
        expectFlush()
    }

    /// Our ids of the requests that the server has certainly not carried out.
    package var requestsNotCarriedOut: [Int] {
        (Array(requests) + Array(others) + held).compactMap { $0.request?.id }
            + posts.values.filter(\.isWaiting).compactMap { $0.request?.id }
    }

    /// What the server owes us before anything can be sent.
    package var awaitsEndpoint: Bool { wire == .legacy && endpoint == nil && listening != nil }

    /// A message was refused for want of authorization, and waits for it.
    func hold(_ post: Post?, status: Int, challenges: [String]) {
        if let post {
            posts[ObjectIdentifier(post)] = nil
            held.append(post)
        }
        guard !isUnauthorized else { return }
        isUnauthorized = true
        delegate.unauthorized(status: status, challenges: challenges)
    }

    package var hasCredentials: Bool { headers != nil }
    package var hasSession: Bool { sessionID != nil }
    package var isResting: Bool { session == .resting }

    /// Ends the session, unless something is under way in it; the next message begins another one.
    package func rest() {
        guard wire == .streamable, let sessionID, let headers, session == .open, !isUnauthorized,
            posts.isEmpty, requests.isEmpty, others.isEmpty, held.isEmpty
        else { return }
        self.sessionID = nil
        session = .resting
        // First: a request for it must not come after the end of the session.
        listening?.stop()
        listening = nil
        sayGoodbye(Farewell(sessionID: sessionID, headers: headers, revision: revision)) {}
    }

    /// Ends sessions that we are not in any more, once nothing is under way in them.
    func sayFarewells() {
        for farewell in farewells where !posts.values.contains(where: { $0.sessionID == farewell.sessionID }) {
            farewells.removeAll { $0.sessionID == farewell.sessionID }
            sayGoodbye(farewell) {}
        }
    }

    /// The session belongs to somebody we are not any more.
    private func forsakeSession() {
        // What began it is not to end in the new one; calls that are under way in it are.
        for post in Array(posts.values) where post.isFirst { finish(post) }
        others.removeAll(where: \.isFirst)
        held.removeAll(where: \.isFirst)
        let farewell = sessionID.flatMap { id in headers.map { Farewell(sessionID: id, headers: $0, revision: revision) } }
        leaveSession()
        if let farewell {
            farewells.append(farewell)
            sayFarewells()
        }
        delegate.sessionLost()
    }

    private func leaveSession() {
        // An answer would be one to another question in the next session, and of what notifications tell it knows nothing.
        others.removeAll { $0.request == nil }
        held.removeAll { $0.request == nil }
        // Before the end of the session is told: a request for the stream must not come after that.
        listening?.stop()
        listening = nil
        sessionID = nil
        session = .beginning
    }

    /// Sends what was held back.
    func sendHeld() {
        let posts = held
        held = []
        for post in posts.reversed() where post.isWanted { enqueueAgain(post) }
        expectFlush()
    }

    // MARK: Faults

    /// Breaks every connection that something is under way on, as soon as this turn of the event loop is over.
    package func cut() {
        eventLoop.assumeIsolated().execute {
            for post in Array(self.posts.values) { post.cut() }
            self.listening?.cut()
            self.delegate.readCompleted()
        }
    }

    // MARK: Sessions

    /// The server takes requests of the session now.
    func announced() {
        guard session == .announcing else { return }
        guard wire == .streamable else { return opened() }
        session = .opening
        listen()
        let opening = sessionID
        // Some servers answer only when there is something to tell.
        eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(HTTPLimits.openingWait.clampedNanoseconds)) {
            // It may have been lost meanwhile, and the next one may not be announced yet.
            guard self.session == .opening, self.sessionID == opening else { return }
            self.opened()
            self.flush()
        }
    }

    /// The stream of notifications is open, or there is none.
    func opened() {
        guard session == .opening || session == .announcing else { return }
        session = .open
        sendHeld()
    }

    /// The server does not know the session that something was sent in.
    /// - Parameter post: what is to be sent again in another one.
    func lostSession(_ lost: String, _ post: Post?) {
        if let post, post.request != nil { held.append(post) }
        guard lost == sessionID, session == .open || session == .announcing || session == .opening else {
            if session == .open { sendHeld() }
            return
        }
        lossesInARow += 1
        guard lossesInARow <= HTTPLimits.sessionLosses else {
            return delegate.lost(HTTPFailure(.transient, .refused, cause: "it forgets each session as soon as it has begun"))
        }
        leaveSession()
        delegate.sessionLost()
    }
}
