import Foundation
import Testing

@testable import mcpagg

@Suite("Tables")
struct TableTests {
    /// What is not shown on a terminal.
    private func plain(_ header: [String], _ rows: [[String]]) throws -> String {
        let file = try FileHandle(forWritingTo: URL(filePath: "/dev/null"))
        defer { try? file.close() }
        var table = Table(header, style: Style(descriptor: file.fileDescriptor))
        for row in rows { table.add(row) }
        return table.text
    }

    @Test("have columns as wide as what stands in them, and no spaces at the end of a line")
    func widths() throws {
        #expect(try plain(["A", "LONG", "C"], []) == "A  LONG  C\n")
        #expect(
            try plain(["NAME", "X", "TEXT"], [["a", "long one", "some text"], ["bcdefg", "", ""], ["", "é", "x"]])
                == """
                NAME    X         TEXT
                a       long one  some text
                bcdefg
                        é         x

                """)
    }

    @Test("are not cut where nobody sees a width")
    func uncut() throws {
        let long = String(repeating: "x", count: 10_000)
        #expect(try plain(["A", "B"], [["a", long]]) == "A  B\na  \(long)\n")
    }

    @Test(
        "hold nothing that would break a line or that a terminal would obey",
        arguments: [
            ("two\nlines\r\nand\ttabs", "two lines  and tabs"), ("\u{1B}[31mred\u{7}\u{7F}", " [31mred"), ("\u{9B}31m", " 31m"),
            ("\u{0}a", " a"), ("e\u{301}👩‍👩‍👧é", "e\u{301}👩‍👩‍👧é"), ("", ""),
        ])
    func controls(text: String, shown: String) throws {
        #expect(try plain(["A", "B"], [["x", text]]) == (shown.isEmpty ? "A  B\nx\n" : "A  B\nx  \(shown.trimmingSuffix())\n"))
    }

    #if os(Linux)
    @Test("are cut to the width of a terminal, in what it shows")
    func cut() throws {
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        try #require(terminal >= 0)
        defer { close(terminal) }
        // `grantpt` and its like are hidden from Swift: unlock the other end, and open it.
        var lock: CInt = 0
        try #require(ioctl(terminal, 0x4004_5431, &lock) == 0)  // TIOCSPTLCK
        let shown = ioctl(terminal, 0x5441, O_RDWR | O_NOCTTY)  // TIOCGPTPEER
        try #require(shown >= 0)
        defer { close(shown) }
        var size = winsize(ws_row: 24, ws_col: 30, ws_xpixel: 0, ws_ypixel: 0)
        try #require(ioctl(shown, UInt(TIOCSWINSZ), &size) == 0)
        let style = Style(descriptor: shown)
        #expect(style.isTerminal && style.width == 30)
        var table = Table(["A", "B"], style: style)
        let fits = String(repeating: "é", count: 27)
        table.add(["x", fits])
        table.add(["y", fits + "é"])
        let lines = table.text.split(separator: "\n")
        #expect(lines[1] == "x  \(fits)")
        #expect(lines[2] == "y  \(String(repeating: "é", count: 26))…")
    }
    #endif
}

extension String {
    fileprivate func trimmingSuffix() -> String { String(reversed().drop { $0 == " " }.reversed()) }
}
