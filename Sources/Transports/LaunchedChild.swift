package import NIOCore

/// A child that was launched: a process, or what stands in for one where time is simulated. Belongs to the event loop.
///
/// What becomes of it its ``ChildDelegate`` hears, on that loop, and not before its owner has it.
package protocol LaunchedChild: AnyObject {
    var connection: LineConnection { get }
    /// `nil` until it has one.
    var processID: Int? { get }
    /// Signals it and everything that belongs to it.
    func send(_ signal: ChildProcess.Signal)
    /// Lets go of its pipes.
    func close()
}

extension ChildProcess: LaunchedChild {}

/// Launches something else than processes, in tests.
package struct ChildLauncher: Sendable {
    package typealias Launch =
        @Sendable (
            _ command: ChildProcess.Command, _ eventLoop: any EventLoop, _ pending: PendingWrites, _ delegate: any ChildDelegate,
            _ lineLimit: Int
        ) -> any LaunchedChild

    let start: Launch

    package init(_ start: @escaping Launch) { self.start = start }

    /// Launches a child. It returns at once; the delegate hears what becomes of it.
    package func launch(
        _ command: ChildProcess.Command, on eventLoop: any EventLoop, pending: PendingWrites, delegate: some ChildDelegate, lineLimit: Int
    ) -> any LaunchedChild {
        start(command, eventLoop, pending, delegate, lineLimit)
    }
}
