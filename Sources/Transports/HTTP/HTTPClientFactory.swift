package import AsyncHTTPClient
package import NIOCore
import NIOSSL
import Resilience

/// Clients for HTTP servers, with what the person configured for one of them.
package enum HTTPClientFactory {
    /// What one server needs beside its URL.
    package struct Settings: Hashable, Sendable {
        /// PEM files, absolute paths.
        package var caFile: String?
        package var clientCertificate: String?
        package var clientKey: String?
        package var proxy: ProxyRules.Proxy?

        package init(caFile: String? = nil, clientCertificate: String? = nil, clientKey: String? = nil, proxy: ProxyRules.Proxy? = nil) {
            self.caFile = caFile
            self.clientCertificate = clientCertificate
            self.clientKey = clientKey
            self.proxy = proxy
        }
    }

    /// A client with connections of its own. Redirects are not followed: whoever sends a request knows where it may go.
    /// - Parameter origin: of the server, whose certificate is expected.
    package static func make(
        _ settings: Settings, for origin: HTTPTarget.Origin, on eventLoop: any EventLoop
    ) throws(HTTPFailure) -> HTTPClient {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout.connect = .nanoseconds(HTTPLimits.connectTimeout.clampedNanoseconds)
        configuration.connectionPool.idleTimeout = .nanoseconds(HTTPLimits.connectionIdleTime.clampedNanoseconds)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = HTTPLimits.connections
        // Whether and when to try again is for the server's supervisor to say.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .automatic
        configuration.tlsConfiguration = try tls(settings)
        // The only places where a connection can be looked at before anything is sent on it.
        if origin.isEncrypted {
            configuration.http1_1ConnectionDebugInitializer = { CertificateName.check($0, host: origin.host) }
            configuration.http2ConnectionDebugInitializer = { CertificateName.check($0, host: origin.host) }
        }
        configuration.proxy = settings.proxy.map { proxy in
            .server(
                host: proxy.host, port: proxy.port,
                authorization: proxy.credentials.map { .basic(username: $0.user, password: $0.password) })
        }
        return HTTPClient(eventLoopGroupProvider: .shared(eventLoop), configuration: configuration)
    }

    private static func tls(_ settings: Settings) throws(HTTPFailure) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let path = settings.caFile {
            tls.additionalTrustRoots = [.certificates(try read("caFile", path) { try NIOSSLCertificate.fromPEMFile(path) })]
        }
        if let path = settings.clientCertificate, let keyPath = settings.clientKey {
            let chain = try read("clientCertificate", path) { try NIOSSLCertificate.fromPEMFile(path) }
            tls.certificateChain = chain.map { .certificate($0) }
            tls.privateKey = .privateKey(try read("clientKey", keyPath) { try NIOSSLPrivateKey(file: keyPath, format: .pem) })
        }
        return tls
    }

    private static func read<Value>(_ key: String, _ path: String, _ body: () throws -> Value) throws(HTTPFailure) -> Value {
        do {
            return try body()
        } catch {
            throw HTTPFailure(
                .configuration, .notSent, cause: "its '\(key)', \(path), cannot be used: \(error)",
                hint: "it must be a file in PEM form that we may read")
        }
    }
}
