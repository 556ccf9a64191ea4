import ArgumentParser
import ConfigFile
import JSONRPC
import NIOCore
import OrderedCollections

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check the config file, and start nothing.",
        discussion: "Prints every problem with its line and column. Ends with 0 if there is none, else with 2.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print a JSON object.")
    var json = false

    func run() async throws {
        do {
            let location = try ConfigLocation.find(named: global.config, surroundings: ProcessSurroundings())
            try check(location)
        } catch let failure as Failure {
            throw failure.json(json)
        }
    }

    private func check(_ location: ConfigLocation) throws {
        var problems: [ConfigProblem] = []
        var notes: [ConfigProblem] = []
        var count = 0
        do {
            let config = try location.parse(try location.read())
            problems = config.servers.values.compactMap(\.unusable)
            notes = config.notes
            count = config.servers.count
        } catch let found as ConfigProblems {
            problems = found.problems
        } catch let error as ConfigUnreadable {
            throw Failure(status: .usage, code: "configUnreadable", message: error.description)
        }
        if json {
            show(problems, of: location)
        } else if problems.isEmpty {
            for note in notes { StandardError.write("\(note)\n") }
            StandardOutput.write("\(location.name): \(count) server\(count == 1 ? "" : "s"), no problems\n")
        } else {
            StandardOutput.write(problems.map { "\($0)\n" }.joined())
        }
        if !problems.isEmpty { throw ExitStatus.usage }
    }

    private func show(_ problems: [ConfigProblem], of location: ConfigLocation) {
        let report = JSONWriter.object { report in
            report.member("file", location.name)
            report.array("problems") { list in
                for problem in problems {
                    list.object {
                        $0.member("code", problem.code.rawValue)
                        $0.member("line", problem.location.line)
                        $0.member("column", problem.location.column)
                        $0.member("message", problem.message)
                        if let hint = problem.hint { $0.member("hint", hint) }
                    }
                }
            }
        }
        StandardOutput.write(String(buffer: report) + "\n")
    }
}
