import NIOCore

/// A request that cannot be answered before the client has answered something: what to ask next, as a function of what it has
/// answered so far. Both eras run it, each in its way.
struct Inquiry {
    enum Step {
        case ask([Question])
        case answer(ByteBuffer)
    }

    /// The answers in the order of the questions, each an entry `{"result": …}` or `{"error": …}`.
    let next: (_ answers: [ByteBuffer]) -> Step
    var options = Options()

    /// What a call asks for beside its questions.
    struct Options {
        /// Ask even what the client has not declared.
        var force = false
        /// Stateless era: refuse the call with -32021 if the client has not declared what it takes.
        var require = false
        /// Stateless era: send no `requestState`.
        var noState = false
        /// Stateless era: so many rounds at first that have only a `requestState`.
        var stateOnlyRounds = 0
        /// Once the questions are out, the server ends.
        var thenExitMilliseconds: Int?
        /// Handshake era: the server takes its questions back.
        var cancelQuestionsMilliseconds: Int?
    }

    /// Asks everything at once, then is done.
    static func once(_ questions: [Question], _ result: @escaping ([ByteBuffer]) -> ByteBuffer) -> Inquiry {
        Inquiry(next: { $0.count < questions.count ? .ask(questions) : .answer(result($0)) })
    }
}

/// How far an inquiry is.
struct Answers {
    private(set) var questions: [Question] = []
    private(set) var entries: [ByteBuffer?] = []

    /// - Returns: the indices of the new ones.
    mutating func add(_ new: [Question]) -> Range<Int> {
        let first = questions.count
        questions += new
        entries += new.map { _ in nil }
        return first..<questions.count
    }

    mutating func settle(_ index: Int, _ entry: ByteBuffer) { entries[index] = entry }

    var open: [Int] { entries.indices.filter { entries[$0] == nil } }
    var settled: [ByteBuffer] { entries.compactMap { $0 } }
}
