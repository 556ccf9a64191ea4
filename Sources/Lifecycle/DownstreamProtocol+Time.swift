package import Resilience

// When requests in flight are given up, and what is no time of the server's.
extension DownstreamProtocol {
    /// A person was asked something in this time on account of this request: that is not the server's time.
    /// - Parameters:
    ///   - id: our id of it.
    ///   - isCertain: else it may have been an earlier one that can lead to questions: they share what is not known.
    package mutating func paused(_ id: Int, isCertain: Bool, from start: Instant, to end: Instant) {
        // Later ids are greater.
        for (other, waiting) in Array(requests.entries) where other == id || !isCertain && other < id {
            guard case .forwarded(var request, let deadline) = waiting, request.purpose.mayAsk else { continue }
            // Several questions at once are no more time than one.
            let start = max(start, request.pausedUntil ?? start)
            guard start < end else { continue }
            request.pausedUntil = end
            request.latest = request.latest?.advanced(by: start.duration(to: end))
            // It may have been heard of since.
            requests[other] = .forwarded(request, deadline: max(deadline, request.deadline(from: end)))
        }
    }

    /// We did not listen: what the requests in flight have waited until now does not count.
    package mutating func extendDeadlines(now: Instant) {
        for (id, waiting) in Array(requests.entries) {
            switch waiting {
            case .forwarded(let request, _): requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            case .list(let kind, _): requests[id] = .list(kind, deadline: now.advanced(by: Self.listTimeout))
            case .initialize, .discover, .listen, .task, .own, .check: break
            }
        }
    }

    /// The requests whose time is over. They are abandoned with that; their server has to be told.
    package mutating func expire(now: Instant) -> [(id: Int, request: ForwardedRequest)] {
        clock = max(clock, now)
        var expired: [(id: Int, request: ForwardedRequest)] = []
        var forgotten: [Int] = []
        for (id, waiting) in requests.entries {
            switch waiting {
            case .forwarded(let request, let deadline) where deadline <= now: expired.append((id, request))
            case .list(let kind, let deadline) where deadline <= now && phase == .ready:
                forgotten.append(id)
                // What it was read for may still be true.
                readers[kind]?.giveUp(again: true, now: now)
            case .own(_, let deadline) where deadline <= now: forgotten.append(id)
            case .task(_, _, let deadline?) where deadline <= now: forgotten.append(id)
            case .forwarded, .initialize, .discover, .listen, .task, .list, .own, .check: break
            }
        }
        for (id, _) in expired { _ = abandon(id) }
        for id in forgotten { _ = requests.remove(id) }
        return expired
    }

    /// When ``expire(now:)`` will next have something to do.
    package var nextDeadline: Instant? {
        requests.entries.compactMap { waiting -> Instant? in
            switch waiting.entry {
            case .forwarded(_, let deadline): deadline
            case .list(_, let deadline): phase == .ready ? deadline : nil
            case .own(_, let deadline): deadline
            case .task(_, _, let deadline): deadline
            case .initialize, .discover, .listen, .check: nil
            }
        }.min()
    }

    /// The connection is gone.
    /// - Returns: the requests that were sent and will never be answered.
    package mutating func closed() -> [ForwardedRequest] {
        requests.removeAll().compactMap { waiting in
            if case .forwarded(let request, _) = waiting { request } else { nil }
        }
    }
}
