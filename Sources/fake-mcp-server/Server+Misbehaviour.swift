import JSONRPC
import NIOCore

/// What the tool `misbehave` makes the server do for a while.
struct Misbehaviour {
    enum Kind: String, CaseIterable {
        /// Reads nothing.
        case deaf
        /// Notifications that mean nothing to anybody.
        case notifications
        /// Log messages.
        case logs
        /// Says that its tools have changed, though they have not.
        case changes
        /// Answers to requests that nobody made.
        case unknownIDs = "unknown_ids"
        /// Answers every request three times.
        case duplicates
        /// Answers requests that were cancelled.
        case answersToCancelled = "answers_to_cancelled"
        /// Writes single bytes.
        case drips
        /// Lines on stderr.
        case stderr
        /// Notifications of so many bytes.
        case huge
        /// Lines that are no messages.
        case garbage

        static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
    }

    /// How often it answers with `duplicates`.
    static let copies = 3
    static let tickMilliseconds = 1
    /// Nothing more is said while so much of it is not read.
    static let backlog = 1024 * 1024

    let kind: Kind
    let perSecond: Int
    /// Of so many bytes. Made once, like the line of a log: on a small machine a flood that costs us much takes the others' processors.
    let fill: String
    let log: (before: String, after: String)  // its number
    let begin: UInt64  // nanoseconds
    /// Occasions so far, those included at which nobody listened; and how often it did so.
    var due = 0
    var done = 0
}

extension Server {
    func misbehave(_ request: Request) {
        let arguments = request.arguments
        guard let kind = arguments?["kind"]?.string.flatMap(Misbehaviour.Kind.init) else {
            return refuseParams(request, "misbehave needs a kind: \(Misbehaviour.Kind.list)")
        }
        let fill = String(repeating: "x", count: arguments?.count("bytes") ?? 0)
        let params = #"{"level":"info","logger":\#(JSONString.encoded(behaviour.name)),"data":""#
        misbehaviour = Misbehaviour(
            kind: kind, perSecond: arguments?.count("perSecond") ?? 0, fill: fill,
            log: (#"{"jsonrpc":"2.0","method":"notifications/message","params":\#(params)"#, #" \#(fill)"}}"#), begin: Descriptor.now())
        output.isDripping = kind == .drips
        let end = Descriptor.now() + UInt64(arguments?.count("ms") ?? 0) * 1_000_000
        hold(request)
        tick(request, until: end)
    }

    private func tick(_ request: Request, until end: UInt64) {
        guard Descriptor.now() < end else {
            let count = misbehaviour?.done ?? 0
            misbehaviour = nil
            output.isDripping = false
            return answer(request, result: ToolResult.text("\(count)"))
        }
        keepUp()
        timers.set(milliseconds: Misbehaviour.tickMilliseconds) { [self] in tick(request, until: end) }
    }

    /// Does what is due by now. What nobody takes is left out: it is the reader's pace then.
    private func keepUp() {
        guard var now = misbehaviour, now.perSecond > 0 else { return }
        let due = 1 + Int(Double(Descriptor.now() - now.begin) / 1e9 * Double(now.perSecond))
        for number in now.due..<max(now.due, due) where output.waitingBytes < Misbehaviour.backlog {
            if misbehaveOnce(now, number) { now.done += 1 }
        }
        now.due = due
        misbehaviour = now
    }

    /// - Returns: whether there was an opportunity.
    private func misbehaveOnce(_ misbehaviour: Misbehaviour, _ number: Int) -> Bool {
        let fill = misbehaviour.fill
        switch misbehaviour.kind {
        case .deaf, .duplicates, .answersToCancelled: return false
        case .drips:
            if output.isEmpty { notify("notifications/nothing") { $0.member("text", fill) } }
            return output.drip()
        case .notifications:
            // Three kinds of them, so that not one way alone is tried.
            switch number % 3 {
            case 0: notify("notifications/nothing") { $0.member("text", fill) }
            case 1:
                notify("notifications/progress") { params in
                    params.member("progressToken", json: "\"nobody's \(number)\"")
                    params.member("progress", number)
                }
            default: notify("notifications/cancelled") { $0.member("requestId", json: "\(number)") }
            }
        case .logs:
            output.line { line in
                line.writeString(misbehaviour.log.before)
                line.writeString(String(number))
                line.writeString(misbehaviour.log.after)
            }
        case .changes: notify("notifications/tools/list_changed")
        case .unknownIDs:
            output.line { $0.writeString(#"{"jsonrpc":"2.0","id":\#(1_000_000_000 + number),"result":{"text":"\#(fill)"}}"#) }
        case .huge: notify("notifications/nothing") { $0.member("text", fill) }
        case .garbage: output.line { $0.writeBytes(Noise.garbage) }
        case .stderr:
            Array("\(number) \(fill)\n".utf8).withUnsafeBytes { Descriptor.writeAll(Descriptor.standardError, $0) }
        }
        return true
    }
}
