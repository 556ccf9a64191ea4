import CBench

/// What stops the run: a program that does not start, an answer that is wrong.
struct BenchProblem: Error, CustomStringConvertible {
    let message: String
    var hint: String?
    var description: String { message + (hint.map { "\n  hint: \($0)" } ?? "") }
}

/// A program between two pipes of ours.
final class Child {
    let name: String
    private let log: String
    private var process = bench_child()

    var pid: Int32 { process.pid }
    var into: Int32 { process.into }
    var out: Int32 { process.out }

    /// - Parameter log: the file to which it writes its standard error.
    init(_ name: String, _ command: [String], environment: [String: String], log: String) throws {
        self.name = name
        self.log = log
        let status = withArguments(command) { arguments in
            withArguments(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) { environment in
                bench_spawn(&process, arguments, environment, log)
            }
        }
        guard status == 0 else {
            throw BenchProblem(
                message: "\(command[0]) cannot be started (\(String(cString: strerror(status))))", hint: "is it built? See `make bench`")
        }
    }

    /// Closes its input, and waits until it has gone.
    func end() { bench_end(&process, 15_000) }

    /// Asks it to go at once; what it has to do for that is of no interest to us.
    func endHurried() {
        kill(process.pid, SIGTERM)
        end()
    }

    func failed(_ message: String) -> BenchProblem {
        let said = (try? readText(log)).map { $0.split(separator: "\n").suffix(5).joined(separator: "\n  ") } ?? ""
        return BenchProblem(message: "\(name): \(message)" + (said.isEmpty ? "" : "\n  its last lines: \(said)"))
    }

    deinit { bench_end(&process, 15_000) }
}

private func withArguments<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
    let copies = texts.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    return body(copies + [nil])
}
