package import JSONRPC
package import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// What a connection tells its owner. Every call comes on the connection's event loop.
package protocol ConnectionDelegate: Sendable {
    func received(_ line: LineFraming.Line)
    /// All lines of one read have been handed over: the moment to write what they led to.
    func readCompleted()
    /// Whether the peer takes what it is sent as fast as we send it.
    func writabilityChanged(_ isWritable: Bool)
    /// Nothing more will be received.
    /// - Parameter unterminated: bytes of a last line without its end. They are no message.
    func inputClosed(unterminated: Int)
    /// The peer takes nothing any more; what it wrote before may still come. Only where its two directions are apart.
    func outputClosed()
}

/// A peer that is spoken to in lines, over a pair of pipes.
///
/// Belongs to the event loop; what it is sent waits until its ``PendingWrites`` are flushed, which makes one write of it.
package final class LineConnection: ServerConnection, PendingWriter {
    /// Bytes a peer may leave untaken before ``ConnectionDelegate/writabilityChanged(_:)`` says so, and where it takes it back.
    package static let highWaterMark = 1024 * 1024
    package static let lowWaterMark = 256 * 1024

    /// Bytes of one read, at least and at most.
    package static let shortRead = 2 * 1024
    package static let longRead = 64 * 1024
    /// Bytes of a long line that are read before anybody else has a turn.
    package static let longTurn = 256 * 1024
    /// Lines of one read with which its size stays as it is. With more it shrinks, and with fewer, if it was full, it doubles.
    package static let linesPerRead = 24...96

    private var input: (any Channel)?
    private var output: (any Channel)?
    /// That of `output`, whose pipeline costs more than the scan of a message: what the peer takes at once does without it.
    private var descriptor: CInt?
    /// The channel was given what the peer did not take at once. Until it is through with that, all goes the same way.
    private var isOutputBehind = false
    private var writer = LineWriter()
    /// ``PendingWrites`` knows of it.
    private var isFlushExpected = false
    package private(set) var isReading = true
    private let pending: PendingWrites

    package init(pending: PendingWrites) { self.pending = pending }

    /// Prepares a channel whose lines go to `delegate`. Nothing is read before ``open(input:output:)``.
    /// - Parameter descriptor: what the channel reads from, and owns as long as it is active; so it has no other.
    static func prepareInput(_ channel: any Channel, delegate: some ConnectionDelegate, lineLimit: Int, descriptor: CInt? = nil) throws {
        try channel.pipeline.syncOperations.addHandler(LineHandler(delegate: delegate, lineLimit: lineLimit, descriptor: descriptor))
        // The loop goes round between two reads: a peer that always has more would have four in each turn.
        try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
        try channel.syncOptions?.setOption(.recvAllocator, value: ReadAllocator(size: shortRead, largest: shortRead))
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: lowWaterMark, high: highWaterMark))
    }

    /// Prepares a channel that is only written to, so that its end is not that of what the peer still has to say.
    static func prepareOutput(_ channel: any Channel, delegate: some ConnectionDelegate) throws {
        try channel.pipeline.syncOperations.addHandler(OutputHandler(delegate: delegate))
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: lowWaterMark, high: highWaterMark))
    }

    /// From now on what is sent is written, and what comes is read.
    /// - Parameters:
    ///   - output: may be the same channel as `input`.
    ///   - descriptor: which `output` writes to, and owns as long as it is active; so it has no other. It is not blocking.
    package func open(input: any Channel, output: any Channel, descriptor: CInt? = nil) {
        self.input = input
        self.output = output
        self.descriptor = descriptor
        flush()
        if isReading { setReading(true) }
    }

    package func send(_ splice: borrowing Splice) {
        expectFlush()
        writer.append(splice)
    }

    package func send(_ splice: borrowing Splice, as request: OutgoingRequest) { send(splice) }

    package func send(_ bytes: ByteBuffer, inPlaceOf message: Message, as request: OutgoingRequest?) { send(line: bytes) }

    package func send(line: ByteBuffer) {
        expectFlush()
        writer.append(line: line)
    }

    private func expectFlush() {
        if isFlushExpected { return }
        isFlushExpected = true
        pending.expect(self)
    }

    /// Writes what has gathered.
    package func flush() {
        isFlushExpected = false
        guard let output, !writer.isEmpty else { return }
        // Taken out while it is written: whoever hears of a failure may send something more.
        var turn = LineWriter()
        swap(&turn, &writer)
        writeAtOnce(&turn, output)
        if turn.isEmpty {
            swap(&turn, &writer)
            return
        }
        isOutputBehind = true
        turn.drain(write: { output.write($0, promise: nil) }, flush: { output.flush() })
        if writer.isEmpty { swap(&turn, &writer) }
    }

    /// A failure is none here: the channel will meet it, and knows what to do.
    private func writeAtOnce(_ turn: inout LineWriter, _ output: any Channel) {
        guard let descriptor, output.isActive else { return }
        if isOutputBehind {
            guard (try? output.syncOptions?.getOption(.bufferedWritableBytes)) == 0 else { return }
            isOutputBehind = false
        }
        turn.take { max(0, write(descriptor, $0.baseAddress, $0.count)) }
    }

    /// Writes what has gathered, and closes once the peer has taken it or is gone.
    package func finish() {
        guard let input, let output else { return }
        flush()
        output.writeAndFlush(ByteBuffer()).whenComplete { _ in
            output.close(promise: nil)
            input.close(promise: nil)
        }
    }

    package var backlog: Int {
        // Asked with each message: unless the channel has something to write, it need not be asked.
        guard isOutputBehind, let output, !output.isWritable else { return writer.byteCount }
        return writer.byteCount + ((try? output.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0)
    }

    /// While it is not read, the peer's pipe fills, and it waits.
    package func setReading(_ reads: Bool) {
        isReading = reads
        try? input?.syncOptions?.setOption(.autoRead, value: reads)
    }

    /// Tells the peer that nothing more comes.
    package func closeOutput() {
        guard let output else { return }
        flush()
        // Not before what was written is taken: closing drops the rest.
        output.writeAndFlush(ByteBuffer()).whenComplete { _ in output.close(promise: nil) }
    }

    package func close() {
        output?.close(promise: nil)
        input?.close(promise: nil)
    }
}

/// Cuts what a channel reads into lines.
///
/// How much is read at once depends on them. Of a long line the channel reads the beginning, and the rest goes right behind it; one is
/// taken for long if much of it is there, or if the last one was. Of short ones a large piece would be thousands, all handed over before
/// the loop turns to anybody else; so there are a few dozen in each, and a peer that floods keeps nobody waiting. (To put lines off with
/// `execute` would not help: the loop does what it was given meanwhile before it looks at its other channels.)
private final class LineHandler<Delegate: ConnectionDelegate>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let delegate: Delegate
    private var framing: LineFraming
    private var isClosed = false
    private var readSize = LineConnection.shortRead
    private var largestRead = LineConnection.shortRead
    /// What came last was the end of a long line, and perhaps the beginning of the next.
    private var expectsLongLine = false
    private let descriptor: CInt?

    init(delegate: Delegate, lineLimit: Int, descriptor: CInt?) {
        self.delegate = delegate
        self.descriptor = descriptor
        framing = LineFraming(limit: lineLimit)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        let isFull = bytes.readableBytes >= readSize
        let known = framing.unterminated + bytes.readableBytes
        framing.append(bytes)
        var count = 0
        while let line = framing.next() {
            delegate.received(line)
            count += 1
        }
        if count > 0 { expectsLongLine = count == 1 && known - framing.unterminated >= LineConnection.longRead }
        // With a line handed over its owner may have had enough.
        let mayReadOn = isFull && count == 0
        if isLineLong || expectsLongLine && mayReadOn, let descriptor, framing.isExtensible {
            // As little as can be goes through the channel.
            read(LineConnection.shortRead, context)
            if mayReadOn { readRestOfLine(descriptor, context) }
        } else if count > LineConnection.linesPerRead.upperBound {
            read(readSize * LineConnection.linesPerRead.upperBound / count, context)
        } else if count == 0, framing.unterminated == 0 {
            // Nothing but line ends is a flood too.
            read(LineConnection.shortRead, context)
        } else if isFull, count < LineConnection.linesPerRead.lowerBound {
            read(readSize * 2, context)
        } else if known <= readSize / 4 {
            // Each line keeps the memory of its read.
            read(readSize / 2, context)
        }
    }

    /// That whose end has not come.
    private var isLineLong: Bool { framing.unterminated >= LineConnection.longRead }

    /// Reads on behind the line whose end has not come. Its end and any failure are left to the channel, which meets them too.
    private func readRestOfLine(_ descriptor: CInt, _ context: ChannelHandlerContext) {
        var total = 0
        // Whoever gets a line may close the channel, or want nothing more: then it is over with that line.
        while total < LineConnection.longTurn, context.channel.isActive, hasInput(descriptor) {
            let count = framing.extend(room: LineConnection.longRead) { readAtOnce(descriptor, $0) }
            total += count
            let wasLong = isLineLong
            if let line = framing.next() {
                expectsLongLine = wasLong
                delegate.received(line)
                while let another = framing.next() {
                    expectsLongLine = false
                    delegate.received(another)
                }
                return
            }
            // It is empty now.
            if count < LineConnection.longRead { return }
        }
    }

    private func read(_ wanted: Int, _ context: ChannelHandlerContext) {
        // A power of two, as those of buffers are: or it would never be known whether one was filled.
        let size = min(max(1 << (Int.bitWidth - 1 - wanted.leadingZeroBitCount), LineConnection.shortRead), LineConnection.longRead)
        guard size != readSize else { return }
        readSize = size
        largestRead = max(largestRead, size)
        try? context.channel.syncOptions?.setOption(.recvAllocator, value: ReadAllocator(size: size, largest: largestRead))
    }

    func channelReadComplete(context: ChannelHandlerContext) { delegate.readCompleted() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { delegate.writabilityChanged(context.channel.isWritable) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) { inputClosed() }

    // A broken pipe or a read error: either ends the connection, and its owner is told once, by `inputClosed`.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func inputClosed() {
        guard !isClosed else { return }
        isClosed = true
        delegate.inputClosed(unterminated: framing.finish())
    }
}

/// The memory of one read. A channel keeps that of its first one, which grows with what is wanted and never gets smaller again, and reads
/// as much as there is room for. Where less is wanted, it is not to use that.
private struct ReadAllocator: RecvByteBufferAllocator {
    let size: Int
    let largest: Int

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }
    func nextBufferSize() -> Int? { size < largest ? nil : size }
    /// Or what is kept would be used once more, as it is: the channel asks this before we hear of a read, and wish for another size.
    func record(actualReadBytes: Int) -> Bool { true }
}

/// Who shares our standard input may have made it blocking, and the loop must never wait there.
private func hasInput(_ descriptor: CInt) -> Bool {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&wanted, 1, 0) == 1 && wanted.revents & Int16(POLLIN) != 0
}

/// - Returns: how many bytes there were; 0 at the end and at a failure, too.
private func readAtOnce(_ descriptor: CInt, _ room: UnsafeMutableRawBufferPointer) -> Int {
    max(0, read(descriptor, room.baseAddress, room.count))
}

/// Hears of the end of a channel that is only written to.
private final class OutputHandler<Delegate: ConnectionDelegate>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let delegate: Delegate

    init(delegate: Delegate) { self.delegate = delegate }

    func channelWritabilityChanged(context: ChannelHandlerContext) { delegate.writabilityChanged(context.channel.isWritable) }
    func channelInactive(context: ChannelHandlerContext) { delegate.outputClosed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
