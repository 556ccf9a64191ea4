package import JSONRPC
package import MCPProtocol
package import NIOCore

/// What changes in a message on its way between a host and a server, whichever era each of them speaks.
///
/// Payloads stay as they are; what changes are ids, names, and what belongs to one hop alone (2026-07-28, basic, "`_meta`").
package struct EraBridge: Sendable {
    /// As whom we speak, to both sides.
    private let identity: Implementation

    package init(identity: Implementation) { self.identity = identity }

    // MARK: Requests, to a server

    /// What a stateless server has asked for, and gets with the next try of the same request.
    package struct Input: Sendable {
        /// By the server's keys: both JSON text.
        package var responses: [(key: String, result: ByteBuffer)]
        /// The server's state, as it wrote it: JSON text.
        package var state: ByteBuffer?

        package init(responses: [(key: String, result: ByteBuffer)], state: ByteBuffer?) {
            self.responses = responses
            self.state = state
        }
    }

    /// - Parameters:
    ///   - id: ours; it is the progress token as well, if the host wants progress.
    ///   - name: the member that names what is asked for, and what the server calls it.
    ///   - envelope: what a stateless server is told of the host; `nil` for a server of the handshake era.
    ///   - runsAsTask: a server of the handshake era is to make a task of it; for a stateless one the envelope says that it may.
    ///   - keepsTask: whether the host may ask for a task itself.
    package func request(
        _ message: Message, id: Int, name: (member: Message.Member, json: String)?, wantsProgress: Bool, isStateless: Bool,
        envelope: Envelope?, input: Input? = nil, runsAsTask: Bool = false, keepsTask: Bool = true
    ) -> Splice {
        var splice = Splice(message)
        let losesTask = !keepsTask && message[.task].isPresent
        if envelope == nil, !isStateless {
            if losesTask, !runsAsTask { splice.remove([.task]) }
            if wantsProgress { splice.replace(.metaProgressToken, with: .integer(id)) }
            if runsAsTask { losesTask ? splice.replace(.task, with: .json("{}")) : splice.insert("\"task\":{}", into: .params) }
        } else {
            let meta = message[.meta].isPresent ? message.view(message[.meta]) : nil
            let rewritten = JSONWriter.object { writer in
                if wantsProgress { writer.member(MetaKey.progressToken, id) }
                if let envelope { writer.envelope(envelope, from: identity) }
                writer.endToEndMembers(of: meta)
            }
            let isEmpty = rewritten.readableBytes <= "{}".utf8.count
            var foreign: [Message.Member] = []
            // A server of the handshake era has nothing to do with them, and never sees those of ours; a host of that era has none.
            if envelope == nil || !isStateless { foreign += [.inputResponses, .requestState] }
            if losesTask || (envelope != nil && !isStateless) { foreign.append(.task) }
            if isEmpty { foreign.append(.meta) }
            splice.remove(foreign)
            var members = input.map(Self.members) ?? ""
            if runsAsTask, envelope == nil { members = "\"task\":{}" }
            if meta == nil {
                if !isEmpty { members += (members.isEmpty ? "" : ",") + "\"_meta\":" + String(buffer: rewritten) }
            } else if !isEmpty {
                splice.replace(.meta, with: .bytes(rewritten))
            }
            if !members.isEmpty { splice.insert(members, into: .params) }
        }
        splice.replace(.id, with: .integer(id))
        if let name { splice.replace(name.member, with: .json(name.json)) }
        return splice
    }

    private static func members(_ input: Input) -> String {
        var members: [String] = []
        if !input.responses.isEmpty {
            let responses = JSONWriter.object { writer in
                for (key, result) in input.responses { writer.member(key: ByteBuffer(string: key), json: result) }
            }
            members.append("\"inputResponses\":" + String(buffer: responses))
        }
        if let state = input.state { members.append("\"requestState\":" + String(buffer: state)) }
        return members.joined(separator: ",")
    }

    // MARK: Results, to a host

    /// - Parameters:
    ///   - isCacheable: of a resource. The lists, which are so too, we compose ourselves.
    ///   - label: the server's name, for what it asks the person.
    /// - Returns: the result without its id; `nil` if it is no object, which a host of another era could not be given.
    package func result(_ message: Message, from server: Revision.Era, to host: Revision.Era, isCacheable: Bool, label: String? = nil)
        -> Splice?
    {
        var splice = Splice(message)
        switch (server, host) {
        case (.handshake, .handshake): break
        case (.stateless, .handshake):
            // With nothing else in it, it was there for that name alone.
            let hasMore = message[.metaServerInfo].isAbsent || message.view(message[.meta]).members.count > 1
            splice.remove([.resultType, .ttlMs, .cacheScope, hasMore ? .metaServerInfo : .meta])
        case (_, .stateless):
            guard message.isObject(message[.result]) else { return nil }
            if server == .handshake, let plain = withoutStatelessMembers(message) {
                return result(plain, from: server, to: host, isCacheable: isCacheable)
            }
            guard server == .handshake || message[.resultType].isAbsent else {
                if let label, message[.inputRequests].isPresent {
                    splice.replace(.inputRequests, with: .bytes(labelled(message.view(message[.inputRequests]), label)))
                }
                return stamped(splice, message)
            }
            // Both at the start of the result: one insertion.
            var members = "\"resultType\":\"complete\""
            if isCacheable, message[.ttlMs].isAbsent { members += ",\"ttlMs\":0" }
            if isCacheable, message[.cacheScope].isAbsent { members += ",\"cacheScope\":\"private\"" }
            if message[.meta].isAbsent { members += ",\"_meta\":{\(serverInfo)}" }
            splice.insert(members, into: .result)
            if message[.meta].isPresent { return stamped(splice, message) }
        }
        return splice
    }

    /// What only looks like a member of the stateless era is not to be taken for one.
    /// - Returns: `nil` if there is no such member.
    private func withoutStatelessMembers(_ message: Message) -> Message? {
        let members: [Message.Member] = [.resultType, .ttlMs, .cacheScope, .requestState, .inputRequests]
        let places = members.map { message[$0] }.filter(\.isPresent)
        guard !places.isEmpty else { return nil }
        let rest = JSONWriter.object { writer in
            for (name, value) in message.view(message[.result]).members where !places.contains(value.place) {
                writer.member(name, json: value.json)
            }
        }
        var splice = Splice(message)
        splice.replace(.result, with: .bytes(rest))
        return try? Message(scanning: splice.bytes)
    }

    /// What a stateless server asks for, with its name to it.
    private func labelled(_ requests: JSONView, _ label: String) -> ByteBuffer {
        JSONWriter.object { entries in
            for (key, _, entry) in requests.entries {
                guard let method = entry["method"]?.string.flatMap(Method.init(rawValue:)), let params = entry["params"] else {
                    entries.member(key: key, json: entry.json)
                    continue
                }
                let labelled = JSONWriter.object { writer in
                    for (key, name, value) in entry.entries {
                        writer.member(key: key, json: name == "params" ? Self.labelled(params, of: method, label) : value.json)
                    }
                }
                entries.member(key: key, json: labelled)
            }
        }
    }

    /// The key of `_meta` under which a host finds the name of the server that asks for a sample.
    private static let serverKey = "dev.mcpagg/server"

    /// The host sees one server, us: the text of an elicitation, and `_meta` of a request for a sample, say which one asks.
    /// - Parameters:
    ///   - params: of the question.
    ///   - label: the server's name.
    package static func labelled(_ params: JSONView, of method: Method, _ label: String) -> ByteBuffer {
        JSONWriter.object { writer in
            var hasMeta = false
            for (key, name, value) in params.entries {
                switch name {
                case "message" where method == .elicit && value.kind == .string:
                    // In front of the text as it was written.
                    writer.member(name, json: String(JSONString.encoded("[\(label)] ").dropLast()) + String(value.jsonText.dropFirst()))
                case "_meta" where method == .sample && value.kind == .object:
                    hasMeta = true
                    writer.object(name) { meta in
                        for (key, name, value) in value.entries where name != Self.serverKey { meta.member(key: key, json: value.json) }
                        meta.member(Self.serverKey, label)
                    }
                default: writer.member(key: key, json: value.json)
                }
            }
            if method == .sample, !hasMeta, params["_meta"] == nil { writer.object("_meta") { $0.member(Self.serverKey, label) } }
        }
    }

    /// With our name for the server's in `_meta`.
    private func stamped(_ splice: consuming Splice, _ message: Message) -> Splice {
        if message[.metaServerInfo].isPresent {
            splice.replace(.metaServerInfo, with: .json(identity.json))
        } else if message.isObject(message[.meta]) {
            splice.insert(serverInfo, into: .meta)
        } else if message[.meta].isAbsent {
            splice.insert("\"_meta\":{\(serverInfo)}", into: .result)
        }
        return splice
    }

    private var serverInfo: String { "\"\(MetaKey.serverInfo)\":\(identity.json)" }

    /// A result that we compose, for a host of the stateless era.
    /// - Parameter result: the text of an object in the form of the handshake era, without `_meta`.
    package func stateless(_ result: ByteBuffer, freshness: Freshness?) -> ByteBuffer {
        var text = ByteBuffer()
        text.reserveCapacity(result.readableBytes + 256)
        text.writeString("{\"resultType\":\"complete\",")
        if let freshness {
            text.writeString("\"ttlMs\":\(freshness.timeToLive),\"cacheScope\":\"\(freshness.isPublic ? "public" : "private")\",")
        }
        text.writeString("\"_meta\":{\(serverInfo)}")
        if result.readableBytes > 2 {
            text.writeInteger(UInt8(ascii: ","))
            text.writeBytes(result.readableBytesView.dropFirst())
        } else {
            text.writeInteger(UInt8(ascii: "}"))
        }
        return text
    }

    /// What a server asks for, as the answer to the host's request (2026-07-28, basic, "Multi round-trip requests").
    package func inputRequired(_ requests: [(key: String, method: Method, params: ByteBuffer)], state: String) -> ByteBuffer {
        JSONWriter.object { result in
            result.member("resultType", "input_required")
            result.object("inputRequests") { entries in
                for (key, method, params) in requests {
                    entries.object(key) {
                        $0.member("method", method.rawValue)
                        $0.member("params", json: params)
                    }
                }
            }
            result.member("requestState", state)
            result.object("_meta") { $0.member(MetaKey.serverInfo, json: identity.json) }
        }
    }

    // MARK: Tasks

    /// A message whose `_meta` names a task, with the task's name on the next hop.
    /// - Parameter task: JSON text; `nil` for a host that knows nothing of the task.
    package func relatedTask(in message: Message, _ task: String?) -> Message {
        let meta = message.view(message[.meta])
        guard meta.members.contains(where: { $0.name == MetaKey.relatedTask }) else { return message }
        var splice = Splice(message)
        if task == nil, meta.members.count == 1 {
            splice.remove([.meta])
        } else {
            let rewritten = JSONWriter.object { writer in
                for (name, value) in meta.members where name != MetaKey.relatedTask { writer.member(name, json: value.json) }
                if let task { writer.object(MetaKey.relatedTask) { $0.member("taskId", json: task) } }
            }
            splice.replace(.meta, with: .bytes(rewritten))
        }
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    // MARK: Errors, to a host

    /// A server's error in terms of the host's hop: some codes say something of the connection they come over, and others exist in
    /// one era alone.
    /// - Parameter isRead: it answers a `resources/read`.
    package func error(_ message: Message, from server: Revision.Era, to host: Revision.Era, isRead: Bool) -> Message {
        let code = message.errorSummary.code
        switch code.flatMap(ErrorCode.init(rawValue:)) {
        case .resourceNotFound where host == .stateless: return recoded(message, .invalidParams)
        case .invalidParams where isRead && server == .stateless && host == .handshake:
            // There, this and the URI say that the resource does not exist.
            guard message.view(message[.error])["data"]?["uri"] != nil else { return message }
            return recoded(message, .resourceNotFound)
        case .headerMismatch where server == .stateless || host == .stateless,
            .unsupportedProtocolVersion where server == .stateless || host == .stateless:
            return recoded(message, .internalError)
        // Of a server of the handshake era it is a code of its own, which a stateless host would misunderstand as well.
        case .missingClientCapability where server != host: return recoded(message, .internalError)
        default: return message
        }
    }

    private func recoded(_ message: Message, _ code: ErrorCode) -> Message {
        let error = JSONWriter.object { writer in
            for (name, value) in message.view(message[.error]).members {
                if name == "code" { writer.member("code", code.rawValue) } else { writer.member(name, json: value.json) }
            }
        }
        var splice = Splice(message)
        splice.replace(.error, with: .bytes(error))
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    // MARK: Notifications

    /// A notification without what its `_meta` says of its own hop.
    package func endToEnd(_ message: Message) -> Message {
        guard message[.meta].isPresent else { return message }
        let meta = JSONWriter.object { $0.endToEndMembers(of: message.view(message[.meta])) }
        var splice = Splice(message)
        if meta.readableBytes > 2 { splice.replace(.meta, with: .bytes(meta)) } else { splice.remove([.meta]) }
        return (try? Message(scanning: splice.bytes)) ?? message
    }

    /// A server's notification that a resource has changed, for the listener that asked for it under this id; `nil` for a host of the
    /// handshake era.
    package func resourceUpdated(_ message: Message, listener: RequestID?) -> ByteBuffer {
        let params = message.view(message[.params])
        return Composition.notification(
            .resourcesUpdated,
            params: JSONWriter.object { writer in
                for (key, name, value) in params.entries where name != "_meta" { writer.member(key: key, json: value.json) }
                let meta = JSONWriter.object { meta in
                    meta.endToEndMembers(of: params["_meta"])
                    if let listener { meta.member(MetaKey.subscriptionID, json: listener.text) }
                }
                if meta.readableBytes > 2 { writer.member("_meta", json: meta) }
            })
    }

    /// A change notification, tagged for the listener that asked for it under this id; `nil` for a host of the handshake era.
    package func changed(_ method: Method, uri: String? = nil, listener: RequestID?) -> ByteBuffer {
        guard uri != nil || listener != nil else { return Composition.notification(method) }
        return Composition.notification(
            method,
            params: JSONWriter.object { params in
                if let uri { params.member("uri", uri) }
                if let listener { params.object("_meta") { $0.member(MetaKey.subscriptionID, json: listener.text) } }
            })
    }

    /// Says what a listener will be told of.
    package func acknowledged(_ filter: SubscriptionFilter, listener: RequestID) -> ByteBuffer {
        Composition.notification(
            .acknowledged,
            params: JSONWriter.object { params in
                params.object("notifications") { filter.write(to: &$0) }
                params.object("_meta") { $0.member(MetaKey.subscriptionID, json: listener.text) }
            })
    }

    /// Nothing more is told to the listener: the answer to its request.
    package func listenEnded(_ listener: RequestID) -> ByteBuffer {
        Composition.result(
            id: listener,
            JSONWriter.object { result in
                result.member("resultType", "complete")
                result.object("_meta") {
                    $0.member(MetaKey.subscriptionID, json: listener.text)
                    $0.member(MetaKey.serverInfo, json: identity.json)
                }
            })
    }
}
