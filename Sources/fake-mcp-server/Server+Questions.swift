import JSONRPC
import NIOCore

/// Asking back in the handshake era: by requests of our own, while the client's waits.
extension Server {
    /// Runs an inquiry in the request's era. Its last step answers the request.
    func inquire(_ request: Request, _ inquiry: Inquiry) {
        switch request.era {
        case .handshake:
            let asking = Asking(request: request, inquiry: inquiry)
            hold(request, onCancel: { [self] in takeBack(asking, "the call was cancelled") })
            if let pause = inquiry.options.thenExitMilliseconds { exitLater(milliseconds: pause) }
            if let pause = inquiry.options.cancelQuestionsMilliseconds {
                whileHeld(request, milliseconds: pause) { [self] in
                    for index in takeBack(asking, "no longer needed") {
                        asking.answers.settle(index, Question.entry(error: -32603, "the server took its question back"))
                    }
                    proceed(asking)
                }
            }
            proceed(asking)
        case .stateless: nextRound(request, inquiry)
        }
    }

    func exitLater(milliseconds: Int) {
        timers.set(milliseconds: milliseconds) { [self] in
            output.drain()
            Processes.exit(1)
        }
    }

    /// An inquiry of the handshake era under way.
    private final class Asking {
        let request: Request
        let inquiry: Inquiry
        var answers = Answers()
        /// Questions the client has, each with its index.
        var sent: [(id: RequestID, index: Int)] = []

        init(request: Request, inquiry: Inquiry) {
            self.request = request
            self.inquiry = inquiry
        }
    }

    private func proceed(_ asking: Asking) {
        while asking.answers.open.isEmpty {
            switch asking.inquiry.next(asking.answers.settled) {
            case .answer(let result): return answer(asking.request, result: result)
            case .ask(let questions):
                for index in asking.answers.add(questions) { put(index, of: asking) }
            }
        }
    }

    private func put(_ index: Int, of asking: Asking) {
        let question = asking.answers.questions[index]
        guard asking.inquiry.options.force || asking.request.peer.allows(question) else {
            return asking.answers.settle(index, question.undeclared)
        }
        let id = send(question) { [self] entry in
            asking.sent.removeAll { $0.index == index }
            asking.answers.settle(index, entry)
            proceed(asking)
        }
        asking.sent.append((id, index))
    }

    /// Ids count from 1, as those of many clients do: the two directions have nothing to do with each other.
    func send(_ question: Question, _ take: @escaping (ByteBuffer) -> Void) -> RequestID {
        questionCount += 1
        let id = RequestID(questionCount)
        questions[id] = take
        let message = JSONWriter.object { message in
            message.member("jsonrpc", "2.0")
            message.member("id", json: id.text)
            question.write(into: &message)
        }
        output.line { $0.writeImmutableBuffer(message) }
        return id
    }

    /// - Returns: the indices of the questions that were still open.
    @discardableResult
    private func takeBack(_ asking: Asking, _ reason: String) -> [Int] {
        defer { asking.sent = [] }
        for (id, _) in asking.sent {
            questions[id] = nil
            notify("notifications/cancelled") { params in
                params.member("requestId", json: id.text)
                params.member("reason", reason)
            }
        }
        return asking.sent.map(\.index)
    }
}
