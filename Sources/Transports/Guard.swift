package import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Our side of the ``GuardProcess``, and of the keepers it has forked, one for each launch.
///
/// Belongs to the event loop. Somebody may kill that process: what it launched goes on, since each keeper knows by itself when we are
/// gone, and the next launch forks another one.
package final class Guard {
    /// How long it is waited for at the end. With nothing left to be ended it takes a millisecond or two.
    package static let endWait = TimeAmount.seconds(1)

    /// `nil` before the first launch, and after the process was killed.
    package var processID: Int? { process.map { Int($0.processID) } }

    private let eventLoop: any EventLoop
    private var process: GuardProcess?
    /// Succeeds when the present process has ended.
    private var life: EventLoopFuture<Void>?
    private var keepers: [ObjectIdentifier: Keeper] = [:]
    private var isEnding = false
    private let wasKilled: () -> Void

    /// - Parameters:
    ///   - process: one that nobody else uses.
    ///   - wasKilled: called on the loop when the process ends without having been told to.
    package init(_ process: GuardProcess? = nil, on eventLoop: any EventLoop, wasKilled: @escaping () -> Void) {
        self.process = process
        self.eventLoop = eventLoop
        self.wasKilled = wasKilled
        if process != nil { watch() }
    }

    deinit { if let process { closeDescriptor(process.commands) } }

    /// Hands the child's ends of its pipes, and that of its control socket, to a keeper that is forked for it.
    func launch(_ keeper: Keeper, control: CInt, input: CInt, output: CInt, errors: CInt) throws(SystemError) {
        do throws(SystemError) {
            if let process {
                try process.launch(control: control, input: input, output: output, errors: errors)
                keepers[ObjectIdentifier(keeper)] = keeper
                return
            }
        } catch  where error.code == EPIPE {
            // We are told that it has ended, but have not read it yet.
            lose()
        }
        let process = try GuardProcess.fork()
        self.process = process
        watch()
        try process.launch(control: control, input: input, output: output, errors: errors)
        keepers[ObjectIdentifier(keeper)] = keeper
    }

    func isOver(_ keeper: Keeper) { keepers[ObjectIdentifier(keeper)] = nil }

    /// Ends all that was launched and still runs, and then the process.
    /// - Returns: when that is done, or the limit is over; the process goes on with it by itself then.
    package func end(within limit: TimeAmount = Guard.endWait) -> EventLoopFuture<Void> {
        isEnding = true
        for keeper in keepers.values { keeper.close() }
        keepers = [:]
        guard let process, let life else { return eventLoop.makeSucceededVoidFuture() }
        self.process = nil
        closeDescriptor(process.commands)
        let ended = eventLoop.makePromise(of: Void.self)
        let timer = eventLoop.scheduleTask(in: limit) { ended.succeed() }
        life.whenComplete { _ in
            timer.cancel()
            ended.succeed()
        }
        return ended.futureResult
    }

    private func watch() {
        guard let process else { return }
        // Nothing is ever written there: it ends with the process.
        let life = NIOPipeBootstrap(group: eventLoop)
            .takingOwnershipOfDescriptor(input: process.life)
            .flatMap { $0.closeFuture }
        life.whenSuccess { process.collect() }
        self.life = life
        life.assumeIsolated().whenComplete { [weak self] _ in
            guard let self, self.process?.processID == process.processID else { return }
            self.lose()
        }
    }

    private func lose() {
        guard let process else { return }
        closeDescriptor(process.commands)
        self.process = nil
        if !isEnding { wasKilled() }
    }
}
