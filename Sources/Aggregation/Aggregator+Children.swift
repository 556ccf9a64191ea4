import ConfigFile
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import Transports

// Servers that are child processes: their launch, their standard error, their end.
extension Aggregator {
    func launch(_ downstream: Downstream, _ command: Command) {
        let delegate = DownstreamDelegate(aggregator: self, downstream: downstream.id, launch: downstream.launches)
        let process =
            launcher?.launch(
                self.command(command), on: eventLoop, pending: pending, delegate: delegate, lineLimit: Limits.messageLength)
            ?? ChildProcess.launch(
                self.command(command), guardedBy: childGuard, on: eventLoop, pending: pending, delegate: delegate,
                lineLimit: Limits.messageLength)
        process.connection.setReading(readsServers)
        downstream.child = Downstream.Child(process: process)
        shakeHands(with: downstream)
        set(.startup(downstream.id), after: downstream.config.startupTimeout)
        debug("server '\(downstream.key)': launched")
    }

    /// Said once each time: somebody did that on purpose, or the system in need of memory.
    func guardWasKilled() {
        report(
            .warning,
            "the process 'mcp-guard' was killed; the servers go on, and are still ended with mcpagg. The next launch starts another one")
    }

    private func command(_ command: Command) -> ChildProcess.Command {
        var environment: [String: String]
        switch command.inheritedEnvironment {
        case .all: environment = surroundings.environment
        case .none: environment = [:]
        case .only(let names): environment = surroundings.environment.filter { names.contains($0.key) }
        }
        environment.merge(command.environment) { _, own in own }
        environment.merge(surroundings.marks) { _, mark in mark }
        return ChildProcess.Command(
            executable: command.executable, arguments: command.arguments, environment: environment,
            workingDirectory: command.workingDirectory ?? surroundings.workingDirectory)
    }

    /// Its process id, for people.
    func launched(_ downstream: Downstream, processID: Int) { debug("server '\(downstream.key)': runs as process \(processID)") }

    func launchFailed(_ downstream: Downstream, _ failure: LaunchFailure) {
        letGo(of: downstream)
        cancel(.startup(downstream.id))
        cancel(.childEnd(downstream.id))
        if let remedy = failure.remedy { return giveUp(downstream, cause: failure.description, hint: remedy) }
        lose(downstream, cause: "it could not be launched: \(failure)", hint: nil)
        isOver(downstream)
    }

    // MARK: Standard error

    func wroteToStandardError(_ downstream: Downstream, _ bytes: ByteBuffer) {
        for line in downstream.errorOutput.append(bytes, tells: logger.logLevel <= .debug) {
            debug("server '\(downstream.key)' stderr: \(line)")
        }
    }

    // MARK: The end of a child

    /// Nothing more comes from it. Its exit, which says why, usually follows within a moment.
    func inputClosed(of downstream: Downstream, unterminated: Int) {
        if unterminated > 0 { debug("server '\(downstream.key)': its last line has no end; \(unterminated) bytes are dropped") }
        downstream.child?.isInputClosed = true
        guard let child = downstream.child else { return }
        if child.isOver { return childIsOver(downstream) }
        set(.childEnd(downstream.id), after: Limits.exitWait)
    }

    /// All it wrote there has been read.
    func errorOutputClosed(of downstream: Downstream) {
        downstream.child?.isErrorOutputClosed = true
        if downstream.child?.isOver == true { childIsOver(downstream) }
    }

    /// It takes nothing any more. Usually that is the first we see of its end; what it wrote before is still read.
    func outputClosed(of downstream: Downstream) {
        downstream.child?.isOutputClosed = true
        guard let child = downstream.child, child.teardown == nil, child.exitStatus == nil, !child.isInputClosed else { return }
        set(.childEnd(downstream.id), after: downstream.machine.requestsInFlight > 0 ? Limits.lastAnswerWait : Limits.exitWait)
    }

    /// It has ended. What it wrote before may still be on its way to us.
    func exited(_ downstream: Downstream, _ status: ExitStatus) {
        downstream.child?.exitStatus = status
        guard let child = downstream.child else { return }
        if child.isOver { return childIsOver(downstream) }
        set(.childEnd(downstream.id), after: Limits.outputWait)
    }

    /// Only one end of the child is known, and the other does not come.
    func childEndIsDue(_ downstream: Downstream) {
        guard let child = downstream.child else { return }
        if child.exitStatus == nil {
            lose(downstream, cause: "it closed its standard \(child.isInputClosed ? "output" : "input")", hint: nil)
            // The next launch waits for its end.
            beginTeardown(of: downstream, pace: .hurried)
        } else if !child.connection.isReading {
            // It is we who do not read, because a host does not.
            set(.childEnd(downstream.id), after: Limits.outputWait)
        } else {
            // Somebody else holds its pipes open.
            childIsOver(downstream)
        }
    }

    private func childIsOver(_ downstream: Downstream) {
        let status = downstream.child?.exitStatus?.description ?? "ended"
        if downstream.machine.phase == .discovering, !downstream.endedWhenProbed, downstream.config.protocolEra == .auto, ending == nil,
            downstream.life.state != .stopped
        {
            return launchUnprobed(downstream)
        }
        let when = downstream.machine.phase == .ready ? "" : " before it was ready"
        lose(downstream, cause: "it \(status)\(when)", hint: nil)
        cancel(.childEnd(downstream.id))
        cancel(.teardown(downstream.id))
        letGo(of: downstream)
        isOver(downstream)
        // Its time may have come while it was still being ended.
        launchIfWanted(downstream)
    }

    /// Out of its place first: the ends of its pipes are heard at once, and may not be taken for those of what comes after it.
    private func letGo(of downstream: Downstream) {
        let child = downstream.child
        downstream.child = nil
        child?.process.close()
    }

    /// Some servers end when the first message is not `initialize`: launched once more, they get that.
    private func launchUnprobed(_ downstream: Downstream) {
        debug("server '\(downstream.key)': ended when it was asked for its era")
        downstream.endedWhenProbed = true
        for timer in [Timer.childEnd(downstream.id), .teardown(downstream.id), .startup(downstream.id), .probe(downstream.id)] {
            cancel(timer)
        }
        letGo(of: downstream)
        downstream.life.launchAgain()
        launch(downstream)
    }

    // MARK: Ending a child

    func beginTeardown(of downstream: Downstream, pace: Teardown.Pace = .patient) {
        if downstream.remote != nil { return disconnect(downstream) }
        guard downstream.child != nil else { return isOver(downstream) }
        if downstream.child?.teardown == nil {
            downstream.child?.teardown = Teardown(pace: pace)
            continueTeardown(of: downstream)
        } else if pace == .hurried {
            downstream.child?.teardown?.hurry()
            continueTeardown(of: downstream)
        }
    }

    func continueTeardown(of downstream: Downstream) {
        guard let process = downstream.child?.process, let (step, wait) = downstream.child?.teardown?.advance() else { return }
        switch step {
        case .closeInput: process.connection.closeOutput()
        case .terminate: process.send(.terminate)
        case .kill: process.send(.kill)
        }
        if let wait { set(.teardown(downstream.id), after: wait) }
    }
}
