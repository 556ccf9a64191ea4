import JSONRPC
import MCPProtocol
package import NIOCore
import Resilience

// Tasks that we follow for a host that knows nothing of them.
extension DownstreamProtocol {
    /// How long to wait before each look at a task, if its server does not say, and within which bounds it may.
    private static let taskPause = Duration.seconds(1)
    private static let taskPauses = Duration.milliseconds(50)...Duration.seconds(60)

    /// The request of this id stays in flight until its task is over.
    func taskBegan(_ id: Int, _ message: Message, now: Instant) -> Action? {
        guard case .forwarded(let request, _) = requests[id], request.runsAsTask, request.task == nil, message.isResult else {
            return nil
        }
        guard let (task, name) = createdTask(message) else { return nil }
        let asked = task[era == .handshake ? "pollInterval" : "pollIntervalMs"]?.integer.map { Duration.milliseconds($0) }
        let pause = min(max(asked ?? Self.taskPause, Self.taskPauses.lowerBound), Self.taskPauses.upperBound)
        request.task = ForwardedRequest.TaskRun(id: name.jsonText, pause: pause)
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
        return .taskGoesOn(id, pause: pause, then: [])
    }

    private func createdTask(_ message: Message) -> (task: JSONView, name: JSONView)? {
        let result = message.view(message[.result])
        let task = era == .handshake ? result["task"] : result["resultType"]?.string == "task" ? result : nil
        guard let task, let name = task["taskId"], name.kind == .string else { return nil }
        return (task, name)
    }

    /// - Returns: the request that ends a task which a call became after it was given up.
    func cancelOrphan(_ message: Message) -> ByteBuffer? {
        guard message.isResult, let (_, name) = createdTask(message) else { return nil }
        return cancelTask(ForwardedRequest.TaskRun(id: name.jsonText, pause: Self.taskPause))
    }

    /// - Returns: the request that asks how the task of this request is; `nil` if it is over.
    package func pollTask(_ id: Int) -> ByteBuffer? { askTask(of: id, .tasksGet) }

    func askTask(of id: Int, _ method: Method) -> ByteBuffer? {
        guard case .forwarded(let request, _) = requests[id], let task = request.task else { return nil }
        return requests.insert(.task(of: id, method, deadline: method == .tasksGet ? ownDeadline : nil)).map {
            taskRequest($0, method, task)
        }
    }

    func taskRequest(
        _ id: Int, _ method: Method, _ task: ForwardedRequest.TaskRun, _ members: (inout JSONWriter) -> Void = { _ in }
    ) -> ByteBuffer {
        let params = JSONWriter.object { params in
            params.member("taskId", json: task.id)
            members(&params)
            guard era == .stateless else { return }
            var capabilities = ClientCapabilities()
            capabilities.tasks = true
            params.object("_meta") { $0.envelope(Envelope(capabilities: capabilities), from: identity) }
        }
        return Composition.request(id: id, method, params: params)
    }

    /// - Returns: the request that ends the task at its server.
    package func cancelTask(_ task: ForwardedRequest.TaskRun) -> ByteBuffer? {
        requests.insert(.own(.tasksCancel, deadline: ownDeadline)).map { taskRequest($0, .tasksCancel, task) }
    }

    /// - Returns: the request that tells a stateless server what its task wanted to know.
    package func updateTask(of id: Int, key: String, _ response: ByteBuffer) -> ByteBuffer? {
        guard case .forwarded(let request, _) = requests[id], let task = request.task else { return nil }
        return requests.insert(.own(.tasksUpdate, deadline: ownDeadline)).map { own in
            taskRequest(own, .tasksUpdate, task) { params in params.object("inputResponses") { $0.member(key, json: response) } }
        }
    }

    func taskAnswered(_ id: Int, _ method: Method, _ message: Message, now: Instant) -> Action {
        guard case .forwarded(let request, _) = requests[id], let task = request.task else { return .late }
        func over(_ answer: Message) -> Action {
            _ = requests.remove(id)
            forgetLooks(at: id)
            return .taskEnded(request, answer)
        }
        if method == .tasksResult { return over(message) }
        guard message.isResult else {
            return task.awaitsResult ? .taskGoesOn(id, pause: task.pause, then: []) : over(message)
        }
        // A sign of life.
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
        let result = message.view(message[.result])
        let status = result["status"]?.string
        if era == .handshake {
            guard status != "working", !task.awaitsResult else { return .taskGoesOn(id, pause: task.pause, then: []) }
            // Answered when there is one; what the task wants to know is asked meanwhile.
            let question = askTask(of: id, .tasksResult)
            request.task?.awaitsResult = question != nil
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            return .taskGoesOn(id, pause: task.pause, then: question.map { [$0] } ?? [])
        }
        switch status {
        case "completed":
            guard let text = result["result"], let answer = answer("result", text.json) else { return over(message) }
            return over(answer)
        case "failed":
            guard let text = result["error"], let answer = answer("error", text.json) else { return over(message) }
            return over(answer)
        case "cancelled":
            let text = JSONWriter.object {
                $0.member("code", ErrorCode.internalError.rawValue)
                $0.member("message", "The server cancelled the task")
            }
            return answer("error", text).map(over) ?? over(message)
        case "input_required":
            let asked = result["inputRequests"]?.members.filter { !task.asked.contains($0.name) } ?? []
            request.task?.asked.formUnion(asked.map(\.name))
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            guard !asked.isEmpty else { return .taskGoesOn(id, pause: task.pause, then: []) }
            return .taskAsks(id, asked.map { ($0.name, $0.value) })
        default: return .taskGoesOn(id, pause: task.pause, then: [])
        }
    }

    /// An answer as if the server had given it itself.
    func answer(_ member: String, _ json: ByteBuffer) -> Message? {
        try? Message(
            scanning: JSONWriter.object {
                $0.member("jsonrpc", "2.0")
                $0.member("id", 0)
                $0.member(member, json: json)
            })
    }

    /// Nobody needs to know any more how the task of this request is.
    func forgetLooks(at id: Int) {
        for (look, waiting) in Array(requests.entries) {
            if case .task(of: id, _, _) = waiting { _ = requests.remove(look) }
        }
    }
}
