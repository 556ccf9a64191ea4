import FeatureCatalog
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

/// A task that a host follows itself.
struct RelayedTask {
    var downstream: DownstreamID
    /// What the server calls it: JSON text.
    var idJSON: String
    /// Our id of the call that it came from, which is its progress token, and the host's token for that.
    var progress: (id: Int, token: String)?
    var began: Instant
    /// Its server has nothing more to say of it.
    var isOver = false
}

// Tasks: calls that go on at their server behind the request that began them.
//
// A host that knows nothing of them, or of those of the server's era, gets the result of its call when the task has come to it.
extension Aggregator {
    // MARK: Tasks that we follow

    /// Looks at the task again after a while.
    func followTask(_ id: Int, of downstream: Downstream, after pause: Duration) { set(.task(downstream.id, id), after: pause) }

    func lookAtTask(_ id: Int, of downstream: Downstream) {
        guard let line = downstream.machine.pollTask(id) else { return }
        sendOwn(line, to: downstream)
    }

    /// The task of a stateless server wants to know something: it is asked of the host like a question of a server of the handshake era.
    func taskAsks(_ id: Int, _ requests: [(key: String, request: JSONView)], of downstream: Downstream) {
        guard let forwarded = downstream.machine.forwarded.first(where: { $0.id == id }) else { return }
        guard (forwarded.request.task?.asked.count ?? 0) <= Limits.questions else {
            _ = downstream.machine.abandon(id)
            cancelTask(of: forwarded.request, at: downstream)
            let text =
                "Server '\(downstream.key)' asked for more than \(Limits.questions) things in one task, which was cancelled for that."
            fail(forwarded.request.request, forwarded.request.purpose, .outcomeUnknown, text)
            forgetQuestionsOfEndedTasks(at: downstream)
            return requestEnded(at: downstream)
        }
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
            downstream.connection?.send(line: Composition.result(id: id, result))
            return
        }
        guard let line = downstream.machine.updateTask(of: question.task, key: question.key, result) else { return }
        sendOwn(line, to: downstream)
    }

    /// The task of a call that was given up is of no use to anybody.
    func cancelTask(of forwarded: ForwardedRequest, at downstream: Downstream) {
        guard let task = forwarded.task, let line = downstream.machine.cancelTask(task) else { return }
        sendOwn(line, to: downstream)
    }

    /// Nobody needs to know any more what tasks wanted to know that are over.
    func forgetQuestionsOfEndedTasks(at downstream: Downstream) {
        guard !downstream.taskQuestions.isEmpty else { return }
        let tasks = Set(downstream.machine.forwarded.map(\.id))
        let orphaned = downstream.taskQuestions.filter { !tasks.contains($0.value.task) }.keys
        withdrawQuestions(of: downstream, reason: "the task that asked is over") { id, _ in orphaned.contains(id) }
        for id in orphaned { downstream.taskQuestions[id] = nil }
    }

    /// The server answers this call only to who can follow a task: we can.
    func needsTask(_ message: Message, _ forwarded: ForwardedRequest) -> Bool {
        guard message.isError, !forwarded.runsAsTask, forwarded.purpose == .tool else { return false }
        guard message.errorSummary.code == ErrorCode.missingClientCapability.rawValue else { return false }
        let required = message.view(message[.error])["data"]?["requiredCapabilities"]
        // What else it needs only the host could give.
        guard let required, required.members.count == 1, let extensions = required["extensions"]?.members else { return false }
        return extensions.count == 1 && extensions.first?.name == Extension.tasks
            && forwarded.request.envelope?.capabilities.tasks != true
    }

    // MARK: Tasks that the host follows

    /// Sends a request about a task to the task's server.
    func forwardTask(_ method: Method, _ message: Message, _ request: HostRequest, host: HostConnection) {
        let name = message.string(message[.taskID]) ?? ""
        // The eras have tasks of different shapes.
        guard let task = host.tasks[name], let downstream = downstreams[task.downstream], downstream.life.isReady,
            downstream.machine.era == request.era
        else {
            return host.answer(request, line: Composition.error(id: request.id, .invalidParams, "Unknown task: \(name)"))
        }
        deliver(message, request, .task(method), to: downstream, as: task.idJSON, host: host)
    }

    /// The task of a call that a host wanted as a task, under our name.
    func withTaskNamed(_ message: Message, of downstream: Downstream, _ forwarded: ForwardedRequest, host: HostConnection) -> Message {
        guard message.isResult, forwarded.purpose == .tool, !forwarded.runsAsTask else { return message }
        // Only what can be a task is looked into.
        guard forwarded.wantsTask || forwarded.hostEra == .stateless else { return message }
        let result = message.view(message[.result])
        let id: JSONView?
        switch forwarded.hostEra {
        case .handshake: id = forwarded.wantsTask ? result["task"]?["taskId"] : nil
        case .stateless:
            let isTask = forwarded.serverEra == .stateless && message.string(message[.resultType]) == "task"
            id = isTask && message[.taskID].isPresent ? message.view(message[.taskID]) : nil
        }
        guard let id, id.kind == .string else { return message }
        var task = RelayedTask(downstream: downstream.id, idJSON: id.jsonText, began: now)
        if let number = message.integerID, let token = forwarded.progressToken { task.progress = (number, token) }
        let name = JSONString.encoded(host.name(task))
        var splice = Splice(message)
        if forwarded.hostEra == .stateless {
            splice.replace(.taskID, with: .json(name))
        } else {
            let rewritten = JSONWriter.object { writer in
                for (member, value) in result.members {
                    guard member == "task" else {
                        writer.member(member, json: value.json)
                        continue
                    }
                    writer.object(member) { task in
                        for (member, value) in value.members {
                            member == "taskId" ? task.member(member, json: name) : task.member(member, json: value.json)
                        }
                    }
                }
            }
            splice.replace(.result, with: .bytes(rewritten))
        }
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    /// The answer to a request about a task, under our name.
    func withTaskRenamed(_ message: Message, _ method: Method, of downstream: Downstream, host: HostConnection) -> Message {
        guard message.isResult else { return message }
        if method == .tasksResult {
            let id = message.view(message[.meta])[MetaKey.relatedTask]?["taskId"]?.jsonText
            let name = id.flatMap { id in ourName(of: id, at: downstream, host: host) }
            if let name {
                host.tasks[name]?.progress = nil
                host.tasks[name]?.isOver = true
            }
            return bridge.relatedTask(in: message, name.map(JSONString.encoded))
        }
        guard message[.taskID].isPresent,
            let name = ourName(of: message.text(message[.taskID]), at: downstream, host: host)
        else { return message }
        // In the stateless era the last look brings the result; before, that is fetched by itself, if there is one.
        let status = message.view(message[.result])["status"]?.string ?? ""
        let isEnded = status == "cancelled" || downstream.machine.era == .stateless && ["completed", "failed"].contains(status)
        if isEnded { host.tasks[name]?.isOver = true }
        var splice = Splice(message)
        splice.replace(.taskID, with: .json(JSONString.encoded(name)))
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    private func ourName(of idJSON: String, at downstream: Downstream, host: HostConnection) -> String? {
        host.tasks.first { $0.value.downstream == downstream.id && $0.value.idJSON == idJSON }?.key
    }

    /// Tells the host whose task it is.
    func forwardTaskStatus(_ message: Message, of downstream: Downstream) {
        let id = message.text(message[.taskID])
        for host in hosts.values where host.machine.isOpen {
            guard let name = ourName(of: id, at: downstream, host: host) else { continue }
            var splice = Splice(message)
            splice.replace(.taskID, with: .json(JSONString.encoded(name)))
            return host.send(splice)
        }
        debug("server '\(downstream.key)': told of a task that no host follows")
    }

    /// The token of a call lives as long as the task that the call became (2025-11-25, basic/utilities/tasks, "Progress").
    func forwardTaskProgress(_ message: Message, _ id: Int, of downstream: Downstream) {
        for host in hosts.values {
            guard let task = host.tasks.values.first(where: { $0.downstream == downstream.id && $0.progress?.id == id }),
                let token = task.progress?.token
            else { continue }
            var splice = Splice(message)
            splice.replace(.progressToken, with: .json(token))
            return host.send(splice)
        }
        debug("server '\(downstream.key)': told of the progress of nothing that is in flight")
    }

    /// Which request a question is about, if the server says by which task: one that we follow, or whose result a host waits for.
    func cause(of question: Message, at downstream: Downstream) -> (id: Int, request: ForwardedRequest)? {
        guard question[.meta].isPresent else { return nil }
        guard let id = question.view(question[.meta])[MetaKey.relatedTask]?["taskId"]?.jsonText else { return nil }
        return downstream.machine.forwarded.first { $0.request.task?.id == id || $0.request.followedTask == id }
    }

    /// The connection that they live on is gone.
    func forgetTasks(of downstream: Downstream) {
        for host in hosts.values where !host.tasks.isEmpty { host.tasks.removeAll { $0.value.downstream == downstream.id } }
    }
}
