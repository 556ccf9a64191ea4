import CBench

/// A `tools/call` of which each answer has the same bytes but for the id.
final class Call {
    enum Filler: UInt32, CaseIterable {
        case plain, source, utf8
        var c: bench_filler { bench_filler(rawValue) }
    }

    /// Bytes of the payload, in the argument and in the result.
    let argument: Int
    let result: Int
    let filler: Filler
    /// The tools that are called in turn; their names end with their number.
    let tools: Int
    /// Host and server gather what they have to say in one write, instead of one for each message.
    let isBatching: Bool
    private let line: [UInt8]
    private let idAt: Int
    private let nameAt: Int
    // C strings for as long as this lives.
    private let before: UnsafeMutablePointer<CChar>
    private let between: UnsafeMutablePointer<CChar>
    private let after: UnsafeMutablePointer<CChar>

    static let smallPayload = 200
    static let firstID: UInt64 = 1_000_000_000
    static let envelope =
        #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#
        + #""io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}},"#

    /// - Parameter prefix: what stands before the name of the tool.
    init(
        prefix: String = "a__", argument: Int = smallPayload, result: Int = smallPayload, filler: Filler = .plain, tools: Int = 1,
        isBatching: Bool = false, isStateless: Bool = false
    ) {
        (self.argument, self.result, self.filler, self.tools, self.isBatching) = (argument, result, filler, tools, isBatching)
        let start = #"{"jsonrpc":"2.0","id":"#
        let name = #","method":"tools/call","params":{"# + (isStateless ? Self.envelope : "") + #""name":"\#(prefix)tool"#
        var line = Array("\(start)\(Self.firstID)\(name)".utf8)
        idAt = start.utf8.count
        nameAt = line.count
        line += "\(String(repeating: "0", count: Int(BENCH_NAME_DIGITS)))\",\"arguments\":{\"text\":\"".utf8
        line += [UInt8](unsafeUninitializedCapacity: argument) { room, count in
            room.withMemoryRebound(to: CChar.self) { bench_fill($0.baseAddress, argument, filler.c) }
            count = argument
        }
        line += "\"}}}\n".utf8
        self.line = line
        before = strdup(start)
        between = strdup(#","result":{"content":[{"type":"text","text":""#)
        after = strdup(#""}],"_meta":{"bench/received":\#(argument)}"# + (isStateless ? #","resultType":"complete""# : "") + "}}")
    }

    deinit { for text in [before, between, after] { free(text) } }

    var longestLine: Int { max(line.count, result + 256) }
    /// Of both directions, in MB.
    var megabytes: Double { Double(argument + result) / 1e6 }

    var text: String { String(decoding: line, as: UTF8.self) }

    /// How the answer to ``text`` ended: a stateless host is also told who answers.
    func ending(of answer: [UInt8]) throws -> String {
        let ending = answer.dropFirst(strlen(before) + Int(BENCH_ID_DIGITS) + strlen(between) + result)
        let text = String(decoding: ending, as: UTF8.self)
        guard text.hasPrefix("\"}]"), text.contains("\"bench/received\":\(argument)") else {
            throw BenchProblem(message: "the answer to a call is wrong: \(String(decoding: answer, as: UTF8.self))")
        }
        return text
    }

    func withJob<Result>(_ body: (inout bench_job) throws -> Result) rethrows -> Result {
        try line.withUnsafeBufferPointer { line in
            try line.withMemoryRebound(to: CChar.self) { line in
                var job = bench_job()
                (job.line, job.length, job.id_at, job.name_at) = (line.baseAddress, line.count, idAt, nameAt)
                (job.before, job.between, job.after) = (UnsafePointer(before), UnsafePointer(between), UnsafePointer(after))
                (job.payload, job.filler, job.tools, job.is_batching) = (result, filler.c, Int32(tools), isBatching ? 1 : 0)
                return try body(&job)
            }
        }
    }
}
