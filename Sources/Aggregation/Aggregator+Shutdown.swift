import DequeModule
import FeatureCatalog
package import Lifecycle
import NIOCore
import Transports

// The end, always within a bounded time.
extension Aggregator {
    struct Ending {
        var pace: Teardown.Pace
        /// Every child is gone; the hosts are given time to take what is left for them.
        var isSayingGoodbye = false
    }

    /// Ends all children in parallel, and then itself. Asked again with a shorter pace, it hurries.
    package func shutDown(pace: Teardown.Pace) {
        if let ending {
            guard pace != ending.pace, pace == .hurried else { return }
        }
        endListWait()
        // While it is known who is ready.
        keepOffers()
        for host in hosts.values {
            endListens(of: host)
            endParkings(of: host, waitingToo: false, reason: "mcpagg is ending")
        }
        for host in hosts.values {
            for (id, call) in host.repetitions {
                cancel(.repetition(host.id, id))
                fail(
                    call.request, call.purpose, .unavailable, "mcpagg is ending.", history: call.history,
                    of: call.server.flatMap { downstreams[$0] })
            }
            host.repetitions = [:]
        }
        ending = Ending(pace: pace, isSayingGoodbye: ending?.isSayingGoodbye ?? false)
        set(.end, after: pace.closeInput + pace.terminate + Limits.killWait)
        for downstream in Array(downstreams.values) {
            downstream.life.stop()
            cancel(.startup(downstream.id))
            cancel(.restart(downstream.id))
            for call in downstream.queue.removeAll() {
                fail(call.request, call.purpose, .unavailable, "mcpagg is ending.", history: call.history, of: downstream)
            }
            beginTeardown(of: downstream, pace: pace)
        }
        endIfOver()
        flush()
    }

    /// Kills all children at once, and ends.
    package func shutDownNow() {
        for downstream in downstreams.values { downstream.child?.process.send(.kill) }
        shutDown(pace: .hurried)
        end()
    }

    /// Goes on once the last child is gone: the hosts get their last words, and with the last host gone we end.
    func endIfOver() {
        guard let ending, downstreams.isEmpty else { return }
        let remaining = hosts.values.compactMap { host in
            if case .pipe(let connection) = host.output { connection } else { nil }
        }
        guard !remaining.isEmpty else { return end() }
        guard !ending.isSayingGoodbye else { return }
        self.ending?.isSayingGoodbye = true
        set(.end, after: Limits.lastWords)
        for connection in remaining { connection.finish() }
    }

    func end() {
        guard ending != nil else { return }
        for timer in timers.keys { cancel(timer) }
        endFaults()
        resumeSettledWaiters(all: true)
        childGuard.end().and(keptAll()).whenComplete { [endedPromise] _ in endedPromise.succeed() }
    }
}
