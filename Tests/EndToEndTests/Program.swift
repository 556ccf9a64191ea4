import Foundation

/// `mcpagg`, started as a host starts it: real pipes, and nothing inherited but these.
///
/// Everything happens on the thread that asks: what is written to us in the meantime is read while waiting, so no thread and no lock
/// is needed, and no wait is longer than ``patience``.
final class Program {
    /// A limit for what should take milliseconds, on a machine that does many things at once.
    static let patience = Duration.seconds(30)

    /// Where a standard stream leads.
    enum Connection {
        case pipe
        case file(String)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// More than the tests ever have open.
    private static let descriptorLimit: CInt = 1024

    /// Lines that come from somewhere, and how many of them were taken.
    struct Lines {
        fileprivate var descriptor: CInt
        fileprivate var partial: [UInt8] = []
        fileprivate(set) var isOpen = true
        fileprivate(set) var all: [String] = []
        /// Lines before this one were taken.
        var next = 0

        fileprivate init(_ descriptor: CInt) { self.descriptor = descriptor }

        mutating func take() -> String? {
            guard next < all.count else { return nil }
            next += 1
            return all[next - 1]
        }

        fileprivate mutating func read() {
            var chunk = [UInt8](repeating: 0, count: 64 * 1024)
            let count = chunk.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            guard count > 0 else { return end() }
            // A line of megabytes comes in many pieces: only the new one is searched.
            let pieces = chunk[..<count].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            for piece in pieces.dropLast() {
                all.append(String(decoding: partial + piece, as: UTF8.self))
                partial = []
            }
            if let rest = pieces.last { partial += rest }
        }

        fileprivate mutating func end() {
            guard isOpen else { return }
            isOpen = false
            close(descriptor)
        }
    }

    let processID: pid_t
    private(set) var exitCode: Int32?
    private var input: CInt?
    /// What the program writes; its standard output and its standard error.
    var output: Lines
    var errors: Lines
    /// What servers received.
    var records: [String: Lines] = [:]
    /// Ends when the process does.
    private var life: Lines

    /// - Parameter directory: the working directory, and the mark of all processes that come of this.
    init(
        arguments: [String], directory: String, environment: [String: String] = [:], input: Connection = .pipe, output: Connection = .pipe
    ) throws {
        // A program that is gone is an error of the write here, not the end of all tests.
        signal(SIGPIPE, SIG_IGN)
        let stdin = try Self.open(input, forReading: true)
        let stdout = try Self.open(output, forReading: false)
        let stderr = try Self.makePipe()
        let life = try Self.makePipe()
        var variables = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": directory, Survivors.marker: directory,
        ]
        variables.merge(environment) { _, new in new }
        let executable = try BuiltPrograms.mcpagg()
        processID = try Self.spawn(
            [executable] + arguments, environment: variables, directory: directory,
            descriptors: [stdin.theirs, stdout.theirs, stderr.writeEnd, life.writeEnd])
        for descriptor in [stdin.theirs, stdout.theirs, stderr.writeEnd, life.writeEnd] { close(descriptor) }
        for descriptor in [stdin.ours, stdout.ours, stderr.readEnd].compactMap(\.self) {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        self.input = stdin.ours
        self.output = Lines(stdout.ours ?? -1)
        if stdout.ours == nil { self.output.isOpen = false }
        errors = Lines(stderr.readEnd)
        self.life = Lines(life.readEnd)
    }

    deinit {
        if exitCode == nil {
            kill(processID, SIGKILL)
            waitpid(processID, nil, 0)
        }
        closeInput()
        output.end()
        errors.end()
        life.end()
        for name in records.keys { records[name]?.end() }
    }

    /// Makes a named pipe that a server of this name can record to.
    func record(_ name: String, at path: String) throws {
        guard records[name] == nil else { return }
        guard mkfifo(path, 0o600) == 0 || errno == EEXIST else { throw Failure(description: "mkfifo \(path): errno \(errno)") }
        // Opened for writing as well, or it would have ended whenever a server does.
        let descriptor = Foundation.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(description: "open \(path): errno \(errno)") }
        records[name] = Lines(descriptor)
    }

    // MARK: Writing

    /// Writes all of it, and reads meanwhile what comes.
    func write(_ bytes: some Collection<UInt8>) throws {
        guard let input else { throw Failure(description: "stdin is closed already") }
        var rest = Array(bytes)[...]
        try wait("the program to take its input", orRoomIn: input) {
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Foundation.write(input, $0.baseAddress, $0.count) }
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    return false
                } else if errno != EINTR {
                    throw Failure(description: "the program takes no input: \(String(cString: strerror(errno)))")
                }
            }
            return true
        }
    }

    func closeInput() {
        if let input { close(input) }
        input = nil
    }

    func closeOutput() { output.end() }

    // MARK: Waiting

    /// The next line of standard output.
    func readLine() throws -> String {
        var line: String?
        try wait("a line on stdout") {
            line = output.take()
            guard line == nil, !output.isOpen else { return line != nil }
            throw Failure(description: "stdout ended, and a line was expected")
        }
        return line ?? ""
    }

    /// - Returns: the exit code; that of a shell, 128 and its number, for a signal.
    func waitForExit() throws -> Int32 {
        if let exitCode { return exitCode }
        try wait("the program to end") { !life.isOpen && !output.isOpen && !errors.isOpen }
        var status: CInt = 0
        guard waitpid(processID, &status, 0) == processID else { throw Failure(description: "waitpid: errno \(errno)") }
        let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
        exitCode = code
        return code
    }

    /// Reads whatever comes until the condition holds.
    func wait(_ what: String, orRoomIn input: CInt? = nil, until condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + Self.patience
        while try !condition() {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw Failure(description: "waited in vain for \(what)") }
            // Some conditions are about processes, which no descriptor tells of: look again soon.
            pump(milliseconds: 20, orRoomIn: input)
        }
    }

    /// Reads what has come, or comes within this time.
    private func pump(milliseconds: CInt, orRoomIn input: CInt?) {
        let names = Array(records.keys)
        let sources = [output, errors, life] + names.compactMap { records[$0] }
        var entries = sources.map { pollfd(fd: $0.isOpen ? $0.descriptor : -1, events: Int16(POLLIN), revents: 0) }
        if let input { entries.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        guard poll(&entries, nfds_t(entries.count), milliseconds) > 0 else { return }
        if entries[0].revents != 0 { output.read() }
        if entries[1].revents != 0 { errors.read() }
        if entries[2].revents != 0 { life.end() }
        for (index, name) in names.enumerated() where entries[3 + index].revents != 0 { records[name]?.read() }
    }

    // MARK: Starting

    private static func makePipe() throws -> (readEnd: CInt, writeEnd: CInt) {
        var ends: [CInt] = [-1, -1]
        let outcome = pipe(&ends)
        guard outcome == 0 else { throw Failure(description: "pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func open(_ connection: Connection, forReading: Bool) throws -> (theirs: CInt, ours: CInt?) {
        switch connection {
        case .pipe:
            let pipe = try makePipe()
            return forReading ? (pipe.readEnd, pipe.writeEnd) : (pipe.writeEnd, pipe.readEnd)
        case .file(let path):
            let descriptor = Foundation.open(path, (forReading ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC) | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Failure(description: "open \(path): errno \(errno)") }
            return (descriptor, nil)
        }
    }

    /// - Parameter descriptors: what the process gets as 0, 1, 2 and so on; all others are closed.
    private static func spawn(
        _ command: [String], environment: [String: String], directory: String, descriptors: [CInt]
    ) throws -> pid_t {
        #if os(Linux)
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #else
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, CInt(number))
        }
        // Also what another test opens at this moment, or its pipe would stay open for as long as this process lives.
        for descriptor in CInt(descriptors.count)..<Self.descriptorLimit { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        let arguments = (["/bin/sh", "-c", #"cd "$0" && exec "$@""#, directory] + command).map { strdup($0) }
        let variables = environment.map { strdup("\($0.key)=\($0.value)") }
        defer { for text in arguments + variables { free(text) } }
        var processID: pid_t = 0
        let code = posix_spawn(&processID, "/bin/sh", &actions, &attributes, arguments + [nil], variables + [nil])
        guard code == 0 else { throw Failure(description: "cannot start \(command[0]): \(String(cString: strerror(code)))") }
        return processID
    }
}
