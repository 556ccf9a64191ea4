import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

/// A host: its protocol machine, what it is waiting for, and the way back to it. Belongs to the ``Aggregator``.
final class HostConnection {
    enum Output {
        case pipe(LineConnection)
        /// Our own command line: one call per message.
        case local((ByteBuffer) -> Void)
    }

    /// What a request that is not answered yet is waiting for.
    enum Waiting {
        /// Servers that are starting for the first time.
        case servers
        /// It was sent under this id.
        case sent(DownstreamID, Int)
        /// Its server is starting, or has no place for it.
        case queued(DownstreamID)
        /// It got no answer, and is sent again in a while.
        case repeating
        /// The host itself is asked for what a stateless server wants first.
        case input(DownstreamID)
        /// It is a subscription, which lasts until one side ends it.
        case listening
        /// A stateless server has not said yet that it tells of this resource.
        case subscribing(uri: String)
    }

    struct Read {
        var message: Message
        var candidates: [DownstreamID]
        /// Those who were asked already.
        var asked: Set<DownstreamID>
        /// It brings what a person entered for the first server, which is not for another.
        var isForOne: Bool { message[.requestState].isPresent || message[.inputResponses].isPresent }
        /// The first server was asked for a reason: it lists the resource, mentioned it, or has a template for it.
        var hasOwner: Bool
        /// What the first server said.
        var refusal: Message?
    }

    /// A question of a server: roots, sampling or elicitation.
    struct Question: Sendable {
        enum Origin: Sendable {
            /// A request of the server, with its own id of it.
            case request(RequestID)
            /// What a stateless server wants before it answers this request of the host, by the server's own key of it.
            case input(HostRequest, key: String)
        }

        var downstream: DownstreamID
        var origin: Origin
        var method: Method
        /// The token the server wants progress under, as JSON text.
        var progressToken: String?
    }

    /// The answers of a batch, which leave together.
    struct Batch {
        var missing: Int
        var answers: [ByteBuffer] = []
    }

    let id: HostConnectionID
    let output: Output
    var machine: HostProtocol
    var waiting = RequestIDTable<Waiting>()
    var batches: [Int: Batch] = [:]
    private var batchCount = 0
    /// The revisions of the lists it last got; none of those it never asked for.
    var listedRevisions: [FeatureKind: Int] = [:]
    /// Kinds of lists it got in answer to stateless requests, which nothing of is kept for but that it knows names from them.
    var listedStateless: Set<FeatureKind> = []
    /// Requests, not answered yet, that went to a server of the other era, as they came: for another try, or for comparison with one.
    var originals: [RequestID: Original] = [:]
    /// What stateless servers want before they answer, and what of it is there.
    var inputs: [RequestID: InputRound] = [:]
    /// Calls that go on at their servers while this stateless host fetches what those asked for.
    var parked: [ParkingID: ParkedCall] = [:]
    private var parkingCount = 0
    /// Tasks that it began and follows itself, by the names we gave them; the oldest are forgotten first.
    var tasks: OrderedDictionary<String, RelayedTask> = [:]
    private var taskCount = 0
    /// What it wants to hear of as a stateless host, by the ids of its requests.
    var listens: OrderedDictionary<RequestID, Listen> = [:]
    /// Its requests of the stateless era that are not answered yet.
    var stateless: Set<RequestID> = []
    /// What was tried for requests that are not answered yet, of those that did not just go out at once.
    var histories = RequestIDTable<CallHistory>()
    /// Requests that are sent again in a while.
    var repetitions: [RequestID: WaitingCall] = [:]
    /// Reads of resources whose owner is not known: the servers to ask next.
    var reads: [RequestID: Read] = [:]
    /// What servers asked it, and it has not answered.
    var questions = RequestTable<Question>()
    /// It will send nothing more.
    var isInputClosed = false
    /// It will get nothing more either.
    var hasLeft = false
    /// It does not take what it is sent.
    var isStuck = false
    /// We stopped reading from it, because it does not take what we send.
    var isPaused = false

    init(id: HostConnectionID, output: Output, machine: HostProtocol) {
        self.id = id
        self.output = output
        self.machine = machine
    }

    func send(_ splice: borrowing Splice) {
        switch output {
        case .pipe(let connection): connection.send(splice)
        case .local(let deliver): deliver(splice.bytes)
        }
    }

    func send(line: ByteBuffer) {
        switch output {
        case .pipe(let connection): connection.send(line: line)
        case .local(let deliver): deliver(line)
        }
    }

    // MARK: Answers

    /// It may still say that it can be asked.
    var mayBecomeReady: Bool { !isInputClosed && !(machine.isStateless && machine.session == .new) }

    /// Gives a server's task a name of ours: those of two servers may be the same.
    func name(_ task: RelayedTask) -> String {
        if let known = tasks.first(where: { $0.value.downstream == task.downstream && $0.value.idJSON == task.idJSON }) { return known.key }
        taskCount += 1
        let name = "mcpagg-\(id.number)-\(taskCount)"
        tasks[name] = task
        if tasks.count > Limits.tasks { tasks.removeFirst() }
        return name
    }

    /// What a stateless server is told of this host.
    /// - Parameter withTasks: we follow a task for it.
    func envelope(for request: HostRequest, withTasks: Bool) -> Envelope {
        if let envelope = request.envelope, !withTasks { return envelope }
        var capabilities = request.envelope?.capabilities ?? machine.capabilities
        if withTasks { capabilities.tasks = true }
        return Envelope(capabilities: capabilities, logLevel: request.envelope == nil ? machine.logLevel : request.envelope?.logLevel)
    }

    /// Whether it may ask for tasks as 2025-11-25 has them.
    func knowsTasks(_ request: HostRequest) -> Bool { request.era == .handshake && machine.revision == .v2025_11_25 }

    func nextParking() -> ParkingID {
        parkingCount += 1
        return ParkingID(parkingCount)
    }

    /// Sends what a server answered, under the host's own id.
    func answer(_ request: HostRequest, with answer: consuming Splice) {
        var splice = answer
        if keep(request, { splice.bytes }) { return }
        end(request)
        splice.replace(.id, with: request.id.replacement)
        if let batch = request.batch { return collect(splice.bytes, in: batch) }
        send(splice)
    }

    /// Sends a message that we composed.
    func answer(_ request: HostRequest, line: ByteBuffer) {
        if keep(request, { line }) { return }
        end(request)
        if let batch = request.batch { return collect(line, in: batch) }
        send(line: line)
    }

    /// Answers a request without a look at the one that waits under the same id.
    func refuseTwin(_ request: HostRequest, line: ByteBuffer) {
        if let batch = request.batch { return collect(line, in: batch) }
        send(line: line)
    }

    /// The request was cancelled: it gets no answer.
    func forget(_ request: HostRequest) {
        end(request)
        if let batch = request.batch { collect(nil, in: batch) }
    }

    /// It waits for nothing any more.
    private func end(_ request: HostRequest) {
        waiting[request.id] = nil
        if !reads.isEmpty { reads[request.id] = nil }
        if let parking = request.parking { parked[parking] = nil }
        // Each only if there is any: a look for what is not there costs as much as for what is.
        if !histories.isEmpty { histories[request.id] = nil }
        if !originals.isEmpty { originals[request.id] = nil }
        if !stateless.isEmpty { stateless.remove(request.id) }
        if !inputs.isEmpty { inputs[request.id] = nil }
    }

    /// The request was answered with a question, and the host has not come back for it: its id is free for another.
    func isAway(from request: HostRequest) -> Bool {
        guard let parking = request.parking, let call = parked[parking] else { return false }
        return call.request == nil
    }

    /// Keeps the answer of a parked call until the host comes back for it.
    /// - Returns: `false` if the host waits for it now.
    private func keep(_ request: HostRequest, _ line: () -> ByteBuffer) -> Bool {
        guard isAway(from: request), let parking = request.parking else { return false }
        parked[parking]?.answer = try? Message(scanning: line())
        return true
    }

    func beginBatch(answers: Int) -> Int {
        batchCount += 1
        batches[batchCount] = Batch(missing: answers)
        return batchCount
    }

    private func collect(_ answer: ByteBuffer?, in number: Int) {
        guard var batch = batches[number] else { return }
        batch.missing -= 1
        if let answer { batch.answers.append(answer) }
        guard batch.missing == 0 else {
            batches[number] = batch
            return
        }
        batches[number] = nil
        guard !batch.answers.isEmpty else { return }
        var line = ByteBuffer()
        for (index, answer) in batch.answers.enumerated() {
            line.writeStaticString(index == 0 ? "[" : ",")
            line.writeImmutableBuffer(answer)
        }
        line.writeStaticString("]")
        send(line: line)
    }
}
