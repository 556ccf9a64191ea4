import JSONRPC
import NIOCore

/// What goes out: answers, refusals, notifications.
extension Server {
    /// - Parameter isInterim: the execution goes on: as a task, or in the client's retry.
    func answer(_ request: Request, result: ByteBuffer, isInterim: Bool = false) {
        let result = request.era == .stateless ? dressed(result, for: request) : result
        writeGarbageIfAsked()
        for _ in 0..<(misbehaviour?.kind == .duplicates ? Misbehaviour.copies : 1) {
            output.line { line in
                line.writeString(#"{"jsonrpc":"2.0","id":\#(request.id),"result":"#)
                line.writeImmutableBuffer(result)
                line.writeStaticString("}")
            }
        }
        if !isInterim, let counter = request.counter { executions.finish(counter) }
        close(request)
    }

    func refuse(_ request: Request, code: Int, _ text: String, data: ByteBuffer? = nil) {
        refuse(request.id, code: code, text, data: data)
        close(request)
    }

    /// For what is not yet known to be a request of some era.
    func refuse(_ id: RequestID?, code: Int, _ text: String, data: ByteBuffer? = nil) {
        writeGarbageIfAsked()
        let member = id.map { #""id":\#($0),"# } ?? ""
        output.line { line in
            line.writeString(#"{"jsonrpc":"2.0",\#(member)"error":{"code":\#(code),"message":\#(JSONString.encoded(text))"#)
            if let data {
                line.writeStaticString(#","data":"#)
                line.writeImmutableBuffer(data)
            }
            line.writeStaticString("}}")
        }
    }

    /// For what the client did not declare, or not ask for: it is as if it had never been called.
    func refuseUnbegun(_ request: Request, code: Int, _ text: String, data: ByteBuffer? = nil) {
        if !request.isRetry, let counter = request.counter { executions.withdraw(counter) }
        refuse(request, code: code, text, data: data)
    }

    /// Invalid params, which is also the answer to whatever has an unknown name.
    func refuseParams(_ request: Request, _ text: String) { refuse(request, code: -32602, text) }

    func notify(_ method: String, _ params: (inout JSONWriter) -> Void = { _ in }) {
        let message = JSONWriter.object { message in
            message.member("jsonrpc", "2.0")
            message.member("method", method)
            message.object("params", params)
        }
        output.line { $0.writeImmutableBuffer(message) }
    }

    func progress(_ request: Request, done: Int, of steps: Int) {
        guard let token = request.progressToken else { return }
        notify("notifications/progress") { params in
            params.member("progressToken", json: token)
            params.member("progress", done)
            params.member("total", steps)
        }
    }

    private func writeGarbageIfAsked() {
        if behaviour.garbage { output.line { $0.writeBytes(Noise.garbage) } }
    }

    private func close(_ request: Request) {
        work[request.id] = nil
        guard request.isCall else { return }
        answeredCalls += 1
        guard answeredCalls == behaviour.exitAfterCalls else { return }
        output.drain()
        Processes.exit(1)
    }
}
