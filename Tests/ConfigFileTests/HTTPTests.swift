import ConfigFile
import OrderedCollections
import Testing

@Suite("Servers behind a URL")
struct HTTPTests {
    @Test(
        "a URL is absolute and complete",
        arguments: [
            "https://example.com", "HTTP://localhost:8080/mcp", "https://[::1]:9000/a?b=c&d=%20", "http://127.0.0.1/",
            "https://a_b.example:1",
        ])
    func valid(url: String) throws {
        #expect(try server("url: '\(url)'").http?.url == url)
    }

    @Test(
        "what is wrong with a URL is said in words",
        arguments: [
            ("", "is no URL"), ("example.com/mcp", "is no URL"), ("localhost:80", "is no URL"),
            ("ftp://x", "must begin with http:// or https://"),
            ("unix:///run/x", "must begin with http:// or https://"), ("://x", "must begin with http:// or https://"),
            ("https://", "has no host"),
            ("https:///x", "has no host"), ("https://:80", "has no host"), ("https://x:0", "has no valid port"),
            ("https://x:65536", "has no valid port"),
            ("https://x:", "has no valid port"), ("https://x:8a", "has no valid port"),
            ("https://x:99999999999999999999", "has no valid port"),
            ("https://u:p@x", "may not hold a user"), ("https://x/a b", "may not hold white space"),
            ("https://x/é", "may not hold the character 'é'"),
            ("https://x/{id}", "may not hold the character '{'"), ("https://x/#a", "may not have a fragment"),
            ("https://x/%2", "has a '%' without two hexadecimal digits"), ("https://x/%zz", "has a '%' without two hexadecimal digits"),
            ("https://[::1", "has no closing ']' behind its address"), ("https://[x]", "has no valid IPv6 address"),
            ("https://[::1]x", "has something odd behind its address"), ("https://a%20b", "has no valid host"),
            ("https://a,b", "has no valid host"),
            ("https://x\\n", "may not hold white space"), ("https://x\\x01", "may not hold a control character"),
        ])
    func invalid(url: String, flaw: String) {
        let found = problems("mcpServers: { s: { url: \"\(url)\" } }")
        #expect(found.map(\.code) == [.invalidURL])
        #expect(found.first?.message.hasPrefix("'url' in server 's' \(flaw): '") == true, "\(found)")
    }

    @Test(
        "the kind comes from 'type'",
        arguments: [
            ("", nil), ("type: http", .http), ("type: sse", .sse), ("type: streamableHttp", .http), ("type: streamable_http", .http),
        ] as [(String, HTTPEndpoint.Kind?)])
    func kind(type: String, expected: HTTPEndpoint.Kind?) throws {
        #expect(try server("url: 'http://x', \(type)").http?.kind == expected)
        #expect(try server("httpUrl: 'http://x', \(type)").http?.kind == expected)
    }

    @Test(
        "headers are names and single lines",
        arguments: [
            ("{ A: b, X-C: 5 }", []), ("[a]", ["wrongType"]), ("{ 'a b': c }", ["invalidHeader"]), ("{ '': c }", ["invalidHeader"]),
            ("{ 'a:': c }", ["invalidHeader"]), ("{ é: c }", ["invalidHeader"]), ("{ a: [c] }", ["wrongType"]),
            ("{ a: null }", ["wrongType"]),
            ("{ a: \"b\\r\\nX: y\" }", ["invalidHeader"]), ("{ a: \"b\\n\" }", ["invalidHeader"]),
            ("{ a: \"b\\0\" }", ["controlCharacter", "invalidHeader"]),
            ("{ a: '${MULTILINE}' }", ["invalidHeader"]), ("{ a: b, A: c }", ["invalidHeader"]), ("{ a: \"b\\tc é\" }", []),
        ])
    func headers(value: String, expected: [String]) {
        #expect(codes("url: 'http://x', headers: \(value)") == expected)
    }

    @Test("headers keep their order; those of the transport are ignored and noted")
    func order() throws {
        let config = try read("mcpServers: { s: { url: 'http://x', headers: { Z: 1, Content-Type: x, B: 2, accept: y, A: 3 } } }")
        #expect(config.servers["s"]?.http?.headers == ["Z": "1", "B": "2", "A": "3"])
        #expect(config.notes.map(\.code) == [.ignoredHeader, .ignoredHeader])
    }

    @Test("the other keys of HTTP servers are read")
    func others() throws {
        let endpoint = try #require(
            try server(
                """
                url: 'https://x', headersFrom: { command: ~/h, args: [1], timeout: 3s }, caFile: ca.pem, clientCertificate: ~/c.pem,
                clientKey: /k.pem, oauth: { clientId: id, clientSecret: "${TOKEN}", scopes: a b, callbackPort: 8080, issuer: x }
                """
            ).http)
        #expect(endpoint.headersFrom == HTTPEndpoint.HeadersCommand(executable: "/home/ann/h", arguments: ["1"], timeout: .seconds(3)))
        #expect(endpoint.caFile == "/work/ca.pem" && endpoint.clientCertificate == "/home/ann/c.pem" && endpoint.clientKey == "/k.pem")
        #expect(endpoint.oauth == HTTPEndpoint.OAuth(clientID: "id", clientSecret: "s3cr3t-token", scopes: ["a", "b"], callbackPort: 8080))
        #expect(
            try server("url: 'http://x', headersHelper: 'get | cut'").http?.headersFrom
                == HTTPEndpoint.HeadersCommand(executable: "/bin/sh", arguments: ["-c", "get | cut"]))
    }

    @Test(
        "and checked",
        arguments: [
            ("clientKey: x", ["conflictingKeys"]), ("clientCertificate: x", ["conflictingKeys"]), ("headersFrom: {}", ["missingEndpoint"]),
            ("headersFrom: x", ["wrongType"]), ("headersFrom: { command: x, cwd: y }", ["unknownKey"]),
            ("headersFrom: { command: x }, headersHelper: y", ["conflictingKeys"]), ("headersHelper: ''", ["invalidCommand"]),
            ("oauth: { clientSecret: x }", ["conflictingKeys"]), ("oauth: { callbackPort: 80 }", ["outOfRange"]),
            ("oauth: { scopes: 5 }", ["wrongType"]),
            ("oauth: { clientId: x, clientSecret: '' }", []),
        ])
    func checks(members: String, expected: [String]) {
        #expect(codes("url: 'http://x', \(members)") == expected)
    }
}
