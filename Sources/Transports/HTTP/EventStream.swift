import JSONRPC
package import NIOCore

/// Cuts the body of a `text/event-stream` into events (WHATWG HTML, 9.2, "Server-sent events").
///
/// The data of an event that came whole in one read is a slice of it, not a copy: a message is mostly one line of data.
package struct EventStream: Sendable {
    package struct Event: Sendable {
        /// Empty for the default, `message`.
        package var type: String
        /// Lines joined with LF.
        package var data: ByteBuffer
    }

    package enum Item: Sendable {
        case event(Event)
        /// An event of more bytes than the limit; it was counted, not kept.
        case oversized(bytes: Int)
    }

    /// Bytes of the name of an event, or of its id; longer ones are none.
    package static let shortFieldLimit = 4096

    /// Bytes of the data of one event.
    package let limit: Int
    /// What a stream that goes on where this one ended is asked for with (`Last-Event-ID`); `nil` if no event had an id yet.
    package private(set) var lastEventID: String?
    /// How long the server wants us to wait before we connect again.
    package private(set) var retry: Duration?

    private var unread = ByteBuffer()
    /// The beginning of a line whose end has not come.
    private var partial = ByteBuffer()
    /// Bytes of a line that is too long to be kept; 0 if there is none.
    private var overlong = 0
    /// The line before ended in CR: an LF that follows belongs to it.
    private var endedInCarriageReturn = false
    private var byteOrderMark = ByteOrderMark.expected(0)

    // The event whose end has not come.
    private var type = ""
    private var data: ByteBuffer?
    private var dataBytes = 0
    private var id: String?

    private enum ByteOrderMark {
        /// This many of its bytes were read.
        case expected(Int)
        case past
    }

    package init(limit: Int = LineFraming.defaultLimit, lastEventID: String? = nil) {
        self.limit = min(limit, LineFraming.largestLimit)
        self.lastEventID = lastEventID
        id = lastEventID
    }

    /// Takes the bytes of one read. Call ``next()`` until it returns `nil` before the next one.
    package mutating func append(_ bytes: ByteBuffer) {
        if unread.readableBytes == 0 { unread = bytes } else { unread.writeImmutableBuffer(bytes) }
        skipByteOrderMark()
    }

    /// The next whole event; `nil` if more bytes are needed.
    package mutating func next() -> Item? {
        guard case .past = byteOrderMark else { return nil }
        while let line = nextLine() {
            if line.readableBytes == 0, overlong == 0 {
                if let item = dispatch() { return item }
            } else {
                process(line)
            }
        }
        return nil
    }

    // MARK: Lines

    private mutating func nextLine() -> ByteBuffer? {
        if endedInCarriageReturn, let first = unread.readableBytesView.first {
            endedInCarriageReturn = false
            if first == UInt8(ascii: "\n") { unread.moveReaderIndex(forwardBy: 1) }
        }
        guard let length = lengthOfLine(), var line = unread.readSlice(length: length) else {
            keepPartial()
            return nil
        }
        endedInCarriageReturn = unread.readInteger(as: UInt8.self) == UInt8(ascii: "\r")
        if overlong > 0 {
            overlong += line.readableBytes
            return line
        }
        if partial.readableBytes > 0 {
            partial.writeImmutableBuffer(line)
            line = partial
            partial = ByteBuffer()
        }
        return line
    }

    private func lengthOfLine() -> Int? {
        unread.withUnsafeReadableBytes { bytes in
            let end = bytes.offset(of: UInt8(ascii: "\n"))
            let line = UnsafeRawBufferPointer(rebasing: bytes[..<(end ?? bytes.count)])
            return line.offset(of: UInt8(ascii: "\r")) ?? end
        }
    }

    private mutating func keepPartial() {
        guard unread.readableBytes > 0 else { return }
        if overlong > 0 {
            overlong += unread.readableBytes
        } else if partial.readableBytes + unread.readableBytes > limit + Self.shortFieldLimit {
            overlong = partial.readableBytes + unread.readableBytes
            // Its beginning says which field it is.
            partial = partial.getSlice(at: partial.readerIndex, length: min(partial.readableBytes, 8)) ?? ByteBuffer()
            if partial.readableBytes < 8 {
                partial.writeImmutableBuffer(
                    unread.getSlice(at: unread.readerIndex, length: min(unread.readableBytes, 8)) ?? ByteBuffer())
            }
        } else {
            partial.writeImmutableBuffer(unread)
        }
        unread = ByteBuffer()
    }

    private mutating func skipByteOrderMark() {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        while case .expected(let count) = byteOrderMark, let first = unread.readableBytesView.first {
            if count < mark.count, first == mark[count] {
                unread.moveReaderIndex(forwardBy: 1)
                byteOrderMark = count + 1 == mark.count ? .past : .expected(count + 1)
            } else {
                // It was none: what looked like its beginning belongs to the first line.
                partial.writeBytes(mark[..<count])
                byteOrderMark = .past
            }
        }
    }

    // MARK: Fields

    private mutating func process(_ line: ByteBuffer) {
        if overlong > 0 {
            let isData = partial.readableBytesView.starts(with: Array("data:".utf8))
            if isData { countData(overlong) }
            (overlong, partial) = (0, ByteBuffer())
            return
        }
        let bytes = line.readableBytesView
        let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        let name = bytes[..<(colon ?? bytes.endIndex)]
        var value = line
        value.moveReaderIndex(to: colon.map { $0 + 1 } ?? line.writerIndex)
        if value.readableBytesView.first == UInt8(ascii: " ") { value.moveReaderIndex(forwardBy: 1) }
        if name.elementsEqual("data".utf8) {
            append(data: value)
        } else if name.elementsEqual("event".utf8) {
            type = value.readableBytes <= Self.shortFieldLimit ? String(buffer: value) : "?"
        } else if name.elementsEqual("id".utf8) {
            guard value.readableBytes <= Self.shortFieldLimit, !value.readableBytesView.contains(0) else { return }
            id = String(buffer: value)
        } else if name.elementsEqual("retry".utf8) {
            let digits = value.readableBytesView
            guard !digits.isEmpty, digits.count <= 12, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
                return
            }
            retry = Int(String(buffer: value)).map { .milliseconds($0) }
        }
        // Anything else is a comment, or a field that may mean something one day.
    }

    private mutating func append(data value: ByteBuffer) {
        countData(value.readableBytes)
        guard dataBytes <= limit else { return }
        guard data != nil else {
            data = value
            return
        }
        data?.writeInteger(UInt8(ascii: "\n"))
        data?.writeImmutableBuffer(value)
    }

    private mutating func countData(_ count: Int) {
        dataBytes += count + (dataBytes > 0 ? 1 : 0)
        if dataBytes > limit { data = nil }
    }

    /// A blank line ends the event.
    private mutating func dispatch() -> Item? {
        defer { (type, data, dataBytes) = ("", nil, 0) }
        // An event of an id alone counts too: it says from where to go on.
        if let id { lastEventID = id }
        if dataBytes > limit { return .oversized(bytes: dataBytes) }
        return data.map { .event(Event(type: type, data: $0)) }
    }
}
