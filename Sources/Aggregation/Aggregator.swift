import ConfigFile
import FeatureCatalog
import JSONRPC
import Lifecycle
package import Logging
package import MCPProtocol
package import NIOCore
import OrderedCollections
package import Resilience
package import Transports

/// The hosts on one side, the downstream servers on the other, and the catalog between them.
///
/// The one owner of mutable state, pinned to the event loop of all its connections: channel handlers enter it without a task or a
/// thread hop, so messages keep their order and a forwarded call costs no scheduling. The files beside this one follow the way of a
/// call: `+Hosts`, `+Requests`, `+Downstreams`, `+Children`, `+Remotes`; where it forks, `+Questions`, `+Parking`, `+Input`,
/// `+Gates`, `+Retry`, `+Resources`, `+Listens` and `+Tasks`;
/// beside it are `+Access`, `+Health`, `+Catalog`, `+Offers`, `+Rest`, `+Reload`, `+Quiet`, `+Faults` and `+Shutdown`.
package actor Aggregator {
    /// What differs between a server for hosts and a single command in a shell.
    package struct Options: Sendable {
        /// A first list waits for servers that are starting as long as `listWait` says; otherwise until each is ready or has failed.
        package var limitsListWait = true
        /// A server that ended is started again.
        package var restartsServers = true
        /// The config file says what is logged, not the command line.
        package var followsConfiguredLogLevel = false
        /// What is said to servers of hosts' abilities, whatever hosts say; `nil` to wait for the first.
        package var clientCapabilities: ClientCapabilities?
        /// What is made of what servers offered in earlier runs.
        package var cacheUse = CacheUse.trust

        /// Faults to be made on purpose between us and the servers; `nil` for none. No config file can ask for them.
        package var faults: FaultPolicy?

        package init() {}

        /// For commands that ask one thing and end.
        package static var oneShot: Options {
            var options = Options()
            var capabilities = ClientCapabilities()
            // A person may be there to be asked; whether one is, each question finds out.
            (capabilities.elicitationForm, capabilities.elicitationURL) = (true, true)
            options.clientCapabilities = capabilities
            options.limitsListWait = false
            options.restartsServers = false
            options.cacheUse = .refresh
            return options
        }
    }

    /// Of our own process; what children get is made of it.
    package struct Surroundings: Sendable {
        package var environment: [String: String]
        /// An absolute path.
        package var workingDirectory: String
        /// Variables that every child gets, whatever its config says.
        package var marks: [String: String]
        /// Where logins are kept, an absolute path; `nil` for nowhere.
        package var tokenFile: String?
        /// Where what servers offer is kept; `nil` for nowhere.
        package var cache: (any CacheFiles)?
        /// Seconds since 1970.
        package var wallClock: @Sendable () -> Int64
        /// Gives memory that is free back to the system.
        package var releaseMemory: @Sendable () -> Void
        /// Gives back what was needed to start.
        package var releaseStart: @Sendable () -> Void

        package init(
            environment: [String: String], workingDirectory: String, marks: [String: String] = [:], tokenFile: String? = nil,
            cache: (any CacheFiles)? = nil, wallClock: @escaping @Sendable () -> Int64 = { 0 },
            releaseMemory: @escaping @Sendable () -> Void = {}, releaseStart: @escaping @Sendable () -> Void = {}
        ) {
            self.environment = environment
            self.workingDirectory = workingDirectory
            self.marks = marks
            self.tokenFile = tokenFile
            self.cache = cache
            self.wallClock = wallClock
            self.releaseMemory = releaseMemory
            self.releaseStart = releaseStart
        }
    }

    package nonisolated let eventLoop: any EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    let identity: Implementation
    let bridge: EraBridge
    let options: Options
    let surroundings: Surroundings
    let launcher: ChildLauncher?
    /// Runs what may block, as files and people do; `nil` for anywhere but on the event loop.
    let sideExecutor: (any TaskExecutor)?
    var logger: Logger
    var random: any RandomNumberGenerator & Sendable
    /// What the states of parked calls begin with. Another one in each process: an mcpagg behind this one has states, too.
    let statePrefix: String

    var config = AggregatorConfig()
    /// A good config was seen.
    var hasConfig = false
    /// The config file was broken whenever it was read.
    package var neverHadGoodConfig: Bool { !hasConfig && configProblem != nil }
    /// What is wrong with the config file as it is now; `nil` if nothing is.
    var configProblem: String?
    var redact = Redaction()
    /// Of all configs so far.
    var secrets: Set<String> = []
    /// Of headers that were fetched, by server: the latest and those before.
    var fetchedSecrets: [String: [[String]]] = [:]

    var hosts = NumberedTable<HostConnectionID, HostConnection>()
    var hostCount = 0
    var local: [HostConnectionID: LocalRequests] = [:]
    var downstreams = NumberedTable<DownstreamID, Downstream>()
    var downstreamCount = 0
    /// The server that answers for each key of the config file, in its order.
    var current: OrderedDictionary<String, DownstreamID> = [:]
    /// Servers whose config changed: started, and taking over as soon as they are ready or have failed.
    var replacements: [String: DownstreamID] = [:]

    var catalog = Catalog.empty
    /// A server's tools or names changed since ``catalog`` was merged.
    var isCatalogStale = false
    /// Lists, and calls of tools nobody offers yet, that came while servers were starting for the first time.
    var early: [EarlyRequest] = []
    /// From now on no list waits.
    var isListWaitOver = false
    /// Whoever wants to know when every server, or this one, is ready or has failed.
    var settledWaiters: [(key: String?, continuation: CheckedContinuation<Void, Never>)] = []

    let pending = PendingWrites()
    var quiet = QuietWatch()
    /// All servers of the first config have been started.
    var hasStarted = false
    /// Makes the faults that somebody has asked for.
    let injection: FaultInjection?
    /// What outlives us, to end all that was launched.
    lazy var childGuard = Guard(guardProcess, on: eventLoop) { [weak self] in
        self?.assumeIsolated {
            $0.guardWasKilled()
            $0.flush()
        }
    }
    private let guardProcess: GuardProcess?
    /// What hosts can do for servers; `nil` until the first one said so, and no handshake begins before that.
    var clientCapabilities: ClientCapabilities? { didSet { needsAbilities = clientCapabilities == nil || areCapabilitiesAssumed } }
    /// The era of the first host's first message: servers that speak both are spoken to in this one.
    var preferredEra = Revision.Era.handshake
    /// What a host said in `server/discover`, behind which `initialize` may follow.
    var probedCapabilities: ClientCapabilities?
    /// No host has said so; ``clientCapabilities`` is what can be done by any.
    var areCapabilitiesAssumed = false { didSet { needsAbilities = clientCapabilities == nil || areCapabilitiesAssumed } }
    /// Either: whether a message of a host is to be looked into for it. Known without a look, as this comes with each.
    private(set) var needsAbilities = true
    /// Whom URIs in results came from.
    var ownership = Ownership()
    /// Resources that hosts want to hear of.
    var subscriptions: [String: Subscription] = [:]
    /// Requests to subscribe to resources of stateless servers which have not said that they tell of them.
    var pendingSubscribes: [(request: HostRequest, uri: String, downstream: DownstreamID)] = []
    /// Stateless servers that are to tell of something else than they were asked to: asked at the end of the turn.
    var changedListens: Set<DownstreamID> = []
    /// What was found out about servers behind URLs, by URL.
    var knownRemotes: [String: KnownRemote] = [:]
    var timers: [Timer: (number: Int, task: Scheduled<Void>)] = [:]
    private var timerCount = 0
    /// What servers offered in earlier runs, once it was looked for.
    var cache: CatalogCache?
    var hasCacheFailed = false
    /// The person was told that something could not be kept; once is enough.
    var wasSaidNotKept = false
    /// What they offer now is not kept yet.
    var unkept: Set<DownstreamID> = []
    /// What is being kept, beside the event loop.
    var keeping: Task<Void, Never>?
    /// Looks after the config file.
    var watcher: FileWatcher?
    /// Looks after the file of logins, once a server wants one.
    var loginWatcher: FileWatcher?
    var ending: Ending?
    let endedPromise: EventLoopPromise<Void>
    /// Succeeds when no child is left and the hosts have got their last words.
    package nonisolated var ended: EventLoopFuture<Void> { endedPromise.futureResult }

    /// A resource that is subscribed to at its server.
    struct Subscription {
        /// Its key in the config file: the subscription outlives a restart.
        var server: String
        var listeners: Set<Listener> = []
    }

    /// Who wants to hear of a resource.
    struct Listener: Hashable {
        var host: HostConnectionID
        /// The request under which a stateless host does; `nil` in the handshake era.
        var listen: RequestID?
    }

    /// What a timer stands for; there is at most one of each.
    enum Timer: Hashable, Sendable {
        /// The handshake takes too long.
        case startup(DownstreamID)
        /// The server has been silent for a while, or does not show that it is well.
        case health(DownstreamID)
        /// A program that prints headers for it takes too long, or what it printed is too old.
        case headers(DownstreamID)
        case restart(DownstreamID)
        /// Next step of ending a child.
        case teardown(DownstreamID)
        /// A list that changes all the time is read again.
        case relist(DownstreamID)
        /// The server does not answer what it was asked about its era.
        case probe(DownstreamID)
        /// A listener has waited long enough for servers to say what can be subscribed to.
        case acknowledge(HostConnectionID, RequestID)
        /// A stateless server is asked again to tell of changes.
        case listenAgain(DownstreamID)
        /// The questions of a call go to its stateless host.
        case ask(HostConnectionID, ParkingID)
        /// A stateless host has not come back with what it was asked for.
        case parked(HostConnectionID, ParkingID)
        /// A task is looked at again.
        case task(DownstreamID, Int)
        /// A stateless server asked for another try.
        case inputRetry(HostConnectionID, RequestID)
        /// The rate limit lets the next call through.
        case gate(DownstreamID)
        /// A request that got no answer is sent again.
        case repetition(HostConnectionID, RequestID)
        /// One end of a child is known, the other not yet.
        case childEnd(DownstreamID)
        /// A call times out.
        case expiry(DownstreamID)
        case listWait
        /// No host has said what it can do.
        case hostWait
        case announce
        /// There was traffic, and may be none any more.
        case quiet
        /// What servers offer now is kept.
        case keep
        /// Servers that the first answers did not need are launched.
        case launch
        case hostGrace(HostConnectionID)
        /// Nothing keeps us longer than this.
        case end
    }

    /// - Parameters:
    ///   - executor: for what may block.
    ///   - guardProcess: one that nobody else uses; without it the first launch forks one.
    package init(
        on eventLoop: any EventLoop, beside executor: (any TaskExecutor)? = nil, identity: Implementation, options: Options = Options(),
        surroundings: Surroundings, guardProcess: GuardProcess? = nil, logger: Logger, random: any RandomNumberGenerator & Sendable,
        launcher: ChildLauncher? = nil
    ) {
        self.eventLoop = eventLoop
        self.identity = identity
        bridge = EraBridge(identity: identity)
        self.options = options
        injection = options.faults.map { FaultInjection($0, on: eventLoop) }
        clientCapabilities = options.clientCapabilities
        needsAbilities = options.clientCapabilities == nil
        self.surroundings = surroundings
        self.launcher = launcher
        sideExecutor = executor
        self.guardProcess = guardProcess
        self.logger = logger
        var random = random
        statePrefix = "mcpagg-\(String(random.next(), radix: 36))-"
        self.random = random
        endedPromise = eventLoop.makePromise(of: Void.self)
    }

    var now: Instant { Instant(nanoseconds: Int64(clamping: eventLoop.now.uptimeNanoseconds)) }

    // MARK: Timers

    /// Calls ``fired(_:)`` after this time, instead of when it was to be called for this timer before.
    func set(_ timer: Timer, after delay: Duration) {
        timers[timer]?.task.cancel()
        timerCount += 1
        let number = timerCount
        let task = eventLoop.scheduleTask(in: .nanoseconds(max(0, delay.clampedNanoseconds))) {
            self.assumeIsolated {
                // The loop takes all that is due at once: one of these may have cancelled this one, or set it anew.
                guard $0.timers[timer]?.number == number else { return }
                $0.timers[timer] = nil
                $0.fired(timer)
                $0.flush()
            }
        }
        timers[timer] = (number, task)
    }

    func cancel(_ timer: Timer) { timers.removeValue(forKey: timer)?.task.cancel() }

    private func fired(_ timer: Timer) {
        switch timer {
        case .startup(let id): if let downstream = downstreams[id] { startupTimedOut(downstream) }
        case .health(let id): if let downstream = downstreams[id] { healthDue(downstream) }
        case .headers(let id): if let downstream = downstreams[id] { headersDue(downstream) }
        case .restart(let id): if let downstream = downstreams[id] { restart(downstream) }
        case .teardown(let id): if let downstream = downstreams[id] { continueTeardown(of: downstream) }
        case .childEnd(let id): if let downstream = downstreams[id] { childEndIsDue(downstream) }
        case .probe(let id): if let downstream = downstreams[id] { probeTimedOut(downstream) }
        case .listenAgain(let id): if let downstream = downstreams[id] { listen(to: downstream) }
        case .acknowledge(let id, let request): if let host = hosts[id] { endListenWait(request, host: host) }
        case .ask(let id, let parking): if let host = hosts[id] { askParked(parking, host: host) }
        case .parked(let id, let parking): if let host = hosts[id] { endParking(parking, host: host, reason: "the host did not come back") }
        case .task(let id, let number): if let downstream = downstreams[id] { lookAtTask(number, of: downstream) }
        case .inputRetry(let id, let request): if let host = hosts[id] { sendInput(request, host: host) }
        case .gate(let id): if let downstream = downstreams[id] { admitWaiting(at: downstream) }
        case .repetition(let id, let request): if let host = hosts[id] { repetitionIsDue(request, host: host) }
        case .relist(let id): if let downstream = downstreams[id] { readListAgain(of: downstream) }
        case .expiry(let id): if let downstream = downstreams[id] { expireCalls(of: downstream) }
        case .listWait: endListWait()
        case .hostWait:
            let era = probedCapabilities == nil ? preferredEra : .stateless
            learn(probedCapabilities ?? ClientCapabilities(), era: era, isAssumed: probedCapabilities == nil)
        case .announce: announce()
        case .quiet: quietIsDue()
        case .keep: keepOffers()
        case .launch: launchAll()
        case .hostGrace(let id): if let host = hosts[id] { leave(host) }
        case .end: end()
        }
    }

    // MARK: Writing

    /// All lines of one read were worked off.
    func readCompleted() {
        expectQuiet()
        flush()
    }

    /// Writes what this turn of the event loop has gathered, one write per peer.
    func flush() {
        if !changedListens.isEmpty { renewListens() }
        if ending == nil { leaveServedHosts() }
        pending.flush()
    }

    // MARK: Telling people

    /// Logs, and tells the hosts that asked for log messages.
    func report(_ level: LogLevel, _ text: String) {
        let text = redact(text)
        logger.log(level: level.loggerLevel, "\(text)")
        let line = Composition.notification(
            .message,
            params: JSONWriter.object {
                $0.member("level", level.rawValue)
                $0.member("logger", identity.name)
                $0.member("data", text)
            })
        for host in hosts.values {
            guard host.machine.isOpen, let wanted = host.machine.logLevel, level >= wanted else { continue }
            host.send(line: line)
        }
    }

    func debug(_ text: @autoclosure () -> String) {
        // Not even composed unless somebody wants it: some of these come with every message of a bad server.
        guard logger.logLevel <= .debug else { return }
        logger.debug("\(redact(text()))")
    }
}

extension LogLevel {
    fileprivate var loggerLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical, .alert, .emergency: .critical
        }
    }
}
