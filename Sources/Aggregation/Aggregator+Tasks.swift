import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Transports

// Tasks: calls that go on at their server behind the request that began them.
//
// A host that knows nothing of them, or of those of the server's era, gets the result of its call when the task has come to it.
extension Aggregator {
    // MARK: Tasks that we follow

    /// Looks at the task again after a while.
    func followTask(_ id: Int, of downstream: Downstream, after pause: Duration) { set(.task(downstream.id, id), after: pause) }

    func lookAtTask(_ id: Int, of downstream: Downstream) {
        guard let line = downstream.machine.pollTask(id) else { return }
        downstream.child?.process.connection.send(line: line)
    }

    /// The task of a stateless server wants to know something: it is asked of the host like a question of a server of the handshake era.
    func taskAsks(_ id: Int, _ requests: [(key: String, request: JSONView)], of downstream: Downstream) {
        guard let forwarded = downstream.machine.forwarded.first(where: { $0.id == id }) else { return }
        for (key, request) in requests {
            let questionID = RequestID(text: JSONString.encoded("task-\(id)-\(key)"))
            let line = JSONWriter.object { writer in
                writer.member("jsonrpc", "2.0")
                writer.member("id", json: questionID.text)
                for (name, value) in request.members where name == "method" || name == "params" { writer.member(name, json: value.json) }
            }
            downstream.taskQuestions[questionID] = Downstream.TaskQuestion(task: id, key: key)
            guard let message = try? Message(scanning: line), let method = message.method, [.rootsList, .sample, .elicit].contains(method)
            else {
                answer(questionID, of: downstream, .methodNotFound, "Not a request that a host could answer")
                continue
            }
            ask(message, questionID, method, of: downstream, cause: forwarded)
        }
        followTask(id, of: downstream, after: forwarded.request.task?.pause ?? .seconds(1))
    }

    /// The answer to a question goes to the server that asked it, or into the task that wanted to know.
    func reply(_ id: RequestID, of downstream: Downstream, _ result: ByteBuffer) {
        guard let question = downstream.taskQuestions.removeValue(forKey: id) else {
            downstream.child?.process.connection.send(line: Composition.result(id: id, result))
            return
        }
        guard let line = downstream.machine.updateTask(of: question.task, key: question.key, result) else { return }
        downstream.child?.process.connection.send(line: line)
    }

    /// The task of a call that was given up is of no use to anybody.
    func cancelTask(of forwarded: ForwardedRequest, at downstream: Downstream) {
        guard let task = forwarded.task, let line = downstream.machine.cancelTask(task) else { return }
        downstream.child?.process.connection.send(line: line)
    }

    /// The server answers this call only to who can follow a task: we can.
    func needsTask(_ message: Message, _ forwarded: ForwardedRequest) -> Bool {
        guard message.kind == .error, !forwarded.runsAsTask, forwarded.purpose == .tool else { return false }
        guard message.errorSummary.code == ErrorCode.missingClientCapability.rawValue else { return false }
        let required = message.view(message.places[.error])["data"]?["requiredCapabilities"]
        // What else it needs only the host could give.
        guard let required, required.members.count == 1, let extensions = required["extensions"]?.members else { return false }
        return extensions.count == 1 && extensions.first?.name == Extension.tasks
            && forwarded.request.envelope?.capabilities.tasks != true
    }
}
