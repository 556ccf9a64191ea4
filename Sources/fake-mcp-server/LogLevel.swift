/// The levels of RFC 5424, the most talkative first.
enum LogLevel: String, CaseIterable, Comparable {
    case debug, info, notice, warning, error, critical, alert, emergency

    private var severity: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    static func < (one: LogLevel, other: LogLevel) -> Bool { one.severity < other.severity }
}
