import JSONRPC
import MCPProtocol
package import NIOCore
import NIOPosix
import Resilience

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A program that prints headers, as a JSON object of strings: for tokens that do not live long.
package enum HeadersCommand {
    /// Bytes it may print.
    package static let outputLimit = 256 * 1024
    /// Characters of what it wrote to standard error that are shown.
    fileprivate static let shownErrors = 200

    /// Runs it and reads what it prints. On the event loop.
    /// - Returns: a run whose outcome says why there are no headers, if so; nothing it printed to standard output is in that text.
    package static func run(_ command: ChildProcess.Command, guardedBy owner: Guard, on eventLoop: any EventLoop) -> HeadersCommandRun {
        let run = HeadersCommandRun(on: eventLoop)
        do throws(HTTPFailure) {
            try run.launch(command, guardedBy: owner)
        } catch {
            run.fail(error)
        }
        return run
    }

    /// It takes too long.
    package static func timedOut(_ timeLimit: Duration) -> HTTPFailure {
        failure("did not end within \(timeLimit.components.seconds) s", .transient)
    }

    package static func notRun(_ why: String) -> HTTPFailure { failure("cannot be run: \(why)", .transient) }

    static func headers(in output: String) throws(HTTPFailure) -> [(name: String, value: String)] {
        guard let view = try? JSONView(validating: ByteBuffer(string: output)), view.kind == .object else {
            throw failure("printed no JSON object", .configuration)
        }
        var headers: [(name: String, value: String)] = []
        for (name, value) in view.members {
            guard let text = value.string, HeaderParameter.isName(name), HeaderText.isValue(text) else {
                throw failure("printed a header '\(name.prefix(40).oneLine)' that cannot be one", .configuration)
            }
            headers.append((name, text))
        }
        return headers
    }

    fileprivate static func failure(_ what: String, _ kind: HTTPFailure.Kind) -> HTTPFailure {
        HTTPFailure(kind, .notSent, cause: "its 'headersFrom' command \(what)", hint: "run the command by hand")
    }
}

/// A program that is printing headers, with all that comes of it. Belongs to the event loop.
package final class HeadersCommandRun {
    package var outcome: EventLoopFuture<[(name: String, value: String)]> { promise.futureResult }

    private let eventLoop: any EventLoop
    private let promise: EventLoopPromise<[(name: String, value: String)]>
    private var keeper: Keeper?
    private var isOver = false
    private var status: ExitStatus?
    /// What it wrote, once it has closed that.
    private var output: String?
    private var errors: String?

    fileprivate init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        promise = eventLoop.makePromise()
    }

    /// Ends it, if it still runs.
    package func cancel() { fail(HTTPFailure(.transient, .notSent, cause: "its 'headersFrom' command was not waited for", hint: nil)) }

    fileprivate func launch(_ command: ChildProcess.Command, guardedBy owner: Guard) throws(HTTPFailure) {
        let path: String
        do throws(ExecutableSearch.NotFound) {
            path = try ExecutableSearch.find(
                command.executable, searchPath: command.environment["PATH"], directory: command.workingDirectory)
        } catch {
            throw HeadersCommand.failure("cannot be run: \(error)", .configuration)
        }
        do {
            let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard input >= 0 else { throw SystemError("/dev/null") }
            let pipes: (output: Pipe, errors: Pipe)
            do {
                let output = try Pipe()
                do {
                    pipes = (output, try Pipe())
                } catch {
                    output.close()
                    throw error
                }
            } catch {
                closeDescriptor(input)
                throw error
            }
            read(pipes.output.readEnd) { $0.output = $1 }
            read(pipes.errors.readEnd) { $0.errors = $1 }
            keeper = try Keeper(
                command, path: path, input: input, output: pipes.output.writeEnd, errors: pipes.errors.writeEnd, guardedBy: owner,
                on: eventLoop
            ) { event in
                switch event {
                case .launched: break
                case .failed(let failure): self.fail(HeadersCommand.failure("cannot be run: \(failure)", .transient))
                case .exited(let status):
                    self.status = status
                    self.finish()
                }
            }
        } catch {
            throw HeadersCommand.failure("cannot be run: \(error)", .transient)
        }
    }

    /// Reads all of a pipe.
    private func read(_ descriptor: CInt, _ store: @escaping (HeadersCommandRun, String) -> Void) {
        let collector = Collector { text in
            guard let text else {
                return self.fail(HeadersCommand.failure("printed more than \(HeadersCommand.outputLimit) bytes", .configuration))
            }
            store(self, text)
            self.finish()
        }
        NIOPipeBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .takingOwnershipOfDescriptor(input: descriptor)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    // Neither fails for a channel that was opened in this turn.
                    try? channel.pipeline.syncOperations.addHandler(collector)
                    try? channel.syncOptions?.setOption(.autoRead, value: true)
                case .failure(let error):
                    closeDescriptor(descriptor)
                    self.fail(HeadersCommand.failure("cannot be heard: \(error)", .transient))
                }
            }
    }

    private func finish() {
        guard !isOver, let status, let output, let errors else { return }
        guard status == .exited(0) else {
            let said = errors.oneLine.prefix(HeadersCommand.shownErrors)
            return fail(HeadersCommand.failure("\(status)\(said.isEmpty ? "" : ": \(said)")", .transient))
        }
        do throws(HTTPFailure) {
            let headers = try HeadersCommand.headers(in: output)
            isOver = true
            promise.succeed(headers)
        } catch {
            fail(error)
        }
    }

    fileprivate func fail(_ failure: HTTPFailure) {
        guard !isOver else { return }
        isOver = true
        keeper?.close()
        promise.fail(failure)
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var collected = ByteBuffer()
        private var done: ((String?) -> Void)?

        init(_ done: @escaping (String?) -> Void) { self.done = done }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            collected.writeImmutableBuffer(unwrapInboundIn(data))
            guard collected.readableBytes > HeadersCommand.outputLimit else { return }
            end(nil)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { end(String(buffer: collected)) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func end(_ text: String?) {
            done?(text)
            done = nil
        }
    }
}

extension StringProtocol {
    fileprivate var oneLine: String { String(self).oneLine }
}
