import CBench

/// A way a call can go: a program, or a connection to a server.
final class Way {
    let name: String
    let child: Child?
    let into: Int32
    let out: Int32
    private let head: String?
    /// How answers end that come this way, if not as the server wrote them.
    private let ending: String?

    init(_ name: String, _ child: Child, ending: String? = nil) {
        (self.name, self.child, into, out, head, self.ending) = (name, child, child.into, child.out, nil, ending)
    }

    /// Pipes that somebody else closes.
    init(_ name: String, into: Int32, out: Int32) {
        (self.name, child, self.into, self.out, head, ending) = (name, nil, into, out, nil, nil)
    }

    /// A kept-alive connection over HTTP.
    /// - Parameter head: of each request, up to the value of Content-Length.
    init(_ name: String, port: Int, head: String) throws {
        let socket = bench_connect(Int32(port))
        guard socket >= 0 else { throw BenchProblem(message: "nobody answers on port \(port)") }
        (self.name, child, into, out, self.head, ending) = (name, nil, socket, socket, head, nil)
    }

    /// Fills in what depends on the way.
    func prepare<Result>(_ job: inout bench_job, _ body: (inout bench_job) throws -> Result) rethrows -> Result {
        (job.into, job.out) = (into, out)
        let texts = [head, ending].map { $0.flatMap { strdup($0) } }
        defer { for text in texts { free(text) } }
        job.head = UnsafePointer(texts[0])
        if let ending = texts[1] { job.after = UnsafePointer(ending) }
        return try body(&job)
    }

    func end() {
        if let child { child.end() } else { close(into) }
    }
}

/// What a host says first.
enum Host {
    static let initialize =
        #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"#
        + #""clientInfo":{"name":"bench","version":"1"}}}"# + "\n"
    static let initialized = #"{"jsonrpc":"2.0","method":"notifications/initialized"}"# + "\n"

    static func list(id: Int, isStateless: Bool = false) -> String {
        let envelope = Call.envelope.dropLast()
        return #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/list""# + (isStateless ? ",\"params\":{\(envelope)}" : "") + "}\n"
    }

    static func answer(to id: Int) -> String { #"{"jsonrpc":"2.0","id":\#(id),"# }

    static func tools(in list: [UInt8]) -> Int { occurrences(of: #""inputSchema":"#, in: list) }

    /// Says hello, and waits until the list is complete.
    /// - Returns: the list.
    @discardableResult
    static func begin(_ child: Child, loader: Loader, tools: Int, isStateless: Bool = false) throws -> [UInt8] {
        if !isStateless { _ = try loader.ask(child, initialize, beginning: answer(to: 1)) }
        var id = 2, list: [UInt8] = []
        let end = bench_now() + 30_000_000_000
        repeat {
            list = try loader.ask(
                child, (id == 2 && !isStateless ? initialized : "") + Self.list(id: id, isStateless: isStateless), beginning: answer(to: id)
            )
            id += 1
            if bench_now() > end { throw child.failed("it lists \(self.tools(in: list)) tools, not \(tools)") }
        } while self.tools(in: list) < tools
        guard self.tools(in: list) == tools else { throw child.failed("it lists \(self.tools(in: list)) tools, not \(tools)") }
        return list
    }
}

private func occurrences(of text: String, in bytes: [UInt8]) -> Int {
    bytes.withUnsafeBufferPointer { bytes in
        bytes.withMemoryRebound(to: CChar.self) { Int(bench_occurrences(text, $0.baseAddress, $0.count)) }
    }
}
