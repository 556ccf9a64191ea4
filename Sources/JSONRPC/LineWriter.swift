package import NIOCore

/// Lines on their way to one peer, gathered until the event loop's turn ends and then written at once.
///
/// Small lines are copied behind one another, so that many make one write. Long stretches of a big message are shared instead, and
/// leave as buffers of their own.
package struct LineWriter: ~Copyable, Sendable {
    /// Stretches of at least this many bytes are shared, not copied. Below it a copy is cheaper than one more buffer.
    package static let sharingThreshold = 32 * 1024

    /// Memory kept from one turn to the next.
    package static let keptCapacity = 256 * 1024

    private var full: [ByteBuffer] = []
    private var tail = ByteBuffer()
    /// Bytes gathered and not yet taken.
    package private(set) var byteCount = 0

    package init() {}

    package var isEmpty: Bool { byteCount == 0 }

    /// Adds a message as one line.
    package mutating func append(_ splice: borrowing Splice) {
        let room = splice.lengthAtMost + 1
        if room < Self.sharingThreshold, !splice.message.hasLineBreaks {
            byteCount += tail.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { splice.write(to: $0) }
            return
        }
        splice.forEachPiece { piece in
            switch piece {
            case .copied(let range):
                let bytes = splice.message.slice(Place(range))
                if splice.message.hasLineBreaks { appendWithoutLineBreaks(bytes) } else { appendShared(bytes) }
            case .written(.integer(let value)): byteCount += tail.writeString(String(value))
            case .written(.json(let text)): appendWithoutLineBreaks(ByteBuffer(string: text))
            case .written(.bytes(let bytes)):
                if bytes.withUnsafeReadableBytes(\.holdsLineBreak) { appendWithoutLineBreaks(bytes) } else { appendShared(bytes) }
            }
        }
        endLine()
    }

    /// Adds a message that we composed.
    /// - Parameter line: JSON without raw line breaks.
    package mutating func append(line: ByteBuffer) {
        appendShared(line)
        endLine()
    }

    private mutating func endLine() { byteCount += tail.writeInteger(UInt8(ascii: "\n")) }

    /// Hands over what has been gathered, in order.
    /// - Parameter flush: makes the peer take it. If all was taken at once, nobody else holds the memory any more, and it serves the
    ///   next turn too; unless it is that of a burst.
    package mutating func drain(write: (ByteBuffer) -> Void, flush: () -> Void) {
        for buffer in full { write(buffer) }
        full.removeAll(keepingCapacity: true)
        if tail.readableBytes > 0 { write(tail) }
        byteCount = 0
        flush()
        recycle()
    }

    /// Lends what has been gathered, if it is in one piece.
    /// - Parameter body: returns how many bytes it took from the beginning. The rest stays.
    package mutating func take(_ body: (UnsafeRawBufferPointer) -> Int) {
        guard full.isEmpty else { return }
        let count = tail.withUnsafeReadableBytes(body)
        tail.moveReaderIndex(forwardBy: count)
        byteCount -= count
        if byteCount == 0 { recycle() }
    }

    private mutating func recycle() {
        if tail.capacity > Self.keptCapacity { tail = ByteBuffer() } else { tail.clear() }
    }

    private mutating func appendShared(_ bytes: ByteBuffer) {
        byteCount += bytes.readableBytes
        guard bytes.readableBytes >= Self.sharingThreshold else {
            tail.writeImmutableBuffer(bytes)
            return
        }
        if tail.readableBytes > 0 {
            full.append(tail)
            tail = ByteBuffer()
        }
        full.append(bytes)
    }

    private mutating func appendWithoutLineBreaks(_ bytes: ByteBuffer) {
        byteCount += tail.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.readableBytes) { target in
            bytes.withUnsafeReadableBytes { target.copyWithoutLineBreaks(from: $0) }
        }
    }
}
