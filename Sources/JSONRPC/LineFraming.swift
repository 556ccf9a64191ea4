package import NIOCore

/// Cuts a stream of bytes into lines: one message each (MCP, basic/transports, "stdio").
///
/// A line that came whole in one read is a slice of it; only one that was cut by a read is copied together, or read on where it stands
/// (``extend(room:_:)``). Blank lines are skipped and `\r\n` ends a line as `\n` does. What is longer than the limit is counted, not kept,
/// and the stream goes on.
package struct LineFraming: ~Copyable, Sendable {
    /// Bytes of one line. Base64 of an image or a file of tens of megabytes is normal; a stream without line ends is not.
    package static let defaultLimit = 64 * 1024 * 1024

    package enum Line: Sendable {
        case complete(ByteBuffer)
        case oversized(OversizedLine)
    }

    /// A limit is never more than this: a `ByteBuffer` grows by doubling, and ends at 4 GiB.
    package static let largestLimit = 1 << 30

    package let limit: Int
    private var unread = ByteBuffer()
    /// The beginning of a line whose end has not come.
    private var partial = ByteBuffer()
    private var oversized: OversizedLine?

    package init(limit: Int = defaultLimit) { self.limit = min(limit, Self.largestLimit) }

    /// Takes the bytes of one read. Call ``next()`` until it returns `nil` before the next one.
    package mutating func append(_ bytes: ByteBuffer) {
        if unread.readableBytes == 0 {
            unread = bytes
        } else {
            unread.writeImmutableBuffer(bytes)
        }
    }

    /// There is the beginning of a line, of which all is kept.
    package var isExtensible: Bool { partial.readableBytes > 0 }

    /// Lends room right behind a line whose end has not come, so that the rest of a long one need not be copied there.
    /// Call ``next()`` until it returns `nil` before it and after it.
    /// - Parameters:
    ///   - room: bytes to lend.
    ///   - read: returns how many it has put at the beginning.
    /// - Returns: how many those were.
    package mutating func extend(room: Int, _ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        guard isExtensible, unread.readableBytes == 0 else { return 0 }
        let start = partial.writerIndex
        let count = partial.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { free in
            read(UnsafeMutableRawBufferPointer(rebasing: free[..<room]))
        }
        let found = partial.withUnsafeReadableBytes { text in
            UnsafeRawBufferPointer(rebasing: text[(start - partial.readerIndex)...]).offset(of: UInt8(ascii: "\n"))
        }
        if let found {
            // From the line's end on it is as if it had come by itself: the end, and perhaps the beginning of another line.
            unread = ByteBuffer(bytes: partial.readableBytesView[(start + found)...])
            partial.moveWriterIndex(to: start + found)
        } else if partial.readableBytes > limit + 1 {  // one more: it may be the `\r` of the line's end
            oversized = OversizedLine(partial)
            partial = ByteBuffer()
        }
        return count
    }

    /// The next whole line, without its end; `nil` if more bytes are needed.
    package mutating func next() -> Line? {
        while let found = findLine() {
            guard var piece = unread.readSlice(length: found.length) else { break }
            unread.moveReaderIndex(forwardBy: 1)
            if unread.readableBytes == 0 { unread = ByteBuffer() }  // lets go of the read's memory
            if var line = oversized {
                oversized = nil
                line.append(piece)
                line.dropCarriageReturn()
                return .oversized(line)
            }
            var isBlank = found.isBlank
            if partial.readableBytes > 0 {
                partial.writeImmutableBuffer(piece)
                piece = partial
                partial = ByteBuffer()
                // Room was lent for more than came, and the line may be kept for as long as its call takes.
                if piece.storageCapacity >= 4 * piece.readableBytes { piece = ByteBuffer(bytes: piece.readableBytesView) }
                isBlank = MessageScan.first(of: piece) == nil
                if piece.readableBytesView.last == UInt8(ascii: "\r") { piece.moveWriterIndex(to: piece.writerIndex - 1) }
            } else if found.endsInCarriageReturn {
                piece.moveWriterIndex(to: piece.writerIndex - 1)
            }
            if piece.readableBytes > limit { return .oversized(OversizedLine(piece)) }
            if !isBlank { return .complete(piece) }
        }
        keepPartial()
        return nil
    }

    /// Bytes of the line whose end has not come yet.
    package var unterminated: Int { oversized?.byteCount ?? partial.readableBytes }

    /// Ends the stream.
    /// - Returns: how many bytes of an unterminated line it leaves behind; they are no message.
    package mutating func finish() -> Int {
        defer {
            partial = ByteBuffer()
            oversized = nil
        }
        return unterminated
    }

    /// What stands before the next line end. All at one look: each at the buffer costs more than what it finds out.
    private func findLine() -> (length: Int, isBlank: Bool, endsInCarriageReturn: Bool)? {
        unread.withUnsafeReadableBytes { text in
            guard let length = text.offset(of: UInt8(ascii: "\n")) else { return nil }
            let isBlank = text[..<length].allSatisfy(\.isWhitespace)
            return (length, isBlank, length > 0 && text[length - 1] == UInt8(ascii: "\r"))
        }
    }

    private mutating func keepPartial() {
        guard unread.readableBytes > 0 else { return }
        if oversized != nil {
            oversized?.append(unread)
        } else if partial.readableBytes + unread.readableBytes > limit + 1 {  // one more: it may be the `\r` of the line's end
            var line = OversizedLine(partial)
            line.append(unread)
            oversized = line
            partial = ByteBuffer()
        } else {
            partial.writeImmutableBuffer(unread)
        }
        unread = ByteBuffer()
    }
}

/// A line beyond the limit: how long it was, and its two ends, where its id stands if it has one.
package struct OversizedLine: Sendable {
    /// Bytes kept of each end.
    package static let endLength = 1024

    package private(set) var byteCount = 0
    private var head = ByteBuffer()
    private var tail = ByteBuffer()

    init(_ bytes: ByteBuffer) { append(bytes) }

    mutating func append(_ bytes: ByteBuffer) {
        byteCount += bytes.readableBytes
        let wanted = min(Self.endLength - head.readableBytes, bytes.readableBytes)
        if wanted > 0, let piece = bytes.getSlice(at: bytes.readerIndex, length: wanted) { head.writeImmutableBuffer(piece) }
        let kept = min(Self.endLength, bytes.readableBytes)
        if let piece = bytes.getSlice(at: bytes.writerIndex - kept, length: kept) { tail.writeImmutableBuffer(piece) }
        tail.moveReaderIndex(forwardBy: max(0, tail.readableBytes - Self.endLength))
        // Not each time: a line that comes byte by byte would move the whole end for each.
        if tail.readerIndex >= 4 * Self.endLength { tail.discardReadBytes() }
    }

    /// The `\r` of a `\r\n` is no part of the line.
    mutating func dropCarriageReturn() {
        guard tail.readableBytesView.last == UInt8(ascii: "\r") else { return }
        tail.moveWriterIndex(to: tail.writerIndex - 1)
        byteCount -= 1
        if head.readableBytes > byteCount { head.moveWriterIndex(to: head.writerIndex - 1) }
    }

    /// What is known of the message, so that a request can be answered and an answer be given up.
    package func error(limit: Int) -> MessageError {
        let reason = MessageError.Reason.tooLong(bytes: byteCount, limit: limit)
        do throws(MessageError) {
            // So small a limit that the head is the whole line.
            let message = try Message(scanning: head)
            return MessageError(reason, id: message.id, namesMethod: message[.method].isPresent)
        } catch {
            // The usual case, as the head is cut short: what was seen until then counts.
            return MessageError(reason, id: error.id ?? idAtEnd(), namesMethod: error.namesMethod)
        }
    }

    /// The id, if it is the last member: some SDKs write it there. The line ends in `"id":` value `}`, and a valid message can end
    /// so in no other way: the quote before `id` would be escaped if it stood inside a string.
    private func idAtEnd() -> RequestID? {
        var text = ArraySlice(tail.readableBytesView)
        text.trimWhitespace()
        guard text.popLast() == UInt8(ascii: "}") else { return nil }
        text.trimWhitespace()
        guard let colon = text.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        var value = text[text.index(after: colon)...]
        value.trimLeadingWhitespace()
        var key = text[..<colon]
        key.trimWhitespace()
        guard key.suffix(4).elementsEqual("\"id\"".utf8), key.dropLast(4).last != UInt8(ascii: "\\") else { return nil }
        let candidate = ByteBuffer(bytes: Array(#"{"jsonrpc":"2.0","method":"","id":"#.utf8) + value + [UInt8(ascii: "}")])
        return (try? Message(scanning: candidate))?.id
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func trimWhitespace() {
        while let byte = last, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { removeLast() }
    }
    fileprivate mutating func trimLeadingWhitespace() {
        while let byte = first, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { removeFirst() }
    }
}
