import FeatureCatalog
import JSONRPC
import Lifecycle
import Logging
import MCPProtocol
import NIOCore
import Resilience
import Transports

// Faults between us and the servers, for whoever asked for them on the command line.
extension Aggregator {
    func addFaults(to downstream: Downstream) {
        guard let injection, injection.policy.concerns(downstream.key) else { return }
        downstream.faults = FaultyLink(
            injection, server: downstream.key, delegate: DownstreamFaultDelegate(aggregator: self, downstream: downstream.id))
    }

    /// A line of a child process.
    func received(_ line: ByteBuffer, from downstream: Downstream, through faults: FaultyLink) {
        let launch = downstream.launches
        faults.pass(line, .fromServer) { line in
            // What was held back until its server has ended is as lost as what that had not written.
            guard downstream.launches == launch, downstream.child != nil else { return }
            self.received(line, from: downstream)
        }
    }

    /// What the person asked for with the command is told, however often it happens.
    func injectedFault(_ what: String, _ direction: FaultPlan.Direction, _ message: ByteBuffer, at downstream: Downstream) {
        let way = direction == .toServer ? "to" : "from"
        logger.info("\(redact("chaos: \(way) server '\(downstream.key)', \(Self.summary(of: message)): \(what)"))")
    }

    func killForFault(_ downstream: Downstream) {
        downstream.child?.process.send(.kill)
        downstream.remote?.server.cut()
    }

    /// Tells what was done, once.
    func endFaults() {
        guard let injection, injection.end() else { return }
        for (server, tally) in injection.tallies { logger.info("\(redact("chaos: server '\(server)': \(tally)"))") }
    }

    /// What a message is, in a few words.
    private static func summary(of message: ByteBuffer) -> String {
        switch Incoming(scanning: message) {
        case .message(let message):
            let method = message.methodName.oneLine.prefix(Limits.shownMethod)
            let id = (message.id?.text ?? "null").oneLine.prefix(Limits.shownMethod)
            switch message.kind {
            case .request: return "request \(id) '\(method)'"
            case .notification: return "notification '\(method)'"
            case .result: return "answer to \(id)"
            case .error: return "error answer to \(id)"
            }
        case .batch(let messages): return "batch of \(messages.count)"
        case .unreadable: return "\(message.readableBytes) bytes that are no message"
        }
    }
}

struct DownstreamFaultDelegate: FaultDelegate {
    let aggregator: Aggregator
    let downstream: DownstreamID

    var isSpared: Bool {
        aggregator.assumeIsolated { aggregator in
            guard let downstream = aggregator.downstreams[downstream] else { return true }
            return aggregator.options.faults?.sparesHandshake == true && !downstream.life.isReady
        }
    }

    func injected(_ what: String, _ direction: FaultPlan.Direction, _ message: ByteBuffer) {
        aggregator.assumeIsolated { aggregator in
            guard let downstream = aggregator.downstreams[downstream] else { return }
            aggregator.injectedFault(what, direction, message, at: downstream)
        }
    }

    func kill() {
        aggregator.assumeIsolated { aggregator in
            if let downstream = aggregator.downstreams[downstream] { aggregator.killForFault(downstream) }
        }
    }

    func passed() { aggregator.assumeIsolated { $0.flush() } }
}
