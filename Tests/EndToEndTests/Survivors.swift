import Foundation

/// Finds the processes of a story by a variable in their environment, which children of children inherit too, whatever group or
/// parent they have.
enum Survivors {
    static let marker = "MCPAGG_STORY"

    /// - Returns: one line per process: its number and command line. Always empty where there is no `/proc`.
    static func of(_ story: String) -> [String] {
        let wanted = Array("\(marker)=\(story)".utf8)
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { $0.allSatisfy(\.isNumber) }.compactMap { number in
            // Of a process that has ended and was not waited for yet, nothing but its number is left, and these are empty.
            guard let environment = contents("/proc/\(number)/environ"),
                environment.split(separator: 0).contains(where: { $0.elementsEqual(wanted) })
            else { return nil }
            let command = (contents("/proc/\(number)/cmdline") ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return "\(number) \(command.joined(separator: " "))"
        }
    }

    static func kill(of story: String) {
        for line in of(story) {
            if let number = line.split(separator: " ").first.flatMap({ pid_t($0) }) { _ = Foundation.kill(number, SIGKILL) }
        }
    }

    private static func contents(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map(Array.init) }
}
