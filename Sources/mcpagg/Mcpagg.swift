import ArgumentParser

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
        subcommands: [Serve.self, ListTools.self, Call.self, Check.self, Status.self],
        defaultSubcommand: Serve.self)

    /// Not ArgumentParser's own way in, whose exit codes are others than ours.
    static func main() async {
        // A host or a pipe that closes is an error of that one write, not the end of the program.
        signal(SIGPIPE, SIG_IGN)
        end(with: await run(CommandLine.arguments))
    }

    private static func run(_ arguments: [String]) async -> ExitStatus {
        if arguments.count == 1, isatty(STDIN_FILENO) == 1 {
            StandardOutput.write(helpMessage() + "\n\nTo try it here: mcpagg list-tools\n")
            return .success
        }
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return .success
        } catch let failure as Failure {
            failure.tell()
            return failure.status
        } catch let status as ExitStatus {
            return status
        } catch {
            let text = fullMessage(for: error)
            // What was asked for, as help or the version, is a result; a mistake is not.
            if exitCode(for: error).isSuccess {
                StandardOutput.write(text + "\n")
                return .success
            }
            StandardError.write(text + "\n")
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
}
