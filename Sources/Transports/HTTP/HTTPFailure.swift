import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a request over HTTP has no answer, or a stream of events has ended (DESIGN, D8).
package struct HTTPFailure: Error, Sendable {
    /// What can be done about it.
    package enum Kind: Hashable, Sendable {
        /// Nothing, before the person changes something.
        case configuration
        /// The person has to be authorized, or to have more rights.
        case authorization
        /// It may work the next time.
        case transient
        /// It may work after this time, or after any if the server does not say.
        case overload(retryAfter: Duration?)
        /// The server does not know our session any more.
        case sessionLost
        /// What answers there does not speak MCP, or not as it should.
        case notMCP
    }

    /// What became of the request (DESIGN, D7).
    package enum Delivery: Hashable, Sendable {
        case notSent
        /// The server says that it did nothing.
        case refused
        case unknown
    }

    package var kind: Kind
    package var delivery: Delivery
    /// Completes "server 'x' is down: …" and "the request failed: …".
    package var cause: String
    package var hint: String?
    /// The status of the answer, if there was one.
    package var status: Int?

    package init(_ kind: Kind, _ delivery: Delivery, cause: String, hint: String? = nil, status: Int? = nil) {
        self.kind = kind
        self.delivery = delivery
        self.cause = cause
        self.hint = hint
        self.status = status
    }
}

extension HTTPFailure {
    /// What an error of the client means.
    /// - Parameter wasSent: the request left us, at least in part.
    init(_ error: any Error, wasSent: Bool, origin: HTTPTarget.Origin) {
        let delivery = wasSent ? Delivery.unknown : .notSent
        switch error {
        case let error as HTTPClientError:
            self.init(error, delivery, origin: origin)
        case let error as NIOConnectionError:
            if let dns = error.dnsAError ?? error.dnsAAAAError, error.connectionErrors.isEmpty {
                self.init(
                    .transient, .notSent, cause: "the name '\(origin.host)' cannot be resolved (\(dns))",
                    hint: "correct 'url' in the config file, or look after the network")
            } else {
                let reason = error.connectionErrors.first.map { Self.text(of: $0.error) } ?? "no address answers"
                self.init(.transient, .notSent, cause: "\(origin) cannot be connected to: \(reason)", hint: "is the server running?")
            }
        case let error as NIOSSLError: self.init(tls: "\(error)", delivery, origin: origin)
        case let error as NIOSSLExtraError: self.init(tls: error.description, delivery, origin: origin)
        case let error as BoringSSLError: self.init(tls: "\(error)", delivery, origin: origin)
        case is HTTPParserError:
            self.init(.notMCP, delivery, cause: "\(origin) does not answer in HTTP: \(error)")
        case let error as IOError:
            self.init(
                .transient, delivery,
                cause: wasSent
                    ? "the connection to \(origin) broke: \(Self.text(of: error))"
                    : "\(origin) cannot be connected to: \(Self.text(of: error))")
        default: self.init(.transient, delivery, cause: "the connection to \(origin) failed: \(error)")
        }
    }

    private init(_ error: HTTPClientError, _ delivery: Delivery, origin: HTTPTarget.Origin) {
        switch error {
        case .connectTimeout:
            self.init(.transient, .notSent, cause: "\(origin) does not take the connection within \(HTTPClientFactory.connectTimeout)")
        case .tlsHandshakeTimeout: self.init(.transient, .notSent, cause: "\(origin) does not finish the TLS handshake")
        case .httpProxyHandshakeTimeout: self.init(.transient, .notSent, cause: "the proxy does not connect us to \(origin)")
        case .proxyAuthenticationRequired:
            self.init(
                .configuration, .notSent, cause: "the proxy wants a user name and password for the way to \(origin)",
                hint: "put them into the URL of the proxy: http://user:password@host:port")
        case .invalidProxyResponse:
            self.init(.transient, .notSent, cause: "the proxy refuses to connect us to \(origin)", hint: "or name the host in NO_PROXY")
        case .remoteConnectionClosed, .uncleanShutdown:
            self.init(.transient, delivery, cause: "\(origin) closed the connection before it had answered")
        case .getConnectionFromPoolTimeout: self.init(.transient, .notSent, cause: "no connection to \(origin) became free in time")
        case .deadlineExceeded, .readTimeout: self.init(.transient, delivery, cause: "\(origin) did not answer in time")
        case .invalidURL, .emptyHost, .emptyScheme:
            self.init(.configuration, .notSent, cause: "its URL cannot be used", hint: "correct 'url' in the config file")
        default: self.init(.transient, delivery, cause: "the request to \(origin) failed: \(error.shortDescription)")
        }
    }

    private init(tls reason: String, _ delivery: Delivery, origin: HTTPTarget.Origin) {
        var hint = "is it really a server of HTTPS?"
        if reason.contains("CERTIFICATE_VERIFY_FAILED") || reason.contains("unableToValidateCertificate") || reason.contains("hostname") {
            hint = "if its certificate is from an authority of your own, name that in 'caFile' in the config file"
        } else if reason.contains("CERTIFICATE_REQUIRED") || reason.contains("HANDSHAKE_FAILURE") || reason.contains("BAD_CERTIFICATE") {
            hint = "it may want a certificate of ours: 'clientCertificate' and 'clientKey' in the config file"
        }
        self.init(.transient, delivery, cause: "the TLS connection to \(origin) failed: \(reason.prefix(200))", hint: hint)
    }

    private static func text(of error: any Error) -> String {
        switch error {
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError where error.errnoCode == ECONNRESET: "connection reset"
        case let error as IOError: error.description
        case let error as ChannelError: "\(error)"
        default: "\(error)"
        }
    }
}
