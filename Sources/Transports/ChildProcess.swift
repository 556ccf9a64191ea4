import JSONRPC
package import NIOCore
import NIOPosix
import Subprocess
import SystemPackage

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
    /// Trying again is pointless until the person changes the config file or installs something.
    package let isConfiguration: Bool
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

/// A downstream server that we launched: a process group of its own, with pipes on its three standard descriptors.
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
    package private(set) var processID: Int?
    private var errorChannel: (any Channel)?
    private var hasExited = false
    /// A signal asked for before there was a process to send it to.
    private var pendingSignal: Signal?

    private init(pending: PendingWrites) { connection = LineConnection(pending: pending) }

    /// Launches a child. It returns at once; the delegate hears what becomes of it.
    package static func launch(
        _ command: Command, on eventLoop: any EventLoop, pending: PendingWrites, delegate: some ChildDelegate,
        lineLimit: Int = LineFraming.defaultLimit
    ) -> ChildProcess {
        let child = ChildProcess(pending: pending)
        do throws(LaunchFailure) {
            try child.launch(command, on: eventLoop, delegate: delegate, lineLimit: lineLimit)
        } catch {
            // Not before the caller has its child.
            eventLoop.execute { delegate.launchFailed(error) }
        }
        return child
    }

    /// The child has an identity now; the owner calls this from ``ChildDelegate/launched(processID:)``.
    package func didLaunch(processID: Int) {
        self.processID = processID
        if let signal = pendingSignal { send(signal) }
    }

    /// The owner calls this from ``ChildDelegate/exited(_:)``: from now on its number may be somebody else's.
    package func didExit() { hasExited = true }

    /// Signals the child and everything in its process group.
    package func send(_ signal: Signal) {
        guard !hasExited else { return }
        guard let processID else {
            pendingSignal = signal
            return
        }
        _ = kill(-pid_t(processID), signal == .terminate ? SIGTERM : SIGKILL)
    }

    /// Lets go of its pipes. What it wrote and we have not read is lost.
    package func close() {
        connection.close()
        errorChannel?.close(promise: nil)
    }

    private func launch(
        _ command: Command, on eventLoop: any EventLoop, delegate: some ChildDelegate, lineLimit: Int
    ) throws(LaunchFailure) {
        let path: String
        do throws(ExecutableSearch.NotFound) {
            path = try ExecutableSearch.find(
                command.executable, searchPath: command.environment["PATH"], directory: command.workingDirectory)
        } catch {
            throw LaunchFailure(description: "\(error)", isConfiguration: true)
        }
        var status = stat()
        guard stat(command.workingDirectory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw LaunchFailure(description: "there is no directory '\(command.workingDirectory)'", isConfiguration: true)
        }
        let pipes = try Self.makePipes()
        let (input, output, errors) = (pipes[0], pipes[1], pipes[2])

        openConnection(input: output.readEnd, output: input.writeEnd, on: eventLoop, delegate: delegate, lineLimit: lineLimit)
        openErrors(errors.readEnd, on: eventLoop, delegate: delegate)
        Self.run(command, path: path, input: input.readEnd, output: output.writeEnd, errors: errors.writeEnd) { event in
            eventLoop.execute {
                switch event {
                case .launched(let id): delegate.launched(processID: id)
                case .failed(let failure): delegate.launchFailed(failure)
                case .exited(let status): delegate.exited(status)
                }
            }
        }
    }

    private static func makePipes() throws(LaunchFailure) -> [Pipe] {
        var pipes: [Pipe] = []
        do throws(SystemError) {
            for _ in 0..<3 { pipes.append(try Pipe()) }
        } catch {
            for pipe in pipes { pipe.close() }
            throw LaunchFailure(description: "no pipe to it could be made: \(error)", isConfiguration: false)
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
                    try LineConnection.prepareInput(channel, delegate: delegate, lineLimit: lineLimit)
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
        reading.and(writing).assumeIsolated().whenSuccess { self.connection.open(input: $0, output: $1) }
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

    private enum Event: Sendable {
        case launched(Int)
        case failed(LaunchFailure)
        case exited(ExitStatus)
    }

    /// Runs the child from launch to end. Beside the path of any message, so a task of its own may wait here.
    private static func run(
        _ command: Command, path: String, input: CInt, output: CInt, errors: CInt, report: @escaping @Sendable (Event) -> Void
    ) {
        var options = PlatformOptions()
        options.processGroupID = 0  // a group of its own, whose number is the child's
        let configuration = Configuration(
            executable: .path(FilePath(path)),
            arguments: Arguments(executablePathOverride: command.executable, remainingValues: command.arguments),
            environment: .custom(command.environment.map { Array("\($0.key)=\($0.value)\0".utf8) }),
            workingDirectory: FilePath(command.workingDirectory),
            platformOptions: options)
        // Detached: it must not inherit the caller's isolation, or launching would wait for the event loop.
        Task.detached {
            do {
                let result = try await Subprocess.run(
                    configuration,
                    input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: true),
                    output: .fileDescriptor(FileDescriptor(rawValue: output), closeAfterSpawningProcess: true),
                    error: .fileDescriptor(FileDescriptor(rawValue: errors), closeAfterSpawningProcess: true)
                ) { execution in
                    let processID = execution.processIdentifier.value
                    report(.launched(Int(processID)))
                    return processID
                }
                // What is left of its group would hold our pipes open. The number is free now, but no new process of the system can
                // have become the leader of a group by it in this moment.
                _ = kill(-result.closureResult, SIGKILL)
                switch result.terminationStatus {
                case .exited(let code): report(.exited(.exited(Int(code))))
                case .signaled(let signal): report(.exited(.signaled(Int(signal))))
                }
            } catch {
                let code = (error as? SubprocessError)?.code
                let isConfiguration = code == .executableNotFound || code == .failedToChangeWorkingDirectory
                report(.failed(LaunchFailure(description: "\(error)", isConfiguration: isConfiguration)))
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
