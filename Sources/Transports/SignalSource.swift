import CGuard
package import NIOCore
import NIOPosix

/// Signals to this process, as events of an event loop. No thread waits for them, and none of the system's queues is needed.
package enum SignalSource {
    /// From now on these signals do what `received` does; those that came before had what they did before. Only once in a process.
    ///
    /// Of one signal at least two are told of, however many come at a time.
    /// - Parameter received: called on the event loop with the signal's number.
    package static func open(
        _ numbers: [CInt], on eventLoop: any EventLoop, received: @escaping @Sendable (CInt) -> Void
    ) async throws {
        var descriptor: CInt = -1
        let code = cguard_note_signals(numbers, CInt(numbers.count), &descriptor)
        guard code == 0 else { throw SystemError("signals", code: code) }
        // What is noted until then waits in the pipe.
        _ = try await NIOPipeBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(BytesHandler { hand(on: $0, to: received) })
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor).get()
    }

    private static func hand(on numbers: ByteBuffer, to received: (CInt) -> Void) {
        for number in numbers.readableBytesView {
            cguard_signal_taken(CInt(number))
            received(CInt(number))
        }
    }
}
