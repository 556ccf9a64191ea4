import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import NIOEmbedded
import TestSupport

@testable import Transports

/// A child that is none: its process is in memory, and so are its pipes.
final class VirtualChild: LaunchedChild {
    /// How a process is made, whatever it is asked.
    struct Temperament {
        enum Start { case works, neverRuns(isConfiguration: Bool), exits(after: Int), hangs }

        var start = Start.works
        var startDelay = 0
        var ignoresEndOfInput = false
        var ignoresTermination = false
        var endDelay = 0
        /// Somebody else holds its pipes open when it has ended.
        var leavesPipesOpen = false
        var answersPings = true
        var honoursCancellation = true
        var asksForRoots = false
        var ignoresDiscovery = false
        var endsOnDiscovery = false

        init(_ random: inout SeededGenerator) {
            start = random.weighted([
                (86, .works), (2, .neverRuns(isConfiguration: true)), (2, .neverRuns(isConfiguration: false)),
                (5, .exits(after: random.pick([0, 1, 30, 300]))), (5, .hangs),
            ])
            startDelay = random.pick([0, 0, 0, 1, 10, 100, 700, 1_500])
            ignoresEndOfInput = random.chance(15)
            ignoresTermination = random.chance(10)
            endDelay = random.pick([0, 0, 1, 20, 500])
            leavesPipesOpen = random.chance(5)
            answersPings = random.chance(85)
            honoursCancellation = random.chance(60)
            asksForRoots = random.chance(15)
            ignoresDiscovery = random.chance(10)
            endsOnDiscovery = random.chance(10)
        }
    }

    let connection: LineConnection
    private(set) var processID: Int?
    let world: World
    let key: String
    let isStateless: Bool
    let temperament: Temperament
    var random: SeededGenerator
    private let delegate: any ChildDelegate
    private let input: NIOAsyncTestingChannel
    private let output: NIOAsyncTestingChannel
    private let outlet = Outlet()
    let inlet: Inlet
    private(set) var isAlive = true
    private(set) var isClosed = false
    private var isForgotten = false
    private var pendingSignal: ChildProcess.Signal?
    private let number: Int
    /// It does not read; what was written to it waits.
    private var isHung = false
    private var unread: [Message] = []
    /// Calls it works on, by the aggregator's ids, and what it waits for.
    var working: [RequestID: Int] = [:]
    var asked: [RequestID: (call: Int, id: RequestID)] = [:]
    var extraTools = 0
    var listen: RequestID?

    var name: String { "\(key)#\(number)" }

    /// - Parameters:
    ///   - number: how many children there were before.
    ///   - lasting: how the servers of this key are, of this version.
    init(
        world: World, key: String, version: String, number: Int, pending: PendingWrites, delegate: any ChildDelegate, lineLimit: Int
    ) {
        self.world = world
        self.key = key
        self.number = number
        self.delegate = delegate
        var lasting = SeededGenerator(seed: world.seed, of: "version \(key) \(version)")
        isStateless = lasting.chance(30)
        random = SeededGenerator(seed: world.seed, of: "child \(number)")
        temperament = Temperament(&random)
        connection = LineConnection(pending: pending)
        input = NIOAsyncTestingChannel(loop: world.loop)
        output = NIOAsyncTestingChannel(loop: world.loop)
        let connection = connection
        inlet = Inlet(world: world, channel: input, random: SeededGenerator(seed: world.seed, of: "inlet \(number)")) {
            connection.isReading
        }
        let inputWatch = Outlet()
        do {
            try Self.prepare(delegate, input, output, lineLimit)
            try input.pipeline.syncOperations.addHandler(inputWatch, position: .first)
            try output.pipeline.syncOperations.addHandler(outlet, position: .first)
        } catch {
            world.fail("no pipes: \(error)")
        }
        inputWatch.closed = { [inlet] in inlet.isClosed = true }
        outlet.taken = { [unowned self] in taken($0) }
        outlet.closed = { [unowned self] in world.after(random.below(3)) { [self] in inputEnded() } }
        world.after(0) { [self] in
            guard !isClosed else { return }
            connection.open(input: input, output: output)
        }
        start()
    }

    private static func prepare(
        _ delegate: some ChildDelegate, _ input: NIOAsyncTestingChannel, _ output: NIOAsyncTestingChannel, _ lineLimit: Int
    ) throws {
        try LineConnection.prepareInput(input, delegate: delegate, lineLimit: lineLimit)
        try LineConnection.prepareOutput(output, delegate: delegate)
    }

    private func start() {
        switch temperament.start {
        case .neverRuns(let isConfiguration):
            isAlive = false
            world.after(random.below(20)) { [self] in
                isForgotten = true
                delegate.launchFailed(LaunchFailure(description: "there is no such program", remedy: isConfiguration ? "install it" : nil))
            }
        case .exits(let delay):
            announce()
            world.after(delay) { [self] in die(.exited(3), because: "ends at its start") }
        case .works, .hangs: announce()
        }
    }

    private func announce() {
        world.after(random.below(20)) { [self] in
            guard !isForgotten else { return }
            processID = 1_000 + number
            delegate.launched(processID: 1_000 + number)
            if let pendingSignal { send(pendingSignal) }
        }
    }

    // MARK: What its owner does

    func send(_ signal: ChildProcess.Signal) {
        guard !isForgotten else { return }
        guard processID != nil else {
            pendingSignal = signal
            return
        }
        world.note("\(name) is sent \(signal)")
        switch signal {
        case .terminate:
            if temperament.ignoresTermination { return }
            world.after(temperament.endDelay) { [self] in die(.signaled(15), because: "terminated") }
        case .kill: die(.signaled(9), because: "killed")
        }
    }

    func close() {
        isClosed = true
        connection.close()
        // Those that were never opened, too.
        input.close(promise: nil)
        output.close(promise: nil)
        // What still runs is ended.
        if isAlive { send(.kill) }
    }

    // MARK: What its process does

    private func inputEnded() {
        guard isAlive, !temperament.ignoresEndOfInput, !isHung else { return }
        world.after(temperament.endDelay) { [self] in die(.exited(0), because: "has no input any more") }
    }

    func die(_ status: ExitStatus, because reason: String) {
        guard isAlive else { return }
        isAlive = false
        world.note("\(name) ends: \(reason)")
        working = [:]
        // The ends of its pipes and its exit are seen in any order.
        if !temperament.leavesPipesOpen {
            world.after(random.below(4)) { [self] in inlet.end { [self] in input.close(promise: nil) } }
            world.after(random.below(4)) { [self] in delegate.errorOutputClosed() }
        }
        world.after(random.below(4)) { [self] in output.close(promise: nil) }
        world.after(random.below(6)) { [self] in
            isForgotten = true
            delegate.exited(status)
        }
    }

    func makeNoise() {
        write("this is no message")
        delegate.wroteToStandardError(ByteBuffer(string: "trouble ahead\n"))
    }

    func hang(for duration: Int?) {
        isHung = true
        guard let duration else { return }
        world.after(duration) { [self] in
            isHung = false
            let lines = unread
            unread = []
            for line in lines where isAlive { received(line) }
            if outlet.isClosed { inputEnded() }
        }
    }

    func write(_ line: String, around: @escaping (() -> Void) -> Void = { $0() }) {
        if isAlive { inlet.write(line + "\n", around: around) }
    }

    /// Lines that left the aggregator.
    private func taken(_ bytes: ByteBuffer) {
        var messages: [Message] = []
        for line in bytes.readableBytesView.split(separator: UInt8(ascii: "\n")) {
            guard case .message(let message) = Incoming(scanning: ByteBuffer(line)) else {
                world.fail("\(name) was sent a line that is no message: \(String(decoding: line, as: UTF8.self))")
                continue
            }
            if message.kind == .request, message.method == .toolsCall, let number = Self.number(message) {
                world.sent(number, to: self)
            }
            messages.append(message)
        }
        world.after(random.below(3)) { [self] in
            for message in messages where isAlive { if isHung { unread.append(message) } else { received(message) } }
        }
    }

    static func number(_ message: Message) -> Int? { message.view(message[.arguments])["n"]?.integer }
}
