import JSONRPC

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Results go here, and nothing else.
enum StandardOutput {
    static let descriptor = STDOUT_FILENO

    static func write(_ text: String) { write(Array(text.utf8)) }

    static func write(_ bytes: [UInt8]) {
        let status = writeAll(bytes, to: descriptor)
        if status == 0 { return }
        // Whoever reads may stop reading (`| head`): then there is nothing left to do, and that is no error. A full disk is one.
        if status == EPIPE { end(with: .success) }
        StandardError.write("error: the result could not be written: \(String(cString: strerror(status)))\n")
        end(with: .unexpected)
    }
}

/// Everything that is not a result.
enum StandardError {
    static let descriptor = STDERR_FILENO

    static func write(_ text: String) { _ = writeAll(Array(text.utf8), to: descriptor) }
}

enum StandardInput {
    /// All of it, until it ends.
    static func readAll() -> [UInt8] {
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return text }
            text += chunk[..<count]
        }
    }
}

/// - Returns: 0, or the error that kept it from being written.
private func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
    bytes.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
                continue
            }
            guard count > 0 else { return errno }
            rest = rest.dropFirst(count)
        }
        return 0
    }
}

/// Colours and widths, for a terminal only.
struct Style {
    let isTerminal: Bool
    /// Columns; `nil` if what is written is not shown on a terminal.
    let width: Int?
    private let hasColours: Bool

    init(descriptor: CInt) {
        isTerminal = isatty(descriptor) == 1
        hasColours = isTerminal && getenv("NO_COLOR") == nil
        var size = winsize()
        width = isTerminal && ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) : nil
    }

    func bold(_ text: String) -> String { coloured(text, "1") }
    func red(_ text: String) -> String { coloured(text, "31") }
    func green(_ text: String) -> String { coloured(text, "32") }
    func yellow(_ text: String) -> String { coloured(text, "33") }
    func dim(_ text: String) -> String { coloured(text, "2") }

    private func coloured(_ text: String, _ code: String) -> String { hasColours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}

/// Rows under each other. The last column takes what is left of the line.
struct Table {
    private var rows: [[String]] = []
    private let style: Style

    init(_ header: [String], style: Style) {
        rows.append(header)
        self.style = style
    }

    mutating func add(_ row: [String]) { rows.append(row.map(Self.oneLine)) }

    var text: String {
        guard let columns = rows.first?.count else { return "" }
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        var text = ""
        for (index, row) in rows.enumerated() {
            var line = ""
            for (column, cell) in row.enumerated() {
                line += column == columns - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 2)
            }
            while line.last == " " { line.removeLast() }
            if let width = style.width, line.count > width { line = line.prefix(width - 1) + "…" }
            text += (index == 0 ? style.bold(line) : line) + "\n"
        }
        return text
    }

    /// What servers say of themselves can hold line breaks, and sequences that a terminal would obey.
    static func oneLine(_ text: String) -> String { text.oneLine }
}

extension String {
    /// Without what a terminal would obey instead of showing it.
    func withoutControls(butFor allowed: String) -> String {
        String(
            unicodeScalars.map { scalar in
                scalar.isTreacherous && !allowed.unicodeScalars.contains(scalar) ? " " : Character(scalar)
            })
    }
}
