import NIOCore

/// Hands on what comes from a descriptor of ours. One for all: at its first handler of each kind a channel pipeline asks the runtime what
/// that conforms to, which takes longer than all the rest of opening it.
final class BytesHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let received: (ByteBuffer) -> Void

    init(_ received: @escaping (ByteBuffer) -> Void) { self.received = received }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { received(unwrapInboundIn(data)) }
}
