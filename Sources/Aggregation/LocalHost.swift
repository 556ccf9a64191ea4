package import JSONRPC
import Lifecycle
package import MCPProtocol
package import NIOCore

/// Our own command line as a host: it speaks to the aggregator as any other, without pipes between them.
package struct LocalHost: Sendable {
    /// Puts a form or a URL of a server to the person: takes the `params` of an `elicitation/create`, and returns its result, JSON text
    /// of an object. Its task is cancelled if the server does not want the answer any more.
    package typealias Asked = @Sendable (_ params: JSONView) async -> ByteBuffer

    private let aggregator: Aggregator
    private let connection: HostConnectionID

    /// - Parameters:
    ///   - notified: called for each notification, on the event loop.
    ///   - asked: called for one question at a time; a person cannot answer two. Without it nothing can be asked.
    package init(
        _ aggregator: Aggregator, notified: @escaping @Sendable (Message) -> Void = { _ in }, asked: Asked? = nil
    ) async {
        self.aggregator = aggregator
        connection = await aggregator.connectLocal(notified: notified, asked: asked)
    }

    /// Sends a request and waits for its answer, a result or an error.
    ///
    /// If the task is cancelled the request is, and so is what it does at a server.
    /// - Throws: `CancellationError` then.
    package func request(_ method: Method, params: ByteBuffer? = nil) async throws -> Message {
        let number = await aggregator.nextLocalRequest(connection)
        let answer = await withTaskCancellationHandler {
            await aggregator.localRequest(connection, number, method, params: params)
        } onCancel: {
            aggregator.eventLoop.execute { aggregator.assumeIsolated { $0.cancelLocalRequest(connection, number) } }
        }
        guard let answer else { throw CancellationError() }
        return answer
    }
}

extension Aggregator {
    /// Requests of our own command line that wait for their answers, and questions that wait for its.
    struct LocalRequests {
        struct Question {
            let id: Int
            let params: JSONView
            var isWithdrawn = false
        }

        var count = 0
        var waiting: [Int: CheckedContinuation<Message?, Never>] = [:]
        var asked: LocalHost.Asked?
        /// The first is being asked.
        var questions: [Question] = []
        var asking: Task<Void, Never>?
    }

    fileprivate func connectLocal(notified: @escaping @Sendable (Message) -> Void, asked: LocalHost.Asked?) -> HostConnectionID {
        let id = nextHostID()
        let deliver = { (line: ByteBuffer) in
            self.assumeIsolated { aggregator in
                guard case .message(let message) = Incoming(scanning: line) else { return }
                switch message.kind {
                case .result, .error:
                    if let number = message.integerID {
                        aggregator.local[id]?.waiting.removeValue(forKey: number)?.resume(returning: message)
                    }
                case .request: aggregator.localQuestion(message, to: id)
                case .notification:
                    if message.method == .cancelled {
                        aggregator.withdrawLocalQuestion(message.integer(message[.requestID]), of: id)
                    }
                    notified(message)
                }
            }
        }
        local[id] = LocalRequests(asked: asked)
        let capabilities = asked == nil ? nil : options.clientCapabilities
        hosts[id] = HostConnection(
            id: id, output: .local(deliver),
            machine: HostProtocol(openedWith: .newestHandshake, capabilities: capabilities ?? ClientCapabilities(), identity: identity))
        return id
    }

    fileprivate func nextLocalRequest(_ connection: HostConnectionID) -> Int {
        local[connection]?.count += 1
        return local[connection]?.count ?? 0
    }

    /// - Returns: `nil` if it was cancelled.
    fileprivate func localRequest(_ connection: HostConnectionID, _ number: Int, _ method: Method, params: ByteBuffer?) async -> Message? {
        await withCheckedContinuation { continuation in
            // Looked at here: on the way into this closure the task may have left the actor, and others been at work.
            guard !Task.isCancelled, local[connection] != nil else { return continuation.resume(returning: nil) }
            local[connection]?.waiting[number] = continuation
            received(.complete(Composition.request(id: number, method, params: params)), from: connection)
            flush()
        }
    }

    fileprivate func cancelLocalRequest(_ connection: HostConnectionID, _ number: Int) {
        guard let continuation = local[connection]?.waiting.removeValue(forKey: number) else { return }
        let params = JSONWriter.object {
            $0.member("requestId", number)
            $0.member("reason", "the user interrupted it")
        }
        received(.complete(Composition.notification(.cancelled, params: params)), from: connection)
        flush()
        continuation.resume(returning: nil)
    }
}

// What servers ask back.
extension Aggregator {
    private func localQuestion(_ message: Message, to connection: HostConnectionID) {
        guard let id = message.integerID else { return }  // those of our own are integers
        guard message.method == .elicit, local[connection]?.asked != nil else {
            // Not at once: whoever asks is still at it.
            let refusal = Composition.error(id: RequestID(id), .methodNotFound, "Method not found: \(message.methodName)")
            return eventLoop.execute { self.assumeIsolated { $0.answerAsLocal(refusal, connection) } }
        }
        local[connection]?.questions.append(LocalRequests.Question(id: id, params: message.view(message[.params])))
        askNextLocalQuestion(connection)
    }

    private func askNextLocalQuestion(_ connection: HostConnectionID) {
        guard let requests = local[connection], requests.asking == nil, let asked = requests.asked, let question = requests.questions.first
        else { return }
        local[connection]?.asking = Task(executorPreference: sideExecutor) {
            await self.localAnswered(question, with: await asked(question.params), connection)
        }
    }

    private func localAnswered(_ question: LocalRequests.Question, with answer: ByteBuffer, _ connection: HostConnectionID) {
        local[connection]?.asking = nil
        guard local[connection]?.questions.removeFirst().isWithdrawn == false else { return askNextLocalQuestion(connection) }
        answerAsLocal(Composition.result(id: RequestID(question.id), answer), connection)
        askNextLocalQuestion(connection)
    }

    /// Takes back what is being asked, and waits until whoever is asked has been told so. Nothing is asked after that.
    package func endLocalQuestions() async {
        let open = local.values.compactMap(\.asking)
        for connection in local.keys { local[connection]?.asked = nil }
        for asking in open {
            asking.cancel()
            await asking.value
        }
    }

    private func withdrawLocalQuestion(_ id: Int?, of connection: HostConnectionID) {
        guard let index = local[connection]?.questions.firstIndex(where: { $0.id == id }) else { return }
        guard index == 0, let asking = local[connection]?.asking else {
            local[connection]?.questions.remove(at: index)
            return
        }
        // It stays the first until it is out of the way of the next.
        local[connection]?.questions[0].isWithdrawn = true
        asking.cancel()
    }

    private func answerAsLocal(_ line: ByteBuffer, _ connection: HostConnectionID) {
        received(.complete(line), from: connection)
        flush()
    }
}
