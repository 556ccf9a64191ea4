import ConfigFile
import Crypto
import DequeModule
import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

/// One downstream server with all that is known of it. Belongs to the ``Aggregator``.
final class Downstream {
    let id: DownstreamID
    var config: ServerConfig
    var life = DownstreamLife()
    var machine: DownstreamProtocol
    /// What runs now, or is being ended; `nil` between two launches.
    var child: Child?
    /// The same for a server behind a URL.
    var remote: Remote?
    /// Faults are made on purpose on the way to it; `nil` if not.
    var faults: FaultyLink?
    /// What it is sent goes here; `nil` between two launches.
    var connection: (any ServerConnection)? {
        let connection: (any ServerConnection)? = child?.connection ?? remote?.server
        guard let faults else { return connection }
        return connection.map { FaultyConnection($0, faults) }
    }
    /// The connection is of no use any more: that has been dealt with, calls are answered, and a restart is planned.
    var isLost = false
    var isConnected: Bool { connection != nil && !isLost }
    var launches = 0
    /// What it offers, from the last lists that could be read. Kept while it restarts.
    var features: [FeatureKind: [FeatureDefinition]] = [:]
    /// How long those lists may be taken for granted. Of what is kept from an earlier run nothing is known.
    var freshness: [FeatureKind: Freshness] = [:]
    /// What it said of itself the last time it was ready, in this run or an earlier one.
    var lastKnown: DownstreamProtocol.Introduction?
    /// What is known of it.
    var introduction: DownstreamProtocol.Introduction? { machine.introduction ?? lastKnown }
    /// All that is known of it is from an earlier run.
    var isRestored = false
    /// The cache has what it offers now, under this key, as it was learned then: seconds since 1970.
    var isKept = false
    var cacheKey: CatalogCache.Key?
    var learnedAt: Int64?
    /// What it was told of hosts when it was last launched.
    var spokenFor: (ClientCapabilities, Revision.Era)?
    /// It rests, but what ran before is still being ended: it is to be launched then.
    var isWanted = false
    /// Why lists could not be read the last time.
    var listFailures: [FeatureKind: String] = [:]
    /// Requests that came while it was starting, or had no place for them.
    var queue = CallQueue()
    var breaker = CircuitBreaker()
    /// Calls in flight up to which one may find out whether it is well, while the circuit is half open.
    var probeLimit = 1
    /// The server wants no calls before this.
    var leaveAloneUntil: Instant?
    /// When calls were sent, for its rate limit.
    var window = SlidingWindow()
    /// What it asked hosts, by its own ids.
    var questions: [RequestID: OpenQuestion] = [:]
    /// What its tasks want to know, as far as it was asked.
    var taskQuestions: [RequestID: TaskQuestion] = [:]
    /// What it asked before any host was ready to be asked.
    var earlyQuestions: [Message] = []
    /// Ids of the elicitations at a URL that it told hosts of, and has not called complete. The oldest are forgotten first.
    var elicitations: OrderedSet<String> = []
    /// What it wants to get back with the answers to what it asked a stateless host for: digests, and who was asked when. What it knows
    /// of that may be in its memory alone. The oldest are forgotten first.
    var inputStates: OrderedDictionary<SHA256Digest, (host: HostConnectionID, asked: Instant)> = [:]
    /// When the earliest of its calls times out; no timer runs if `nil`.
    var nextExpiry: Instant?
    /// When it was last sent something by a host, and when it last said something.
    var lastCall = Instant(nanoseconds: 0)
    var lastHeard = Instant(nanoseconds: 0)
    /// Our id of the request with which it was last got to know anew.
    var learned = 0
    /// Which of the methods that show whether it is well it was asked last; `nil` if none is waited for.
    var healthCheck: Int?
    /// It ended when it was asked for its era: it is launched once more and not asked.
    var endedWhenProbed = false

    /// A question that a host was asked.
    struct OpenQuestion {
        enum Place {
            /// It was asked under this id of ours.
            case asked(Int)
            /// It is part of an answer to the call that is parked here, or will be.
            case parked(ParkingID, key: String)
        }

        var host: HostConnectionID
        var place: Place
        var method: Method
        /// A request was in flight at the server when it asked: with the last of those the question has lost its reason.
        var hasCause: Bool
        /// Our id of the request that led to it, as far as we know; `nil` if the server asked on its own account.
        var cause: Int?
        /// The server, or its transport, says so; else it is the newest there was.
        var isCauseCertain: Bool
        /// When it was asked, and until when the time of that request has been made to stand still.
        var asked: Instant
        var since: Instant
    }

    struct TaskQuestion {
        /// Our id of the call that became the task.
        var task: Int
        var key: String
    }

    /// The host's changes of its roots were promised to it in its handshake.
    var wasToldOfRootsChanges = false

    /// For when the timer is set.
    var relistDue: Instant?
    var logs = Allowance(Limits.chatter, per: Limits.chatterStretch)
    var progress = Allowance(Limits.chatter, per: Limits.chatterStretch)
    /// Since its launch the person was told that some of it is dropped.
    var isKnownToChatter = false

    // For people: status, error texts.
    var launchedAt: Instant?
    /// From launch to the first complete tool list.
    var startTime: Duration?
    var failure: Failure?
    /// The last that counted for its circuit: of the server, or of one call.
    var lastFailure: (cause: String, at: Instant)?
    var figures = Figures()
    var errorOutput = ErrorOutputRing()
    var noise = Noise()

    /// A child process and how far its end has come.
    struct Child {
        let process: any LaunchedChild
        /// Of the process; kept beside it because every message goes there.
        let connection: LineConnection
        var teardown: Teardown?
        var exitStatus: ExitStatus?
        var isInputClosed = false
        /// It takes nothing any more.
        var isOutputClosed = false
        var isErrorOutputClosed = false

        init(process: any LaunchedChild) {
            self.process = process
            connection = process.connection
        }

        /// Its last words, on either pipe, have been read.
        var isOver: Bool { exitStatus != nil && isInputClosed && isErrorOutputClosed }
    }

    /// A server behind a URL.
    struct Remote {
        var server: RemoteServer
        var access: RemoteAccess
        /// It refuses `initialize` as servers of the oldest transport do.
        var mayBeLegacy = false
        /// What may help, if it is of no use as a server of MCP.
        var hint: String?
        /// What it said before it was tried with the oldest transport.
        var refusal: String?
        /// Arguments that are repeated in headers, by the tools' names.
        var parameters: [String: [HeaderParameter]] = [:]
    }

    /// What the transport knows of what was received besides its bytes. Only HTTP knows anything.
    struct Arrival {
        /// Our id of the request on whose stream it came.
        var request: Int?
        /// It is one of many on that stream, not the whole of an answer.
        var isEvent = false
        /// It belongs to a session that is over: nothing in it can be answered.
        var isStale = false
    }

    /// Why it is not running.
    struct Failure {
        /// What can be done about it (DESIGN, D8).
        enum Kind: String {
            /// Nothing, before the person changes something.
            case configuration
            /// The person has to log in.
            case authorization
            /// It ends again and again, soon after it was started: it is tried less and less often.
            case crashLoop = "crash loop"
            /// The next attempt may work.
            case transient
            /// It wants to be left alone for a while.
            case overload
        }

        var kind: Kind
        var cause: String
        var hint: String?
        var at: Instant
    }

    /// What has happened since we know it.
    struct Figures {
        var sent = 0
        var answered = 0
        /// Calls without an answer, and connections that were lost.
        var failures = 0
        var timeouts = 0
        /// Requests that were sent again.
        var repeated = 0
        /// Answers that came after their calls were given up, of earlier launches.
        var late = 0
    }

    /// Lines on its standard output that are no messages.
    struct Noise {
        var lines = 0
        var first: String?
    }

    init(id: DownstreamID, config: ServerConfig, machine: DownstreamProtocol) {
        self.id = id
        self.config = config
        self.machine = machine
    }

    var key: String { config.key }

    /// What is said of requests that it cannot be sent.
    var unavailability: RequestFailure { failure?.kind == .authorization ? .authorizationNeeded : .unavailable }

    func sawElicitation(_ id: String) {
        elicitations.append(id)
        if elicitations.count > Limits.elicitations { elicitations.removeFirst() }
    }

    func askedForInput(_ state: String, host: HostConnectionID, now: Instant) {
        inputStates[SHA256.hash(data: Array(state.utf8))] = (host, now)
        if inputStates.count > Limits.inputStates { inputStates.removeFirst() }
    }

    func inputCame(_ state: String) { inputStates[SHA256.hash(data: Array(state.utf8))] = nil }

    /// It answers, or will be started to answer.
    var isAvailable: Bool { life.isReady || life.isResting }

    /// Nothing of it is left to wait for.
    var isIdle: Bool { queue.isEmpty && machine.requestsInFlight == 0 }
}
