import NIOCore

/// stdout: lines wait here until the reader takes them, so that a slow reader does not keep us from reading.
struct Output {
    /// Bytes that may wait; beyond them nothing more is read from stdin until the reader has taken some.
    static let limit = 64 * 1024 * 1024

    private let recording: Recording
    private let byteByByte: Bool
    private var waiting = ByteBuffer()
    /// Whether only ``drip()`` writes.
    var isDripping = false

    init(recording: Recording, byteByByte: Bool) {
        self.recording = recording
        self.byteByByte = byteByByte
        Descriptor.makeNonblocking(Descriptor.standardOutput)
    }

    var isEmpty: Bool { waiting.readableBytes == 0 }
    var waitingBytes: Int { waiting.readableBytes }
    var isFull: Bool { waiting.readableBytes > Self.limit }

    /// - Parameter write: writes the line, without its line break.
    mutating func line(_ write: (inout ByteBuffer) -> Void) {
        let start = waiting.writerIndex
        write(&waiting)
        if let line = waiting.getSlice(at: start, length: waiting.writerIndex - start) { recording.append(line: line) }
        waiting.writeInteger(UInt8(ascii: "\n"))
    }

    /// Writes what the reader takes now.
    mutating func flush() {
        guard !isDripping else { return }
        while !isEmpty {
            let outcome = waiting.withUnsafeReadableBytes { bytes in
                Descriptor.write(Descriptor.standardOutput, UnsafeRawBufferPointer(rebasing: bytes.prefix(byteByByte ? 1 : bytes.count)))
            }
            switch outcome {
            case .bytes(let count): waiting.moveReaderIndex(forwardBy: count)
            case .wouldBlock: return
            case .ended: waiting.clear()  // nobody will ever read it
            }
        }
        waiting.clear()
    }

    /// Writes one byte, if there is one and the reader takes it.
    /// - Returns: whether it did.
    mutating func drip() -> Bool {
        let outcome = waiting.withUnsafeReadableBytes { bytes in
            bytes.isEmpty ? .wouldBlock : Descriptor.write(Descriptor.standardOutput, UnsafeRawBufferPointer(rebasing: bytes.prefix(1)))
        }
        guard case .bytes(let count) = outcome else { return false }
        waiting.moveReaderIndex(forwardBy: count)
        return true
    }

    /// Writes everything, waiting as long as it takes.
    mutating func drain() {
        waiting.withUnsafeReadableBytes { bytes in
            guard byteByByte else { return Descriptor.writeAll(Descriptor.standardOutput, bytes) }
            for index in bytes.indices {
                Descriptor.writeAll(Descriptor.standardOutput, UnsafeRawBufferPointer(rebasing: bytes[index...index]))
            }
        }
        waiting.clear()
    }
}
