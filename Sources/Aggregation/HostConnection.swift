import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
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
        /// Its server is starting.
        case queued(DownstreamID)
    }

    struct Read {
        var message: Message
        var candidates: [DownstreamID]
        /// The first server was asked for a reason: it lists the resource, mentioned it, or has a template for it.
        var hasOwner: Bool
        /// What the first server said.
        var refusal: Message?
    }

    /// A question of a server: roots, sampling or elicitation.
    struct Question: Sendable {
        var downstream: DownstreamID
        /// The server's own id of it.
        var id: RequestID
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
    var waiting: [RequestID: Waiting] = [:]
    var batches: [Int: Batch] = [:]
    private var batchCount = 0
    /// The revisions of the lists it last got; none of those it never asked for.
    var listedRevisions: [FeatureKind: Int] = [:]
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

    func send(_ splice: Splice) {
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

    /// Sends what a server answered, under the host's own id.
    func answer(_ request: HostRequest, with message: Message) {
        waiting[request.id] = nil
        reads[request.id] = nil
        var splice = Splice(message)
        splice.replace(.id, with: .json(request.id.text))
        if let batch = request.batch { return collect(splice.bytes, in: batch) }
        send(splice)
    }

    /// Sends a message that we composed.
    func answer(_ request: HostRequest, line: ByteBuffer) {
        waiting[request.id] = nil
        reads[request.id] = nil
        if let batch = request.batch { return collect(line, in: batch) }
        send(line: line)
    }

    /// The request was cancelled: it gets no answer.
    func forget(_ request: HostRequest) {
        waiting[request.id] = nil
        if let batch = request.batch { collect(nil, in: batch) }
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
