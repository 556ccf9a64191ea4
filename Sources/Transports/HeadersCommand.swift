import JSONRPC
import MCPProtocol
import NIOCore
import Subprocess
import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A program that prints headers, as a JSON object of strings: for tokens that do not live long.
package enum HeadersCommand {
    /// Bytes it may print.
    package static let outputLimit = 256 * 1024
    /// Lines of what it wrote to standard error that are shown.
    private static let shownErrors = 200

    /// Runs it and reads what it prints. It waits for the program's end, and ends it if it is cancelled.
    /// - Throws: why there are no headers; nothing it printed to standard output is in the text.
    package static func run(_ command: ChildProcess.Command) async throws(HTTPFailure) -> [(name: String, value: String)] {
        let path: String
        do throws(ExecutableSearch.NotFound) {
            path = try ExecutableSearch.find(
                command.executable, searchPath: command.environment["PATH"], directory: command.workingDirectory)
        } catch {
            throw failure("cannot be run: \(error)", .configuration)
        }
        let output: String
        do {
            output = try await collect(command, path: path)
        } catch let failure as HTTPFailure {
            throw failure
        } catch {
            throw failure("cannot be run: \(error)", .transient)
        }
        return try headers(in: output)
    }

    /// It takes too long.
    package static func timedOut(_ timeLimit: Duration) -> HTTPFailure {
        failure("did not end within \(timeLimit.components.seconds) s", .transient)
    }

    private static func collect(_ command: ChildProcess.Command, path: String) async throws -> String {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .milliseconds(200))]
        var leader: pid_t?
        // What is left of its group ends with it, however it ended.
        defer { if let leader { _ = kill(-leader, SIGKILL) } }
        let result = try await Subprocess.run(
            Configuration(
                executable: .path(FilePath(path)),
                arguments: Arguments(executablePathOverride: command.executable, remainingValues: command.arguments),
                environment: .custom(command.environment.map { Array("\($0.key)=\($0.value)\0".utf8) }),
                workingDirectory: FilePath(command.workingDirectory),
                platformOptions: options),
            input: .none, output: .string(limit: outputLimit), error: .string(limit: outputLimit)
        ) { execution in
            leader = execution.processIdentifier.value
        }
        guard result.terminationStatus.isSuccess else {
            let said = result.standardError.oneLine.prefix(shownErrors)
            throw failure("ended with \(result.terminationStatus)\(said.isEmpty ? "" : ": \(said)")", .transient)
        }
        return result.standardOutput
    }

    static func headers(in output: String) throws(HTTPFailure) -> [(name: String, value: String)] {
        guard let view = try? JSONView(validating: ByteBuffer(string: output)), view.kind == .object else {
            throw failure("printed no JSON object", .configuration)
        }
        var headers: [(name: String, value: String)] = []
        for (name, value) in view.members {
            guard let text = value.string, HeaderParameter.isName(name), HeaderText.isValue(text) else {
                throw failure("printed a header '\(name.prefix(40).oneLine)' that cannot be one", .configuration)
            }
            headers.append((name, text))
        }
        return headers
    }

    private static func failure(_ what: String, _ kind: HTTPFailure.Kind) -> HTTPFailure {
        HTTPFailure(kind, .notSent, cause: "its 'headersFrom' command \(what)", hint: "run the command by hand")
    }
}

extension StringProtocol {
    fileprivate var oneLine: String { String(self).oneLine }
}
