package import NIOCore

/// One JSON-RPC message: its bytes as they came, and where the members stand that a hop reads or rewrites.
///
/// Nothing else of it is decoded. Forwarding it means copying its bytes around the few members that change (``Splice``).
///
/// Never changed, so that it may be a class: it is handed on a dozen times on its way, and its places are too many to copy each time.
package final class Message: Sendable {
    package enum Kind: Hashable, Sendable { case request, notification, result, error }

    /// A member that we route by or rewrite; all others are only checked and passed over.
    package enum Member: Int, CaseIterable, Sendable {
        // The envelope.
        case jsonrpc, id, method, params, result, error
        // Members of `params`.
        case name, uri, arguments, cursor, level, logger, message, requestID, progressToken, protocolVersion
        // `ref` of `params`, and its members.
        case ref, refType, refName, refURI
        // What a stateless server needs before it can answer, and what it gets then (2026-07-28): members of `params` or of `result`.
        case inputRequests, inputResponses, requestState
        // Work that goes on behind its request: members of `params`; the second of `result`, too.
        case task, taskID
        // How a stateless result is to be taken: members of `result`.
        case resultType, ttlMs, cacheScope
        // `_meta` of `params` or of `result`, and its members.
        case meta, metaProgressToken, metaProtocolVersion, metaServerInfo
    }

    package let bytes: ByteBuffer
    package let kind: Kind
    private let places: InlineArray<32, Place>
    /// Whether a raw line break stands between its tokens: it must be taken out before the message can be a stdio line.
    package let hasLineBreaks: Bool
    /// Whether a member `uri` stands somewhere in its payload: it may name a resource.
    package let mentionsURI: Bool

    /// - Throws: ``MessageError``, with the id if one could be read.
    package init(scanning bytes: ByteBuffer) throws(MessageError) {
        var places = InlineArray<32, Place>(repeating: .absent)
        let outline = try withUnsafeMutableBytes(of: &places) { places throws(MessageError) in
            try MessageScan.outline(of: bytes, places: places.assumingMemoryBound(to: Place.self))
        }
        self.bytes = bytes
        self.places = places
        kind = outline.kind
        hasLineBreaks = outline.hasLineBreaks
        mentionsURI = outline.mentionsURI
    }

    /// Where a member stands.
    package subscript(member: Member) -> Place {
        assert(places.indices.contains(member.rawValue))
        // For the check of the index the whole array would be copied.
        return places[unchecked: member.rawValue]
    }

    // One load each; the comparison of an enum of another module goes through its witness table.
    package var isRequest: Bool { kind == .request }
    package var isResult: Bool { kind == .result }
    package var isError: Bool { kind == .error }

    /// The request this is, or the one it answers. `nil` for notifications, and for errors about a message nobody could read.
    package var id: RequestID? {
        let place = self[.id]
        guard place.isPresent else { return nil }
        return bytes.withUnsafeReadableBytes { text in
            text[Int(place.start)] == UInt8(ascii: "n") ? nil : RequestID(UnsafeRawBufferPointer(rebasing: text[place.range]))
        }
    }

    /// The id as one of ours, which are non-negative integers; `nil` for any other.
    package var integerID: Int? { integer(self[.id]) }

    /// The JSON text of a member.
    package func text(_ place: Place) -> String {
        bytes.getString(at: bytes.readerIndex + Int(place.start), length: place.range.count) ?? ""
    }

    /// The JSON text of a member, sharing the message's memory.
    package func slice(_ place: Place) -> ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + Int(place.start), length: place.range.count) ?? ByteBuffer()
    }

    package func view(_ place: Place) -> JSONView { JSONView(bytes, at: place) }

    package func isObject(_ place: Place) -> Bool { place.isPresent && byte(at: place) == UInt8(ascii: "{") }

    package func isString(_ place: Place) -> Bool { place.isPresent && byte(at: place) == UInt8(ascii: "\"") }

    /// A string member, decoded; `nil` if it is absent or no string.
    package func string(_ place: Place) -> String? {
        guard place.range.count >= 2, byte(at: place) == UInt8(ascii: "\"") else { return nil }
        return bytes.withUnsafeReadableBytes {
            JSONString.decode(UnsafeRawBufferPointer(rebasing: $0[place.range.lowerBound + 1..<place.range.upperBound - 1]))
        }
    }

    /// A member that is a non-negative integer of at most 18 digits, as all those are that we mint; `nil` for anything else.
    package func integer(_ place: Place) -> Int? {
        bytes.withUnsafeReadableBytes { UnsafeRawBufferPointer(rebasing: $0[place.range]).plainInteger }
    }

    /// Whether a member is there and can be a progress token: a string or a number (2025-11-25, basic/utilities/progress).
    package func isToken(_ place: Place) -> Bool {
        guard place.isPresent, let first = byte(at: place) else { return false }
        return first == UInt8(ascii: "\"") || first == UInt8(ascii: "-") || first.isDigit
    }

    /// Lends the bytes between the quotes of a string member, if they hold no escape and so are its text.
    ///
    /// Not generic: what `body` finds it keeps by itself, as the call of a generic function from another module looks types up.
    package func withPlainString(_ place: Place, _ body: (UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeReadableBytes { text in
            guard place.range.count >= 2, text[Int(place.start)] == UInt8(ascii: "\"") else { return }
            let inner = UnsafeRawBufferPointer(rebasing: text[Int(place.start) + 1..<Int(place.end) - 1])
            if inner.offset(of: UInt8(ascii: "\\")) == nil { body(inner) }
        }
    }

    private func byte(at place: Place) -> UInt8? { bytes.getInteger(at: bytes.readerIndex + Int(place.start)) }
}

/// Why some bytes are no JSON-RPC message. The id is kept, if there is one, so that a request still gets its one answer.
package struct MessageError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Not JSON: JSON-RPC error -32700.
        case notJSON(ScanError)
        /// JSON, but not a message: JSON-RPC error -32600. The text completes "not a JSON-RPC message: …".
        case notAMessage(String)
        /// Longer than the limit: JSON-RPC error -32600.
        case tooLong(bytes: Int, limit: Int)
    }

    package var reason: Reason
    /// What the sender calls its request, if that could be read.
    package var id: RequestID?
    /// Whether it names a method, and so is a request or notification rather than an answer.
    package var namesMethod: Bool

    package init(_ reason: Reason, id: RequestID? = nil, namesMethod: Bool = false) {
        self.reason = reason
        self.id = id
        self.namesMethod = namesMethod
    }
}

extension MessageError: CustomStringConvertible {
    package var description: String {
        switch reason {
        case .notJSON(let error): "not JSON: \(error)"
        case .notAMessage(let why): "not a JSON-RPC message: \(why)"
        case .tooLong(let bytes, let limit): "a message of \(bytes) bytes is longer than the limit of \(limit)"
        }
    }
}
