import JSONRPC
package import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a child could not be launched.
package struct LaunchFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    /// What the person can do, if trying again is pointless until then.
    package let remedy: String?

    package init(description: String, remedy: String? = nil) {
        self.description = description
        self.remedy = remedy
    }
}

/// How a child ended.
package enum ExitStatus: Hashable, Sendable, CustomStringConvertible {
    case exited(Int)
    case signaled(Int)

    package var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signaled(let signal): "was ended by signal \(signal) (\(String(cString: strsignal(CInt(signal)))))"
        }
    }
}

/// What a child tells its owner, besides what any connection does. Every call comes on the event loop.
package protocol ChildDelegate: ConnectionDelegate {
    func launched(processID: Int)
    /// It never ran. Nothing else follows.
    func launchFailed(_ failure: LaunchFailure)
    /// It has ended, and so has what was left of its process group.
    func exited(_ status: ExitStatus)
    func wroteToStandardError(_ bytes: ByteBuffer)
    /// It has closed its standard error, and all of it was read.
    func errorOutputClosed()
}

/// A downstream server that we launched: a process group of its own, with pipes on its three standard descriptors, and a ``Keeper``
/// for all that comes of it.
///
/// Belongs to the event loop. It takes no decisions: its owner says when to close its input, and when to signal it.
package final class ChildProcess {
    /// What to run.
    package struct Command: Hashable, Sendable {
        /// A name or a path.
        package var executable: String
        package var arguments: [String]
        /// All of it: nothing is inherited.
        package var environment: [String: String]
        /// An absolute path.
        package var workingDirectory: String

        package init(executable: String, arguments: [String], environment: [String: String], workingDirectory: String) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
        }
    }

    package enum Signal: Sendable { case terminate, kill }

    package let connection: LineConnection
    /// `nil` until it runs.
    package private(set) var processID: Int?
    private var errorChannel: (any Channel)?
    private var keeper: Keeper?

    private init(pending: PendingWrites) { connection = LineConnection(pending: pending) }

    /// Launches a child. It returns at once; the delegate hears what becomes of it.
    package static func launch(
        _ command: Command, guardedBy owner: Guard, on eventLoop: any EventLoop, pending: PendingWrites, delegate: some ChildDelegate,
        lineLimit: Int = LineFraming.defaultLimit
    ) -> ChildProcess {
        let child = ChildProcess(pending: pending)
        do throws(LaunchFailure) {
            try child.launch(command, guardedBy: owner, on: eventLoop, delegate: delegate, lineLimit: lineLimit)
        } catch {
            // Not before the caller has its child.
            eventLoop.execute { delegate.launchFailed(error) }
        }
        return child
    }

    /// Signals the child and everything in its process group; and what left the group: for SIGTERM as far as it has lost its parent,
    /// for SIGKILL all of it.
    package func send(_ signal: Signal) {
        switch signal {
        case .terminate: keeper?.terminate()
        case .kill: keeper?.kill()
        }
    }

    /// Lets go of its pipes, and ends what still runs. What it wrote and we have not read is lost.
    package func close() {
        connection.close()
        errorChannel?.close(promise: nil)
        keeper?.close()
    }

    private func launch(
        _ command: Command, guardedBy owner: Guard, on eventLoop: any EventLoop, delegate: some ChildDelegate, lineLimit: Int
    ) throws(LaunchFailure) {
        let path: String
        do throws(ExecutableSearch.NotFound) {
            path = try ExecutableSearch.find(
                command.executable, searchPath: command.environment["PATH"], directory: command.workingDirectory)
        } catch {
            throw LaunchFailure(
                description: "\(error)", remedy: "correct 'command' in the config file, or install it and save the file again")
        }
        var status = stat()
        guard stat(command.workingDirectory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw LaunchFailure(
                description: "there is no directory '\(command.workingDirectory)'",
                remedy: "correct 'cwd' in the config file, or make the directory and save the file again")
        }
        let pipes = try Self.makePipes()
        let (input, output, errors) = (pipes[0], pipes[1], pipes[2])

        do throws(LaunchFailure) {
            keeper = try Keeper(
                command, path: path, input: input.readEnd, output: output.writeEnd, errors: errors.writeEnd, guardedBy: owner,
                on: eventLoop
            ) { event in
                switch event {
                case .launched(let id):
                    self.processID = id
                    delegate.launched(processID: id)
                case .failed(let failure): delegate.launchFailed(failure)
                case .exited(let status): delegate.exited(status)
                }
            }
        } catch {
            for end in [input.writeEnd, output.readEnd, errors.readEnd] { closeDescriptor(end) }
            throw error
        }
        openConnection(input: output.readEnd, output: input.writeEnd, on: eventLoop, delegate: delegate, lineLimit: lineLimit)
        openErrors(errors.readEnd, on: eventLoop, delegate: delegate)
    }

    private static func makePipes() throws(LaunchFailure) -> [Pipe] {
        var pipes: [Pipe] = []
        do throws(SystemError) {
            for _ in 0..<3 { pipes.append(try Pipe()) }
        } catch {
            for pipe in pipes { pipe.close() }
            throw LaunchFailure(description: "no pipe to it could be made: \(error)")
        }
        return pipes
    }

    /// Two channels: a child that takes nothing any more may still have written answers, and a write that fails must not lose them.
    private func openConnection(
        input: CInt, output: CInt, on eventLoop: any EventLoop, delegate: some ChildDelegate, lineLimit: Int
    ) {
        let reading = NIOPipeBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try LineConnection.prepareInput(channel, delegate: delegate, lineLimit: lineLimit, descriptor: input)
                }
            }
            .takingOwnershipOfDescriptor(input: input)
        let writing = NIOPipeBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try LineConnection.prepareOutput(channel, delegate: delegate) }
            }
            .takingOwnershipOfDescriptor(output: output)
        // Only a descriptor that is none could be refused here; the child then sees its end closed, and ends.
        reading.whenFailure { _ in
            closeDescriptor(input)
            delegate.inputClosed(unterminated: 0)
        }
        writing.whenFailure { _ in closeDescriptor(output) }
        reading.and(writing).assumeIsolated().whenSuccess { self.connection.open(input: $0, output: $1, descriptor: output) }
    }

    /// Always drained: a full pipe would stop the child.
    private func openErrors(_ descriptor: CInt, on eventLoop: any EventLoop, delegate: some ChildDelegate) {
        NIOPipeBootstrap(group: eventLoop)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ErrorOutputHandler(delegate: delegate))
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.errorChannel = channel
                case .failure:
                    closeDescriptor(descriptor)
                    delegate.errorOutputClosed()
                }
            }
    }
}

private final class ErrorOutputHandler<Delegate: ChildDelegate>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let delegate: Delegate

    init(delegate: Delegate) { self.delegate = delegate }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { delegate.wroteToStandardError(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { delegate.errorOutputClosed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
