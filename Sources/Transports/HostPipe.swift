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

/// Our own standard input and output, as the descriptors of a protocol connection.
package struct StandardStreams: Sendable {
    package let input: CInt
    package let output: CInt

    /// Takes descriptors 0 and 1 for the protocol.
    ///
    /// Only protocol lines may reach the host: the connection gets its own copy of standard output, and descriptor 1 becomes standard
    /// error, so a stray `print()` in any library is a log line. Close-on-exec, or a child that outlives us would keep the host's
    /// pipe open.
    package static func claim() throws(SystemError) -> StandardStreams {
        let input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
        guard input >= 0 else { throw SystemError("standard input") }
        let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        guard output >= 0 else { throw SystemError("standard output") }
        guard dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 else { throw SystemError("dup2") }
        return StandardStreams(input: input, output: output)
    }
}

/// The host on our standard streams.
package enum HostPipe {
    /// The two channels, and what the second one writes to: for ``LineConnection/open(input:output:descriptor:)``.
    package typealias Ends = (input: any Channel, output: any Channel, descriptor: CInt?)

    /// Connects the streams to `delegate` on this event loop.
    ///
    /// Two channels: one for both would stay active when its output alone is closed, and the number of that goes to whatever is opened
    /// next.
    /// - Parameter finished: called on the loop when both have been closed and all of the output was taken.
    package static func open(
        _ streams: StandardStreams, on eventLoop: any EventLoop, delegate: some ConnectionDelegate,
        lineLimit: Int = LineFraming.defaultLimit, finished: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<Ends> {
        let input: CInt
        let output: CInt
        var outputCopied = eventLoop.makeSucceededVoidFuture()
        do throws(SystemError) {
            input = isPipeOrSocket(streams.input) ? streams.input : try DescriptorCopy.fromFile(streams.input)
            if isPipeOrSocket(streams.output) {
                output = streams.output
            } else {
                let promise = eventLoop.makePromise(of: Void.self)
                output = try DescriptorCopy.toFile(streams.output) { promise.succeed() }
                outputCopied = promise.futureResult
            }
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
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
        return reading.and(writing).map { [outputCopied] input, writer in
            input.closeFuture.and(writer.closeFuture).and(outputCopied).whenComplete { _ in finished() }
            return (input, writer, output)
        }
    }
}

/// Copies between a pipe and a descriptor that no event loop can wait for: a file, a terminal, `/dev/null`. The copying blocks, so it
/// has a thread of its own. Only scripts and people at a terminal come this way; hosts use pipes.
private enum DescriptorCopy {
    private static let chunkLength = 64 * 1024

    static func fromFile(_ file: CInt) throws(SystemError) -> CInt {
        let pipe = try Pipe()
        copy(from: file, to: pipe.writeEnd) {}
        return pipe.readEnd
    }

    static func toFile(_ file: CInt, finished: @escaping @Sendable () -> Void) throws(SystemError) -> CInt {
        let pipe = try Pipe()
        copy(from: pipe.readEnd, to: file, finished: finished)
        return pipe.writeEnd
    }

    private static func copy(from source: CInt, to target: CInt, finished: @escaping @Sendable () -> Void) {
        MultiThreadedEventLoopGroup(numberOfThreads: 1).next().execute {
            withUnsafeTemporaryAllocation(byteCount: chunkLength, alignment: 16) { chunk in
                copying: while true {
                    let count = read(source, chunk.baseAddress, chunk.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { break }
                    var written = 0
                    while written < count {
                        let more = write(target, chunk.baseAddress! + written, count - written)
                        if more < 0, errno == EINTR { continue }
                        guard more > 0 else { break copying }
                        written += more
                    }
                }
            }
            closeDescriptor(source)
            closeDescriptor(target)
            finished()
        }
    }
}
