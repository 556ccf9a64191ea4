package import JSONRPC
package import MCPProtocol
package import NIOCore
package import Resilience

/// One of the connections on which hosts reach us.
package struct HostConnectionID: Hashable, Sendable {
    package let number: Int
    package init(_ number: Int) { self.number = number }
}

/// A request of a host: what its answer has to be addressed to.
package struct HostRequest: Hashable, Sendable {
    package var connection: HostConnectionID
    package var id: RequestID
    /// The batch it came in, whose answers leave together (2025-03-26 only).
    package var batch: Int?
    /// Of a stateless request; `nil` in the handshake era.
    package var envelope: Envelope?
    /// The request was answered with a question of its server, while the server goes on with it: where the answer is to be kept.
    package var parking: ParkingID?

    package init(connection: HostConnectionID, id: RequestID, batch: Int? = nil, envelope: Envelope? = nil) {
        self.connection = connection
        self.id = id
        self.batch = batch
        self.envelope = envelope
    }

    package var era: Revision.Era { envelope == nil ? .handshake : .stateless }
}

/// A call that goes on at its server while the host fetches what the server asked for.
package struct ParkingID: Hashable, Sendable {
    package let number: Int
    package init(_ number: Int) { self.number = number }
}

/// A request on its way through us: whose it is, and how long it may take.
///
/// One object from the moment it is sent until it is answered: it is handed on too often to be copied each time.
package final class ForwardedRequest {
    /// What is asked of the server; it decides what the host is told if there is no answer.
    package enum Purpose: Hashable, Sendable {
        case tool, prompt, read, complete
        /// Asks for the state of a task, its result, or its end.
        case task(Method)
        case subscribe(uri: String)
        case unsubscribe(uri: String)

        /// The server may ask for something before it answers, or a stateless one instead (2026-07-28, basic, "Multi round-trip
        /// requests").
        package var mayAsk: Bool {
            switch self {
            case .tool, .prompt, .read, .task(.tasksResult): true
            case .complete, .subscribe, .unsubscribe, .task: false
            }
        }
    }

    package var request: HostRequest
    package var purpose: Purpose
    /// The token the host wants progress under, as JSON text; `nil` if it wants none.
    package var progressToken: String?
    /// How long the server may be silent; each progress notification starts this anew.
    package var idleTimeout: Duration
    /// When it is over however much progress there is; `nil` for no such end.
    package var latest: Instant?
    /// Until when the time in which a person was asked has been left out.
    package var pausedUntil: Instant?
    /// We asked for a task, for a host that knows nothing of it: what the server answers is followed to its result.
    package var runsAsTask = false
    /// The host asked for a task, which it follows itself.
    package var wantsTask = false
    /// The task that it is about, as the server calls it: JSON text.
    package var followedTask: String?
    /// The task that it became.
    package var task: TaskRun?
    /// What was tried before this attempt, and when this one was sent.
    package var history = CallHistory(began: Instant(nanoseconds: 0))
    package var sent = Instant(nanoseconds: 0)
    /// The host's message, if it can be sent again as it is.
    package var line: ByteBuffer?
    /// It may be sent again though it may have been carried out.
    package var isHarmless = false
    /// What the server spoke when it was sent. It may be got to know anew meanwhile, and the answer is in these terms all the same.
    package var serverEra = Revision.Era.handshake

    /// Of the host's request.
    package var hostEra: Revision.Era { request.era }

    package init(request: HostRequest, purpose: Purpose, progressToken: String?, idleTimeout: Duration, latest: Instant?) {
        self.request = request
        self.purpose = purpose
        self.progressToken = progressToken
        self.idleTimeout = idleTimeout
        self.latest = latest
    }

    /// A task of a server that we follow.
    package struct TaskRun: Hashable, Sendable {
        /// What the server calls it: JSON text.
        package var id: String
        /// How long to wait before each look at it.
        package var pause: Duration
        /// Keys of what it asked for, and was asked of the host.
        package var asked: Set<String> = []
        /// Its result was asked for: that request is answered when there is one.
        package var awaitsResult = false
    }

    /// When it is given up, if nothing is heard of it from now on.
    package func deadline(from now: Instant) -> Instant {
        let idle = now.advanced(by: idleTimeout)
        return latest.map { min($0, idle) } ?? idle
    }
}
