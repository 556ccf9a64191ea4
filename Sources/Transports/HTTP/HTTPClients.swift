package import AsyncHTTPClient
import Dispatch
package import NIOCore
import Resilience

/// Clients for servers that become known only on the way, as authorization servers do: one for each origin, because each checks one name,
/// and perhaps has a proxy of its own.
package actor HTTPClients {
    /// Origins that one login can lead to.
    package static let limit = 16

    private let settings: HTTPClientFactory.Settings
    private let proxies: ProxyRules
    private let eventLoop: any EventLoop
    private var clients: [HTTPTarget.Origin: HTTPClient] = [:]
    private var isShutDown = false

    /// - Parameter settings: their proxy is not used.
    package init(_ settings: HTTPClientFactory.Settings, proxies: ProxyRules, on eventLoop: any EventLoop) {
        self.settings = settings
        self.proxies = proxies
        self.eventLoop = eventLoop
    }

    /// The client for this URL. It is never shut down by whoever asked for it.
    package func client(for url: String) throws(HTTPFailure) -> HTTPClient {
        guard let origin = HTTPTarget(url)?.origin, !isShutDown else {
            throw HTTPFailure(.configuration, .notSent, cause: "its address cannot be used")
        }
        if let client = clients[origin] { return client }
        guard clients.count < Self.limit else { throw HTTPFailure(.notMCP, .notSent, cause: "too many servers have to do with one login") }
        var settings = settings
        settings.proxy = try proxies.proxy(for: origin)
        let client = try HTTPClientFactory.make(settings, for: origin, on: eventLoop)
        clients[origin] = client
        return client
    }

    package func shutdown() async {
        isShutDown = true
        let ended = clients.values
        clients = [:]
        for client in ended { await client.end() }
    }
}

extension HTTPClient {
    /// Closes its connections, which cannot fail.
    ///
    /// The answer comes by a queue of its own: a thread of the common ones would bring the timer that ``LoopExecutor`` is there to avoid.
    func end() async {
        await withCheckedContinuation { continuation in
            shutdown(queue: DispatchQueue(label: "end of a client")) { _ in continuation.resume() }
        }
    }
}
