package import JSONRPC
package import NIOCore
package import Resilience

/// What hears of the faults that are made on a link. Every call comes on the event loop.
package protocol FaultDelegate: Sendable {
    /// Nothing is to happen to the server now.
    var isSpared: Bool { get }
    /// - Parameter what: completes "the message was …".
    func injected(_ what: String, _ direction: FaultPlan.Direction, _ message: ByteBuffer)
    /// The server is to be killed, or the connections to it are to be cut.
    func kill()
    /// What was held back has been handed on: the moment to write what that led to.
    func passed()
}

/// The faults that are made on purpose between us and all servers. Belongs to the event loop.
///
/// It outlives the servers' restarts: a server that is killed by its third message would else be killed by its third message for ever.
package final class FaultInjection {
    /// Messages that are held back at one time, and their bytes. Beyond that they pass at once.
    package static let heldMessages = 1_024
    package static let heldBytes = LineFraming.defaultLimit

    package let policy: FaultPolicy
    let eventLoop: any EventLoop
    fileprivate var plans: [String: Plans] = [:]
    fileprivate var held: [Int: Scheduled<Void>] = [:]
    fileprivate var bytesHeld = 0
    fileprivate var heldCount = 0
    private var isOver = false

    fileprivate struct Plans {
        var toServer: FaultPlan
        var fromServer: FaultPlan
        var tally = FaultTally()
    }

    package init(_ policy: FaultPolicy, on eventLoop: any EventLoop) {
        self.policy = policy
        self.eventLoop = eventLoop
    }

    /// What was done to each server, by key.
    package var tallies: [(server: String, tally: FaultTally)] {
        plans.map { ($0.key, $0.value.tally) }.sorted { $0.server < $1.server }
    }

    /// What is still held back is dropped.
    /// - Returns: whether this is the first end.
    package func end() -> Bool {
        defer { isOver = true }
        for task in held.values { task.cancel() }
        (held, bytesHeld) = ([:], 0)
        return !isOver
    }

    fileprivate func next(_ direction: FaultPlan.Direction, of server: String) -> FaultPlan.Fault? {
        var plans =
            plans[server]
            ?? Plans(toServer: FaultPlan(policy, server: server, .toServer), fromServer: FaultPlan(policy, server: server, .fromServer))
        var fault = direction == .toServer ? plans.toServer.next() : plans.fromServer.next()
        if case .delay = fault, held.count >= Self.heldMessages || bytesHeld >= Self.heldBytes { fault = nil }
        plans.tally.count(fault)
        self.plans[server] = plans
        return fault
    }

    fileprivate func hold(_ bytes: ByteBuffer, for delay: Duration, then deliver: @escaping () -> Void) {
        heldCount += 1
        let (number, length) = (heldCount, bytes.readableBytes)
        bytesHeld += length
        held[number] = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.clampedNanoseconds)) {
            guard self.held.removeValue(forKey: number) != nil else { return }
            self.bytesHeld -= length
            deliver()
        }
    }
}

/// The way to one server and back, on which faults are made.
package final class FaultyLink {
    /// What becomes of a message.
    package enum Outcome: Hashable, Sendable { case passed, held, lost }

    private let injection: FaultInjection
    private let server: String
    private let delegate: any FaultDelegate

    /// - Parameter server: its key.
    package init(_ injection: FaultInjection, server: String, delegate: any FaultDelegate) {
        self.injection = injection
        self.server = server
        self.delegate = delegate
    }

    /// Lets a message pass, or does to it what its fate is.
    /// - Parameter deliver: called at once, later, twice or never, with the message or what is left of it.
    @discardableResult
    package func pass(_ message: ByteBuffer, _ direction: FaultPlan.Direction, deliver: @escaping (ByteBuffer) -> Void) -> Outcome {
        guard !delegate.isSpared else {
            deliver(message)
            return .passed
        }
        switch injection.next(direction, of: server) {
        case nil: deliver(message)
        case .drop:
            delegate.injected("dropped", direction, message)
            return .lost
        case .delay(let delay):
            delegate.injected("delayed by \(delay.clampedNanoseconds / 1_000_000) ms", direction, message)
            let delegate = delegate
            injection.hold(message, for: delay) {
                deliver(message)
                delegate.passed()
            }
            return .held
        case .duplicate:
            delegate.injected("duplicated", direction, message)
            deliver(message)
            deliver(message)
        case .garble(let garbling):
            let (bytes, how) = garbling.apply(to: Array(message.readableBytesView))
            delegate.injected("garbled: \(how)", direction, message)
            deliver(ByteBuffer(bytes: bytes))
        case .kill:
            delegate.injected(
                direction == .toServer ? "sent, but its server was killed" : "lost, because its server was killed", direction, message)
            delegate.kill()
            guard direction == .toServer else { return .lost }
            // As it is with servers that die: whether it has read this, nobody knows.
            deliver(message)
        }
        return .passed
    }
}

/// A connection to a server on a faulty link: what is sent goes through the faults, everything else to the connection itself.
package final class FaultyConnection: ServerConnection {
    private let connection: any ServerConnection
    private let link: FaultyLink

    package init(_ connection: any ServerConnection, _ link: FaultyLink) {
        self.connection = connection
        self.link = link
    }

    package func send(line: ByteBuffer) {
        guard let message = try? Message(scanning: line) else { return connection.send(line: line) }
        send(message, nil)
    }

    package func send(_ splice: borrowing Splice) { send(line: splice.bytes) }

    package func send(_ splice: borrowing Splice, as request: OutgoingRequest) {
        guard let message = try? Message(scanning: splice.bytes) else { return connection.send(splice, as: request) }
        send(message, request)
    }

    package func send(_ bytes: ByteBuffer, inPlaceOf message: Message, as request: OutgoingRequest?) {
        connection.send(bytes, inPlaceOf: message, as: request)
    }

    private func send(_ message: Message, _ request: OutgoingRequest?) {
        let connection = connection
        link.pass(message.bytes, .toServer) { connection.send($0, inPlaceOf: message, as: request) }
    }

    package var backlog: Int { connection.backlog }
    package var isReading: Bool { connection.isReading }
    package func setReading(_ reads: Bool) { connection.setReading(reads) }
}
