import JSONRPC

/// A request whose answer comes later, or never.
struct Work {
    let serial: Int
    let request: Request
    let onCancel: () -> Void
}

extension Server {
    /// Keeps the request open. Whoever answers it closes it.
    func hold(_ request: Request, onCancel: @escaping () -> Void = {}) {
        workCount += 1
        work[request.id] = Work(serial: workCount, request: request, onCancel: onCancel)
    }

    /// Keeps the request open, and acts after so long unless it was cancelled meanwhile.
    func later(_ request: Request, milliseconds: Int, _ action: @escaping () -> Void) {
        hold(request)
        whileHeld(request, milliseconds: milliseconds, action)
    }

    /// Acts after so long, if the same request still waits then: it may have been cancelled, and its id used again.
    func whileHeld(_ request: Request, milliseconds: Int, _ action: @escaping () -> Void) {
        guard let serial = work[request.id]?.serial else { return }
        timers.set(milliseconds: milliseconds) { [self] in
            if work[request.id]?.serial == serial { action() }
        }
    }

    func cancel(_ id: RequestID) {
        if misbehaviour?.kind == .answersToCancelled { return }
        guard let cancelled = work.removeValue(forKey: id) else { return }
        if let counter = cancelled.request.counter { executions.cancel(counter) }
        cancelled.onCancel()
    }
}
