/// The steps that end a child: each is given its time before the next (2025-11-25, basic/lifecycle, "Shutdown").
package struct Teardown: Sendable {
    package enum Step: Hashable, Sendable {
        /// A well-behaved server ends when its input does.
        case closeInput
        /// SIGTERM to its process group, and to those that left it and lost their parents.
        case terminate
        /// SIGKILL to all that came of its launch.
        case kill
    }

    /// How long the steps may take.
    package struct Pace: Hashable, Sendable {
        package var closeInput: Duration
        package var terminate: Duration

        package init(closeInput: Duration, terminate: Duration) {
            self.closeInput = closeInput
            self.terminate = terminate
        }

        /// Nobody waits for us.
        package static let patient = Pace(closeInput: .seconds(2), terminate: .seconds(2))
        /// Somebody ends us, and will kill us within a few seconds.
        package static let hurried = Pace(closeInput: .milliseconds(400), terminate: .milliseconds(600))
    }

    private var next: Step? = .closeInput
    private var pace: Pace

    package init(pace: Pace) { self.pace = pace }

    /// Shortens what is still to come.
    package mutating func hurry() { pace = .hurried }

    /// - Returns: the step to take now, and how long to wait before asking again, if anything is left to do then; `nil` at the end.
    package mutating func advance() -> (step: Step, wait: Duration?)? {
        switch next {
        case .closeInput:
            next = .terminate
            return (.closeInput, pace.closeInput)
        case .terminate:
            next = .kill
            return (.terminate, pace.terminate)
        case .kill:
            next = nil
            return (.kill, nil)
        case nil: return nil
        }
    }
}
