import NIOCore
import NIOSSL

/// Whether a certificate, which is valid, is for the name that we asked for.
///
/// NIOSSL also accepts one for the *address* that the connection goes to, whatever the name was. Behind a proxy that is the proxy's
/// address, and after a lie of the DNS that of anybody: whoever has a certificate for an address of his own could read our tokens.
enum CertificateName {
    /// The certificate is for other names.
    struct Mismatch: Error {}

    /// - Returns: what fails with ``Mismatch`` if the server at the other end of the connection is not `host`.
    static func check(_ channel: any Channel, host: String) -> EventLoopFuture<Void> {
        channel.nioSSL_peerCertificate().flatMapThrowing { certificate in
            if let certificate, !isAddress(host), !isFor(host, names(of: certificate)) { throw Mismatch() }
        }.flatMapError { error in
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(error)
        }
    }

    /// The names of hosts in the certificate; `nil` if it has no list of names and addresses at all, but only a common name.
    private static func names(of certificate: NIOSSLCertificate) -> [String]? {
        var names: [String] = []
        var isEmpty = true
        for name in certificate._subjectAlternativeNames() {
            isEmpty = false
            guard name.nameType == .dnsName else { continue }
            names.append(name.contents.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
        }
        return isEmpty ? nil : names
    }

    static func isFor(_ host: String, _ names: [String]?) -> Bool {
        guard let names else { return true }  // checked by its common name
        let host = plain(host)
        return names.contains { name in
            let name = plain(name)
            if name == host { return true }
            // A star stands for one label, the first (RFC 9525, 6.3).
            guard name.hasPrefix("*."), let dot = host.firstIndex(of: ".") else { return false }
            return host[dot...] == name.dropFirst()
        }
    }

    private static func plain(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    static func isAddress(_ host: String) -> Bool { (try? SocketAddress(ipAddress: host, port: 0)) != nil }
}
