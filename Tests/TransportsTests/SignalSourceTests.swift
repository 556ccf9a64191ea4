import NIOCore
import NIOPosix
import Testing

@testable import Transports

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A process has one source, so there is one test. Its signals mean nothing to whoever runs the tests.
@Suite("Signals", .timeLimit(.minutes(2)))
struct SignalSourceTests {
    @Test("reach the event loop: a flood of one costs no other, two of each are told of, and errno stays what it was")
    func flood() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (told, tell) = AsyncStream.makeStream(of: CInt.self)
        try await SignalSource.open([SIGWINCH, SIGURG], on: group.next()) { tell.yield($0) }
        await #expect(throws: SystemError("signals", code: EBUSY)) {
            try await SignalSource.open([SIGWINCH], on: group.next()) { _ in }
        }
        var numbers = told.makeAsyncIterator()
        for _ in 1...3 {
            // On the loop, so that nothing is taken meanwhile.
            let code = try await group.next().submit {
                errno = EXDEV
                for _ in 1...100_000 { raise(SIGWINCH) }
                let code = errno
                raise(SIGURG)
                return code
            }.get()
            #expect(code == EXDEV)
            var found: [CInt] = []
            for _ in 1...3 { found.append(try #require(await numbers.next())) }
            #expect(found == [SIGWINCH, SIGWINCH, SIGURG])
        }
    }
}

@Suite("An event loop as an executor")
struct LoopExecutorTests {
    @Test("runs tasks, their children, and what goes on after a wait")
    func tasks() async throws {
        let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
        let other = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
        let (numbers, number) = AsyncStream.makeStream(of: Int.self)
        let task = Task(executorPreference: LoopExecutor(loop)) {
            var found = [loop.inEventLoop]
            try await other.submit {}.get()
            found.append(loop.inEventLoop)
            other.execute { number.yield(1) }
            for await _ in numbers { break }
            found.append(loop.inEventLoop)
            await withTaskGroup(of: Bool.self) { group in
                group.addTask { loop.inEventLoop }
                for await isThere in group { found.append(isThere) }
            }
            let counter = Counter()
            found.append(await counter.count(on: loop))
            found.append(loop.inEventLoop)
            return found
        }
        #expect(try await task.value == [Bool](repeating: true, count: 6))
    }

    private actor Counter {
        func count(on loop: any EventLoop) -> Bool { loop.inEventLoop }
    }
}
