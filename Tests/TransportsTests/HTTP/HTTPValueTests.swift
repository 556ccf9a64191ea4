import NIOCore
import Resilience
import Testing

@testable import Transports

@Suite("Values of HTTP")
struct HTTPValueTests {
    @Test(
        "a header carries plain ASCII as it is, and all else in base64",
        arguments: [
            ("us-west1", "us-west1"), ("a b", "a b"), ("", ""), (" a", "=?base64?IGE=?="), ("a ", "=?base64?YSA=?="),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="), ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?SGVsbG8=?=", "=?base64?PT9iYXNlNjQ/U0dWc2JHOD0/PQ==?="), ("=?base64?x", "=?base64?x"), ("a\tb", "=?base64?YQli?="),
        ])
    func encoding(text: String, header: String) { #expect(HeaderText.encoded(text) == header) }

    @Test(
        "an address knows its origin",
        arguments: [
            ("http://a/b", "http://a"), ("https://A.example:443/", "https://a.example"), ("http://a:443", "http://a:443"),
            ("HTTP://a:80/x?y", "http://a"), ("http://[::1]:8080/mcp", "http://[::1]:8080"),
        ])
    func origins(url: String, origin: String) { #expect(HTTPTarget(url)?.origin.description == origin) }

    @Test("what is no address of HTTP is refused", arguments: ["", "a", "ftp://a", "http://", "file:///x", "/x"])
    func noAddress(url: String) { #expect(HTTPTarget(url) == nil) }

    @Test(
        "references are resolved",
        arguments: [
            ("http://h/sse", "/messages?s=1", "http://h/messages?s=1"), ("http://h/a/sse", "messages", "http://h/a/messages"),
            ("http://h/a/sse", "../m", "http://h/m"), ("http://h/sse", "http://other/m", "http://other/m"),
            ("http://h/sse?x=1", "?s=2", "http://h/sse?s=2"), ("https://h/sse", "//other/m", "https://other/m"),
        ])
    func references(base: String, reference: String, result: String) { #expect(HTTPTarget(base)?.resolve(reference)?.url == result) }

    static let proxied: [(environment: [String: String], url: String, proxy: String?)] = [
        ([:], "http://a/", nil),
        (["http_proxy": "http://p:8080"], "http://a/", "p:8080"),
        (["http_proxy": "http://p:8080"], "https://a/", nil),
        (["HTTP_PROXY": "http://p:8080"], "http://a/", "p:8080"),
        (["HTTP_PROXY": "http://p:8080", "REQUEST_METHOD": "GET"], "http://a/", nil),
        (["HTTPS_PROXY": "p:3128"], "https://a/", "p:3128"),
        (["https_proxy": "http://lower", "HTTPS_PROXY": "http://upper"], "https://a/", "lower:80"),
        (["ALL_PROXY": "http://p:1"], "https://a/", "p:1"),
        (["HTTPS_PROXY": "http://u:p%40ss@[::1]:3128/"], "https://a/", "::1:3128 u p@ss"),
        (["HTTPS_PROXY": ""], "https://a/", nil),
        (["HTTPS_PROXY": "p", "NO_PROXY": "*"], "https://a/", nil),
        (["HTTPS_PROXY": "p", "NO_PROXY": "b.example, a.example"], "https://a.example/", nil),
        (["HTTPS_PROXY": "p", "no_proxy": "example"], "https://a.example/", nil),
        (["HTTPS_PROXY": "p", "NO_PROXY": ".example"], "https://a.example/", nil),
        (["HTTPS_PROXY": "p", "NO_PROXY": "*.example"], "https://a.example/", nil),
        (["HTTPS_PROXY": "p", "NO_PROXY": "ample"], "https://a.example/", "p:80"),
        (["HTTPS_PROXY": "p", "NO_PROXY": "a.example:8443"], "https://a.example/", "p:80"),
        (["HTTPS_PROXY": "p", "NO_PROXY": "a.example:8443"], "https://a.example:8443/", nil),
        (["HTTP_PROXY": "p", "NO_PROXY": "127.0.0.0/8"], "http://127.1.2.3/", nil),
        (["HTTP_PROXY": "p", "NO_PROXY": "10.0.0.0/8"], "http://127.1.2.3/", "p:80"),
        (["HTTP_PROXY": "p", "NO_PROXY": "[::1]"], "http://[::1]/", nil),
    ]

    @Test("the environment says which proxy leads where", arguments: proxied)
    func proxies(environment: [String: String], url: String, expected: String?) throws {
        let origin = try #require(HTTPTarget(url)).origin
        let proxy = try ProxyRules(environment: environment).proxy(for: origin)
        let text = proxy.map { proxy in
            "\(proxy.host):\(proxy.port)" + (proxy.credentials.map { " \($0.user) \($0.password)" } ?? "")
        }
        #expect(text == expected)
    }

    @Test("a proxy that cannot be one is said to be none", arguments: ["socks5://p:1080", "https://p", "http://p:99999", "http://"])
    func badProxies(text: String) throws {
        let origin = try #require(HTTPTarget("http://a/")).origin
        #expect(throws: HTTPFailure.self) { try ProxyRules(environment: ["HTTP_PROXY": text]).proxy(for: origin) }
    }

    @Test(
        "what a program prints must be headers",
        arguments: ["", "x", "[]", "{\"a b\":\"c\"}", "{\"a\":1}", "{\"a\":\"b\\nc\"}", "{\"a\":\"b\"} x"])
    func badHeaders(output: String) { #expect(throws: HTTPFailure.self) { try HeadersCommand.headers(in: output) } }

    @Test("a program may print several headers, in lines")
    func goodHeaders() throws {
        let headers = try HeadersCommand.headers(in: "{\n  \"Authorization\": \"Bearer x\",\n  \"X-A\": \"é\"\n}\n")
        #expect(headers.map { "\($0.name): \($0.value)" } == ["Authorization: Bearer x", "X-A: é"])
    }
}

@Suite("A stream that has ended")
struct ResumptionTests {
    private let backoff = Backoff(base: .milliseconds(100), cap: .seconds(1), jitter: 0)

    @Test("of a request is lost, if no event of it had an id")
    func noID() {
        var random = SystemRandomNumberGenerator()
        var resumption = Resumption(limit: 3, backoff: backoff)
        resumption.received(lastEventID: nil, retry: nil, isEvent: true)
        #expect(resumption.ended(using: &random) == .lost)
    }

    @Test("is gone on with after what the server asks for")
    func retry() {
        var random = SystemRandomNumberGenerator()
        var resumption = Resumption(limit: 3, backoff: backoff)
        resumption.received(lastEventID: "7", retry: .milliseconds(20), isEvent: true)
        #expect(resumption.ended(using: &random) == .connect(after: .milliseconds(20)))
        // It failed again, without a word: now it gets more time.
        #expect(resumption.ended(using: &random) == .connect(after: .milliseconds(200)))
        #expect(resumption.lastEventID == "7")
    }

    @Test("is lost after so many attempts that brought nothing")
    func limit() {
        var random = SystemRandomNumberGenerator()
        var resumption = Resumption(limit: 2, backoff: backoff)
        resumption.received(lastEventID: "7", retry: nil, isEvent: true)
        #expect(resumption.ended(using: &random) == .connect(after: .milliseconds(100)))
        resumption.received(lastEventID: "8", retry: nil, isEvent: true)
        #expect(resumption.ended(using: &random) == .connect(after: .milliseconds(100)))
        #expect(resumption.ended(using: &random) == .connect(after: .milliseconds(200)))
        #expect(resumption.ended(using: &random) == .lost)
    }

    @Test("of notifications is opened again for ever, less and less often")
    func notifications() {
        var random = SystemRandomNumberGenerator()
        var resumption = Resumption(limit: nil, backoff: backoff)
        for _ in 0..<100 { _ = resumption.ended(using: &random) }
        #expect(resumption.ended(using: &random) == .connect(after: .seconds(1)))
    }

    @Test("a server cannot make us wait for ever")
    func longRetry() {
        var random = SystemRandomNumberGenerator()
        var resumption = Resumption(limit: 2, backoff: backoff)
        resumption.received(lastEventID: "7", retry: .seconds(1_000_000), isEvent: true)
        #expect(resumption.ended(using: &random) == .connect(after: HTTPLimits.longestRetry))
    }
}

@Suite("The name in a certificate")
struct CertificateNameTests {
    @Test(
        "is that of the host, or stands for it",
        arguments: [
            ("a.example", ["a.example"], true), ("A.Example.", ["a.example"], true), ("a.example", ["b.example"], false),
            ("a.example", ["*.example"], true), ("b.a.example", ["*.example"], false), ("example", ["*.example"], false),
            ("a.example", [], false), ("a.example", nil, true), ("a.example", ["b.example", "a.example"], true),
            ("a.example", ["*"], false), ("a.example", ["a.*"], false),
        ] as [(String, [String]?, Bool)])
    func names(host: String, names: [String]?, isFor: Bool) { #expect(CertificateName.isFor(host, names) == isFor) }

    @Test("is not looked for if an address was asked for", arguments: [("127.0.0.1", true), ("::1", true), ("a", false), ("1.2.3", false)])
    func addresses(host: String, isAddress: Bool) { #expect(CertificateName.isAddress(host) == isAddress) }
}
