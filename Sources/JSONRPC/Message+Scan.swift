package import NIOCore

/// What one line, or one HTTP body, turned out to hold.
package enum Incoming: Sendable {
    case message(Message)
    /// A JSON-RPC batch: only MCP 2025-03-26 has them. Each element stands for itself.
    case batch([Result<Message, MessageError>])
    case unreadable(MessageError)

    /// Elements of one batch. A line of 64 MiB would have room for thirty million, each of which wants an answer.
    package static let batchLimit = 10_000
}

extension Incoming {
    /// Scans one line or body, in one pass unless it is a batch.
    package init(scanning bytes: ByteBuffer) {
        switch MessageScan.first(of: bytes) {
        case UInt8(ascii: "["): self = MessageScan.batch(bytes)
        default:
            do throws(MessageError) {
                self = .message(try Message(scanning: bytes))
            } catch {
                self = .unreadable(error)
            }
        }
    }
}

/// The single pass over a message: grammar, UTF-8, depth, and the places of the members that ``Message/Member`` names.
struct MessageScan {
    /// An object whose members we look at.
    enum Level { case envelope, params, result, ref, meta }

    /// All there is to know of a message besides its bytes and the places of its members.
    struct Outline {
        var kind: Message.Kind
        var hasLineBreaks: Bool
        var mentionsURI: Bool
    }

    private var scanner: Scanner
    private let text: UnsafeRawBufferPointer
    /// Where they are wanted: so many are not copied about.
    private let places: UnsafeMutableBufferPointer<Place>
    /// The id is a fraction, an object, or something else that cannot be one.
    private var idIsMalformed = false
    private var isObject = true
    /// The first member that stood twice. The scan goes on behind it: the id may still come.
    private var duplicate: ScanError?

    static func first(of bytes: ByteBuffer) -> UInt8? {
        bytes.withUnsafeReadableBytes { $0.first { !$0.isWhitespace } }
    }

    /// - Parameter places: one for each ``Message/Member``, all absent yet.
    static func outline(of bytes: ByteBuffer, places: UnsafeMutableBufferPointer<Place>) throws(MessageError) -> Outline {
        let outline: Result<Outline, MessageError> = bytes.withUnsafeReadableBytes { text in
            Result { () throws(MessageError) in
                var scan = MessageScan(text, places)
                do throws(ScanError) {
                    try scan.run()
                } catch {
                    throw scan.unreadable(error)
                }
                return try scan.classify()
            }
        }
        return try outline.get()
    }

    static func batch(_ bytes: ByteBuffer) -> Incoming {
        let scanned: Result<[Place], ScanError> = bytes.withUnsafeReadableBytes { text in
            Result { () throws(ScanError) in try places(ofBatch: text) }
        }
        switch scanned {
        case .failure(let error): return .unreadable(MessageError(.notJSON(error)))
        case .success(let places) where places.isEmpty: return .unreadable(MessageError(.notAMessage("an empty batch")))
        case .success(let places) where places.count > Incoming.batchLimit:
            return .unreadable(MessageError(.notAMessage("a batch of more than \(Incoming.batchLimit) elements")))
        case .success(let places):
            return .batch(
                places.map { place in Result { () throws(MessageError) in try Message(scanning: JSONView(bytes, at: place).json) } })
        }
    }

    /// The places of the elements, of one more than the limit at most.
    private static func places(ofBatch text: UnsafeRawBufferPointer) throws(ScanError) -> [Place] {
        var places: [Place] = []
        var scanner = Scanner(text)
        try scanner.skipWhitespace()
        if try scanner.beginContainer(depth: 0, until: UInt8(ascii: "]")) {
            repeat {
                let place = try scanner.scanValue(depth: 1)
                if places.count <= Incoming.batchLimit { places.append(place) }
            } while try scanner.continueContainer(until: UInt8(ascii: "]"))
        }
        try scanner.finish()
        return places
    }

    private init(_ text: UnsafeRawBufferPointer, _ places: UnsafeMutableBufferPointer<Place>) {
        self.text = text
        self.places = places
        scanner = Scanner(text)
    }

    private mutating func run() throws(ScanError) {
        try scanner.skipWhitespace()
        guard try scanner.peek() == UInt8(ascii: "{") else {
            isObject = false
            try scanner.scanValue(depth: 0)
            return try scanner.finish()
        }
        if takeUsualBeginning() {
            try scanRestOfMembers(.envelope, depth: 0)
        } else {
            try scanMembers(.envelope, depth: 0)
        }
        try scanner.finish()
    }

    /// Most messages begin alike, and are compared with that at once.
    private mutating func takeUsualBeginning() -> Bool {
        let usual: StaticString = #"{"jsonrpc":"2.0","#
        guard scanner.take(usual) else { return false }
        places[Message.Member.jsonrpc.rawValue] = Place(scanner.offset - 6..<scanner.offset - 1)
        return true
    }

    private mutating func scanMembers(_ level: Level, depth: Int) throws(ScanError) {
        guard try scanner.beginContainer(depth: depth, until: UInt8(ascii: "}")) else { return }
        try scanRestOfMembers(level, depth: depth)
    }

    /// The members from the one that begins here, and the end.
    private mutating func scanRestOfMembers(_ level: Level, depth: Int) throws(ScanError) {
        repeat {
            try scanner.skipWhitespace()
            let keyOffset = scanner.offset
            let key = try scanner.scanKey()
            guard let member = member(named: key, at: level) else {
                try scanner.scanValue(depth: depth + 1)
                continue
            }
            try scanner.skipWhitespace()
            // Two readers of a duplicate may choose differently: what we route by and what the server runs must be the same.
            guard place(of: member).isAbsent else {
                let name = String(decoding: UnsafeRawBufferPointer(rebasing: text[key.range]), as: UTF8.self)
                duplicate = duplicate ?? ScanError(.duplicateMember(name), at: keyOffset)
                if member == .id { idIsMalformed = true }
                try scanner.scanValue(depth: depth + 1)
                continue
            }
            let start = scanner.offset
            if let inner = level.level(inside: member), try scanner.peek() == UInt8(ascii: "{") {
                try scanMembers(inner, depth: depth + 1)
            } else if member == .id {
                try scanID(depth: depth + 1)
            } else {
                try scanner.scanValue(depth: depth + 1)
            }
            places[member.rawValue] = Place(start..<scanner.offset)
        } while try scanner.continueContainer(until: UInt8(ascii: "}"))
    }

    private mutating func scanID(depth: Int) throws(ScanError) {
        switch try scanner.peek() {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): idIsMalformed = try !scanner.scanNumber()
        case UInt8(ascii: "\""): _ = try scanner.scanString()
        case UInt8(ascii: "n"): try scanner.scanLiteral("null")
        default:
            idIsMalformed = true
            try scanner.scanValue(depth: depth)
        }
    }

    /// The text is no JSON. What was read of its envelope before the damage, or can be told from behind it, counts.
    private func unreadable(_ error: ScanError) -> MessageError {
        if let skim = EnvelopeSkim(text) { return MessageError(.notJSON(error), id: skim.id, namesMethod: skim.namesMethod) }
        // The text breaks off. A number that stands at its very end may have lost digits.
        let idIsCut = Int(place(of: .id).end) == text.count && !isString(place(of: .id))
        return MessageError(.notJSON(error), id: idIsMalformed || idIsCut ? nil : readID(), namesMethod: place(of: .method).isPresent)
    }

    private func classify() throws(MessageError) -> Outline {
        func refusal(_ why: String) -> MessageError {
            MessageError(.notAMessage(why), id: idIsMalformed ? nil : readID(), namesMethod: place(of: .method).isPresent)
        }
        guard isObject else { throw refusal("it is not an object") }
        if let duplicate { throw refusal(duplicate.description) }
        guard equals(place(of: .jsonrpc), "\"2.0\"") else { throw refusal("'jsonrpc' is not \"2.0\"") }
        guard !idIsMalformed else { throw refusal("'id' is neither a string nor an integer") }
        let hasID = place(of: .id).isPresent && !equals(place(of: .id), "null")
        let kind: Message.Kind
        switch (place(of: .method).isPresent, place(of: .result).isPresent, place(of: .error).isPresent) {
        case (true, false, false):
            guard isString(place(of: .method)) else { throw refusal("'method' is not a string") }
            if place(of: .params).isPresent, text[Int(place(of: .params).start)] != UInt8(ascii: "{") {
                throw refusal("'params' is not an object")
            }
            guard hasID || place(of: .id).isAbsent else { throw refusal("the id of a request cannot be null") }
            kind = hasID ? .request : .notification
        case (false, true, false):
            guard hasID else { throw refusal("a result without an id") }
            // Their members would be taken for those of the result.
            guard place(of: .params).isAbsent else { throw refusal("an answer with 'params'") }
            kind = .result
        case (false, false, true):
            guard place(of: .params).isAbsent else { throw refusal("an answer with 'params'") }
            kind = .error
        case (false, false, false): throw refusal("it has neither 'method' nor 'result' nor 'error'")
        default: throw refusal("it has more than one of 'method', 'result' and 'error'")
        }
        return Outline(kind: kind, hasLineBreaks: scanner.sawLineBreak, mentionsURI: scanner.sawURI)
    }

    // MARK: Keys

    @inline(__always)
    private func member(named key: Place, at level: Level) -> Message.Member? {
        let key = UnsafeRawBufferPointer(rebasing: text[key.range])
        // "\u0069d" is the name "id" to every JSON parser, so it is to us.
        guard scanner.lastStringHasEscape else { return level.member(named: key) }
        return Self.member(namedWithEscapes: key, at: level)
    }

    private static func member(namedWithEscapes key: UnsafeRawBufferPointer, at level: Level) -> Message.Member? {
        var decoded = JSONString.decode(key)
        return decoded.withUTF8 { level.member(named: UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private func place(of member: Message.Member) -> Place { places[member.rawValue] }

    private func isString(_ place: Place) -> Bool { place.isPresent && text[Int(place.start)] == UInt8(ascii: "\"") }

    private func equals(_ place: Place, _ literal: StaticString) -> Bool {
        UnsafeRawBufferPointer(rebasing: text[place.range]).equals(literal)
    }

    private func readID() -> RequestID? {
        guard place(of: .id).isPresent, !equals(place(of: .id), "null") else { return nil }
        return RequestID(UnsafeRawBufferPointer(rebasing: text[place(of: .id).range]))
    }
}

extension MessageScan.Level {
    fileprivate func member(named key: UnsafeRawBufferPointer) -> Message.Member? {
        switch self {
        case .envelope:
            switch key.count {
            case 2: key.equals("id") ? .id : nil
            case 5: key.equals("error") ? .error : nil
            case 6: key.equals("method") ? .method : key.equals("params") ? .params : key.equals("result") ? .result : nil
            case 7: key.equals("jsonrpc") ? .jsonrpc : nil
            default: nil
            }
        case .params:
            switch key.count {
            case 3: key.equals("uri") ? .uri : key.equals("ref") ? .ref : nil
            case 4: key.equals("name") ? .name : key.equals("task") ? .task : nil
            case 5: key.equals("_meta") ? .meta : key.equals("level") ? .level : nil
            case 6: key.equals("cursor") ? .cursor : key.equals("logger") ? .logger : key.equals("taskId") ? .taskID : nil
            case 7: key.equals("message") ? .message : nil
            case 9: key.equals("arguments") ? .arguments : key.equals("requestId") ? .requestID : nil
            case 12: key.equals("requestState") ? .requestState : nil
            case 13: key.equals("progressToken") ? .progressToken : nil
            case 14: key.equals("inputResponses") ? .inputResponses : nil
            case 15: key.equals("protocolVersion") ? .protocolVersion : nil
            default: nil
            }
        case .result:
            switch key.count {
            case 5: key.equals("_meta") ? .meta : key.equals("ttlMs") ? .ttlMs : nil
            case 6: key.equals("taskId") ? .taskID : nil
            case 10: key.equals("resultType") ? .resultType : key.equals("cacheScope") ? .cacheScope : nil
            case 12: key.equals("requestState") ? .requestState : nil
            case 13: key.equals("inputRequests") ? .inputRequests : nil
            default: nil
            }
        case .ref:
            switch key.count {
            case 3: key.equals("uri") ? .refURI : nil
            case 4: key.equals("name") ? .refName : key.equals("type") ? .refType : nil
            default: nil
            }
        case .meta:
            switch key.count {
            case 13: key.equals("progressToken") ? .metaProgressToken : nil
            case 34: key.equals("io.modelcontextprotocol/serverInfo") ? .metaServerInfo : nil
            case 39: key.equals("io.modelcontextprotocol/protocolVersion") ? .metaProtocolVersion : nil
            default: nil
            }
        }
    }

    /// What to look at inside a member that is an object; `nil` if only the member as a whole matters.
    @inline(__always)
    fileprivate func level(inside member: Message.Member) -> MessageScan.Level? {
        switch self {
        case .envelope: member == .params ? .params : member == .result ? .result : nil
        case .params: member == .meta ? .meta : member == .ref ? .ref : nil
        case .result: member == .meta ? .meta : nil
        case .ref, .meta: nil
        }
    }
}
