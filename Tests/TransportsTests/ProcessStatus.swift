import Foundation

/// What the system says of processes that need not be our children.
///
/// Nobody may have collected an orphan yet, and a process closes its descriptors a moment before it is shown as dead: whoever has just
/// read the end of its output may still see it run. So it is gone as soon as it has begun to end; it executes nothing of its own after
/// that.
enum ProcessStatus {
    static func isGone(_ process: pid_t) -> Bool {
        guard kill(process, 0) == 0 else { return errno == ESRCH }
        return stat(of: process)?.isEnding ?? (kill(process, 0) != 0)
    }

    static func groupIsGone(_ group: pid_t) -> Bool {
        guard kill(-group, 0) == 0 else { return errno == ESRCH }
        guard let processes = try? FileManager.default.contentsOfDirectory(atPath: "/proc") else { return false }
        return processes.compactMap { pid_t($0).flatMap(stat) }.allSatisfy { $0.group != group || $0.isEnding }
    }

    private struct Stat {
        let group: pid_t
        let isEnding: Bool
    }

    /// `PF_EXITING` of the kernel's `sched.h`.
    private static let exiting: UInt = 0x4

    /// See proc_pid_stat(5). Nothing where there is no `/proc`.
    private static func stat(of process: pid_t) -> Stat? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else {
            return nil
        }
        // Behind the name: state, parent, group, session, terminal, group in front of it, flags.
        let fields = text[name...].split(separator: " ").dropFirst().prefix(7).map(String.init)
        guard fields.count == 7, let group = pid_t(fields[2]), let flags = UInt(fields[6]) else { return nil }
        return Stat(group: group, isEnding: fields[0] == "Z" || fields[0] == "X" || flags & exiting != 0)
    }
}
