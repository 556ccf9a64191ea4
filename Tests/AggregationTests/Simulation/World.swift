import ConfigFile
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import NIOEmbedded
import OrderedCollections
import Resilience
import TestSupport
import Transports

@testable import Aggregation

/// One run of a schedule: the aggregator as it is, and around it hosts, servers and time that are in memory. Belongs to the loop.
final class World {
    let loop: NIOAsyncTestingEventLoop
    let seed: UInt64
    let schedule: Schedule
    private(set) var hosts: [VirtualHost] = []
    private(set) var children: [VirtualChild] = []
    var calls: [Call]
    private(set) var trace: [String] = []
    private(set) var failures: [String] = []
    /// What the configs so far allowed for a server, by its key.
    private(set) var policies: [String: [RetryPolicy]] = [:]
    private(set) var hasEnded = false
    /// The process ends at once, whatever it still holds.
    private var endsAtOnce = false
    private let begun: NIODeadline
    private var present: Aggregator?

    /// More would say nothing new.
    private static let failureLimit = 5
    /// How long the end may take at most: the grace of the host, and each step after it.
    private static let endTime = 30_000

    /// - Parameter isTalkative: what the aggregator logs is part of the trace.
    init(seed: UInt64, loop: NIOAsyncTestingEventLoop, isTalkative: Bool = false) {
        (self.seed, self.loop) = (seed, loop)
        schedule = Schedule(seed: seed)
        calls = schedule.calls
        begun = loop.now
        let this = NIOLoopBound(self, eventLoop: loop)
        let launcher = ChildLauncher { command, _, pending, delegate, lineLimit in
            this.value.launch(command, pending, delegate, lineLimit)
        }
        var logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        if isTalkative { logger = Logger(label: "simulation") { _ in TraceLog(world: this) } }
        present = Aggregator(
            on: loop, identity: Implementation(name: "mcpagg", version: "1"),
            surroundings: Aggregator.Surroundings(environment: [:], workingDirectory: "/"),
            logger: logger, random: SeededGenerator(seed: seed, of: "aggregator"), launcher: launcher)
    }

    var aggregator: Aggregator {
        guard let present else { preconditionFailure("the run is over") }
        return present
    }

    // MARK: Time

    private var now: Int { Int((loop.now - begun).nanoseconds / 1_000_000) }

    func after(_ milliseconds: Int, _ body: @escaping () -> Void) {
        loop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(milliseconds)), body)
    }

    func note(_ text: @autoclosure () -> String) { trace.append("\(now) ms: \(text())") }

    func fail(_ text: String) {
        note("WRONG: \(text)")
        if failures.count < Self.failureLimit { failures.append("at \(now) ms: \(text)") }
    }

    // MARK: Playing

    /// - Returns: how long everything takes, to the very end.
    func begin() -> TimeAmount {
        let ended = aggregator.ended.assumeIsolated()
        ended.whenComplete { [self] _ in
            note("mcpagg has ended")
            hasEnded = true
        }
        apply(schedule.first)
        for number in 0..<schedule.hosts {
            let host = VirtualHost(world: self, number: number)
            hosts.append(host)
            host.open()
        }
        for (time, step) in schedule.steps { after(time) { [self] in play(step) } }
        after(schedule.endsAt) { [self] in
            if schedule.rests { checkRest() }
            end()
        }
        return .milliseconds(Int64(schedule.endsAt + Self.endTime + 1))
    }

    private func play(_ step: Schedule.Step) {
        guard !hasEnded else { return }
        switch step {
        case .call(let call, let cancels):
            hosts[call.host].call([call.number])
            for delay in cancels { after(delay) { [self] in hosts[call.host].cancel(call.number) } }
        case .batch(let batch):
            let host = hosts[batch[0].host]
            guard host.hasBatches else { return batch.forEach { host.call([$0.number]) } }
            for call in batch { calls[call.number].inBatch = true }
            host.call(batch.map(\.number))
        case .list(let host): hosts[host].ask("tools/list")
        case .ping(let host): hosts[host].ask(hosts[host].isStateless ? "server/discover" : "ping")
        case .listen(let host):
            if hosts[host].isStateless {
                hosts[host].ask("subscriptions/listen", #""notifications":{"toolsListChanged":true}"#, lasts: true)
            }
        case .initializeAgain(let host): hosts[host].open()
        case .stall(let host, let duration): hosts[host].stall(for: duration)
        case .reload(let generation): apply(generation)
        case .brokenConfig:
            note("the config is broken")
            aggregator.assumeIsolated { $0.configBroken("mcp.json:1:1: error: broken") }
        case .retryFailed: aggregator.assumeIsolated { $0.retryFailed() }
        case .resetBreakers: aggregator.assumeIsolated { $0.resetBreakers() }
        case .crash(let key): child(key)?.die(.signaled(9), because: "killed by somebody")
        case .hang(let key, let duration):
            note("\(key) hangs for \(duration.map { "\($0) ms" } ?? "ever")")
            child(key)?.hang(for: duration)
        case .changeTools(let key): child(key)?.changeTools()
        case .noise(let key): child(key)?.makeNoise()
        case .leave(let host): hosts[host].closeInput()
        }
    }

    /// What answers for this server now, or tries to.
    private func child(_ key: String) -> VirtualChild? { children.last { $0.key == key && $0.isAlive } }

    private func apply(_ generation: Schedule.Generation) {
        note("config: " + generation.servers.map { "\($0.key) v\($0.version) as '\($0.config.prefix)'" }.joined(separator: ", "))
        for server in generation.servers { policies[server.key, default: []].append(server.config.retry) }
        aggregator.assumeIsolated { $0.apply(generation.config) }
    }

    private func launch(
        _ command: ChildProcess.Command, _ pending: PendingWrites, _ delegate: any ChildDelegate, _ lineLimit: Int
    ) -> any LaunchedChild {
        let child = VirtualChild(
            world: self, key: command.arguments[0], version: command.arguments[1], number: children.count, pending: pending,
            delegate: delegate, lineLimit: lineLimit)
        note("\(child.name) v\(command.arguments[1]) is launched: \(child.temperament.start)\(child.isStateless ? ", stateless" : "")")
        children.append(child)
        return child
    }

    private func end() {
        note("the end begins: \(schedule.end)")
        // Whoever does not read is not waited for long, and what servers had to say to it is not either.
        endsAtOnce = hosts.contains { $0.isStalled }
        switch schedule.end {
        case .closeInput: hosts.forEach { $0.closeInput() }
        case .vanish: hosts.forEach { $0.vanish() }
        case .terminate: shutDown()
        case .closeThenTerminate(let delay):
            hosts.forEach { $0.closeInput() }
            after(delay) { [self] in shutDown() }
        case .interruptTwice(let delay):
            shutDown()
            after(delay) { [self] in
                guard !hasEnded else { return }
                note("interrupted again")
                endsAtOnce = true
                aggregator.assumeIsolated { $0.shutDownNow() }
            }
        }
    }

    private func shutDown() {
        guard !hasEnded else { return }
        aggregator.assumeIsolated { $0.shutDown(pace: .hurried) }
    }

    /// Nothing that a host asks from now on need be answered.
    var isTooLate: Bool { hasEnded || aggregator.assumeIsolated { $0.ending?.isSayingGoodbye == true } }

    // MARK: What calls come to

    func behaviour(of number: Int) -> Behaviour {
        let call = calls[number]
        return call.behaviours[min(max(0, call.sends.count - 1), call.behaviours.count - 1)]
    }

    func sent(_ number: Int, to child: VirtualChild) {
        note("call \(number) is sent to \(child.name)")
        // That a host has vanished is heard of a moment later.
        let isKnown = calls[number].state != .cancelled || !hosts[calls[number].host].isGone
        if calls[number].state != .open, isKnown {
            fail("call \(number) is sent to \(child.name) when it is \(calls[number].state) already")
        }
        calls[number].sends.append(ObjectIdentifier(child))
        // What goes for a server that is to be replaced is not what the file says by now; but what it says later may go for it.
        if let policy = downstream(child, \.config.retry) { calls[number].policies.append(policy) }
        if calls[number].firstPolicy[child.key] == nil { calls[number].firstPolicy[child.key] = policies[child.key]?.count }
    }

    func executed(_ number: Int, _ tool: Tool, by child: VirtualChild) {
        note("call \(number) is run by \(child.name)")
        calls[number].executions.append(child.key)
        if calls[number].tool != tool { fail("call \(number) of '\(calls[number].name)' is run as '\(tool)'") }
    }

    /// The whole answer of a server reaches the aggregator: the host is to have it at once if it still waits.
    func heard(_ number: Int, _ text: String, from child: VirtualChild, _ deliver: () -> Void) {
        let isDue =
            calls[number].state == .open && !calls[number].inBatch && calls[number].sends.last == ObjectIdentifier(child)
            && downstream(child, \.isLost) == false
        deliver()
        guard isDue, calls[number].answer != text else { return }
        fail("\(child.name) has answered call \(number), and the host has got \(calls[number].answer ?? "nothing")")
    }

    /// What the aggregator knows of the server of this child, if it still has it.
    private func downstream<Value: Sendable>(_ child: VirtualChild, _ path: any KeyPath<Downstream, Value> & Sendable) -> Value? {
        aggregator.assumeIsolated { [process = ObjectIdentifier(child)] aggregator in
            aggregator.downstreams.values.first { $0.child.map { ObjectIdentifier($0.process) } == process }?[keyPath: path]
        }
    }

    func answered(_ number: Int, _ message: Message) {
        let result = message.view(message[.result])
        let error = message.view(message[.error])
        let meta = result["_meta"] ?? error["data"]
        calls[number].state = .answered
        calls[number].claim = meta?[RequestFailure.metaKey]?.string.flatMap(RequestFailure.init(rawValue:))
        calls[number].answer = result["content"]?.elements.first?["text"]?.string ?? error["message"]?.string
        guard let answer = calls[number].answer else { return fail("call \(number) is answered with neither text nor error") }
        switch calls[number].claim {
        case .outcomeUnknown, .timedOut:
            if calls[number].sends.isEmpty { fail("call \(number) was not sent, and its host is told that it may have been run") }
            return
        case .unavailable, .authorizationNeeded: return
        case nil: break
        }
        guard answer.hasPrefix("done ") else { return }
        if !calls[number].executions.contains(where: { answer == "done \(number) by \($0)" }) {
            fail("call \(number) is answered with '\(answer)', but was run by \(calls[number].executions)")
        }
    }

    // MARK: Judgement

    /// So long after the last event nothing is left but what waits for a person, for a file or for the next attempt of a server.
    private func checkRest() {
        note("all is at rest")
        guard !hasEnded, hosts.allSatisfy({ !$0.isGone && $0.openQuestions.isEmpty }) else { return }
        for host in hosts {
            for (id, request) in host.requests where request.state == .open && !request.lasts {
                fail("\(host.name) still waits for \(id), \(request.what)")
            }
        }
        let listening = hosts.reduce(0) { $0 + $1.requests.values.count { $0.state == .open && $0.lasts } }
        let left = aggregator.assumeIsolated { $0.leftovers(listening: listening) }
        if !left.isEmpty { fail("at rest there are left: \(left.joined(separator: "; "))") }
    }

    /// Everything is over. Lets go of all there was.
    func checkEnd() -> (failures: [String], trace: [String], isLeft: () -> Bool) {
        if !hasEnded { fail("mcpagg has not ended") }
        for host in hosts where !endsAtOnce {
            for (id, request) in host.requests where request.state == .open && !request.cameTooLate {
                fail("\(host.name) was never answered \(id), \(request.what)")
            }
        }
        for call in calls { judge(call) }
        for child in children {
            if child.isAlive { fail("\(child.name) survives") }
            if !child.isClosed, !endsAtOnce { fail("the pipes of \(child.name) are open") }
        }
        if !endsAtOnce {
            let left = aggregator.assumeIsolated { $0.leftovers(listening: 0) + $0.leftoversAtEnd() }
            if !left.isEmpty { fail("at the end there are left: \(left.joined(separator: "; "))") }
        }
        for child in children { child.close() }
        for host in hosts { host.vanish() }
        let outcome = (failures, trace)
        hosts = []
        children = []
        weak let aggregator = present
        present = nil
        return (outcome.0, outcome.1, { [endsAtOnce] in !endsAtOnce && aggregator != nil })
    }

    private func judge(_ call: Call) {
        let count = call.executions.count
        let policies = call.policies + call.firstPolicy.flatMap { key, first in self.policies[key]?[first...] ?? [] }
        let mayRepeat = policies.contains { $0.replay == .always || $0.replay == .safe && call.tool.isHarmless }
        let most = mayRepeat ? policies.map(\.attempts).max() ?? 1 : 1
        if count > most { fail("call \(call.number) of '\(call.name)' was run \(count) times by \(call.executions), \(most) at most") }
        let claimsNothing =
            switch call.claim {
            case .unavailable, .authorizationNeeded: true
            case .outcomeUnknown, .timedOut: false
            case nil: call.answer?.hasPrefix("Unknown tool") == true
            }
        if count > 0, claimsNothing {
            fail("call \(call.number) was run, and its host was told that it was not: \(call.answer ?? "")")
        }
    }
}

extension Aggregator {
    /// What is in tables when no request waits but so many subscriptions.
    func leftovers(listening: Int) -> [String] {
        var left: [String] = []
        func expect(_ name: String, _ count: Int, _ expected: Int = 0) { if count != expected { left.append("\(name): \(count)") } }
        let hosts = hosts.values
        expect("requests", hosts.reduce(0) { $0 + $1.waiting.count }, listening)
        expect("listens", hosts.reduce(0) { $0 + $1.listens.count }, listening)
        expect("stateless requests", hosts.reduce(0) { $0 + $1.stateless.count }, listening)
        expect("batches", hosts.reduce(0) { $0 + $1.batches.count })
        expect("originals", hosts.reduce(0) { $0 + $1.originals.count })
        expect("inputs", hosts.reduce(0) { $0 + $1.inputs.count })
        expect("parked", hosts.reduce(0) { $0 + $1.parked.count })
        expect("histories", hosts.reduce(0) { $0 + $1.histories.count })
        expect("repetitions", hosts.reduce(0) { $0 + $1.repetitions.count })
        expect("reads", hosts.reduce(0) { $0 + $1.reads.count })
        expect("questions to hosts", hosts.reduce(0) { $0 + $1.questions.count })
        expect("early requests", early.count)
        expect("pending subscriptions", pendingSubscribes.count)
        for downstream in downstreams.values {
            expect("queue of \(downstream.key)", downstream.queue.count)
            expect("calls at \(downstream.key)", downstream.machine.requestsInFlight)
            expect("questions of \(downstream.key)", downstream.questions.count + downstream.taskQuestions.count)
        }
        for timer in timers.keys {
            switch timer {
            case .restart, .health, .startup, .teardown, .childEnd, .probe, .listenAgain, .expiry, .relist, .headers, .quiet: break
            default: left.append("timer \(timer)")
            }
        }
        return left
    }

    func leftoversAtEnd() -> [String] {
        var left = timers.keys.map { "timer \($0)" }
        if !hosts.isEmpty { left.append("hosts: \(hosts.count)") }
        if !downstreams.isEmpty { left.append("servers: \(downstreams.values.map(\.key))") }
        if !settledWaiters.isEmpty { left.append("waiters: \(settledWaiters.count)") }
        return left
    }
}

/// Puts what is logged into the trace of a run.
private struct TraceLog: LogHandler {
    let world: NIOLoopBound<World>
    var logLevel = Logger.Level.debug
    var metadata: Logger.Metadata = [:]

    init(world: NIOLoopBound<World>) { self.world = world }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { world.value.note("  \(event.level): \(event.message)") }
}
