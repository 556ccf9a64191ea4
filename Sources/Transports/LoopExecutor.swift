package import NIOCore

/// Runs tasks on an event loop.
///
/// Without it they run on threads of libdispatch, of which the first brings a timer that wakes us up every second for ever. Only what is
/// structured inherits it: a `Task` of its own has to be given it.
package final class LoopExecutor: TaskExecutor {
    package let eventLoop: any EventLoop

    package init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
