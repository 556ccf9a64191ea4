package import JSONRPC
package import MCPProtocol
package import NIOCore

/// One host's side of the protocol: what its messages mean, and what they are answered with.
///
/// The era is decided per message: `initialize` opens a session of the handshake era, and a request with an envelope stands for
/// itself (2026-07-28, basic, "Per-request metadata"). Both may come on the same pipe, in any order. It returns what is to be done
/// and does nothing itself.
package final class HostProtocol {
    package enum Session: Hashable, Sendable {
        /// Nothing was agreed on; can go to answered.
        case new
        /// `initialize` was answered, `notifications/initialized` has not come; can go to open, answered.
        case answered(Revision)
        /// Both sides know; can go to answered, if the host starts anew on the same pipe.
        case open(Revision)
    }

    package enum Action: Sendable {
        /// Send this message. It answers the host's request, or tells it of an error.
        case answer(ByteBuffer)
        /// `initialize` was answered with this message: whatever the host asked for before is forgotten.
        case begin(ByteBuffer)
        /// The host is ready for notifications.
        case opened
        /// The request carries this envelope; do the other thing for it.
        indirect case stateless(Envelope, Action)
        /// Tell of these changes, under this id, until the host cancels it.
        case listen(RequestID, SubscriptionFilter)
        case list(FeatureKind, RequestID)
        /// Forward the message to the tool or prompt named in `params.name`.
        case forward(FeatureKind, RequestID)
        /// Forward the message to the owner of the resource in `params.uri`.
        case resource(Method, RequestID)
        /// Forward the message to the server of the task in `params.taskId`.
        case task(Method, RequestID)
        /// Forward the message to the owner of what `params.ref` names.
        case complete(RequestID)
        /// The message answers a question of ours, asked under this id.
        case answered(Int)
        /// The message is progress of an answer to our question of this id.
        case progress(Int)
        /// The host's roots have changed.
        case rootsChanged
        /// Stop what the request of this id is doing; it gets no answer any more.
        case cancel(RequestID)
        /// Pass this level on to every server that logs, then answer with an empty result.
        case setLevel(RequestID, LogLevel)
        /// Nothing, for this reason.
        case ignore(String)
    }

    package private(set) var session = Session.new
    /// The least severe level the host wants log messages of; `nil` if it never said.
    package private(set) var logLevel: LogLevel?
    /// What it can do for servers, as it said in `initialize`.
    package private(set) var capabilities = ClientCapabilities()
    /// Requests with an envelope have come.
    package private(set) var isStateless = false
    private let identity: Implementation

    package init(identity: Implementation) { self.identity = identity }

    /// A connection of our own command line, which needs no handshake.
    package init(openedWith revision: Revision, capabilities: ClientCapabilities, identity: Implementation) {
        self.identity = identity
        self.capabilities = capabilities
        session = .open(revision)
    }

    package var revision: Revision? {
        switch session {
        case .new: nil
        case .answered(let revision), .open(let revision): revision
        }
    }

    /// Whether it may be sent notifications other than about its own requests.
    package var isOpen: Bool {
        switch session {
        case .open: true
        case .new, .answered: false
        }
    }

    /// - Parameters:
    ///   - inBatch: it came in a JSON-RPC batch.
    ///   - instructions: what `initialize` tells the host's model, if anything.
    ///   - extensions: what servers declare of those that only pass through us, as JSON text of an object.
    package func received(
        _ message: Message, inBatch: Bool = false, instructions: @autoclosure () -> String? = nil,
        extensions: @autoclosure () -> String? = nil
    ) -> Action {
        switch message.kind {
        case .request:
            guard let id = message.id else { return .ignore("a request without an id") }
            let introduction = { (instructions: instructions(), extensions: extensions()) }
            let method = message.method
            if method != .initialize, message[.metaProtocolVersion].isPresent {
                return statelessRequest(method, message, id: id, introduction: introduction)
            }
            return request(method, message, id: id, inBatch: inBatch, introduction: introduction)
        case .notification: return notification(message)
        case .result, .error: return message.integerID.map { .answered($0) } ?? .ignore("an answer to a request we never sent")
        }
    }

    /// - Returns: the error to send, if the message deserves one and the host can take it.
    package func unreadable(_ error: MessageError) -> Action {
        let code: ErrorCode =
            switch error.reason {
            case .notJSON: .parseError
            case .notAMessage, .tooLong: .invalidRequest
            }
        // Without a method it may be an answer, whose id is one of ours and no name for anything of the host's.
        if let id = error.id, error.namesMethod { return .answer(Composition.error(id: id, code, "\(error)")) }
        guard revision?.allowsErrorsWithoutID == true else { return .ignore("\(error)") }
        return .answer(Composition.error(id: nil, code, "\(error)"))
    }

    private typealias Introduction = () -> (instructions: String?, extensions: String?)

    // MARK: Handshake era

    private func request(
        _ method: Method?, _ message: Message, id: RequestID, inBatch: Bool, introduction: Introduction
    ) -> Action {
        switch method {
        case .initialize:
            guard !inBatch else { return .answer(Composition.error(id: id, .invalidRequest, "'initialize' cannot be part of a batch")) }
            guard let asked = message.string(message[.protocolVersion]) else {
                return .answer(Composition.error(id: id, .invalidParams, "'initialize' needs 'protocolVersion'"))
            }
            let revision = Revision.negotiated(asked: asked)
            session = .answered(revision)
            logLevel = nil
            capabilities = ClientCapabilities(message.view(message[.params])["capabilities"], revision: revision)
            return .begin(Composition.result(id: id, initializeResult(revision, introduction())))
        case .ping: return .answer(Composition.result(id: id, Composition.emptyResult))
        case .discover where session == .new:
            let text = "'server/discover' needs '\(MetaKey.protocolVersion)' and '\(MetaKey.clientCapabilities)' in '_meta'"
            return .answer(Composition.error(id: id, .invalidParams, text))
        case .discover, .listen: return .answer(methodNotFound(message, id: id))
        default: break
        }
        guard session != .new else {
            let text = """
                '\(message.methodName)' came before 'initialize', and has no '\(MetaKey.protocolVersion)' in '_meta', with which it would \
                need none
                """
            let hasHalf = message[.meta].isPresent && message.view(message[.meta])[MetaKey.clientCapabilities] != nil
            return .answer(Composition.error(id: id, hasHalf ? .invalidParams : .invalidRequest, text))
        }
        if let action = featureRequest(method, message, id: id) { return action }
        switch method {
        case .subscribe: return needing(.uri, "uri", message, id: id) ?? .resource(.subscribe, id)
        case .unsubscribe: return needing(.uri, "uri", message, id: id) ?? .resource(.unsubscribe, id)
        case .tasksGet where revision == .v2025_11_25, .tasksResult where revision == .v2025_11_25,
            .tasksCancel where revision == .v2025_11_25:
            return needing(.taskID, "taskId", message, id: id) ?? method.map { .task($0, id) } ?? .answer(methodNotFound(message, id: id))
        case .setLevel:
            let text = message.string(message[.level])
            guard let level = text.flatMap(LogLevel.init(rawValue:)) else {
                let known = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
                return .answer(Composition.error(id: id, .invalidParams, "Unknown log level; there are \(known)"))
            }
            logLevel = level
            return .setLevel(id, level)
        default: return .answer(methodNotFound(message, id: id))
        }
    }

    // MARK: Stateless era

    private func statelessRequest(
        _ method: Method?, _ message: Message, id: RequestID, introduction: Introduction
    ) -> Action {
        let envelope: Envelope
        do throws(Envelope.Defect) {
            envelope = try Envelope(message.view(message[.meta]))
        } catch {
            switch error {
            case .malformed(let text): return .answer(Composition.error(id: id, .invalidParams, text))
            case .unsupported(let requested): return .answer(unsupported(requested, id: id))
            }
        }
        isStateless = true
        switch method {
        case .discover:
            return .stateless(envelope, .answer(Composition.result(id: id, discoverResult(introduction()))))
        case .listen:
            guard let filter = SubscriptionFilter(message.view(message[.params])["notifications"] ?? message.view(.absent)) else {
                let text = "'subscriptions/listen' needs 'notifications', an object that says what to tell of"
                return .answer(Composition.error(id: id, .invalidParams, text))
            }
            return .stateless(envelope, .listen(id, filter))
        case .tasksGet, .tasksCancel, .tasksUpdate:
            guard envelope.capabilities.tasks else { return .answer(missingTasks(id: id)) }
            let action = needing(.taskID, "taskId", message, id: id) ?? method.map { .task($0, id) }
            return .stateless(envelope, action ?? .answer(methodNotFound(message, id: id)))
        default: return .stateless(envelope, featureRequest(method, message, id: id) ?? .answer(methodNotFound(message, id: id)))
        }
    }

    private func unsupported(_ requested: String, id: RequestID) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("id", json: id.text)
            $0.object("error") {
                $0.member("code", ErrorCode.unsupportedProtocolVersion.rawValue)
                $0.member("message", "Unsupported protocol version in '\(MetaKey.protocolVersion)'; older ones begin with 'initialize'")
                $0.object("data") {
                    $0.array("supported") { $0.value(Revision.newestStateless.rawValue) }
                    $0.member("requested", requested)
                }
            }
        }
    }

    private func missingTasks(id: RequestID) -> ByteBuffer {
        JSONWriter.object {
            $0.member("jsonrpc", "2.0")
            $0.member("id", json: id.text)
            $0.object("error") {
                $0.member("code", ErrorCode.missingClientCapability.rawValue)
                $0.member("message", "The request does not declare the extension '\(Extension.tasks)'")
                $0.object("data") { data in
                    data.object("requiredCapabilities") { $0.object("extensions") { $0.object(Extension.tasks) { _ in } } }
                }
            }
        }
    }

    private func discoverResult(_ introduction: (instructions: String?, extensions: String?)) -> ByteBuffer {
        JSONWriter.object { result in
            result.member("resultType", "complete")
            result.array("supportedVersions") { $0.value(Revision.newestStateless.rawValue) }
            result.object("capabilities") { writeCapabilities(to: &$0, .newestStateless, extensions: introduction.extensions) }
            if let instructions = introduction.instructions { result.member("instructions", instructions) }
            // Servers come and go: what is true now may not be in a moment.
            result.member("ttlMs", 0)
            result.member("cacheScope", "private")
            result.object("_meta") { $0.member(MetaKey.serverInfo, json: identity.json) }
        }
    }

    // MARK: Both eras

    /// What concerns tools, prompts and resources.
    /// - Returns: `nil` for any other method.
    private func featureRequest(_ method: Method?, _ message: Message, id: RequestID) -> Action? {
        switch method {
        case .toolsList: return list(.tools, message, id: id)
        case .promptsList: return list(.prompts, message, id: id)
        case .resourcesList: return list(.resources, message, id: id)
        case .templatesList: return list(.templates, message, id: id)
        case .toolsCall: return needing(.name, "name", message, id: id) ?? .forward(.tools, id)
        case .promptsGet: return needing(.name, "name", message, id: id) ?? .forward(.prompts, id)
        case .resourcesRead: return needing(.uri, "uri", message, id: id) ?? .resource(.resourcesRead, id)
        case .complete:
            guard message[.refName].isPresent || message[.refURI].isPresent else {
                return .answer(Composition.error(id: id, .invalidParams, "'completion/complete' needs 'ref' with 'name' or 'uri'"))
            }
            return .complete(id)
        default: return nil
        }
    }

    private func list(_ kind: FeatureKind, _ message: Message, id: RequestID) -> Action {
        // All pages are one: no cursor was ever handed out, so any that comes is foreign.
        let cursor = message[.cursor]
        guard cursor.isAbsent || message.text(cursor) == "null" else {
            return .answer(Composition.error(id: id, .invalidParams, "Unknown cursor"))
        }
        return .list(kind, id)
    }

    /// - Returns: the refusal of a request that lacks a member it cannot be routed without; `nil` if it has it.
    private func needing(_ member: Message.Member, _ name: String, _ message: Message, id: RequestID) -> Action? {
        if message.isString(message[member]) { return nil }
        return .answer(Composition.error(id: id, .invalidParams, "'\(message.methodName)' needs '\(name)', a string"))
    }

    private func notification(_ message: Message) -> Action {
        switch message.method {
        case .initialized:
            guard case .answered(let revision) = session else { return .ignore("'notifications/initialized' without an 'initialize'") }
            session = .open(revision)
            return .opened
        case .cancelled:
            guard message[.requestID].isPresent else { return .ignore("a cancellation without 'requestId'") }
            return .cancel(RequestID(text: message.text(message[.requestID])))
        case .progress:
            guard let id = message.integer(message[.progressToken]) else { return .ignore("progress under a foreign token") }
            return .progress(id)
        case .rootsListChanged: return .rootsChanged
        default: return .ignore("an unknown notification '\(message.methodName)'")
        }
    }

    private func methodNotFound(_ message: Message, id: RequestID) -> ByteBuffer {
        Composition.error(id: id, .methodNotFound, "Method not found: \(message.methodName)")
    }

    private func initializeResult(_ revision: Revision, _ introduction: (instructions: String?, extensions: String?)) -> ByteBuffer {
        JSONWriter.object { result in
            result.member("protocolVersion", revision.rawValue)
            result.object("capabilities") { writeCapabilities(to: &$0, revision, extensions: introduction.extensions) }
            result.member("serverInfo", json: identity.json)
            if let instructions = introduction.instructions { result.member("instructions", instructions) }
        }
    }

    /// Servers come and go while the host stays, and the handshake's capabilities cannot change later: so always, and always changing.
    private func writeCapabilities(to writer: inout JSONWriter, _ revision: Revision, extensions: String?) {
        for feature in ["prompts", "tools"] { writer.object(feature) { $0.member("listChanged", true) } }
        writer.object("resources") {
            $0.member("subscribe", true)
            $0.member("listChanged", true)
        }
        writer.object("logging") { _ in }
        if revision >= .v2025_03_26 { writer.object("completions") { _ in } }
        if revision == .v2025_11_25 {
            writer.object("tasks") { tasks in
                tasks.object("cancel") { _ in }
                tasks.object("requests") { requests in requests.object("tools") { $0.object("call") { _ in } } }
            }
        }
        guard revision >= .v2025_11_25, extensions != nil || revision.era == .stateless else { return }
        writer.object("extensions") { writer in
            if let extensions {
                for (name, value) in JSONView.whole(ByteBuffer(string: extensions)).members { writer.member(name, json: value.json) }
            }
            if revision.era == .stateless { writer.object(Extension.tasks) { _ in } }
        }
    }
}
