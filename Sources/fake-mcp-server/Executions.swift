import JSONRPC
import NIOCore

/// Counts what was really executed, so that a test can tell a call that was sent on from one that was run twice. Finished is what
/// came to a result; an error is none.
struct Executions {
    private struct Count {
        var begun = 0
        var finished = 0
        var cancelled = 0
    }

    /// `ask` is there from the start, so that a test need not tell absent from zero.
    private var counts: [String: Count] = ["ask": Count()]
    private var unsolicitedQuestions = 0
    private var unsolicitedAnswers: [ByteBuffer] = []
    private(set) var rootsChanges = 0

    /// - Returns: how often it has begun.
    @discardableResult
    mutating func begin(_ name: String) -> Int {
        counts[name, default: Count()].begun += 1
        return begun(name)
    }
    /// It was refused for what the client lacks, before anything was done.
    mutating func withdraw(_ name: String) { counts[name]?.begun -= 1 }
    mutating func finish(_ name: String) { counts[name, default: Count()].finished += 1 }
    mutating func cancel(_ name: String) { counts[name, default: Count()].cancelled += 1 }
    mutating func askUnsolicited() { unsolicitedQuestions += 1 }
    mutating func answeredUnsolicited(_ entry: ByteBuffer) { unsolicitedAnswers.append(entry) }
    mutating func rootsChanged() { rootsChanges += 1 }

    func begun(_ name: String) -> Int { counts[name]?.begun ?? 0 }

    /// - Parameter only: leaves out all others; the rest is always there.
    func json(only: String?) -> ByteBuffer {
        JSONWriter.object { object in
            for (key, count) in counts.sorted(by: { $0.key < $1.key }) where key != "unsolicited" && key == only ?? key {
                object.object(key) { object in
                    object.member("begun", count.begun)
                    object.member("finished", count.finished)
                    object.member("cancelled", count.cancelled)
                }
            }
            object.object("unsolicited") { object in
                object.member("asked", unsolicitedQuestions)
                object.array("answers") { answers in unsolicitedAnswers.forEach { answers.value(json: $0) } }
            }
            object.member("rootsListChanged", rootsChanges)
        }
    }
}
