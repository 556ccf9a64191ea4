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
}

/// The connections that were sent something in this turn of the event loop. Belongs to the loop.
package final class PendingWrites {
    fileprivate var connections: [LineConnection] = []

    package init() {}

    /// Writes what has gathered, one write per connection.
    package func flush() {
        // By index, because a write that fails ends a connection, and its owner may send something to others, or to the same one.
        var index = 0
        while index < connections.count {
            connections[index].flush()
            index += 1
        }
        connections.removeAll(keepingCapacity: true)
    }
}

/// A peer that is spoken to in lines, over a pair of pipes.
///
/// Belongs to the event loop; what it is sent waits until its ``PendingWrites`` are flushed, which makes one write of it.
package final class LineConnection {
    /// Bytes a peer may leave untaken before ``ConnectionDelegate/writabilityChanged(_:)`` says so, and where it takes it back.
    package static let highWaterMark = 1024 * 1024
    package static let lowWaterMark = 256 * 1024

    private var channel: (any Channel)?
    private var writer = LineWriter()
    private var readsWhenOpen = true

    private let pending: PendingWrites

    package init(pending: PendingWrites) { self.pending = pending }

    /// The bootstrap of a pipe channel whose lines go to `delegate`. Nothing is read before ``open(_:)``.
    static func bootstrap(_ channel: any Channel, delegate: some ConnectionDelegate, lineLimit: Int) throws {
        try channel.pipeline.syncOperations.addHandler(LineHandler(delegate: delegate, lineLimit: lineLimit))
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: lowWaterMark, high: highWaterMark))
    }

    /// From now on what is sent is written, and what comes is read.
    package func open(_ channel: any Channel) {
        self.channel = channel
        flush()
        if readsWhenOpen { setReading(true) }
    }

    package func send(_ splice: Splice) {
        expectFlush()
        writer.append(splice)
    }

    /// - Parameter line: a message without its line end, which holds no line break.
    package func send(line: ByteBuffer) {
        expectFlush()
        writer.append(line: line)
    }

    private func expectFlush() {
        if writer.isEmpty { pending.connections.append(self) }
    }

    /// Writes what has gathered.
    fileprivate func flush() {
        guard let channel, !writer.isEmpty else { return }
        // Taken out while it is written: whoever hears of a failure may send something more.
        var turn = LineWriter()
        swap(&turn, &writer)
        turn.drain(write: { channel.write($0, promise: nil) }, flush: { channel.flush() })
        if writer.isEmpty { swap(&turn, &writer) }
    }

    /// Writes what has gathered, and closes once the peer has taken it or is gone.
    package func finish() {
        guard let channel else { return }
        flush()
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Bytes the peer has not taken yet.
    package var backlog: Int {
        guard let channel, !channel.isWritable else { return writer.byteCount }
        return writer.byteCount + ((try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0)
    }

    /// Stops or starts taking what the peer sends; meanwhile its pipe fills, and it waits.
    package func setReading(_ reads: Bool) {
        readsWhenOpen = reads
        try? channel?.syncOptions?.setOption(.autoRead, value: reads)
    }

    /// Tells the peer that nothing more comes.
    package func closeOutput() {
        flush()
        channel?.close(mode: .output, promise: nil)
    }

    package func close() { channel?.close(promise: nil) }
}

/// Cuts what a channel reads into lines.
private final class LineHandler<Delegate: ConnectionDelegate>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let delegate: Delegate
    private var framing: LineFraming
    private var isClosed = false

    init(delegate: Delegate, lineLimit: Int) {
        self.delegate = delegate
        framing = LineFraming(limit: lineLimit)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        framing.append(unwrapInboundIn(data))
        while let line = framing.next() { delegate.received(line) }
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
