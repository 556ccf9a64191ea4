import ArgumentParser
import Dispatch
import FeatureCatalog
import Transports

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

@main
struct Mcpagg: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcpagg",
        abstract: "Many MCP servers behind one.",
        discussion: """
            An agent host starts 'mcpagg' as its only MCP server; the servers you use stand in one config file. Without a command it \
            serves MCP on standard input and output.
            """,
        version: Version.text,
        // Each says its name itself: to make it from that of a type took longer than everything else at the start.
        subcommands: [
            Serve.self, ListTools.self, Call.self, ListResources.self, ReadResource.self, ListPrompts.self, GetPrompt.self, Complete.self,
            Check.self, Status.self, Login.self, Logout.self, Chaos.self,
        ],
        defaultSubcommand: Serve.self)

    /// Not ArgumentParser's own way in, whose exit codes are others than ours. And not `async`: that would start threads first.
    static func main() {
        // A host or a pipe that closes is an error of that one write, not the end of the program.
        signal(SIGPIPE, SIG_IGN)
        // The runtime may have taken these for its report of a crash, and go on after it.
        for number in [SIGQUIT, SIGABRT] { signal(number, SIG_DFL) }
        // Or the first thing opened would take the place of a closed standard stream, and be written to.
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", O_RDWR) }
        let arguments = CommandLine.arguments
        let command: any ParsableCommand
        do {
            command = try parsed(arguments)
        } catch {
            end(with: told(error, arguments))
        }
        if command is Serve || command is Chaos { Serve.expectSignals() }
        // Before there are threads, and before there is memory of which it would keep a copy. If it cannot be had, the first launch
        // tries again, and says why.
        let guardProcess = launchesServers(command) ? try? GuardProcess.fork() : nil
        // Detached, or it would begin on this thread, which is given up here.
        Task.detached { end(with: await run(command, arguments, guardProcess)) }
        dispatchMain()
    }

    private static func parsed(_ arguments: [String]) throws -> sending any ParsableCommand {
        try GlobalOptions.refuseUnknownCommand(in: GlobalOptions.moved(arguments))
        let command = try parseAsRoot(GlobalOptions.moved(arguments))
        // Somebody types it to see what it is. A host comes over a pipe; a person who means it writes 'serve'.
        if command is Serve, !arguments.contains("serve"), isatty(STDIN_FILENO) == 1 {
            StandardOutput.write(helpMessage() + "\n\nTo try it here: mcpagg list-tools\n")
            throw ExitStatus.success
        }
        return command
    }

    private static func launchesServers(_ command: any ParsableCommand) -> Bool {
        !(command is Check || command is Login || command is Logout)
    }

    private static func run(
        _ command: any ParsableCommand, _ arguments: [String], _ guardProcess: GuardProcess?
    ) async -> ExitStatus {
        do {
            var command = command
            if var command = command as? any AsyncParsableCommand {
                try await Running.$guardProcess.withValue(guardProcess) { try await command.run() }
            } else {
                try command.run()
            }
            return .success
        } catch {
            return told(error, arguments)
        }
    }

    /// Tells what is to be told of it, once.
    private static func told(_ error: any Error, _ arguments: [String]) -> ExitStatus {
        switch error {
        case let failure as Failure:
            failure.tell()
            return failure.status
        case let status as ExitStatus:
            return status
        default:
            let text = fullMessage(for: error)
            // What was asked for, as help or the version, is a result; a mistake is not.
            if exitCode(for: error).isSuccess {
                StandardOutput.write(text + "\n")
                return .success
            }
            if arguments.contains("--json") {
                Failure(status: .usage, code: "usage", message: text, asJSON: true).tell()
            } else {
                StandardError.write(text + "\n")
            }
            return .usage
        }
    }
}

/// The one way out.
func end(with status: ExitStatus) -> Never { exit(status.rawValue) }

enum Version {
    static let text = "0.1.0"
}

/// What every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The config file, JSON or YAML.", valueName: "file"), completion: .file())
    var config: String?

    @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical; what is logged to standard error.")
    var logLevel: LogLevelArgument?

    /// A word in the place of a command that is none. The parser would take it for an argument of the default command.
    /// - Parameter arguments: without the process's name.
    static func refuseUnknownCommand(in arguments: [String]) throws {
        let commands = Mcpagg.configuration.subcommands.map { $0._commandName } + ["help"]
        guard let word = arguments.first, !word.hasPrefix("-"), !commands.contains(word) else { return }
        let near = NearestNames.suggestions(for: word, among: commands)
        throw Failure(
            status: .usage, code: "unknownCommand", message: "there is no command '\(word)'",
            hint: near.first.map { "did you mean '\($0)'?" } ?? "there are \(commands.joined(separator: ", "))",
            asJSON: arguments.contains("--json"))
    }

    /// Global options may stand before the command too: they are moved behind it, where the parser expects them. (With a default
    /// command it would take them for that one's, and the command for an argument.)
    /// - Parameter arguments: all of the process, its name first.
    /// - Returns: what to parse, without that name.
    static func moved(_ arguments: [String]) -> [String] {
        let arguments = Array(arguments.dropFirst())
        let names = ["--config", "--log-level"]
        var index = 0
        while index < arguments.count {
            if names.contains(arguments[index]), index + 1 < arguments.count {
                index += 2
            } else if names.contains(where: { arguments[index].hasPrefix($0 + "=") }) {
                index += 1
            } else {
                break
            }
        }
        let commands = Mcpagg.configuration.subcommands.map { $0._commandName }
        guard index > 0, index < arguments.count, commands.contains(arguments[index]) else { return arguments }
        return [arguments[index]] + arguments[..<index] + arguments[(index + 1)...]
    }
}
