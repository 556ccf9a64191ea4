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
        // On its thread: there they are not blocked from then on, wherever else they are.
        try await eventLoop.submit {
            var descriptor: CInt = -1
            let code = cguard_note_signals(numbers, CInt(numbers.count), &descriptor)
            guard code == 0 else { throw SystemError("signals", code: code) }
            return descriptor
        }.flatMap { descriptor in
            // What is noted until then waits in the pipe.
            NIOPipeBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(BytesHandler { hand(on: $0, to: received) })
                    }
                }
                .takingOwnershipOfDescriptor(input: descriptor)
        }.map { _ in }.get()
    }

    private static func hand(on numbers: ByteBuffer, to received: (CInt) -> Void) {
        for number in numbers.readableBytesView {
            cguard_signal_taken(CInt(number))
            received(CInt(number))
        }
    }
}
