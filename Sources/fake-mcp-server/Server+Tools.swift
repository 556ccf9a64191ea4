import JSONRPC
import NIOCore

/// `tools/call`.
extension Server {
    func callTool(_ request: Request) {
        guard let name = request.name else { return refuseParams(request, "tools/call needs a name") }
        guard catalog.offers(name, to: request.peer) else { return refuseParams(request, "Unknown tool: \(name)") }
        if !request.isRetry, let counter = request.counter { executions.begin(counter) }
        if taskTool(name, request) || askingTool(name, request) || resourceTool(name, request) { return }
        let arguments = request.arguments
        func done(_ result: ByteBuffer) { answer(request, result: result) }

        switch name {
        case "add": done(add(arguments))
        case "payload": done(ToolResult.payload(arguments?.count("bytes") ?? 0))
        case "sleep":
            later(request, milliseconds: arguments?.count("ms") ?? 0) { done(ToolResult.text(arguments?["text"]?.string ?? "slept")) }
        case "fail": done(ToolResult.text(arguments?["text"]?.string ?? "failed, as asked", isError: true))
        case "error": refuse(request, code: arguments?["code"]?.integer ?? -32603, arguments?["message"]?.string ?? "refused, as asked")
        case "progress":
            let pause = arguments?.count("delayMs") ?? 0
            takeSteps(request, after: 0, of: arguments?.count("steps") ?? 1, everyMilliseconds: pause)
        case "log":
            // Whatever the level, but the stateless era has no messages for requests that want none.
            log(request, evenUnasked: request.era == .handshake)
            done(ToolResult.text("logged"))
        case "log_at":
            log(request, evenUnasked: false)
            done(ToolResult.text("logged"))
        case "hang":
            progress(request, done: 0, of: 1)
            hold(request)
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
            changed(.tools)
            done(ToolResult.text("there is one tool more"))
        case "change_prompts":
            prompts.addOne()
            changed(.prompts)
            done(ToolResult.text("there is one prompt more"))
        case "grandchild":
            do {
                done(ToolResult.text("\(try Processes.spawnGrandchild())"))
            } catch {
                done(ToolResult.text("\(error)", isError: true))
            }
        case "misbehave": misbehave(request)
        case "environment": done(ToolResult.environment())
        // "echo", "typed", and the fillers.
        default: done(ToolResult.echo(arguments))
        }
    }

    private func takeSteps(_ request: Request, after done: Int, of steps: Int, everyMilliseconds pause: Int) {
        later(request, milliseconds: pause) { [self] in
            progress(request, done: done + 1, of: steps)
            guard done + 1 < steps else { return answer(request, result: ToolResult.text("\(steps) steps")) }
            takeSteps(request, after: done + 1, of: steps, everyMilliseconds: pause)
        }
    }

    private func log(_ request: Request, evenUnasked: Bool) {
        let level = request.arguments?["level"]?.string ?? "info"
        guard evenUnasked || LogLevel(rawValue: level).map(request.peer.admits) ?? false else { return }
        notify("notifications/message") { params in
            params.member("level", level)
            params.member("logger", behaviour.name)
            params.member("data", request.arguments?["text"]?.string ?? "a log message")
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
    func count(_ name: String) -> Int? { self[name]?.integer.map { max(0, $0) } }
}
