import CGuard
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// One program launched through the ``Guard``, and all that comes of it: a small process keeps it, which is the parent of the program
/// and becomes that of every orphan below it. So nothing gets lost, whatever group, session or environment it gives itself.
///
/// Belongs to the event loop.
final class Keeper {
    enum Event {
        case launched(processID: Int)
        /// It never ran. Nothing else follows.
        case failed(LaunchFailure)
        /// It has ended, and so has what was left of its process group. What left the group has been told to end, too.
        case exited(ExitStatus)
    }

    private let owner: Guard
    /// `nil` once nothing more can be said.
    private var report: ((Event) -> Void)?
    private var channel: (any Channel)?
    /// The order, and commands that came before the channel was open.
    private var unsent = ByteBuffer()
    private var isClosed = false
    private var progress = Progress.ordered

    private enum Progress { case ordered, running, over }

    /// Launches a program. It returns at once; what becomes of it is reported on the loop, not before the next turn.
    /// - Parameters:
    ///   - path: the executable that `command` names.
    ///   - input, output, errors: its standard descriptors. They are closed here, whatever comes of it.
    init(
        _ command: ChildProcess.Command, path: String, input: CInt, output: CInt, errors: CInt, guardedBy owner: Guard,
        on eventLoop: any EventLoop, report: @escaping (Event) -> Void
    ) throws(LaunchFailure) {
        defer { for descriptor in [input, output, errors] { closeDescriptor(descriptor) } }
        self.owner = owner
        self.report = report
        var ends: [CInt] = [-1, -1]
        let code = cguard_make_control(&ends)
        guard code == 0 else { throw Self.failure(SystemError("socketpair", code: code)) }
        let (ours, theirs) = (ends[0], ends[1])
        defer { closeDescriptor(theirs) }
        do throws(SystemError) {
            unsent = try Self.order(command, path: path)
            try owner.launch(self, control: theirs, input: input, output: output, errors: errors)
        } catch {
            closeDescriptor(ours)
            throw Self.failure(error)
        }
        ClientBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .withConnectedSocket(ours)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.open(channel)
                case .failure:
                    closeDescriptor(ours)
                    self.ended()
                }
            }
    }

    /// Asks the program and its process group to end, and those that left the group and have lost their parents.
    func terminate() { send(CInt(CGUARD_TERMINATE)) }

    /// Ends all that came of the launch.
    func kill() { send(CInt(CGUARD_KILL)) }

    /// Lets go of it. What still runs is asked to end, and killed a moment later.
    func close() {
        isClosed = true
        channel?.close(promise: nil)
    }

    private func open(_ channel: any Channel) {
        self.channel = channel
        // Neither fails for a channel that was opened in this turn.
        try? channel.pipeline.syncOperations.addHandler(Handler(self))
        try? channel.syncOptions?.setOption(.autoRead, value: true)
        if unsent.readableBytes > 0 { channel.writeAndFlush(unsent, promise: nil) }
        unsent = ByteBuffer()
        if isClosed { channel.close(promise: nil) }
    }

    private func send(_ command: CInt) {
        guard !isClosed else { return }
        let command = ByteBuffer(integer: UInt8(command))
        if let channel {
            channel.writeAndFlush(command, promise: nil)
        } else {
            unsent.writeImmutableBuffer(command)
        }
    }

    // MARK: What the keeper says

    private func received(_ kind: CInt, _ value: CInt) {
        switch Int(kind) {
        case Int(CGUARD_LAUNCHED):
            progress = .running
            report?(.launched(processID: Int(value)))
        case Int(CGUARD_EXITED): exited(.exited(Int(value)))
        case Int(CGUARD_SIGNALED): exited(.signaled(Int(value)))
        case Int(CGUARD_NO_DIRECTORY):
            failed("its directory cannot be entered", code: value, remedy: "correct 'cwd' in the config file, or its permissions")
        case Int(CGUARD_NOT_EXECUTED): failed("it cannot be executed", code: value, remedy: Self.remedy(value))
        default: failed("there is no process for it", code: value, remedy: nil)
        }
    }

    private func exited(_ status: ExitStatus) {
        progress = .over
        report?(.exited(status))
    }

    private func failed(_ what: String, code: CInt, remedy: String?) {
        progress = .over
        report?(.failed(LaunchFailure(description: "\(what): \(String(cString: strerror(code)))", remedy: remedy)))
    }

    /// The socket is closed: nothing that came of the launch is left.
    fileprivate func ended() {
        owner.isOver(self)
        isClosed = true
        channel = nil
        switch progress {
        case .ordered:
            progress = .over
            report?(.failed(LaunchFailure(description: "the process that launches servers has ended")))
        case .running: exited(.signaled(Int(SIGKILL)))  // its keeper was killed, and it with that
        case .over: break
        }
        report = nil
    }

    /// - Returns: `nil` if it may get better by itself.
    private static func remedy(_ code: CInt) -> String? {
        switch code {
        // The file itself was found.
        case ENOENT: "see whether what its first line names behind '#!' is installed, and save the config file again"
        case ENOEXEC: "it is no program for this machine; correct 'command' in the config file"
        case E2BIG: "shorten 'args' or 'env' in the config file"
        case ENOTDIR, EACCES, ELOOP, ENAMETOOLONG: "correct 'command' in the config file, or the permissions of the file it names"
        default: nil
        }
    }

    private static func failure(_ error: SystemError) -> LaunchFailure {
        LaunchFailure(description: "no process for it could be made: \(error)", remedy: error.code == E2BIG ? remedy(E2BIG) : nil)
    }

    // MARK: The order

    private static func order(_ command: ChildProcess.Command, path: String) throws(SystemError) -> ByteBuffer {
        let arguments = [command.executable] + command.arguments
        let variables = command.environment.map { "\($0.key)=\($0.value)" }
        var strings = ByteBuffer()
        for string in [path, command.workingDirectory] + arguments + variables {
            // A zero would end the string, and what is behind it would be the next.
            guard !string.utf8.contains(0) else { throw SystemError("execve", code: EINVAL) }
            strings.writeString(string)
            strings.writeInteger(UInt8(0))
        }
        guard strings.readableBytes <= CGUARD_ORDER_LIMIT else { throw SystemError("execve", code: E2BIG) }
        var order = ByteBuffer()
        for number in [strings.readableBytes, arguments.count, variables.count] {
            order.writeInteger(UInt32(number), endianness: .host)
        }
        order.writeImmutableBuffer(strings)
        return order
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let keeper: Keeper
        private var received = ByteBuffer()

        init(_ keeper: Keeper) { self.keeper = keeper }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
            while let (kind, value) = received.readMultipleIntegers(endianness: .host, as: (Int32, Int32).self) {
                keeper.received(kind, value)
            }
        }

        func channelInactive(context: ChannelHandlerContext) { keeper.ended() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
