import CBench
import Testing

@testable import bench

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Answers that lie in a pipe before the first call is made.
private func outcome(of answers: String, _ call: Call, window: Int = 1, calls: Int = 1, isCompared: Bool = false) throws -> String? {
    var requests: [Int32] = [0, 0], results: [Int32] = [0, 0]
    #expect(pipe(&requests) == 0 && pipe(&results) == 0)
    #expect(answers.withCString { bench_write_all(results[1], $0, strlen($0)) } == 0)
    close(results[1])
    defer { for descriptor in [requests[0], requests[1], results[0]] { close(descriptor) } }
    let loader = try Loader(longestLine: call.longestLine, window: window, calls: calls)
    do {
        _ = try loader.load(Way("pipe", into: requests[1], out: results[0]), call, calls: calls, isCompared: isCompared)
        return nil
    } catch let problem as BenchProblem {
        return problem.message
    }
}

private func answer(_ call: Call, id: Int = 0, payload: String? = nil, received: Int? = nil) -> String {
    var right = [CChar](repeating: 0, count: call.result + 1)
    bench_fill(&right, call.result, call.filler.c)
    let text = payload ?? String(decoding: right.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return #"{"jsonrpc":"2.0","id":\#(Int(Call.firstID) + id),"result":{"content":[{"type":"text","text":"\#(text)"}],"#
        + #""_meta":{"bench/received":\#(received ?? call.argument)}}}"# + "\n"
}

@Suite("The load generator believes nothing")
struct LoaderTests {
    @Test("right answers are right, in any order, with notifications between them", arguments: Call.Filler.allCases)
    func right(filler: Call.Filler) throws {
        let call = Call(argument: 100, result: 300, filler: filler)
        #expect(try outcome(of: answer(call), call) == nil)
        let notification = #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"# + "\n"
        let answers = answer(call, id: 2) + notification + answer(call, id: 0) + answer(call, id: 1)
        #expect(try outcome(of: answers, call, window: 3, calls: 3) == nil)
    }

    @Test(
        "a wrong answer is found",
        arguments: [
            ("id of no call", answer(Call(), id: 1)),
            ("answer of another length", answer(Call(), payload: String(repeating: "x", count: 199))),
            ("answer of another length", answer(Call(), payload: String(repeating: "x", count: 201))),
            ("answer of another length", #"{"jsonrpc":"2.0","id":1000000000,"error":{"code":-32603,"message":"no"}}"# + "\n"),
            ("wrong payload", answer(Call(), payload: String(repeating: "x", count: 200))),
            ("wrong end", answer(Call(), received: 199)),
            ("the output was closed", String(answer(Call()).dropLast(30))),
            ("the output was closed", ""),
            ("id of no call", answer(Call()) + answer(Call())),
            ("more than was asked for", answer(Call()) + "{"),
        ])
    func wrong(problem: String, answers: String) throws {
        let found = try outcome(of: answers, Call())
        #expect(found?.contains(problem) == true, "\(found ?? "nothing")")
    }

    @Test("a call that is answered twice is found, and one that is not")
    func twice() throws {
        let call = Call()
        let found = try outcome(of: answer(call, id: 0) + answer(call, id: 0), call, window: 2, calls: 2)
        #expect(found?.contains("id of no call") == true)
        #expect(try outcome(of: answer(call, id: 1), call, window: 2, calls: 2)?.contains("the output was closed") == true)
    }

    @Test("one wrong byte in a long payload is found when it is looked for")
    func longPayload() throws {
        let call = Call(result: 10_000)
        let bad = answer(call).replacing("xyz 0123456789 a", with: "xyz 0123456780 a", maxReplacements: 1)
        #expect(try outcome(of: bad, call, isCompared: true)?.contains("wrong payload") == true)
        #expect(try outcome(of: answer(call), call, isCompared: true) == nil)
    }
}

@Suite("What fills payloads")
struct FillerTests {
    @Test("every length is a whole JSON text", arguments: Call.Filler.allCases)
    func whole(filler: Call.Filler) {
        for length in 0..<200 {
            var bytes = [CChar](repeating: 0, count: length + 1)
            bench_fill(&bytes, length, filler.c)
            let text = String(validating: bytes.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            #expect(text?.utf8.count == length)
            // Behind each backslash stands what it escapes.
            #expect(text?.replacing(#"\""#, with: "").replacing(#"\n"#, with: "").contains { $0 == "\\" || $0 == "\"" } == false)
        }
    }
}
