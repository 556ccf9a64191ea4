import JSONRPC
import NIOCore

extension Server {
    /// Cursors are this and the index of the page's first tool.
    private static let cursorPrefix = "from-"

    // MARK: tools/list

    func listTools(_ message: Message, id: RequestID) {
        var first = 0
        let definitions = catalog.definitions
        if message.places[.cursor].isPresent {
            guard let cursor = message.string(message.places[.cursor]), cursor.hasPrefix(Self.cursorPrefix),
                let index = Int(cursor.dropFirst(Self.cursorPrefix.count)), definitions.indices.contains(index)
            else { return refuse(id, code: -32602, "Unknown cursor") }
            first = index
        }
        let end = min(definitions.count, first + (behaviour.pageSize ?? definitions.count))
        let result = JSONWriter.object { result in
            result.array("tools") { tools in
                for definition in definitions[first..<end] { tools.value(json: definition) }
            }
            if end < definitions.count { result.member("nextCursor", "\(Self.cursorPrefix)\(end)") }
        }
        answer(id, result: result)
    }

    // MARK: tools/call

    func callTool(_ message: Message, id: RequestID) {
        guard let name = message.string(message.places[.name]) else {
            return refuse(id, code: -32602, "tools/call needs a name", isCall: true)
        }
        let place = message.places[.arguments]
        let arguments = place.isPresent ? message.view(place) : nil
        let tokenPlace = message.places[.metaProgressToken]
        let token = tokenPlace.isPresent ? message.text(tokenPlace) : nil
        func done(_ result: ByteBuffer) { answer(id, result: result, isCall: true) }

        switch name {
        case "echo", "typed": done(ToolResult.echo(arguments))
        case "add": done(add(arguments))
        case "payload": done(ToolResult.payload(arguments?.count("bytes") ?? 0))
        case "sleep":
            let result = ToolResult.text(arguments?["text"]?.string ?? "slept")
            later(id, .answer(result), milliseconds: arguments?.count("ms") ?? 0, isCall: true)
        case "fail": done(ToolResult.text(arguments?["text"]?.string ?? "failed, as asked", isError: true))
        case "error":
            let text = arguments?["message"]?.string ?? "refused, as asked"
            refuse(id, code: arguments?["code"]?.integer ?? -32603, text, isCall: true)
        case "progress":
            let pause = arguments?.count("delayMs") ?? 0
            let task = Work.Task.progress(done: 0, steps: arguments?.count("steps") ?? 1, everyMilliseconds: pause, token: token)
            later(id, task, milliseconds: pause, isCall: true)
        case "log":
            notify("notifications/message") { params in
                params.member("level", arguments?["level"]?.string ?? "info")
                params.member("logger", behaviour.name)
                params.member("data", arguments?["text"]?.string ?? "a log message")
            }
            done(ToolResult.text("logged"))
        case "hang":
            progress(token: token, done: 0, of: 1)
            later(id, .never, milliseconds: nil, isCall: true)
        case "exit": Processes.exit(Int32(truncatingIfNeeded: arguments?["code"]?.integer ?? 0))
        case "crash": Processes.crash()
        case "garbage":
            output.line { $0.writeBytes(Noise.garbage) }
            done(ToolResult.text("after the garbage"))
        case "long_line":
            output.line { $0.writeRepeatingByte(UInt8(ascii: "x"), count: arguments?.count("bytes") ?? 0) }
            done(ToolResult.text("after the long line"))
        case "change_tools":
            catalog.addOne()
            notify("notifications/tools/list_changed")
            done(ToolResult.text("there is one tool more"))
        case "grandchild":
            do {
                done(ToolResult.text("\(try Processes.spawnGrandchild())"))
            } catch {
                done(ToolResult.text("\(error)", isError: true))
            }
        case "environment": done(ToolResult.environment())
        case _ where catalog.isFiller(name): done(ToolResult.echo(arguments))
        default: refuse(id, code: -32602, "Unknown tool: \(name)", isCall: true)
        }
    }

    private func add(_ arguments: JSONView?) -> ByteBuffer {
        guard let a = arguments?["a"]?.integer, let b = arguments?["b"]?.integer else {
            return ToolResult.text("add needs two integers, a and b", isError: true)
        }
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? ToolResult.text("the sum does not fit into 64 bits", isError: true) : ToolResult.text("\(sum)")
    }
}

extension JSONView {
    /// A member that says how many; negative ones count as none.
    fileprivate func count(_ name: String) -> Int? { self[name]?.integer.map { max(0, $0) } }
}
