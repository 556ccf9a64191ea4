import JSONRPC
import MCPProtocol
package import NIOCore
package import Resilience

// What the server offers, and when it is read again.
extension DownstreamProtocol {
    /// When ``relist(now:)`` will have something to do; `nil` if no list is known to have changed, or all those are being read.
    package var relistDue: Instant? { readers.values.compactMap(\.due).min() }

    /// - Returns: the requests for the first pages of the lists that are to be read again now.
    package func relist(now: Instant) -> [ByteBuffer] {
        guard phase == .ready else { return [] }
        return FeatureKind.allCases.compactMap { kind in
            guard let due = readers[kind]?.due, due <= now else { return nil }
            return beginList(kind, now: now)
        }
    }

    func changed(_ kinds: [FeatureKind], now: Instant) -> Action {
        guard phase == .ready || phase == .listing, let listed = introduction?.capabilities.listed else {
            return .ignore("a changed list before the first")
        }
        // A server may say so with every message; it is known, and when to read it, too.
        if kinds.allSatisfy({ readers[$0]?.awaits(now) ?? !listed.contains($0) }) { return .listChanged }
        for kind in kinds where listed.contains(kind) { readers[kind, default: ListReader(kind)].changed() }
        let requests = relist(now: now)
        return requests.isEmpty ? .listChanged : .send(requests)
    }

    func beginList(_ kind: FeatureKind, now: Instant) -> ByteBuffer? {
        guard let id = requests.insert(.list(kind, deadline: now.advanced(by: Self.listTimeout))) else { return nil }
        readers[kind, default: ListReader(kind)].begin()
        return request(id, kind.listMethod)
    }

    func listed(_ kind: FeatureKind, _ message: Message, now: Instant) -> Action {
        guard let step = readers[kind]?.received(message, now: now) else { return .ignore("an answer to a list nobody reads") }
        switch step {
        case .next(let cursor):
            guard let id = requests.insert(.list(kind, deadline: now.advanced(by: Self.listTimeout))) else {
                return giveUp(kind, again: true, "too many requests are waiting", now: now)
            }
            return .send([request(id, kind.listMethod) { $0.member("cursor", json: cursor) }])
        case .complete(let features, let freshness): return .listed(kind, features, freshness, then: becomeReadyIfListed())
        case .failed(let reason): return .listFailed(kind, reason, then: becomeReadyIfListed())
        }
    }

    func giveUp(_ kind: FeatureKind, again: Bool, _ reason: String, now: Instant) -> Action {
        readers[kind]?.giveUp(again: again, now: now)
        return .listFailed(kind, reason, then: becomeReadyIfListed())
    }

    /// With the last of the first lists the server is ready.
    func becomeReadyIfListed() -> [ByteBuffer] {
        guard phase == .listing, !readers.values.contains(where: \.isReading) else { return [] }
        phase = .ready
        return levelRequest().map { [$0] } ?? []
    }

    func levelRequest() -> ByteBuffer? {
        guard let level, era == .handshake, introduction?.capabilities.logging == true else { return nil }
        return ask(.setLevel) { $0.member("level", level.rawValue) }
    }
}
