package import JSONRPC
import Lifecycle
package import MCPProtocol
package import NIOCore

/// Our own command line as a host: it speaks to the aggregator as any other, without pipes between them.
package struct LocalHost: Sendable {
    private let aggregator: Aggregator
    private let connection: HostConnectionID

    /// - Parameter notified: called for each notification, on the event loop.
    package init(_ aggregator: Aggregator, notified: @escaping @Sendable (Message) -> Void = { _ in }) async {
        self.aggregator = aggregator
        connection = await aggregator.connectLocal(notified: notified)
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
    /// Requests of our own command line that wait for their answers.
    struct LocalRequests {
        var count = 0
        var waiting: [Int: CheckedContinuation<Message?, Never>] = [:]
    }

    fileprivate func connectLocal(notified: @escaping @Sendable (Message) -> Void) -> HostConnectionID {
        let id = nextHostID()
        let deliver = { (line: ByteBuffer) in
            self.assumeIsolated { aggregator in
                guard case .message(let message) = Incoming(scanning: line) else { return }
                if let number = message.integerID {
                    aggregator.local[id]?.waiting.removeValue(forKey: number)?.resume(returning: message)
                } else {
                    notified(message)
                }
            }
        }
        local[id] = LocalRequests()
        hosts[id] = HostConnection(
            id: id, output: .local(deliver),
            machine: HostProtocol(
                openedWith: .newestHandshake, capabilities: options.clientCapabilities ?? ClientCapabilities(), identity: identity))
        return id
    }

    fileprivate func nextLocalRequest(_ connection: HostConnectionID) -> Int {
        local[connection]?.count += 1
        return local[connection]?.count ?? 0
    }

    /// - Returns: `nil` if it was cancelled.
    fileprivate func localRequest(_ connection: HostConnectionID, _ number: Int, _ method: Method, params: ByteBuffer?) async -> Message? {
        guard !Task.isCancelled, local[connection] != nil else { return nil }
        return await withCheckedContinuation { continuation in
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
