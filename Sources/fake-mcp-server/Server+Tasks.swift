import JSONRPC
import NIOCore

/// Tasks: of the core protocol in 2025-11-25, where the client wants them; of the extension in 2026-07-28, where we do.
extension Server {
    private static let relatedTask = "io.modelcontextprotocol/related-task"
    private static let requiredCapabilities = #"{"extensions":{"\#(ClientCapabilities.tasksExtension)":{}}}"#

    /// - Returns: false if the tool can be no task, and the client does not want it to be one.
    func taskTool(_ name: String, _ request: Request) -> Bool {
        guard behaviour.features.contains(.tasks) else { return false }
        let support = catalog.taskSupport(name)
        let isWanted: Bool
        switch request.era {
        case .handshake: isWanted = request.peer.hasCoreTasks && request.params["task"]?.kind == .object
        case .stateless: isWanted = support != nil && request.peer.capabilities.hasTasksExtension
        }
        switch (support, isWanted) {
        case (nil, false): return false
        // 2025-11-25, basic/utilities/tasks, "Tool-Level Negotiation".
        case (nil, true): refuseUnbegun(request, code: -32601, "\(name) cannot be a task")
        case (.required, false) where request.era == .handshake: refuseUnbegun(request, code: -32601, "\(name) must be a task")
        case (.required, false): refuseCapabilities(request, Self.requiredCapabilities)
        case (.optional, false):
            later(request, milliseconds: request.arguments?.count("ms") ?? 0) { [self] in
                switch outcome(of: request, entry: nil) {
                case .result(let result): answer(request, result: result)
                case .error(let code, let text): refuse(request, code: code, text)
                }
            }
        case (.required, true), (.optional, true): createTask(request)
        }
        return true
    }

    private func outcome(of request: Request, entry: ByteBuffer?) -> ServerTask.Outcome {
        let arguments = request.arguments
        if arguments?["error"]?.boolean == true { return .error(code: -32603, "failed, as asked") }
        let text = arguments?["text"]?.string ?? "done"
        if arguments?["isError"]?.boolean == true { return .result(ToolResult.text(text, isError: true)) }
        guard let entry else { return .result(ToolResult.text(text)) }
        return .result(ToolResult.structured(JSONWriter.object { $0.member("answer", json: entry) }, for: request.peer, text: text))
    }

    private func createTask(_ request: Request) {
        let task = tasks.make(request) { "\(behaviour.name)-task-\($0)" }
        let asks = request.arguments?["ask"]?.boolean == true && request.peer.allows(task.question)
        let result = JSONWriter.object { result in
            switch request.era {
            case .handshake: result.object("task") { task.write(into: &$0, in: .handshake) }
            case .stateless:
                result.member("resultType", "task")
                task.write(into: &result, in: .stateless)
            }
        }
        answer(request, result: result, isInterim: true)
        // Every task begins as working.
        if asks { become(.inputRequired, task) } else { work(on: task) }
    }

    private func work(on task: ServerTask) {
        timers.set(milliseconds: task.request.arguments?.count("ms") ?? 0) { [self] in
            guard task.status == .working else { return }
            let outcome = outcome(of: task.request, entry: task.entry)
            task.outcome = outcome
            switch outcome {
            // Only the core protocol calls a task failed whose tool has failed.
            case .result(let result):
                if let counter = task.request.counter { executions.finish(counter) }
                let isError = JSONView.whole(result)["isError"]?.boolean == true
                become(isError && task.request.era == .handshake ? .failed : .completed, task)
            case .error: become(.failed, task)
            }
        }
    }

    private func become(_ status: ServerTask.Status, _ task: ServerTask) {
        task.become(status)
        switch task.request.era {
        case .handshake: notify("notifications/tasks/status") { task.write(into: &$0, in: .handshake) }
        case .stateless:
            notifyListens("notifications/tasks", where: { $0.taskIDs.contains(task.id) }, { writeDetailed(task, into: &$0) })
        }
        guard status.isFinal else { return }
        let waiting = task.waiting
        task.waiting = []
        for request in waiting { answerWithOutcome(of: task, request) }
    }

    private func writeDetailed(_ task: ServerTask, into writer: inout JSONWriter) {
        task.write(into: &writer, in: .stateless)
        task.writeDetails(into: &writer) { dressed($0, for: task.request) }
    }

    // MARK: Methods of both eras

    /// - Returns: nil if the request was refused.
    private func knownTask(_ request: Request) -> ServerTask? {
        switch request.era {
        case .handshake:
            guard request.peer.hasCoreTasks else {
                refuse(request, code: -32601, "Method not found: \(request.method)")
                return nil
            }
        case .stateless:
            guard request.peer.capabilities.hasTasksExtension else {
                refuseCapabilities(request, Self.requiredCapabilities)
                return nil
            }
        }
        guard let task = tasks[request.params["taskId"]?.string], task.request.era == request.era else {
            refuseParams(request, "Unknown task")
            return nil
        }
        return task
    }

    func getTask(_ request: Request) {
        guard let task = knownTask(request) else { return }
        let result = JSONWriter.object { result in
            switch request.era {
            case .handshake: task.write(into: &result, in: .handshake)
            case .stateless: writeDetailed(task, into: &result)
            }
        }
        answer(request, result: result)
    }

    func cancelTask(_ request: Request) {
        guard let task = knownTask(request) else { return }
        if task.status.isFinal {
            // The extension wants an acknowledgement whatever becomes of it.
            guard request.era == .handshake else { return answer(request, result: .emptyObject) }
            return refuseParams(request, "The task is \(task.status.rawValue) already")
        }
        if let counter = task.request.counter { executions.cancel(counter) }
        task.outcome = .error(code: -32603, "The task was cancelled")
        become(.cancelled, task)
        let result = request.era == .handshake ? JSONWriter.object { task.write(into: &$0, in: .handshake) } : .emptyObject
        answer(request, result: result)
    }

    // MARK: Handshake era

    /// Waits for the outcome; meanwhile the task may ask.
    func getTaskResult(_ request: Request) {
        guard let task = knownTask(request) else { return }
        if task.status.isFinal { return answerWithOutcome(of: task, request) }
        task.waiting.append(request)
        hold(request, onCancel: { task.waiting.removeAll { $0.id == request.id } })
        guard task.status == .inputRequired, !task.hasAsked else { return }
        task.hasAsked = true
        let meta = JSONWriter.object { meta in meta.object(Self.relatedTask) { $0.member("taskId", task.id) } }
        _ = send(task.question.with(meta: meta)) { [self] in goOn(task, $0) }
    }

    private func goOn(_ task: ServerTask, _ entry: ByteBuffer) {
        guard task.status == .inputRequired else { return }
        task.entry = entry
        become(.working, task)
        work(on: task)
    }

    private func answerWithOutcome(of task: ServerTask, _ request: Request) {
        switch task.outcome {
        case .result(let result):
            let plain = JSONView.whole(result)
            let related = JSONWriter.object { result in
                for (name, value) in plain.members { result.member(name, json: value.json) }
                result.object("_meta") { meta in meta.object(Self.relatedTask) { $0.member("taskId", task.id) } }
            }
            answer(request, result: related)
        case .error(let code, let text): refuse(request, code: code, text)
        case nil: return
        }
    }

    // MARK: Stateless era

    func updateTask(_ request: Request) {
        guard let task = knownTask(request) else { return }
        let response = request.params["inputResponses"]?["q0"]
        answer(request, result: .emptyObject)
        guard let response else { return }
        goOn(task, JSONWriter.object { $0.member("result", json: response.json) })
    }
}
