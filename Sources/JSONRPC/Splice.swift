package import NIOCore

/// A message with a few of its members rewritten, and every other byte as it came.
///
/// Handed on and used once; so it cannot be copied by mistake, which would cost more than to write it.
package struct Splice: ~Copyable, Sendable {
    /// What stands in the place of a member.
    package enum Replacement: Sendable {
        case integer(Int)
        /// JSON text.
        case json(String)
        /// JSON text.
        case bytes(ByteBuffer)

        fileprivate var lengthAtMost: Int {
            switch self {
            case .integer: 20  // "-9223372036854775808"
            case .json(let text): text.utf8.count
            case .bytes(let bytes): bytes.readableBytes
            }
        }
    }

    private struct Edit: Sendable {
        var place = Place.absent
        var replacement = Replacement.integer(0)
    }

    /// No hop rewrites more members of one message than this.
    package static let editLimit = 8

    package let message: Message
    // In the order of their places. Few are kept in place, so that a splice of the usual kind allocates nothing and is soon made.
    private var firstEdits = InlineArray<3, Edit>(repeating: Edit())
    private var moreEdits: [Edit] = []
    private var editCount = 0
    /// Bytes of the new message, at most: the replaced members count too.
    private(set) var lengthAtMost: Int

    package init(_ message: Message) {
        self.message = message
        lengthAtMost = message.bytes.readableBytes
    }

    /// Writes `replacement` where the member stands now; does nothing if the message has no such member.
    /// - Precondition: no edit so far is of this member, or of one inside or around it.
    package mutating func replace(_ member: Message.Member, with replacement: Replacement) {
        let place = message[member]
        guard place.isPresent else { return }
        add(Edit(place: place, replacement: replacement))
    }

    /// Writes `json`, a whole member, as the first of an object member that is there; does nothing if it is not.
    /// - Precondition: nothing else is inserted into that object, and no edit replaces it or one around it.
    package mutating func insert(_ json: String, into object: Message.Member) {
        let place = message[object]
        guard place.isPresent else { return }
        let isEmpty = message.slice(place).readableBytesView.dropFirst().first { !$0.isWhitespace } == UInt8(ascii: "}")
        let inside = Int(place.start) + 1
        add(Edit(place: Place(inside..<inside), replacement: .json(isEmpty ? json : json + ",")))
    }

    /// Takes out whole members, each with its name and one comma; those that the message does not have are passed over.
    /// - Precondition: nothing was edited yet, and nothing is inserted into an object that loses a member.
    package mutating func remove(_ members: [Message.Member]) {
        precondition(editCount == 0, "members are removed before anything else is edited")
        let places = members.map { message[$0] }.filter(\.isPresent)
        for place in places.sorted(by: { $0.start < $1.start }) { remove(place) }
    }

    private mutating func remove(_ value: Place) {
        let range = message.bytes.withUnsafeReadableBytes { text in
            // Back over the colon to the name, whose text has no quote in it.
            var start = Int(value.start)
            for _ in 0..<2 { start = text[..<start].lastIndex(of: UInt8(ascii: "\"")) ?? start }
            let end = text[Int(value.end)...].firstIndex { !$0.isWhitespace } ?? Int(value.end)
            if text[end] == UInt8(ascii: ",") { return start..<end + 1 }
            // The last one: the comma before it goes, which members that were taken out just before may have taken with them.
            while true {
                let before = text[..<start].lastIndex { !$0.isWhitespace } ?? start
                guard editCount > 0, Int(self[editCount - 1].place.end) == before + 1 else {
                    return (text[before] == UInt8(ascii: ",") ? before : before + 1)..<Int(value.end)
                }
                start = Int(self[editCount - 1].place.start)
                editCount -= 1
            }
        }
        add(Edit(place: Place(range), replacement: .json("")))
    }

    private subscript(index: Int) -> Edit {
        get { index < 3 ? firstEdits[index] : moreEdits[index - 3] }
        set {
            if index < 3 {
                firstEdits[index] = newValue
            } else if index - 3 < moreEdits.count {
                moreEdits[index - 3] = newValue
            } else {
                moreEdits.append(newValue)
            }
        }
    }

    private mutating func add(_ edit: Edit) {
        precondition(editCount < Self.editLimit, "a splice takes \(Self.editLimit) edits")
        var index = editCount
        // What is inserted where a member is taken out stands before it.
        let isInsertion = edit.place.range.isEmpty
        while index > 0 {
            let start = self[index - 1].place.start
            guard start > edit.place.start || (isInsertion && start == edit.place.start) else { break }
            self[index] = self[index - 1]
            index -= 1
        }
        // Or a stretch would be copied backwards, which traps far from the mistake.
        precondition(index == 0 || self[index - 1].place.end <= edit.place.start, "edits of a splice overlap")
        precondition(index == editCount || edit.place.end <= self[index + 1].place.start, "edits of a splice overlap")
        self[index] = edit
        editCount += 1
        lengthAtMost += edit.replacement.lengthAtMost
    }

    /// Hands out the new message piece by piece.
    func forEachPiece(_ body: (Piece) -> Void) {
        var offset = 0
        for index in 0..<editCount {
            let edit = self[index]
            body(.copied(offset..<edit.place.range.lowerBound))
            body(.written(edit.replacement))
            offset = edit.place.range.upperBound
        }
        body(.copied(offset..<message.bytes.readableBytes))
    }

    enum Piece {
        case copied(Range<Int>)
        case written(Replacement)
    }
}

extension Splice {
    /// The new message as one buffer of its own, without a line end.
    package var bytes: ByteBuffer {
        var writer = LineWriter()
        writer.append(self)
        var whole = ByteBuffer()
        writer.drain(write: { whole.writeImmutableBuffer($0) }, flush: {})
        whole.moveWriterIndex(to: whole.writerIndex - 1)
        return whole
    }

    /// Writes a short message and the end of its line in one go: with each piece checking and growing the buffer by itself, that
    /// would cost more than the scan.
    /// - Parameter target: of ``lengthAtMost`` bytes and one more.
    /// - Returns: how many were written.
    func write(to target: UnsafeMutableRawBufferPointer) -> Int {
        message.bytes.withUnsafeReadableBytes { text in
            var rest = target
            var copied = 0
            for index in 0..<editCount {
                let edit = self[index]
                rest.put(text, from: copied, to: Int(edit.place.start))
                copied = Int(edit.place.end)
                switch edit.replacement {
                case .integer(let value): rest.put(value)
                case .json(var json): json.withUTF8 { rest.put(json: UnsafeRawBufferPointer($0)) }
                case .bytes(let json): json.withUnsafeReadableBytes { rest.put(json: $0) }
                }
            }
            rest.put(text, from: copied, to: text.count)
            rest[0] = UInt8(ascii: "\n")
            return target.count - rest.count + 1
        }
    }
}

/// The rest of the room that a line is written to. Each `put` takes its beginning.
extension UnsafeMutableRawBufferPointer {
    @inline(__always)
    fileprivate mutating func put(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) {
        precondition(start <= end && end <= bytes.count && end - start <= count)
        guard start < end, let source = bytes.baseAddress, let target = baseAddress else { return }
        target.copyMemory(from: source + start, byteCount: end - start)
        skip(end - start)
    }

    /// JSON from elsewhere: it was pretty-printed, perhaps, though the message was not.
    fileprivate mutating func put(json: UnsafeRawBufferPointer) {
        guard json.holdsLineBreak else { return put(json, from: 0, to: json.count) }
        skip(copyWithoutLineBreaks(from: json))
    }

    /// Raw line breaks are legal only between tokens, never inside a string (RFC 8259, 2 and 7). So each CR and LF goes, and nothing
    /// else changes.
    /// - Returns: how many bytes were written.
    func copyWithoutLineBreaks(from json: UnsafeRawBufferPointer) -> Int {
        precondition(json.count <= count)
        var length = 0
        for byte in json where byte != 0x0A && byte != 0x0D {
            self[length] = byte
            length += 1
        }
        return length
    }

    fileprivate mutating func put(_ value: Int) {
        var rest = value.magnitude
        var digits = 1
        // Multiplied, not divided: that is what it costs.
        var bound: UInt = 10
        while digits < 19, rest >= bound {
            digits += 1
            bound &*= 10
        }
        let sign = value < 0 ? 1 : 0
        precondition(sign + digits <= count)
        if sign == 1 { self[0] = UInt8(ascii: "-") }
        var index = sign + digits
        while index > sign {
            index -= 1
            self[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        skip(sign + digits)
    }

    @inline(__always)
    private mutating func skip(_ length: Int) {
        self = UnsafeMutableRawBufferPointer(start: baseAddress.map { $0 + length }, count: count - length)
    }
}
