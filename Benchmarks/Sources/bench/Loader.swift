import CBench
import Histogram

/// What one block of calls took.
struct Block {
    /// In µs.
    var p50, p90, p99: Double
    var callsPerSecond: Double
    /// Of the program that was called, user and system, of one call in µs; 0 if the system does not tell.
    var cpuMicroseconds = 0.0
}

/// Calls, and their times. No memory is asked for, and nothing is added up, before all answers are there.
final class Loader {
    private let loader: OpaquePointer
    private let times: UnsafeMutableBufferPointer<UInt64>
    private let window: Int
    /// No id is used twice in one conversation, so that an answer which comes too late is known for what it is.
    private var nextID = Call.firstID
    /// When the answer of ``ask(_:_:beginning:patience:)`` was whole.
    private(set) var answered: UInt64 = 0

    init(longestLine: Int, window: Int = 1, calls: Int) throws {
        guard let made = bench_loader_new(longestLine, Int32(window), Int32(calls)) else {
            throw BenchProblem(message: "there is no memory")
        }
        loader = made
        self.window = window
        times = .allocate(capacity: calls)
        times.initialize(repeating: 0)
    }

    deinit {
        bench_loader_free(loader)
        times.deallocate()
    }

    /// - Parameter isCompared: whether long payloads are compared byte by byte.
    func load(_ way: Way, _ call: Call, calls: Int, isCompared: Bool = false) throws -> Block {
        precondition(calls <= times.count)
        var outcome = bench_outcome()
        let before = way.child.map { bench_cpu_ns($0.pid) } ?? -1
        let isRight = call.withJob { job in
            (job.window, job.calls, job.first) = (Int32(window), Int32(calls), nextID)
            job.times_ns = times.baseAddress
            job.is_compared = isCompared ? 1 : 0
            return way.prepare(&job) { bench_load(loader, &$0, &outcome) != 0 }
        }
        let after = way.child.map { bench_cpu_ns($0.pid) } ?? -1
        nextID += UInt64(calls)
        guard isRight else {
            let problem = withUnsafeBytes(of: outcome.problem) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw way.child?.failed(problem) ?? BenchProblem(message: "\(way.name): \(problem)")
        }
        var block = Block(times: times[..<calls], elapsedNanoseconds: outcome.elapsed_ns)
        if before >= 0, after >= 0 { block.cpuMicroseconds = Double(after - before) / 1000 / Double(calls) }
        return block
    }

    /// Writes lines, and waits for the one that begins so.
    func ask(_ child: Child, _ lines: String, beginning: String, patience: Duration = .seconds(30)) throws -> [UInt8] {
        var answer: UnsafePointer<CChar>?
        let milliseconds = Int32(patience.components.seconds * 1000)
        let count = bench_ask(loader, child.into, child.out, lines, lines.utf8.count, beginning, milliseconds, &answer)
        answered = bench_now()
        guard count >= 0, let answer else { throw child.failed("no line came that begins with \(beginning)") }
        return answer.withMemoryRebound(to: UInt8.self, capacity: count) { Array(UnsafeBufferPointer(start: $0, count: count)) }
    }
}

extension Block {
    init(times: Slice<UnsafeMutableBufferPointer<UInt64>>, elapsedNanoseconds: UInt64) {
        // Three digits, up to longer than anything is waited for.
        var histogram = Histogram<UInt64>(highestTrackableValue: 200_000_000_000, numberOfSignificantValueDigits: .three)
        for time in times { histogram.record(time) }
        func cut(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1000 }
        self.init(
            p50: cut(50), p90: cut(90), p99: cut(99), callsPerSecond: Double(times.count) / (Double(elapsedNanoseconds) / 1e9))
    }
}
