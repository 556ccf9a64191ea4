import OrderedCollections

/// Which server a URI was last seen from, in results: tools may hand out links to resources that are in no list.
package struct Ownership: Sendable {
    /// URIs remembered; the oldest are forgotten first.
    package static let limit = 10_000
    /// Bytes of a URI that is remembered.
    package static let lengthLimit = 4_096

    private var owners: OrderedDictionary<String, DownstreamID> = [:]

    package init() {}

    package func owner(of uri: String) -> DownstreamID? { owners[uri] }

    package mutating func saw(_ uri: String, from downstream: DownstreamID) {
        guard uri.utf8.count <= Self.lengthLimit, owners[uri] != downstream else { return }
        owners[uri] = nil
        owners[uri] = downstream
        // A tenth at a time: taking one from the front moves all the others.
        if owners.count > Self.limit { owners.removeFirst(Self.limit / 10) }
    }

    /// The server is gone, and what it said with it.
    package mutating func forget(_ downstream: DownstreamID) { owners.removeAll { $0.value == downstream } }
}
