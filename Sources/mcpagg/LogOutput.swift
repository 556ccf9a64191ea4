import ArgumentParser
import Logging

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

struct LogLevelArgument: ExpressibleByArgument {
    let level: Logger.Level

    init?(argument: String) {
        guard let level = Logger.Level(rawValue: argument) else { return nil }
        self.level = level
    }

    static var allValueStrings: [String] { Logger.Level.allCases.map(\.rawValue) }
}

/// Log lines on standard error: `mcpagg: warning: …`.
struct LogOutput: LogHandler {
    /// What a pipe takes at once or not at all (PIPE_BUF on Linux); a longer line is cut.
    private static let lineLimit = 4096

    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    private let style = Style(descriptor: StandardError.descriptor)

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        // Servers and hosts have their words in it: what a terminal would obey goes.
        let message = "\(event.message)".withoutControls(butFor: "\n\t")
        var bytes = Array("mcpagg: \(word(for: event.level)) \(message)".utf8)
        if bytes.count >= Self.lineLimit { bytes.replaceSubrange((Self.lineLimit - 4)..., with: "…".utf8) }
        bytes.append(UInt8(ascii: "\n"))
        // A host that does not read our standard error must not stop us: what does not fit is dropped.
        var ready = pollfd(fd: StandardError.descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&ready, 1, 0) == 1, ready.revents & Int16(POLLOUT) != 0 else { return }
        _ = write(StandardError.descriptor, bytes, bytes.count)
    }

    private func word(for level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: style.dim("\(level):")
        case .info, .notice: "\(level):"
        case .warning: style.yellow("warning:")
        case .error, .critical: style.red("\(level):")
        }
    }
}
