import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Resilience

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The way to a server, as far as a person can have made a mistake in it.
package struct HTTPRoute: Sendable {
    package var origin: HTTPTarget.Origin
    package var settings: HTTPClientFactory.Settings

    package init(_ origin: HTTPTarget.Origin, _ settings: HTTPClientFactory.Settings) {
        self.origin = origin
        self.settings = settings
    }

    /// Without its credentials.
    fileprivate var proxy: String? { settings.proxy.map { "the proxy \($0.host):\($0.port)" } }
    fileprivate var proxyHint: String {
        let variable = origin.isEncrypted ? "HTTPS_PROXY" : "HTTP_PROXY"
        return "the proxy is that of the environment variable \(variable); \(origin.host) can be named in NO_PROXY"
    }
    fileprivate var ownCertificateHint: String {
        settings.clientCertificate == nil
            ? "it may want a certificate of ours: 'clientCertificate' and 'clientKey' in the config file"
            : "it may not accept the certificate in 'clientCertificate'"
    }
}

// What the errors of the HTTP client mean to a person.
extension HTTPFailure {
    /// - Parameters:
    ///   - wasSent: the request left us, at least in part.
    ///   - isKnown: the server has answered before.
    init(_ error: any Error, wasSent: Bool, isKnown: Bool, route: HTTPRoute) {
        let delivery = wasSent ? Delivery.unknown : .notSent
        switch error {
        case let error as HTTPClientError: self.init(error, delivery, isKnown: isKnown, route)
        case let error as NIOConnectionError: self.init(error, route)
        case is CertificateName.Mismatch: self.init(nameOf: route)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname: self.init(nameOf: route)
        case let error as NIOSSLError: self.init(error, delivery, route)
        case let error as NIOSSLExtraError: self.init(tls: error.description, delivery, route)
        case let error as BoringSSLError: self.init(tls: "\(error)", delivery, route)
        case let error as HTTPParserError where error == .invalidEOFState:
            self.init(.transient, delivery, cause: "\(route.origin) closed the connection in the middle of its answer")
        case is HTTPParserError: self.init(.notMCP, delivery, cause: "\(route.origin) does not answer in HTTP: \(error)")
        case let error as IOError:
            let what = wasSent ? "the connection to \(route.origin) broke" : "\(route.origin) cannot be connected to"
            self.init(.transient, delivery, cause: "\(what): \(Self.text(of: error))")
        default: self.init(.transient, delivery, cause: "the connection to \(route.origin) failed: \(error)")
        }
    }

    private init(_ error: NIOConnectionError, _ route: HTTPRoute) {
        let isProxy = route.settings.proxy != nil
        let hint = isProxy ? route.proxyHint : "is the server running?"
        if let dns = error.dnsAError ?? error.dnsAAAAError, error.connectionErrors.isEmpty {
            let name = route.settings.proxy?.host ?? route.origin.host
            self.init(
                .transient, .notSent, cause: "the name '\(name)'\(isProxy ? " of the proxy" : "") cannot be resolved (\(dns))",
                hint: isProxy ? route.proxyHint : "correct 'url' in the config file, or look after the network")
            return
        }
        let reason = error.connectionErrors.first.map { Self.text(of: $0.error) } ?? "no address answers"
        self.init(.transient, .notSent, cause: "\(route.proxy ?? "\(route.origin)") cannot be connected to: \(reason)", hint: hint)
    }

    private init(_ error: HTTPClientError, _ delivery: Delivery, isKnown: Bool, _ route: HTTPRoute) {
        let origin = route.origin
        let proxy = route.proxy ?? "the proxy"
        let peer = route.proxy ?? "\(origin)"
        let limit = "\(HTTPLimits.connectTimeout.components.seconds) s"
        switch error {
        case .connectTimeout:
            self.init(
                .transient, .notSent,
                cause: "\(peer) did not take the connection\(origin.isEncrypted ? ", TLS included," : "") within \(limit)",
                hint: origin.isEncrypted ? "is it really a server of HTTPS?" : nil)
        case .tlsHandshakeTimeout:
            self.init(
                .transient, .notSent, cause: "\(origin) did not finish the TLS handshake within \(limit)",
                hint: "is it really a server of HTTPS?")
        case .httpProxyHandshakeTimeout:
            self.init(.transient, .notSent, cause: "\(proxy) did not connect us to \(origin) within \(limit)", hint: route.proxyHint)
        case .proxyAuthenticationRequired:
            let hasCredentials = route.settings.proxy?.credentials != nil
            self.init(
                .configuration, .notSent,
                cause: hasCredentials ? "\(proxy) does not accept our user name and password" : "\(proxy) wants a user name and password",
                hint: hasCredentials
                    ? "correct those in the URL of the proxy" : "put them into the URL of the proxy: http://user:password@host:port")
        case .invalidProxyResponse:
            self.init(.transient, .notSent, cause: "\(proxy) refuses to connect us to \(origin)", hint: route.proxyHint)
        case .remoteConnectionClosed, .uncleanShutdown:
            // A refusal of our certificate comes after the handshake, for TLS 1.3.
            self.init(
                .transient, delivery, cause: "\(origin) closed the connection before it had answered",
                hint: origin.isEncrypted && !isKnown ? route.ownCertificateHint : nil)
        case .getConnectionFromPoolTimeout: self.init(.transient, .notSent, cause: "no connection to \(origin) became free in time")
        case .deadlineExceeded, .readTimeout: self.init(.transient, delivery, cause: "\(origin) did not answer in time")
        case .invalidURL, .emptyHost, .emptyScheme:
            self.init(.configuration, .notSent, cause: "its URL cannot be used", hint: "correct 'url' in the config file")
        default: self.init(.transient, delivery, cause: "the request to \(origin) failed: \(error.shortDescription)")
        }
    }

    private init(nameOf route: HTTPRoute) {
        self.init(
            .transient, .notSent, cause: "its certificate is for other names than '\(route.origin.host)'",
            hint: "write the name that its certificate is for into 'url'")
    }

    private init(_ error: NIOSSLError, _ delivery: Delivery, _ route: HTTPRoute) {
        switch error {
        case .failedToLoadPrivateKey:
            self.init(
                .configuration, .notSent, cause: "its 'clientKey' cannot be used",
                hint: "it must be the key of the certificate in 'clientCertificate', without a password")
        case .failedToLoadCertificate:
            self.init(
                .configuration, .notSent, cause: "a certificate of ours cannot be used", hint: "look at 'clientCertificate' and 'caFile'")
        case .unableToValidateCertificate, .noCertificateToValidate: self.init(untrusted: route)
        case .handshakeFailed(let error): self.init(tls: "\(error)", delivery, route)
        default: self.init(tls: "\(error)", delivery, route)
        }
    }

    private init(untrusted route: HTTPRoute) {
        self.init(
            .transient, .notSent,
            cause: "its certificate cannot be verified: it is from no authority that is trusted here, or it is not valid now",
            hint: route.settings.caFile.map { "is \($0) the authority of this server?" }
                ?? "if it is from an authority of your own, name that in 'caFile' in the config file")
    }

    private init(tls reason: String, _ delivery: Delivery, _ route: HTTPRoute) {
        if reason.contains("CERTIFICATE_VERIFY_FAILED") {
            self.init(untrusted: route)
        } else if reason.contains("EOF during handshake") {
            self.init(
                .transient, delivery, cause: "\(route.origin) ended the TLS handshake without a word",
                hint: "\(route.ownCertificateHint); or it is no server of HTTPS")
        } else if ["ALERT_CERTIFICATE", "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE"].contains(
            where: reason.contains)
        {
            self.init(
                .transient, delivery, cause: "\(route.origin) refuses the TLS connection (\(Self.alert(in: reason)))",
                hint: route.ownCertificateHint)
        } else {
            self.init(
                .transient, delivery, cause: "the TLS connection to \(route.origin) failed (\(Self.alert(in: reason)))",
                hint: "is it really a server of HTTPS?")
        }
    }

    /// The name of the error, without where in the library it arose.
    private static func alert(in reason: String) -> String {
        reason.firstMatch(of: /[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+/).map { String($0.output) } ?? String(reason.prefix(60))
    }

    private static func text(of error: any Error) -> String {
        switch error {
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError where error.errnoCode == ECONNRESET: "connection reset"
        case let error as IOError: error.description
        default: "\(error)"
        }
    }
}
