import JSONRPC
import NIOCore

/// A request of the stateless era that was answered with questions, until its retry comes.
struct Round {
    /// What the retry must repeat: method, name and arguments.
    let fingerprint: String
    let answers: Answers
    /// Rounds still to come that ask nothing.
    let stateOnlyRounds: Int
}

/// Asking back in the stateless era: by results that say what is missing.
extension Server {
    func nextRound(_ request: Request, _ inquiry: Inquiry) {
        var answers = Answers()
        var stateOnlyRounds = inquiry.options.stateOnlyRounds
        let responses = request.params["inputResponses"]
        if let state = request.params["requestState"] {
            guard let text = state.string, let round = rounds[text], round.fingerprint == fingerprint(of: request) else {
                return refuseParams(request, "Unknown requestState")
            }
            rounds[text] = nil
            answers = round.answers
            stateOnlyRounds = round.stateOnlyRounds
        } else if responses != nil {
            guard inquiry.options.noState else { return refuseParams(request, "The requestState is missing") }
            // Nothing was kept: what is answered is what was asked first.
            guard add(to: &answers, inquiry, request) else { return }
        }
        if stateOnlyRounds > 0 {
            return require(nil, of: answers, stateOnlyRounds: stateOnlyRounds - 1, request, inquiry)
        }
        for index in answers.open {
            guard let response = responses?[key(index)] else { continue }
            answers.settle(index, JSONWriter.object { $0.member("result", json: response.json) })
        }
        while answers.open.isEmpty {
            if case .answer(let result) = inquiry.next(answers.settled) { return answer(request, result: result) }
            guard add(to: &answers, inquiry, request) else { return }
        }
        require(answers.open, of: answers, stateOnlyRounds: 0, request, inquiry)
        if let pause = inquiry.options.thenExitMilliseconds { exitLater(milliseconds: pause) }
    }

    private func key(_ index: Int) -> String { "q\(index)" }

    /// - Returns: false if the request was refused over it.
    private func add(to answers: inout Answers, _ inquiry: Inquiry, _ request: Request) -> Bool {
        guard case .ask(let questions) = inquiry.next(answers.settled) else { return true }
        for index in answers.add(questions) where !inquiry.options.force && !request.peer.allows(answers.questions[index]) {
            if inquiry.options.require {
                refuseCapabilities(request, answers.questions[index].need.requiredCapabilities)
                return false
            }
            answers.settle(index, answers.questions[index].undeclared)
        }
        return true
    }

    /// - Parameter open: the questions to ask; `nil` if only a state is to come back.
    private func require(_ open: [Int]?, of answers: Answers, stateOnlyRounds: Int, _ request: Request, _ inquiry: Inquiry) {
        let fingerprint = fingerprint(of: request)
        var state: String?
        if !inquiry.options.noState {
            roundCount += 1
            let text = "\(behaviour.name):\(roundCount):\(hash(fingerprint))"
            rounds[text] = Round(fingerprint: fingerprint, answers: answers, stateOnlyRounds: stateOnlyRounds)
            state = text
        }
        let result = JSONWriter.object { result in
            result.member("resultType", "input_required")
            if let open {
                result.object("inputRequests") { requests in
                    for index in open { requests.object(key(index)) { answers.questions[index].write(into: &$0) } }
                }
            }
            if let state { result.member("requestState", state) }
        }
        answer(request, result: result, isInterim: true)
    }

    private func fingerprint(of request: Request) -> String {
        "\(request.counter ?? request.method) \(request.arguments?.jsonText ?? "")"
    }

    /// FNV-1a: the same in every run, so that a transcript can hold it.
    private func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
