package import JSONRPC
package import MCPProtocol
package import NIOCore
package import Resilience

/// Our side, as the client, of one connection to a downstream: handshake, lists, and the requests in flight.
///
/// A value: it returns what is to be done and does nothing itself. A connection that was lost gets a new one of these.
package struct DownstreamProtocol: Sendable {
    package enum Phase: Hashable, Sendable {
        /// Nothing was sent; can go to initializing, discovering.
        case idle
        /// `initialize` was sent; can go to discovering, listing, or to ready if the server has nothing to list.
        case initializing
        /// `server/discover` was sent; can go to initializing, listing, or to ready if the server has nothing to list.
        case discovering
        /// The first lists are being read; can go to ready.
        case listing
        /// Requests may be sent; final.
        case ready
    }

    /// What the server told of itself.
    package struct Introduction: Hashable, Sendable {
        package var revision: Revision
        package var capabilities: ServerCapabilities
        package var name: String
        package var version: String
        package var instructions: String?
    }

    /// Which era to speak with the server (2026-07-28, basic/versioning).
    package enum EraChoice: Hashable, Sendable {
        /// The other one only if it does not speak this one.
        case preferring(Revision.Era)
        case only(Revision.Era)

        fileprivate var first: Revision.Era {
            switch self {
            case .preferring(let era), .only(let era): era
            }
        }

        fileprivate func allows(_ era: Revision.Era) -> Bool { self != .only(era == .stateless ? .handshake : .stateless) }
    }

    package enum Action: Sendable {
        case send([ByteBuffer])
        /// These are the server's features of this kind now, each an element of the list's result.
        case listed(FeatureKind, [JSONView], then: [ByteBuffer])
        /// The list could not be read, for this reason; what was known before stays.
        case listFailed(FeatureKind, String, then: [ByteBuffer])
        /// The message answers this request.
        case answer(ForwardedRequest)
        /// The message is progress of this request, for which the host has a token.
        case progress(ForwardedRequest, token: String)
        /// The message is progress under the token of a request that was answered: perhaps with a task.
        case lateProgress(Int)
        /// The message tells how a task is.
        case taskStatus
        /// The message is a log message of the server.
        case log
        /// The message answers this request, but under an id of another type.
        case misaddressed(ForwardedRequest)
        /// Lists are to be read again, at ``relistDue``.
        case listChanged
        /// The server asks for something that only a host can give.
        case ask(RequestID, Method)
        /// The server takes its question back.
        case withdraw(RequestID)
        /// The message tells of a resource, or of an elicitation: hosts that asked for that are told.
        case notify(Method)
        /// The request became a task: ``pollTask(_:)`` is to be called after this time, again and again.
        case taskGoesOn(Int, pause: Duration, then: [ByteBuffer])
        /// The task of this request has come to this answer.
        case taskEnded(ForwardedRequest, Message)
        /// The task of this request wants to know this, by its own keys: objects with `method` and `params`.
        case taskAsks(Int, [(key: String, request: JSONView)])
        /// The server stopped telling of changes: ``listen(to:)`` is to be called again after a while.
        case listenEnded
        /// The answer to a request that was cancelled, or given up.
        case late
        /// The server cannot be used, for this reason.
        case unusable(String)
        /// Nothing, for this reason.
        case ignore(String)
    }

    private enum Waiting: Sendable {
        case initialize
        case discover
        /// `subscriptions/listen`, which is answered when the server stops telling of changes.
        case listen
        case list(FeatureKind, deadline: Instant)
        /// Something whose answer only matters if it is a refusal.
        case own(Method)
        /// A look at the task that this request became, or the wait for its result.
        case task(of: Int, Method)
        case forwarded(ForwardedRequest, deadline: Instant)
    }

    /// How long one page of a list may take. The first lists are bounded by the server's start-up time as well.
    package static let listTimeout = Duration.seconds(30)

    package private(set) var phase = Phase.idle
    package private(set) var introduction: Introduction?
    /// Of the connection, once it is agreed on.
    package var era: Revision.Era? { introduction?.revision.era }
    /// Answers that came after their request was cancelled or given up.
    package private(set) var lateAnswers = 0
    private var requests = RequestTable<Waiting>()
    private var readers: [FeatureKind: ListReader] = [:]
    private var choice = EraChoice.preferring(.handshake)
    private var capabilities = ClientCapabilities()
    private var discoveries = 0
    /// What `initialize` was refused with.
    private var refusal: String?
    /// The `subscriptions/listen` asked for last, and the one before it, which is ended as soon as the server has acknowledged this.
    private var listening: (id: Int, filter: SubscriptionFilter)?
    private var overtaken: Int?
    /// What the host last set, or wants set as soon as we may.
    package private(set) var level: LogLevel?
    private let identity: Implementation

    package init(identity: Implementation, level: LogLevel?) {
        self.identity = identity
        self.level = level
    }

    /// Requests of hosts, sent and not answered.
    package var requestsInFlight: Int {
        requests.entries.reduce(0) { count, waiting in
            if case .forwarded = waiting.entry { count + 1 } else { count }
        }
    }

    /// Requests of hosts, sent and not answered, by our ids of them.
    package var forwarded: [(id: Int, request: ForwardedRequest)] {
        requests.entries.compactMap { waiting in
            if case .forwarded(let request, _) = waiting.entry { (waiting.id, request) } else { nil }
        }
    }

    /// The request that was sent last, of those that may lead to questions, and is not answered: on stdio a server does not say for
    /// which request it asks.
    package var newestRequest: (id: Int, request: ForwardedRequest)? {
        // Later ids are greater.
        forwarded.filter(\.request.purpose.mayAsk).max { $0.id < $1.id }
    }

    /// Changes whose request one in flight is; its time begins anew.
    package mutating func update(_ id: Int, now: Instant, _ change: (inout ForwardedRequest) -> Void) {
        guard case .forwarded(var request, _) = requests[id] else { return }
        change(&request)
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
    }

    /// A request to subscribe to this resource was sent and is not answered.
    package func isSubscribing(to uri: String) -> Bool {
        requests.entries.contains { waiting in
            if case .forwarded(let request, _) = waiting.entry { request.purpose == .subscribe(uri: uri) } else { false }
        }
    }

    // MARK: What we send

    /// The connection is open: the `initialize` or `server/discover` to send.
    /// - Parameter capabilities: what hosts can do for the server.
    package mutating func opened(_ capabilities: ClientCapabilities, era: EraChoice = .preferring(.handshake)) -> ByteBuffer? {
        guard phase == .idle else { return nil }
        self.capabilities = capabilities
        choice = era
        return choice.first == .handshake ? initialize() : discover()
    }

    private mutating func discover() -> ByteBuffer? {
        guard let id = requests.insert(.discover) else { return nil }
        discoveries += 1
        phase = .discovering
        return request(id, .discover, era: .stateless)
    }

    private mutating func initialize() -> ByteBuffer? {
        guard let id = requests.insert(.initialize) else { return nil }
        phase = .initializing
        let params = JSONWriter.object { params in
            params.member("protocolVersion", Revision.newestHandshake.rawValue)
            params.object("capabilities") { capabilities.write(to: &$0) }
            params.member("clientInfo", json: identity.json)
        }
        return Composition.request(id: id, .initialize, params: params)
    }

    /// The server is silent though it was asked what it speaks: many older servers wait for `initialize`.
    /// - Returns: that, if it is to be tried.
    package mutating func discoveryTimedOut() -> ByteBuffer? {
        guard phase == .discovering, choice.allows(.handshake), refusal == nil else { return nil }
        for (id, waiting) in Array(requests.entries) { if case .discover = waiting { _ = requests.remove(id) } }
        return initialize()
    }

    /// A request of our own.
    private func request(
        _ id: Int, _ method: Method, era: Revision.Era? = nil, _ members: ((inout JSONWriter) -> Void)? = nil
    ) -> ByteBuffer {
        guard era ?? self.era == .stateless else {
            return Composition.request(id: id, method, params: members.map { JSONWriter.object($0) })
        }
        let params = JSONWriter.object { params in
            members?(&params)
            params.object("_meta") { $0.envelope(Envelope(), from: identity) }
        }
        return Composition.request(id: id, method, params: params)
    }

    /// Takes a request that is about to be sent.
    /// - Returns: the id to send it under, which is also the progress token to ask for; `nil` if too many requests are waiting.
    package mutating func forward(_ request: ForwardedRequest, now: Instant) -> Int? {
        requests.insert(.forwarded(request, deadline: request.deadline(from: now)))
    }

    /// Gives a request up. Its answer, should it come, is dropped.
    /// - Returns: the request, if it was still in flight, so that the server has to be told.
    package mutating func abandon(_ id: Int) -> ForwardedRequest? {
        guard case .forwarded(let request, _) = requests[id] else { return nil }
        // Its place is free at once: a server that honours the cancellation never answers. The id is not used again, so an answer
        // that comes all the same is known for what it is.
        _ = requests.remove(id)
        return request
    }

    /// - Returns: the request to send, if the server logs and we may ask it now; else it is sent as soon as we may.
    package mutating func setLevel(_ level: LogLevel) -> ByteBuffer? {
        self.level = level
        return phase == .ready && era == .handshake ? levelRequest() : nil
    }

    /// A request of our own, whose answer only matters if it is a refusal.
    package mutating func ask(_ method: Method, _ members: @escaping (inout JSONWriter) -> Void) -> ByteBuffer? {
        requests.insert(.own(method)).map { request($0, method, members) }
    }

    /// Opens the stream on which a stateless server tells of changes, or another one in its place: what it tells of cannot be changed.
    /// - Parameter uris: resources that hosts want to hear of.
    package mutating func listen(to uris: [String]) -> [ByteBuffer] {
        guard era == .stateless, let capabilities = introduction?.capabilities else { return [] }
        var filter = SubscriptionFilter()
        filter.kinds = capabilities.announced.intersection(capabilities.listed)
        filter.uris = uris
        guard listening?.filter != filter else { return [] }
        var messages: [ByteBuffer] = []
        if filter.isEmpty {
            guard let old = listening else { return [] }
            listening = nil
            _ = requests.remove(old.id)
            return [Self.cancellation(of: old.id, reason: "nothing is to be told any more")]
        }
        guard let id = requests.insert(.listen) else { return [] }
        messages.append(request(id, .listen) { params in params.object("notifications") { filter.write(to: &$0) } })
        // One that was never acknowledged is ended at once; the one before it still tells.
        if let old = listening?.id {
            if let older = overtaken {
                _ = requests.remove(old)
                messages.append(Self.cancellation(of: old, reason: "overtaken"))
                overtaken = older
            } else {
                overtaken = old
            }
        }
        listening = (id, filter)
        return messages
    }

    /// The server tells of changes under this id now.
    private mutating func acknowledged(_ message: Message) -> Action {
        let id = message.view(message.places[.meta])[MetaKey.subscriptionID]?.integer
        guard let id, id == listening?.id else { return .ignore("an acknowledgement of something it was not asked for") }
        guard let old = overtaken else { return .ignore("its acknowledgement") }
        overtaken = nil
        _ = requests.remove(old)
        return .send([Self.cancellation(of: old, reason: "another subscription has taken its place")])
    }

    /// The server ended what it told of changes on.
    private mutating func listenEnded(_ id: Int, refusal: String?) -> Action {
        if overtaken == id { overtaken = nil }
        guard listening?.id == id else { return .ignore("the end of an overtaken subscription") }
        if let refusal {
            // It stays as it is: asked again, the server would say so again.
            return .ignore("its refusal of 'subscriptions/listen': \(refusal)")
        }
        listening = nil
        // What changes until it tells again is not to be missed.
        for kind in readers.keys { readers[kind]?.changed() }
        return .listenEnded
    }

    /// The notification that tells the server we gave up on a request of ours.
    package static func cancellation(of id: Int, reason: String) -> ByteBuffer {
        Composition.notification(
            .cancelled,
            params: JSONWriter.object {
                $0.member("requestId", id)
                $0.member("reason", reason)
            })
    }

    // MARK: What we receive

    package mutating func received(_ message: Message, now: Instant) -> Action {
        switch message.kind {
        case .result, .error: answer(message, now: now)
        case .request: request(message)
        case .notification: notification(message, now: now)
        }
    }

    /// The peer sent something for this id that we cannot use.
    /// - Parameter why: completes "its answer is …".
    /// - Returns: what that means: a request that will never be answered, a list that cannot be read, or nothing.
    package mutating func unusableAnswer(_ id: RequestID?, why: String, now: Instant) -> Action {
        guard let id, let number = Int(id.text), let waiting = requests.remove(number) else { return .ignore(why) }
        switch waiting {
        case .forwarded(let request, _): return .answer(request)
        case .initialize: return .unusable("its answer to 'initialize' is \(why)")
        case .discover: return discoveryFailed("its answer to 'server/discover' is \(why)")
        case .listen: return listenEnded(number, refusal: why)
        case .task(let id, _):
            guard case .forwarded(let request, _) = requests.remove(id) else { return .ignore(why) }
            return .answer(request)
        case .list(let kind, _): return giveUp(kind, again: false, "its answer to '\(kind.listMethod.rawValue)' is \(why)", now: now)
        case .own: return .ignore(why)
        }
    }

    private mutating func answer(_ message: Message, now: Instant) -> Action {
        if let id = message.integerID, let began = taskBegan(id, message, now: now) { return began }
        guard let id = message.integerID, let waiting = requests.remove(id) else {
            if let id = message.integerID, requests.wasUsed(id) {
                lateAnswers += 1
                return .late
            }
            if let text = message.string(message.places[.id]), let id = Int(text), case .forwarded(let request, _) = requests[id] {
                _ = requests.remove(id)
                return .misaddressed(request)
            }
            return .ignore("an answer to a request it was never sent (id \(message.id?.text.prefix(40) ?? "none"))")
        }
        switch waiting {
        case .forwarded(let request, _): return .answer(request)
        case .own(let method):
            guard message.kind == .error else { return .ignore("its answer to '\(method.rawValue)'") }
            return .ignore("its refusal of '\(method.rawValue)': \(message.errorSummary.text)")
        case .initialize: return initialized(message, now: now)
        case .discover: return discovered(message, now: now)
        case .task(let call, let method): return taskAnswered(call, method, message, now: now)
        case .listen: return listenEnded(id, refusal: message.kind == .error ? message.errorSummary.text : nil)
        case .list(let kind, _): return listed(kind, message, now: now)
        }
    }

    // MARK: Tasks that we follow

    /// How long to wait before each look at a task, if its server does not say, and within which bounds it may.
    private static let taskPause = Duration.seconds(1)
    private static let taskPauses = Duration.milliseconds(50)...Duration.seconds(60)

    /// The request of this id stays in flight until its task is over.
    private mutating func taskBegan(_ id: Int, _ message: Message, now: Instant) -> Action? {
        guard case .forwarded(var request, _) = requests[id], request.runsAsTask, request.task == nil, message.kind == .result else {
            return nil
        }
        let result = message.view(message.places[.result])
        let task = era == .handshake ? result["task"] : result["resultType"]?.string == "task" ? result : nil
        guard let task, let name = task["taskId"], name.kind == .string else { return nil }
        let asked = task[era == .handshake ? "pollInterval" : "pollIntervalMs"]?.integer.map { Duration.milliseconds($0) }
        let pause = min(max(asked ?? Self.taskPause, Self.taskPauses.lowerBound), Self.taskPauses.upperBound)
        request.task = ForwardedRequest.TaskRun(id: name.jsonText, pause: pause)
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
        return .taskGoesOn(id, pause: pause, then: [])
    }

    /// - Returns: the request that asks how the task of this request is; `nil` if it is over.
    package mutating func pollTask(_ id: Int) -> ByteBuffer? { askTask(of: id, .tasksGet) }

    private mutating func askTask(of id: Int, _ method: Method) -> ByteBuffer? {
        guard case .forwarded(let request, _) = requests[id], let task = request.task else { return nil }
        return requests.insert(.task(of: id, method)).map { taskRequest($0, method, task) }
    }

    private func taskRequest(
        _ id: Int, _ method: Method, _ task: ForwardedRequest.TaskRun, _ members: (inout JSONWriter) -> Void = { _ in }
    ) -> ByteBuffer {
        let params = JSONWriter.object { params in
            params.member("taskId", json: task.id)
            members(&params)
            guard era == .stateless else { return }
            var capabilities = ClientCapabilities()
            capabilities.tasks = true
            params.object("_meta") { $0.envelope(Envelope(capabilities: capabilities), from: identity) }
        }
        return Composition.request(id: id, method, params: params)
    }

    /// - Returns: the request that ends the task at its server.
    package mutating func cancelTask(_ task: ForwardedRequest.TaskRun) -> ByteBuffer? {
        requests.insert(.own(.tasksCancel)).map { taskRequest($0, .tasksCancel, task) }
    }

    /// - Returns: the request that tells a stateless server what its task wanted to know.
    package mutating func updateTask(of id: Int, key: String, _ response: ByteBuffer) -> ByteBuffer? {
        guard case .forwarded(let request, _) = requests[id], let task = request.task else { return nil }
        return requests.insert(.own(.tasksUpdate)).map { own in
            taskRequest(own, .tasksUpdate, task) { params in params.object("inputResponses") { $0.member(key, json: response) } }
        }
    }

    private mutating func taskAnswered(_ id: Int, _ method: Method, _ message: Message, now: Instant) -> Action {
        guard case .forwarded(var request, _) = requests[id], let task = request.task else { return .late }
        func over(_ answer: Message) -> Action {
            _ = requests.remove(id)
            return .taskEnded(request, answer)
        }
        if method == .tasksResult { return over(message) }
        guard message.kind == .result else {
            return task.awaitsResult ? .taskGoesOn(id, pause: task.pause, then: []) : over(message)
        }
        // A sign of life.
        requests[id] = .forwarded(request, deadline: request.deadline(from: now))
        let result = message.view(message.places[.result])
        let status = result["status"]?.string
        if era == .handshake {
            guard status != "working", !task.awaitsResult else { return .taskGoesOn(id, pause: task.pause, then: []) }
            // Answered when there is one; what the task wants to know is asked meanwhile.
            let question = askTask(of: id, .tasksResult)
            request.task?.awaitsResult = question != nil
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            return .taskGoesOn(id, pause: task.pause, then: question.map { [$0] } ?? [])
        }
        switch status {
        case "completed":
            guard let text = result["result"], let answer = answer("result", text.json) else { return over(message) }
            return over(answer)
        case "failed":
            guard let text = result["error"], let answer = answer("error", text.json) else { return over(message) }
            return over(answer)
        case "cancelled":
            let text = JSONWriter.object {
                $0.member("code", ErrorCode.internalError.rawValue)
                $0.member("message", "The server cancelled the task")
            }
            return answer("error", text).map(over) ?? over(message)
        case "input_required":
            let asked = result["inputRequests"]?.members.filter { !task.asked.contains($0.name) } ?? []
            request.task?.asked.formUnion(asked.map(\.name))
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            guard !asked.isEmpty else { return .taskGoesOn(id, pause: task.pause, then: []) }
            return .taskAsks(id, asked.map { ($0.name, $0.value) })
        default: return .taskGoesOn(id, pause: task.pause, then: [])
        }
    }

    /// An answer as if the server had given it itself.
    private func answer(_ member: String, _ json: ByteBuffer) -> Message? {
        try? Message(
            scanning: JSONWriter.object {
                $0.member("jsonrpc", "2.0")
                $0.member("id", 0)
                $0.member(member, json: json)
            })
    }

    private mutating func initialized(_ message: Message, now: Instant) -> Action {
        guard message.kind == .result else {
            let refusal = "it refused 'initialize': \(message.errorSummary.text)"
            // Once before, once after this: a slow server may hold us to an era by a `server/discover` that we gave up on.
            guard choice.allows(.stateless), discoveries < 2 else { return .unusable(refusal) }
            self.refusal = refusal
            return discover().map { .send([$0]) } ?? .unusable(refusal)
        }
        let result = message.view(message.places[.result])
        guard let asked = result["protocolVersion"]?.string else {
            return .unusable("its answer to 'initialize' names no protocol version")
        }
        guard let revision = Revision(rawValue: asked), revision.era == .handshake else {
            return .unusable("it speaks MCP revision '\(asked.prefix(40))', which cannot be agreed on in 'initialize'")
        }
        let capabilities = ServerCapabilities(result["capabilities"], revision: revision)
        introduction = Introduction(
            revision: revision, capabilities: capabilities,
            name: result["serverInfo"]?["name"]?.string ?? "",
            version: result["serverInfo"]?["version"]?.string ?? "",
            instructions: result["instructions"]?.string)
        phase = .listing
        let messages = [Composition.notification(.initialized)] + capabilities.listed.compactMap { beginList($0, now: now) }
        return .send(messages + becomeReadyIfListed())
    }

    private mutating func discovered(_ message: Message, now: Instant) -> Action {
        guard message.kind == .result else {
            let (code, text) = message.errorSummary
            let supported = message.view(message.places[.error])["data"]?["supported"]?.elements.compactMap(\.string) ?? []
            switch code.flatMap(ErrorCode.init(rawValue:)) {
            case .unsupportedProtocolVersion where supported.contains { Revision(rawValue: $0)?.era == .handshake }:
                return discoveryFailed("it speaks no revision of the stateless era that we know: \(text)")
            case .unsupportedProtocolVersion, .headerMismatch, .missingClientCapability:
                // Whoever says so speaks the stateless era, and no other.
                return .unusable("it refused 'server/discover': \(text)")
            default: return discoveryFailed("it refused 'server/discover': \(text)")
            }
        }
        let result = message.view(message.places[.result])
        guard let versions = result["supportedVersions"], versions.kind == .array else {
            return discoveryFailed("its answer to 'server/discover' names no versions")
        }
        let known = versions.elements.compactMap { $0.string.flatMap(Revision.init(rawValue:)) }
        guard let revision = known.filter({ $0.era == .stateless }).max() else {
            return discoveryFailed("it speaks none of the stateless revisions that we know")
        }
        let info = message.view(message.places[.meta])[MetaKey.serverInfo]
        let capabilities = ServerCapabilities(result["capabilities"], revision: revision)
        introduction = Introduction(
            revision: revision, capabilities: capabilities, name: info?["name"]?.string ?? "", version: info?["version"]?.string ?? "",
            instructions: result["instructions"]?.string)
        phase = .listing
        // First, or what changes while the lists are read would be missed.
        let messages = listen(to: []) + capabilities.listed.compactMap { beginList($0, now: now) }
        return .send(messages + becomeReadyIfListed())
    }

    private mutating func discoveryFailed(_ why: String) -> Action {
        if let refusal { return .unusable(refusal) }
        guard choice.allows(.handshake) else { return .unusable(why) }
        return initialize().map { .send([$0]) } ?? .unusable(why)
    }

    private mutating func request(_ message: Message) -> Action {
        guard let id = message.id else { return .ignore("a request without an id") }
        // Stateless servers ask in their results alone.
        if era == .stateless { return .send([Composition.error(id: id, .methodNotFound, "Servers send no requests in this revision")]) }
        switch message.method {
        case .ping: return .send([Composition.result(id: id, Composition.emptyResult)])
        case .rootsList, .sample, .elicit: return message.method.map { .ask(id, $0) } ?? .ignore("")
        default: return .send([Composition.error(id: id, .methodNotFound, "Method not found: \(message.methodName)")])
        }
    }

    private mutating func notification(_ message: Message, now: Instant) -> Action {
        switch message.method {
        case .progress:
            // The token we gave it is our id of the request.
            let id = message.integer(message.places[.progressToken])
            guard let id, case .forwarded(let request, _) = requests[id] else {
                if let id, requests.wasUsed(id) { return .lateProgress(id) }
                return .ignore("progress of nothing that is in flight")
            }
            requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            guard let token = request.progressToken else { return .ignore("progress nobody asked for") }
            return .progress(request, token: token)
        case .message: return .log
        case .cancelled:
            guard message.places[.requestID].isPresent else { return .ignore("a cancellation without 'requestId'") }
            let id = RequestID(text: message.text(message.places[.requestID]))
            if let number = Int(id.text), case .listen = requests[number] {
                _ = requests.remove(number)
                return listenEnded(number, refusal: nil)
            }
            return .withdraw(id)
        case .acknowledged: return acknowledged(message)
        case .taskStatus: return .taskStatus
        case .toolsListChanged: return changed([.tools], now: now)
        case .promptsListChanged: return changed([.prompts], now: now)
        case .resourcesListChanged: return changed([.resources, .templates], now: now)
        case .resourcesUpdated: return .notify(.resourcesUpdated)
        case .elicitationComplete: return .notify(.elicitationComplete)
        default: return .ignore("an unknown notification '\(message.methodName.prefix(80))'")
        }
    }

    // MARK: Lists

    /// When ``relist(now:)`` will have something to do; `nil` if no list is known to have changed, or all those are being read.
    package var relistDue: Instant? { readers.values.compactMap(\.due).min() }

    /// - Returns: the requests for the first pages of the lists that are to be read again now.
    package mutating func relist(now: Instant) -> [ByteBuffer] {
        guard phase == .ready else { return [] }
        return FeatureKind.allCases.compactMap { kind in
            guard let due = readers[kind]?.due, due <= now else { return nil }
            return beginList(kind, now: now)
        }
    }

    private mutating func changed(_ kinds: [FeatureKind], now: Instant) -> Action {
        guard phase == .ready || phase == .listing, let listed = introduction?.capabilities.listed else {
            return .ignore("a changed list before the first")
        }
        for kind in kinds where listed.contains(kind) { readers[kind, default: ListReader(kind)].changed() }
        let requests = relist(now: now)
        return requests.isEmpty ? .listChanged : .send(requests)
    }

    private mutating func beginList(_ kind: FeatureKind, now: Instant) -> ByteBuffer? {
        guard let id = requests.insert(.list(kind, deadline: now.advanced(by: Self.listTimeout))) else { return nil }
        readers[kind, default: ListReader(kind)].begin()
        return request(id, kind.listMethod)
    }

    private mutating func listed(_ kind: FeatureKind, _ message: Message, now: Instant) -> Action {
        guard let step = readers[kind]?.received(message, now: now) else { return .ignore("an answer to a list nobody reads") }
        switch step {
        case .next(let cursor):
            guard let id = requests.insert(.list(kind, deadline: now.advanced(by: Self.listTimeout))) else {
                return giveUp(kind, again: true, "too many requests are waiting", now: now)
            }
            return .send([request(id, kind.listMethod) { $0.member("cursor", json: cursor) }])
        case .complete(let features): return .listed(kind, features, then: becomeReadyIfListed())
        case .failed(let reason): return .listFailed(kind, reason, then: becomeReadyIfListed())
        }
    }

    private mutating func giveUp(_ kind: FeatureKind, again: Bool, _ reason: String, now: Instant) -> Action {
        readers[kind]?.giveUp(again: again, now: now)
        return .listFailed(kind, reason, then: becomeReadyIfListed())
    }

    /// With the last of the first lists the server is ready.
    private mutating func becomeReadyIfListed() -> [ByteBuffer] {
        guard phase == .listing, !readers.values.contains(where: \.isReading) else { return [] }
        phase = .ready
        return levelRequest().map { [$0] } ?? []
    }

    /// How long the list that was read last may be taken for granted.
    package func freshness(of kind: FeatureKind) -> Freshness { readers[kind]?.freshness ?? .none }

    private mutating func levelRequest() -> ByteBuffer? {
        guard let level, era == .handshake, introduction?.capabilities.logging == true else { return nil }
        return ask(.setLevel) { $0.member("level", level.rawValue) }
    }

    // MARK: Ends

    /// We did not listen, or a person is being asked: what the requests in flight have waited until now does not count.
    package mutating func extendDeadlines(now: Instant) {
        for (id, waiting) in Array(requests.entries) {
            switch waiting {
            case .forwarded(let request, _): requests[id] = .forwarded(request, deadline: request.deadline(from: now))
            case .list(let kind, _): requests[id] = .list(kind, deadline: now.advanced(by: Self.listTimeout))
            case .initialize, .discover, .listen, .task, .own: break
            }
        }
    }

    /// The requests whose time is over. They are abandoned with that; their server has to be told.
    package mutating func expire(now: Instant) -> [(id: Int, request: ForwardedRequest)] {
        var expired: [(id: Int, request: ForwardedRequest)] = []
        var forgotten: [Int] = []
        for (id, waiting) in requests.entries {
            switch waiting {
            case .forwarded(let request, let deadline) where deadline <= now: expired.append((id, request))
            case .list(let kind, let deadline) where deadline <= now && phase == .ready:
                forgotten.append(id)
                // What it was read for may still be true.
                readers[kind]?.giveUp(again: true, now: now)
            case .forwarded, .initialize, .discover, .listen, .task, .list, .own: break
            }
        }
        for (id, _) in expired { _ = abandon(id) }
        for id in forgotten { _ = requests.remove(id) }
        return expired
    }

    /// When ``expire(now:)`` will next have something to do.
    package var nextDeadline: Instant? {
        requests.entries.compactMap { waiting -> Instant? in
            switch waiting.entry {
            case .forwarded(_, let deadline): deadline
            case .list(_, let deadline): phase == .ready ? deadline : nil
            case .initialize, .discover, .listen, .task, .own: nil
            }
        }.min()
    }

    /// The connection is gone.
    /// - Returns: the requests that were sent and will never be answered.
    package mutating func closed() -> [ForwardedRequest] {
        requests.removeAll().compactMap { waiting in
            if case .forwarded(let request, _) = waiting { request } else { nil }
        }
    }
}
