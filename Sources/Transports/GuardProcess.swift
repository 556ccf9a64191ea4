import CGuard

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The process that outlives us: all servers are launched by it, and when we are gone, however that came about, it ends them.
///
/// It is a copy of us that never returns from C. Forked before we have threads and memory it is next to nothing, so `main` does it.
package struct GuardProcess: Sendable {
    package let processID: CInt
    let commands: CInt
    let life: CInt

    package static func fork() throws(SystemError) -> GuardProcess {
        var forked = cguard()
        let code = cguard_start(&forked)
        guard code == 0 else { throw SystemError("fork", code: code) }
        return GuardProcess(processID: forked.process, commands: forked.commands, life: forked.life)
    }

    /// Asks for a keeper, which gets copies of these descriptors.
    /// - Throws: EPIPE if the process has ended.
    func launch(control: CInt, input: CInt, output: CInt, errors: CInt) throws(SystemError) {
        let code = cguard_launch(commands, control, input, output, errors)
        guard code == 0 else { throw SystemError("sendmsg", code: code) }
    }

    /// It has ended: without this it would stay a zombie.
    func collect() { while waitpid(processID, nil, 0) < 0, errno == EINTR {} }
}
