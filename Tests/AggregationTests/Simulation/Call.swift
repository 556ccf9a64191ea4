import JSONRPC
import Resilience
import TestSupport

@testable import Aggregation

/// What a tool does, as its annotations say.
enum Tool: String, CaseIterable {
    case look, put, add, drop

    /// It may run twice.
    var isHarmless: Bool { self == .look || self == .put }

    var annotations: String {
        switch self {
        case .look: #"{"readOnlyHint":true}"#
        case .put: #"{"readOnlyHint":false,"idempotentHint":true}"#
        case .add: #"{"destructiveHint":false}"#
        case .drop: #"{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":false}"#
        }
    }
}

/// What a server does with one attempt of a call.
enum Behaviour {
    case answer(after: Int)
    /// A result that is an error of the tool.
    case failure(after: Int)
    /// A JSON-RPC error.
    case error(after: Int)
    /// Works on it for ever.
    case hang
    /// Ends with the call unread.
    case crashBefore
    /// Ends after it has done the work.
    case crashAfter(Int)
    /// Ends in the middle of the line of its answer.
    case crashWithin(after: Int)
    /// Ends behind its answer.
    case crashBehind(after: Int)
    /// Asks the host something first.
    case ask(after: Int)
    case progress(steps: Int, every: Int)
    /// Answers twice.
    case twice(after: Int)
    /// Answers under its id as a string.
    case misaddress(after: Int)

    static func draw(_ random: inout SeededGenerator) -> Behaviour {
        let after = random.pick([0, 0, 1, 2, 5, 20, 100, 400, 1_000, 2_500, 6_000])
        return random.weighted([
            (30, .answer(after: after)), (4, .failure(after: after)), (4, .error(after: after)), (7, .hang), (6, .crashBefore),
            (10, .crashAfter(after)), (5, .crashWithin(after: after)), (5, .crashBehind(after: after)), (9, .ask(after: after)),
            (5, .progress(steps: random.within(1...6), every: random.pick([1, 50, 400]))), (4, .twice(after: after)),
            (2, .misaddress(after: after)),
        ])
    }
}

/// One call of a host, from its first request to its last answer.
struct Call {
    enum State: Equatable {
        /// A request of the host waits.
        case open
        /// It was answered with questions: the host may come back.
        case parked
        case answered
        /// The host does not want the answer any more, or is gone.
        case cancelled
    }

    let number: Int
    let host: Int
    let name: String
    let tool: Tool
    var inBatch = false
    /// Of its attempts, one after another; the last goes for all that follow.
    var behaviours: [Behaviour]
    var state = State.open
    /// Who read it, in order.
    var executions: [String] = []
    /// Children it was sent to.
    var sends: [ObjectIdentifier] = []
    /// Of the servers that it was sent to.
    var policies: [RetryPolicy] = []
    /// How many configs there had been when it was sent, by the server's key.
    var firstPolicy: [String: Int] = [:]
    /// The text of the host's answer.
    var answer: String?
    /// What that says of the reason for which it is none of a server.
    var claim: RequestFailure?
}

/// A request of a host that waits for its answer, or did.
struct Request {
    enum State: Equatable { case open, answered, cancelled }

    var call: Int?
    let what: String
    var state = State.open
    /// It lasts until the host or the aggregator ends.
    var lasts = false
    /// It came when its answer could not be expected any more.
    var cameTooLate = false
}
