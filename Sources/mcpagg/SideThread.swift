import NIOCore
import NIOPosix

/// Runs tasks that may block on a thread beside the event loop: they read and lock files, and write to terminals. The thread starts with
/// the first of them.
final class SideThread: TaskExecutor {
    private static let eventLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
