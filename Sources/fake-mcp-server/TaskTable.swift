import JSONRPC
import NIOCore

/// The tasks of this run, the oldest first.
struct TaskTable {
    private(set) var all: [ServerTask] = []

    subscript(id: String?) -> ServerTask? { all.first { $0.id == id } }

    mutating func make(_ request: Request, id: (Int) -> String) -> ServerTask {
        let task = ServerTask(id: id(all.count + 1), request: request)
        all.append(task)
        return task
    }
}

/// A call that goes on after it was answered.
final class ServerTask {
    enum Status: String {
        case working, completed, failed, cancelled
        case inputRequired = "input_required"

        var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
    }

    enum Outcome {
        case result(ByteBuffer)
        case error(code: Int, String)
    }

    /// How long a client should wait before it asks again, and how long we say that we keep a task.
    private static let pollMilliseconds = 50
    private static let keepMilliseconds = 60_000

    let id: String
    /// The call.
    let request: Request
    let question = Question.form("May the task go on?")
    var outcome: Outcome?
    /// The entry that answered ``question``.
    var entry: ByteBuffer?
    var hasAsked = false
    /// Handshake era: who waits in `tasks/result`.
    var waiting: [Request] = []
    private(set) var status = Status.working
    private let createdAt = WallClock.now()
    private var lastUpdatedAt = WallClock.now()

    init(id: String, request: Request) {
        self.id = id
        self.request = request
    }

    func become(_ status: Status) {
        self.status = status
        lastUpdatedAt = WallClock.now()
    }

    func json(in era: Era) -> String { String(buffer: JSONWriter.object { write(into: &$0, in: era) }) }

    /// The members that a task has in either era.
    func write(into task: inout JSONWriter, in era: Era) {
        task.member("taskId", id)
        task.member("status", status.rawValue)
        task.member("createdAt", createdAt)
        task.member("lastUpdatedAt", lastUpdatedAt)
        switch era {
        case .handshake:
            task.member("ttl", request.params["task"]?["ttl"]?.integer ?? Self.keepMilliseconds)
            task.member("pollInterval", Self.pollMilliseconds)
        case .stateless:
            task.member("ttlMs", Self.keepMilliseconds)
            task.member("pollIntervalMs", Self.pollMilliseconds)
        }
    }

    /// What the extension adds: the questions, or how it came out.
    func writeDetails(into task: inout JSONWriter, dress: (ByteBuffer) -> ByteBuffer) {
        if status == .inputRequired {
            task.object("inputRequests") { $0.object("q0") { question.write(into: &$0) } }
        }
        switch outcome {
        case .result(let result) where status == .completed: task.member("result", json: dress(result))
        case .error(let code, let text) where status == .failed:
            task.object("error") { error in
                error.member("code", code)
                error.member("message", text)
            }
        case .result, .error, nil: break
        }
    }
}
