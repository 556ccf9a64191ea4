import Authorization
import ConfigFile
import FeatureCatalog
import Lifecycle
import MCPProtocol
import NIOCore
import OrderedCollections
import Resilience
import Transports

// What servers offered in earlier runs: hosts get that at once, and hear of a change only if there is one.
extension Aggregator {
    /// What is made of offers that are kept.
    package enum CacheUse: Sendable {
        /// Nothing; what is learned is kept for others.
        case refresh
        /// Hosts get them at once, while servers start.
        case trust
        /// As before, but only servers that are needed start.
        case startOnNeed
    }

    // MARK: Before they run

    /// Takes over what servers are known to offer, as far as they have not begun to say so themselves.
    /// - Parameters:
    ///   - capabilities: what servers will be told of hosts.
    ///   - era: in which servers that speak both will be spoken to.
    func restoreOffers(for capabilities: ClientCapabilities, _ era: Revision.Era) {
        guard options.cacheUse != .refresh, let cache = openCache() else { return }
        var logins: KeptLogins?
        for id in Array(current.values) + Array(replacements.values) {
            guard let downstream = downstreams[id], downstream.machine.introduction == nil, downstream.config.unusable == nil,
                downstream.introduction == nil || downstream.isRestored
            else { continue }
            let login = protectedServer(of: downstream).flatMap { server in
                logins = logins ?? tokenStore().map { KeptLogins($0, now: surroundings.wallClock()) }
                return logins?.grant(for: server)
            }
            let key = cache.key(for: subject(downstream, capabilities, era, login: login))
            guard key != downstream.cacheKey else { continue }
            downstream.cacheKey = key
            restore(read(key, of: downstream, from: cache), to: downstream)
        }
        proceedWithEarlyRequests()
    }

    private func read(_ key: CatalogCache.Key, of downstream: Downstream, from cache: CatalogCache) -> CatalogCache.Entry? {
        do throws(CacheProblem) {
            return try cache.read(key, now: surroundings.wallClock())
        } catch {
            report(.warning, "server '\(downstream.key)': what is kept of its last lists is not used, and made anew: it \(error)")
            return nil
        }
    }

    private func restore(_ entry: CatalogCache.Entry?, to downstream: Downstream) {
        guard entry != nil || downstream.isRestored else { return }
        downstream.isRestored = entry != nil
        downstream.isKept = entry != nil
        downstream.lastKnown = entry?.offer.introduction
        downstream.features = entry?.offer.features ?? [:]
        downstream.freshness = [:]
        downstream.learnedAt = entry?.learned
        if current[downstream.key] == downstream.id { catalogChanged() }
    }

    private func protectedServer(of downstream: Downstream) -> ProtectedServer? {
        guard case .http(let endpoint) = downstream.config.endpoint else { return nil }
        return RemoteAccess.protectedServer(endpoint, key: downstream.key)
    }

    private func subject(
        _ downstream: Downstream, _ capabilities: ClientCapabilities, _ era: Revision.Era, login: String?
    ) -> CatalogCache.Subject {
        CatalogCache.Subject(
            config: downstream.config, workingDirectory: surroundings.workingDirectory, environment: surroundings.environment,
            capabilities: capabilities, era: era, login: login ?? "")
    }

    /// - Returns: `nil` if there is none, or none that can be used; that is said once.
    func openCache() -> CatalogCache? {
        if let cache { return cache }
        guard let files = surroundings.cache, !hasCacheFailed else { return nil }
        do throws(CacheProblem) {
            cache = try CatalogCache(files, version: identity.version, using: &random)
        } catch {
            cacheFailed(error)
        }
        return cache
    }

    private func cacheFailed(_ problem: CacheProblem) {
        guard !hasCacheFailed else { return }
        hasCacheFailed = true
        report(.warning, "what servers offer cannot be kept for the next start: it \(problem)")
    }

    // MARK: Once they run

    /// The server is ready, and has listed all it has.
    func learnedOffer(of downstream: Downstream) {
        guard let introduction = downstream.machine.introduction else { return }
        // What it does not even declare any more it does not have.
        for kind in FeatureKind.allCases where !introduction.capabilities.listed.contains(kind) {
            if downstream.freshness.removeValue(forKey: kind) ?? .none != .none { isCatalogStale = true }
            guard let features = downstream.features.removeValue(forKey: kind), !features.isEmpty else { continue }
            offerChanged(of: downstream)
            if current[downstream.key] == downstream.id { catalogChanged() }
        }
        if downstream.lastKnown != introduction { downstream.isKept = false }
        downstream.lastKnown = introduction
        downstream.isRestored = false
        keepSoon(downstream)
    }

    /// One of its lists is another than before.
    func offerChanged(of downstream: Downstream) {
        downstream.isKept = false
        if downstream.life.isReady { keepSoon(downstream) }
    }

    private func keepSoon(_ downstream: Downstream) {
        guard surroundings.cache != nil, !hasCacheFailed else { return }
        unkept.insert(downstream.id)
        if timers[.keep] == nil { set(.keep, after: Limits.keepWait) }
    }

    /// Keeps what servers offer now, beside the event loop.
    func keepOffers() {
        cancel(.keep)
        let ids = unkept
        unkept = []
        guard !ids.isEmpty, let cache = openCache() else { return }
        let now = surroundings.wallClock()
        var kept: [(key: CatalogCache.Key, entry: CatalogCache.Entry, temporary: String, id: DownstreamID)] = []
        for downstream in ids.compactMap({ downstreams[$0] }) {
            guard let introduction = downstream.lastKnown, downstream.life.isReady, let (capabilities, era) = downstream.spokenFor else {
                continue
            }
            // A list that could not be read may be there the next time.
            guard downstream.listFailures.isEmpty else { continue }
            let key = cache.key(for: subject(downstream, capabilities, era, login: downstream.remote?.access.token?.grant))
            let isOld = downstream.learnedAt.map { now - $0 > Limits.cacheRefresh } ?? true
            if downstream.isKept, !isOld, key == downstream.cacheKey { continue }
            (downstream.isKept, downstream.cacheKey, downstream.learnedAt) = (true, key, now)
            let entry = CatalogCache.Entry(
                offer: ServerOffer(introduction: introduction, features: downstream.features), learned: now)
            kept.append((key, entry, CatalogCache.temporaryName(for: key.fileName, using: &random), downstream.id))
        }
        guard !kept.isEmpty else { return }
        let secrets = Array(secrets.union(fetchedSecrets.values.joined().joined()).union(inheritedSecrets))
        let before = keeping
        // Detached: it must not inherit our isolation, or the event loop would wait for the files. One after another: of two writes of
        // one file the later must be the later.
        keeping = Task.detached(executorPreference: sideExecutor) { [kept] in
            await before?.value
            for (key, entry, temporary, id) in kept {
                do throws(CacheProblem) {
                    try cache.write(entry, key, without: secrets, by: temporary)
                } catch {
                    await self.notKept(error, key, of: id)
                }
            }
            if before == nil { cache.files.prune(CatalogCache.suffix, keeping: Limits.cacheBounds, now: now) }
        }
    }

    /// Of all that servers inherit, not only of those that are kept now: they may know of each other.
    private var inheritedSecrets: [String] {
        downstreams.values.flatMap { downstream -> [String] in
            guard case .command(let command) = downstream.config.endpoint else { return [] }
            return command.inheritedSecrets(of: surroundings.environment)
        }
    }

    private func notKept(_ problem: CacheProblem, _ key: CatalogCache.Key, of id: DownstreamID) {
        guard let downstream = downstreams[id] else { return }
        let text = "server '\(downstream.key)': what it offers cannot be kept for the next start: it \(problem)"
        if problem.isForGood || wasSaidNotKept { debug(text) } else { report(.warning, text) }
        if downstream.cacheKey == key { downstream.isKept = false }
        guard !problem.isForGood else { return }
        wasSaidNotKept = true
        // With the next that is to be kept, or at the end, it is tried again.
        unkept.insert(id)
        flush()
    }

    /// Succeeds when nothing is being written any more, or after a while.
    func keptAll() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        guard let keeping else {
            promise.succeed()
            return promise.futureResult
        }
        Task.detached(executorPreference: sideExecutor) {
            await keeping.value
            promise.succeed()
        }
        let limit = eventLoop.scheduleTask(in: .nanoseconds(Limits.lastKeeping.clampedNanoseconds)) { promise.succeed() }
        promise.futureResult.whenComplete { _ in limit.cancel() }
        return promise.futureResult
    }
}
