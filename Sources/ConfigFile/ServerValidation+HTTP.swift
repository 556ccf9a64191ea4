import OrderedCollections

extension ServerValidation {
    static let callbackPortRange = 1024...65_535

    /// - Parameter urlKey: the key that holds the URL.
    /// - Returns: `nil` if there is no URL that could be used; a problem was noted then, unless there is none at all.
    func http(_ fields: inout Fields, urlKey: String, type: HostDialects.Transport?) -> HTTPEndpoint? {
        let url = fields.string(urlKey)
        var endpoint = HTTPEndpoint(url: url?.text ?? "", kind: type?.kind)
        endpoint.headers = headers(&fields)
        endpoint.headersFrom = headersCommand(&fields)
        endpoint.caFile = configuredPath(&fields, "caFile")
        endpoint.clientCertificate = configuredPath(&fields, "clientCertificate")
        endpoint.clientKey = configuredPath(&fields, "clientKey")
        for (present, other) in [("clientCertificate", "clientKey"), ("clientKey", "clientCertificate")] {
            guard let member = fields.member(present), !fields.has(other) else { continue }
            findings.add(
                .conflictingKeys, at: member.keyLocation, "\(fields.owner) has '\(present)' without '\(other)'", hint: "add '\(other)'")
        }
        endpoint.oauth = oauth(&fields)
        guard let (text, node) = url else { return nil }
        if node.isComplete, let flaw = URLCheck.flaw(of: text) {
            // The text as it is written: a token may have been expanded into it.
            findings.add(
                .invalidURL, at: node.location, "'\(urlKey)' in \(fields.owner) \(flaw.message): '\(node.written)'", hint: flaw.hint)
            return nil
        }
        return endpoint
    }

    private func headers(_ fields: inout Fields) -> OrderedDictionary<String, String> {
        guard let node = fields.node("headers") else { return [:] }
        guard let members = node.members else {
            fields.wrongType("headers", node, "an object", hint: "write headers: { Name: value }")
            return [:]
        }
        var headers: OrderedDictionary<String, String> = [:]
        var places: [String: SourceLocation] = [:]
        for member in members {
            let lowercased = member.key.lowercased()
            if let first = places[lowercased] {
                findings.add(
                    .invalidHeader, at: member.keyLocation,
                    "the header '\(member.key)' in \(fields.owner) is there already, at \(first.shortDescription)",
                    hint: "header names are the same in upper and lower case")
                continue
            }
            places[lowercased] = member.keyLocation
            guard let value = headerValue(member, fields.owner) else { continue }
            if HostDialects.transportHeaders.contains(lowercased) {
                findings.add(
                    .ignoredHeader, at: member.keyLocation,
                    "the header '\(member.key)' in \(fields.owner) is ignored: mcpagg sets it itself")
                continue
            }
            headers[member.key] = value
            guard member.value.isComplete else { continue }
            findings.addSecret(value)
            // Behind a scheme such as `Bearer` stands the secret itself, and it may turn up alone.
            if let space = value.firstIndex(of: " ") { findings.addSecret(String(value[value.index(after: space)...])) }
        }
        return headers
    }

    private func headerValue(_ member: Node.Member, _ owner: String) -> String? {
        guard !member.key.isEmpty, member.key.utf8.allSatisfy(Self.isTokenCharacter) else {
            findings.add(
                .invalidHeader, at: member.keyLocation, "'\(member.key)' in \(owner) is no name for a header",
                hint: "names hold letters, digits and !#$%&'*+-.^_`|~")
            return nil
        }
        guard let value = member.value.argumentText else {
            findings.add(
                .wrongType, at: member.value.location,
                "the header '\(member.key)' in \(owner) must be a string, this is \(member.value.kindName)")
            return nil
        }
        if value.unicodeScalars.contains(where: { ($0.value < 0x20 && $0 != "\t") || $0.value == 0x7F }) {
            findings.add(
                .invalidHeader, at: member.value.location,
                "the value of the header '\(member.key)' in \(owner) holds a line break or control character",
                hint: "a header is one line; is there a line break at the end of a variable?")
            return nil
        }
        return value
    }

    /// RFC 9110, §5.6.2.
    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        byte.isNameCharacter || "!#$%&'*+.^`|~".utf8.contains(byte)
    }

    private func headersCommand(_ fields: inout Fields) -> HTTPEndpoint.HeadersCommand? {
        var command: HTTPEndpoint.HeadersCommand?
        if let node = fields.node("headersFrom"), var inner = Fields(node, "'headersFrom' in \(fields.owner)", findings) {
            if !inner.has("command") {
                findings.add(
                    .missingEndpoint, at: node.location, "\(inner.owner) has no 'command'", hint: "write headersFrom: { command: … }")
            }
            let list = commandList(&inner)
            let executable = list?.first ?? executable(&inner, "command", relativeTo: nil)
            let arguments = list.map { Array($0.dropFirst()) } ?? arguments(&inner)
            let timeout = inner.duration("timeout", atMost: .seconds(600))
            let lifetime = inner.duration("lifetime", atLeast: .seconds(1))
            inner.finish()
            command = executable.map {
                HTTPEndpoint.HeadersCommand(
                    executable: $0, arguments: arguments, timeout: timeout ?? HTTPEndpoint.HeadersCommand.defaultTimeout,
                    lifetime: lifetime)
            }
        }
        // Claude Code's spelling: one line for the shell.
        let helper = fields.member("headersHelper")
        if let (text, node) = fields.string("headersHelper"), let helper {
            if fields.has("headersFrom") {
                findings.add(
                    .conflictingKeys, at: helper.keyLocation, "\(fields.owner) has both 'headersFrom' and 'headersHelper'", hint: "keep one"
                )
            } else if text.allSatisfy(\.isWhitespace) {
                findings.add(.invalidCommand, at: node.location, "'headersHelper' in \(fields.owner) is empty")
            } else {
                command = HTTPEndpoint.HeadersCommand(executable: "/bin/sh", arguments: ["-c", text])
            }
        }
        return command
    }

    /// The program and its arguments in one list, as it is often written for a command that is not a server.
    private func commandList(_ fields: inout Fields) -> [String]? {
        guard case .list(let elements) = fields.node("command")?.content, let first = elements.first?.argumentText, !first.isEmpty else {
            return nil
        }
        guard !fields.has("args") else { return nil }
        let texts = elements.compactMap(\.argumentText)
        return texts.count == elements.count ? texts : nil
    }

    private func oauth(_ fields: inout Fields) -> HTTPEndpoint.OAuth? {
        guard let node = fields.node("oauth"), var inner = Fields(node, "'oauth' in \(fields.owner)", findings) else { return nil }
        var oauth = HTTPEndpoint.OAuth()
        for key in ["clientId", "clientSecret"] {
            // Empty is absent: `${SECRET:-}` says that there may be none.
            guard let (text, node) = inner.string(key), !text.isEmpty else { continue }
            if key == "clientId" {
                oauth.clientID = text
            } else {
                oauth.clientSecret = text
                if node.isComplete { findings.addSecret(text) }
            }
        }
        if let secret = inner.member("clientSecret"), oauth.clientSecret != nil, oauth.clientID == nil {
            findings.add(
                .conflictingKeys, at: secret.keyLocation, "\(inner.owner) has a 'clientSecret' without 'clientId'", hint: "add 'clientId'")
        }
        if let scopes = inner.node("scopes") {
            if case .string(let text) = scopes.content {
                oauth.scopes = text.split(separator: " ").map(String.init)  // as OAuth itself writes them
            } else {
                oauth.scopes = inner.strings("scopes")?.map(\.text) ?? []
            }
        }
        oauth.callbackPort = inner.integer("callbackPort", in: Self.callbackPortRange)
        inner.ignore(HostDialects.ignoredOAuthKeys, because: "it is found out from the server")
        inner.finish()
        return oauth
    }
}
