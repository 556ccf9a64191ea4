import JSONRPC
import Lifecycle
import MCPProtocol
import Transports

// The server of MCP in the process.
extension VirtualChild {
    private var complete: String { isStateless ? #""resultType":"complete","# : "" }

    func received(_ message: Message) {
        switch message.kind {
        case .request: if let id = message.id { received(message, id: id) }
        case .notification where message.method == .cancelled:
            guard message[.requestID].isPresent else { return }
            let id = RequestID(text: message.text(message[.requestID]))
            if temperament.honoursCancellation { working[id] = nil }
        case .notification: break
        case .result, .error:
            guard let id = message.id, let question = asked.removeValue(forKey: id) else { return }
            if working[question.id] == question.call { answer(question.id, question.call) }
        }
    }

    private func received(_ message: Message, id: RequestID) {
        switch message.method {
        case .initialize where !isStateless:
            guard begins() else { return }
            let result = """
                {"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"\(key)","version":"1"}}
                """
            world.after(temperament.startDelay) { [self] in
                reply(id, result)
                if temperament.asksForRoots { write(#"{"jsonrpc":"2.0","id":"roots","method":"roots/list"}"#) }
            }
        case .discover where isStateless:
            guard begins() else { return }
            let result = """
                {"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,\
                "cacheScope":"private"}
                """
            world.after(temperament.startDelay) { [self] in reply(id, result) }
        case .discover where temperament.endsOnDiscovery: die(.exited(1), because: "does not know 'server/discover'")
        case .discover where temperament.ignoresDiscovery: break
        case .toolsList:
            let tools = Tool.allCases.map {
                #"{"name":"\#($0.rawValue)","inputSchema":{"type":"object"},"annotations":\#($0.annotations)}"#
            }
            let extra = (0..<extraTools).map { #"{"name":"extra\#($0)","inputSchema":{"type":"object"}}"# }
            let caching = isStateless ? #""ttlMs":0,"cacheScope":"private","# : ""
            reply(id, #"{\#(complete)\#(caching)"tools":[\#((tools + extra).joined(separator: ","))]}"#)
        case .listen where isStateless:
            listen = id
            write(
                """
                {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},\
                "_meta":{"io.modelcontextprotocol/subscriptionId":\(id.text)}}}
                """)
        case .ping: if temperament.answersPings { reply(id, "{}") }
        case .toolsCall: call(message, id)
        default: write(#"{"jsonrpc":"2.0","id":\#(id.text),"error":{"code":-32601,"message":"Method not found"}}"#)
        }
    }

    /// - Returns: `false` if it never gets that far.
    private func begins() -> Bool {
        if case .works = temperament.start { true } else { false }
    }

    private func reply(_ id: RequestID, _ result: String) { write(#"{"jsonrpc":"2.0","id":\#(id.text),"result":\#(result)}"#) }

    func changeTools() {
        extraTools = (extraTools + 1) % 3
        let method = "notifications/tools/list_changed"
        guard isStateless else { return write(#"{"jsonrpc":"2.0","method":"\#(method)"}"#) }
        guard let listen else { return }
        write(
            #"{"jsonrpc":"2.0","method":"\#(method)","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":\#(listen.text)}}}"#)
    }

    // MARK: Calls

    private func call(_ message: Message, _ id: RequestID) {
        guard let number = Self.number(message), let name = message.string(message[.name]), let tool = Tool(rawValue: name) else {
            return write(#"{"jsonrpc":"2.0","id":\#(id.text),"error":{"code":-32602,"message":"Unknown tool"}}"#)
        }
        let behaviour = world.behaviour(of: number)
        if case .crashBefore = behaviour { return die(.signaled(11), because: "crashes before it reads call \(number)") }
        if isStateless, case .ask = behaviour, message[.inputResponses].isAbsent {
            let question = #"{"method":"elicitation/create","params":\#(Self.question(number))}"#
            return reply(id, #"{"resultType":"input_required","inputRequests":{"k":\#(question)},"requestState":"s\#(number)"}"#)
        }
        world.executed(number, tool, by: self)
        working[id] = number
        switch behaviour {
        case .answer(let delay), .crashBehind(let delay), .twice(let delay), .failure(let delay), .error(let delay),
            .misaddress(let delay), .crashWithin(let delay):
            world.after(delay) { [self] in finish(id, number, behaviour) }
        case .hang, .crashBefore: break
        case .crashAfter(let delay): world.after(delay) { [self] in die(.signaled(11), because: "crashes after it ran call \(number)") }
        case .ask(let delay): world.after(delay) { [self] in ask(id, number) }
        case .progress(let steps, let every):
            let token = message.text(message[.metaProgressToken])
            for step in 1...steps {
                world.after(step * every) { [self] in
                    guard working[id] == number, !token.isEmpty else { return }
                    write(
                        #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(token),"progress":\#(step)}}"#)
                }
            }
            world.after(steps * every + 1) { [self] in finish(id, number, .answer(after: 0)) }
        }
    }

    private static func question(_ number: Int) -> String {
        #"{"message":"Really \#(number)?","requestedSchema":{"type":"object","properties":{"yes":{"type":"boolean"}}}}"#
    }

    private func ask(_ id: RequestID, _ number: Int) {
        guard isAlive, working[id] == number else { return }
        guard !isStateless else { return answer(id, number) }
        let own = RequestID(text: #""q\#(number)-\#(id.text)""#)
        asked[own] = (number, id)
        write(#"{"jsonrpc":"2.0","id":\#(own.text),"method":"elicitation/create","params":\#(Self.question(number))}"#)
    }

    private func answer(_ id: RequestID, _ number: Int) { finish(id, number, .answer(after: 0)) }

    private func finish(_ id: RequestID, _ number: Int, _ behaviour: Behaviour) {
        guard isAlive, working.removeValue(forKey: id) == number else { return }
        let text = "done \(number) by \(key)"
        var line = """
            {"jsonrpc":"2.0","id":\(id.text),"result":{\(complete)"content":[{"type":"text","text":"\(text)"}]}}
            """
        switch behaviour {
        case .failure:
            line = """
                {"jsonrpc":"2.0","id":\(id.text),"result":{\(complete)"content":[{"type":"text","text":"\(text)"}],"isError":true}}
                """
        case .error: line = #"{"jsonrpc":"2.0","id":\#(id.text),"error":{"code":-32000,"message":"\#(text)"}}"#
        case .misaddress:
            return write(#"{"jsonrpc":"2.0","id":"\#(id.text)","result":{\#(complete)"content":[{"type":"text","text":"\#(text)"}]}}"#)
        case .crashWithin:
            inlet.write(String(line.prefix(random.within(1...line.count - 1))))
            return die(.signaled(11), because: "crashes in the middle of its answer to call \(number)")
        default: break
        }
        write(line) { [self] deliver in world.heard(number, text, from: self, deliver) }
        if case .twice = behaviour { write(line) }
        if case .crashBehind = behaviour { die(.exited(1), because: "ends behind its answer to call \(number)") }
    }
}
