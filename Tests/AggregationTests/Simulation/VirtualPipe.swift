import NIOCore
import NIOEmbedded
import TestSupport

/// The end of a channel at which somebody in memory takes what the aggregator writes.
///
/// Everything is taken at once. One that is stalled only says so: the channel is not writable, and no write is complete.
final class Outlet: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var taken: (ByteBuffer) -> Void = { _ in }
    var closed: () -> Void = {}
    private(set) var isClosed = false
    private var written: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []
    private var unfinished: [EventLoopPromise<Void>] = []
    private var isStalled = false

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        written.append((unwrapOutboundIn(data), promise))
    }

    func flush(context: ChannelHandlerContext) {
        let turn = written
        written = []
        for (bytes, promise) in turn {
            guard !isClosed else {
                promise?.fail(ChannelError.ioOnClosedChannel)
                continue
            }
            if bytes.readableBytes > 0 { taken(bytes) }
            if let promise { unfinished.append(promise) }
        }
        if isStalled, !turn.isEmpty { setWritable(false, context.channel) } else { finish() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if !isClosed {
            isClosed = true
            for unfinished in unfinished { unfinished.fail(ChannelError.ioOnClosedChannel) }
            unfinished = []
            closed()
        }
        context.close(mode: mode, promise: promise)
    }

    func setStalled(_ stalls: Bool, _ channel: NIOAsyncTestingChannel) {
        isStalled = stalls
        guard !stalls, !isClosed else { return }
        setWritable(true, channel)
        finish()
    }

    private func finish() {
        let promises = unfinished
        unfinished = []
        for promise in promises { promise.succeed() }
    }

    private func setWritable(_ isWritable: Bool, _ channel: any Channel) {
        guard let channel = channel as? NIOAsyncTestingChannel, channel.isWritable != isWritable else { return }
        channel.isWritable = isWritable
        channel.pipeline.fireChannelWritabilityChanged()
    }
}

/// The way of what somebody in memory writes: it comes later, in order, sometimes in pieces, and not while the aggregator does not read.
final class Inlet {
    private enum Item {
        case bytes(ByteBuffer, around: (() -> Void) -> Void)
        case end(() -> Void)
    }

    /// How long the aggregator is left alone that does not read.
    private static let pause = 5

    private let world: World
    private let channel: NIOAsyncTestingChannel
    private let isReading: () -> Bool
    private var random: SeededGenerator
    private var items: [Item] = []
    private var isRunning = false
    var isClosed = false

    init(world: World, channel: NIOAsyncTestingChannel, random: SeededGenerator, isReading: @escaping () -> Bool) {
        (self.world, self.channel, self.random, self.isReading) = (world, channel, random, isReading)
    }

    /// - Parameter around: calls its argument, which hands the last byte over.
    func write(_ text: String, around: @escaping (() -> Void) -> Void = { $0() }) {
        var bytes = ByteBuffer(string: text)
        if random.chance(10), bytes.readableBytes > 1 {
            if let part = bytes.readSlice(length: random.within(1...bytes.readableBytes - 1)) { items.append(.bytes(part) { $0() }) }
        }
        items.append(.bytes(bytes, around: around))
        run()
    }

    /// Nothing more comes.
    func end(_ close: @escaping () -> Void) {
        items.append(.end(close))
        run()
    }

    private func run() {
        guard !isRunning, !items.isEmpty else { return }
        isRunning = true
        world.after(random.below(3)) { [self] in next() }
    }

    private func next() {
        guard !isClosed else {
            items = []
            return
        }
        guard isReading() else { return world.after(Self.pause) { [self] in next() } }
        switch items.removeFirst() {
        case .bytes(let bytes, let around):
            around {
                channel.pipeline.fireChannelRead(bytes)
                channel.pipeline.fireChannelReadComplete()
            }
        case .end(let close): close()
        }
        isRunning = false
        run()
    }
}
