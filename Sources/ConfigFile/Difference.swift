import OrderedCollections

/// What changes from one configuration to the next, by what it means and not by how it is written.
///
/// Only servers that are not disabled count: disabling one removes it, and enabling adds it.
package struct ConfigDifference: Equatable, Sendable {
    /// Keys in the order of the new configuration.
    package var added: [String] = []
    /// Keys in the order of the old configuration.
    package var removed: [String] = []
    /// In both, with another endpoint, protocol or usability: a new connection is needed.
    package var restarted: [String] = []
    /// In both, with other names, rules, limits or times: the connection stays.
    package var adjusted: [String] = []
    package var unchanged: [String] = []
    /// The servers that are in both stand in another order. It changes the order of the merged lists, nothing else.
    package var isReordered = false
    package var settingsChanged = false

    package var isEmpty: Bool {
        added.isEmpty && removed.isEmpty && restarted.isEmpty && adjusted.isEmpty && !isReordered && !settingsChanged
    }

    package init(from old: AggregatorConfig, to new: AggregatorConfig) {
        let before = old.servers.filter { !$0.value.isDisabled }
        let after = new.servers.filter { !$0.value.isDisabled }
        removed = before.keys.filter { after[$0] == nil }
        for (key, server) in after {
            guard let previous = before[key] else {
                added.append(key)
                continue
            }
            if server.needsRestart(from: previous) {
                restarted.append(key)
            } else if server.hasOtherTerms(than: previous) {
                adjusted.append(key)
            } else {
                unchanged.append(key)
            }
        }
        isReordered = before.keys.filter { after[$0] != nil } != after.keys.filter { before[$0] != nil }
        settingsChanged = old.settings != new.settings
    }
}

extension ServerConfig {
    fileprivate func needsRestart(from previous: ServerConfig) -> Bool {
        endpoint != previous.endpoint || protocolEra != previous.protocolEra || (unusable == nil) != (previous.unusable == nil)
    }

    /// Compares everything else, so that a new field counts without a word here. The place of a problem does not: lines move.
    fileprivate func hasOtherTerms(than previous: ServerConfig) -> Bool {
        var (left, right) = (self, previous)
        if let first = left.unusable, let second = right.unusable, first.message == second.message { left.unusable = second }
        right.isDisabled = left.isDisabled
        return left != right
    }
}
