package import JSONRPC
package import NIOCore

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

    /// Lines that are handed over before others have their turn: about what one wakeup of a peer costs.
    package static let linesPerTurn = 32

    private var input: (any Channel)?
    private var output: (any Channel)?
    private var writer = LineWriter()
    package private(set) var isReading = true
    private let pending: PendingWrites

    package init(pending: PendingWrites) { self.pending = pending }

    /// Prepares a channel whose lines go to `delegate`. Nothing is read before ``open(input:output:)``.
    static func prepareInput(_ channel: any Channel, delegate: some ConnectionDelegate, lineLimit: Int) throws {
        try channel.pipeline.syncOperations.addHandler(LineHandler(delegate: delegate, lineLimit: lineLimit))
        // The loop goes round between two reads: a peer that always has more would have four in each turn.
        try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: lowWaterMark, high: highWaterMark))
    }

    /// Prepares a channel that is only written to, so that its end is not that of what the peer still has to say.
    static func prepareOutput(_ channel: any Channel, delegate: some ConnectionDelegate) throws {
        try channel.pipeline.syncOperations.addHandler(OutputHandler(delegate: delegate))
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: lowWaterMark, high: highWaterMark))
    }

    /// From now on what is sent is written, and what comes is read.
    /// - Parameter output: may be the same channel as `input`.
    package func open(input: any Channel, output: any Channel) {
        self.input = input
        self.output = output
        flush()
        if isReading { setReading(true) }
    }

    package func send(_ splice: Splice) {
        expectFlush()
        writer.append(splice)
    }

    package func send(_ splice: Splice, as request: OutgoingRequest) { send(splice) }

    package func send(_ bytes: ByteBuffer, inPlaceOf message: Message, as request: OutgoingRequest?) { send(line: bytes) }

    package func send(line: ByteBuffer) {
        expectFlush()
        writer.append(line: line)
    }

    private func expectFlush() {
        if writer.isEmpty { pending.expect(self) }
    }

    /// Writes what has gathered.
    package func flush() {
        guard let output, !writer.isEmpty else { return }
        // Taken out while it is written: whoever hears of a failure may send something more.
        var turn = LineWriter()
        swap(&turn, &writer)
        turn.drain(write: { output.write($0, promise: nil) }, flush: { output.flush() })
        if writer.isEmpty { swap(&turn, &writer) }
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
        guard let output, !output.isWritable else { return writer.byteCount }
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
/// One read can hold thousands of short lines. They are handed over in portions: in between, the loop turns to the other connections,
/// and nothing more is read from this one, so that a peer that floods us is no faster than we are, and keeps nobody waiting.
private final class LineHandler<Delegate: ConnectionDelegate>: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    private let delegate: Delegate
    private var framing: LineFraming
    private var isClosed = false
    /// Lines are left for the next turn of the loop.
    private var goesOn = false
    private var isReadWanted = false

    init(delegate: Delegate, lineLimit: Int) {
        self.delegate = delegate
        framing = LineFraming(limit: lineLimit)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        framing.append(unwrapInboundIn(data))
        if !goesOn { handOver(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { delegate.readCompleted() }

    func read(context: ChannelHandlerContext) {
        guard !goesOn else { return isReadWanted = true }
        context.read()
    }

    private func handOver(_ context: ChannelHandlerContext) {
        for _ in 0..<LineConnection.linesPerTurn {
            guard let line = framing.next() else { return }
            delegate.received(line)
        }
        goesOn = true
        context.eventLoop.assumeIsolated().execute { [self] in
            goesOn = false
            guard !isClosed else { return }
            handOver(context)
            delegate.readCompleted()
            guard !goesOn, isReadWanted else { return }
            isReadWanted = false
            context.read()
        }
    }

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
        while let line = framing.next() { delegate.received(line) }
        delegate.inputClosed(unterminated: framing.finish())
    }
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
