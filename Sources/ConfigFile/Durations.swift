/// Lengths of time as the config file writes them: `"250ms"`, `"1.5s"`, `"2m"`, `"1h"`, or a bare number of milliseconds.
enum Durations {
    /// The longest we take. Some hosts use 28 hours for "no timeout"; more than a week is a slip of the pen.
    static let longest = Duration.seconds(7 * 24 * 3600)
    /// A bare number below it was probably meant as seconds, as some hosts write timeouts.
    static let suspiciouslyFewMilliseconds = 1000

    enum Failure: Error, Equatable { case malformed, negative, missingUnit, tooLong }

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    static func parse(_ text: String) throws(Failure) -> Duration {
        guard !text.hasPrefix("-") else { throw .negative }
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count)
        if suffix.isEmpty, !digits.isEmpty { throw .missingUnit }
        guard let unit = units.first(where: { $0.suffix == suffix }) else { throw .malformed }
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else { throw .malformed }
        // Nine digits of each are more than a week of milliseconds, and fewer than overflow.
        let wholeDigits = parts[0].drop { $0 == "0" }
        guard wholeDigits.count <= 9 else { throw .tooLong }
        let whole = Int64(wholeDigits) ?? 0
        var nanoseconds = whole.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !nanoseconds.overflow else { throw .tooLong }
        if parts.count == 2 {
            var scale = unit.nanoseconds
            for digit in parts[1] {
                scale /= 10
                nanoseconds.partialValue += scale * Int64(digit.wholeNumberValue ?? 0)
            }
        }
        let duration = Duration.nanoseconds(nanoseconds.partialValue)
        guard duration <= longest else { throw .tooLong }
        return duration
    }

    static func milliseconds(_ count: Int) throws(Failure) -> Duration {
        guard count >= 0 else { throw .negative }
        guard count <= 7 * 24 * 3_600_000 else { throw .tooLong }
        return .milliseconds(count)
    }

    /// As one would write it: the largest unit that needs no fraction.
    static func describe(_ duration: Duration) -> String {
        let nanoseconds = duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
        for unit in units.reversed() where nanoseconds % unit.nanoseconds == 0 && nanoseconds != 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.suffix)"
        }
        return "\(nanoseconds / 1_000_000)ms"
    }
}
