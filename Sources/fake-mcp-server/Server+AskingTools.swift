import JSONRPC
import NIOCore

/// The tools that ask the client back, and the one that tells what was run.
extension Server {
    /// How long after its answer `unsolicited` asks.
    private static let unsolicitedMilliseconds = 10

    /// - Returns: false if the tool is none of these.
    func askingTool(_ name: String, _ request: Request) -> Bool {
        switch name {
        case "ask": ask(request)
        case "nested": nested(request)
        case "needs_url": needsURL(request)
        case "elicitation_complete": elicitationComplete(request)
        case "roots": roots(request)
        case "unsolicited": unsolicited(request)
        case "executions":
            answer(request, result: ToolResult.structured(executions.json(only: request.arguments?["only"]?.string), for: request.peer))
        default: return false
        }
        return true
    }

    private func ask(_ request: Request) {
        let arguments = request.arguments
        let asked = arguments?["questions"]?.elements ?? []
        let questions = asked.compactMap { Question($0) }
        guard questions.count == asked.count else {
            return answer(request, result: ToolResult.text("each of the questions needs a method", isError: true))
        }
        func result(_ answers: [ByteBuffer]) -> ByteBuffer {
            let content = JSONWriter.object { content in
                content.array("answers") { entries in answers.forEach { entries.value(json: $0) } }
                content.member("executions", executions.begun("ask"))
            }
            return ToolResult.structured(content, for: request.peer, text: arguments?["text"]?.string)
        }
        var inquiry = Inquiry.once(questions, result)
        if arguments?["sequence"]?.boolean == true {
            inquiry = Inquiry(next: { $0.count < questions.count ? .ask([questions[$0.count]]) : .answer(result($0)) })
        }
        inquiry.options = Inquiry.Options(arguments)
        inquire(request, inquiry)
    }

    private func nested(_ request: Request) {
        let depth = request.arguments?.count("depth") ?? 1
        var inquiry = Inquiry(next: { answers in
            if answers.count < depth { return .ask([.form("question \(answers.count + 1) of \(depth)")]) }
            return .answer(
                ToolResult.structured(
                    JSONWriter.object { content in
                        content.array("answers") { entries in answers.forEach { entries.value(json: $0) } }
                    }, for: request.peer))
        })
        inquiry.options = Inquiry.Options(request.arguments)
        inquire(request, inquiry)
    }

    private func roots(_ request: Request) {
        var inquiry = Inquiry.once([.roots]) { answers in
            let answer = answers.first.map { JSONView.whole($0) }
            guard let roots = answer?["result"]?["roots"] else {
                return ToolResult.text(answer?["error"]?.jsonText ?? "no roots came back", isError: true)
            }
            return ToolResult.structured(JSONWriter.object { $0.member("roots", json: roots.json) }, for: request.peer)
        }
        inquiry.options = Inquiry.Options(request.arguments)
        inquire(request, inquiry)
    }

    /// Handshake era: the first call for a URL is refused, and the client calls again. Stateless era: an inquiry like any other.
    private func needsURL(_ request: Request) {
        guard let url = request.arguments?["url"]?.string else {
            return answer(request, result: ToolResult.text("needs_url needs a url", isError: true))
        }
        let message = "Please visit \(url)"
        let id = "\(behaviour.name)-url-\(visitedURLs.count + 1)"
        let question = Question.url(url, message: message, id: request.era == .handshake ? id : nil)
        var options = Inquiry.Options(request.arguments)
        guard request.era == .handshake else {
            options.require = !options.force
            var inquiry = Inquiry.once([question]) { answers in
                let action = answers.first.map { JSONView.whole($0) }?["result"]?["action"]?.string ?? "none"
                return ToolResult.text("\(url): \(action)", isError: action != "accept")
            }
            inquiry.options = options
            return inquire(request, inquiry)
        }
        guard options.force || request.peer.allows(question) else {
            return answer(request, result: ToolResult.text("the client takes no URL elicitations", isError: true))
        }
        guard visitedURLs.insert(url).inserted else {
            return answer(request, result: ToolResult.text("\(url): visited"))
        }
        let data = JSONWriter.object { data in
            data.array("elicitations") { $0.value(json: Question.urlParams(url, message: message, id: id)) }
        }
        refuse(request, code: -32042, "A URL must be visited first", data: data)
    }

    private func elicitationComplete(_ request: Request) {
        guard request.era == .handshake, request.peer.hasURLElicitation else {
            return answer(request, result: ToolResult.text("this revision has no notifications/elicitation/complete", isError: true))
        }
        notify("notifications/elicitation/complete") { params in
            params.member("elicitationId", request.arguments?["elicitationId"]?.string ?? "")
        }
        answer(request, result: ToolResult.text("told"))
    }

    private func unsolicited(_ request: Request) {
        guard request.era == .handshake else {
            return answer(request, result: ToolResult.text("a server cannot ask unasked in this era", isError: true))
        }
        let question = Question(request.arguments) ?? .form("nobody called for this")
        let force = request.arguments?["force"]?.boolean == true
        let allowed = force || request.peer.allows(question)
        answer(request, result: ToolResult.text("will ask"))
        timers.set(milliseconds: Self.unsolicitedMilliseconds) { [self] in
            executions.askUnsolicited()
            guard allowed else { return executions.answeredUnsolicited(question.undeclared) }
            _ = send(question) { [self] in executions.answeredUnsolicited($0) }
        }
    }
}

extension Inquiry.Options {
    init(_ arguments: JSONView?) {
        func flag(_ name: String) -> Bool { arguments?[name]?.boolean == true }
        self.init(
            force: flag("force"), require: flag("require"), noState: flag("noState"),
            stateOnlyRounds: arguments?.count("stateOnly") ?? 0, thenExitMilliseconds: arguments?.count("thenExitMs"),
            cancelQuestionsMilliseconds: arguments?.count("cancelQuestionsMs"))
    }
}
