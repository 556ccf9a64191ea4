import JSONRPC
import NIOCore

/// Name and version under which a program introduces itself: `clientInfo` to servers, `serverInfo` to hosts.
package struct Implementation: Hashable, Sendable {
    package var name: String
    package var version: String
    /// As JSON text of an object.
    package let json: String

    package init(name: String, version: String) {
        self.name = name
        self.version = version
        json = String(
            buffer: JSONWriter.object {
                $0.member("name", name)
                $0.member("version", version)
            })
    }
}
