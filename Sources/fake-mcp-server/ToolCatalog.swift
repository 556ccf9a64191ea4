import JSONRPC
import NIOCore

/// The tools the server offers: those with a purpose, the fillers, and those added while it runs.
struct ToolCatalog {
    private static let fillerPrefix = "tool_"
    private static let addedPrefix = "added_"

    private let fillers: Int
    private let fixed: [Definition]
    private let server: String
    private var added = 0

    /// - Parameter server: the name in the URIs of its resources.
    init(fillers: Int, features: Features, server: String) {
        self.fillers = fillers
        self.server = server
        fixed = Self.basic + Self.more.filter { features.contains($0.feature) }.flatMap(\.tools)
    }

    mutating func addOne() { added += 1 }

    /// Whether the list that this client sees has the name.
    func offers(_ name: String, to peer: Peer) -> Bool {
        fixed.contains { $0.name == name && $0.isOffered(to: peer) } || isFiller(name)
    }

    /// Tools without a purpose of their own answer as echo does.
    private func isFiller(_ name: String) -> Bool {
        func number(after prefix: String) -> Int? { name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil }
        if let number = number(after: Self.fillerPrefix) { return (0..<fillers).contains(number) }
        if let number = number(after: Self.addedPrefix) { return number >= 1 && number <= added }
        return false
    }

    /// In the words of the core protocol; `nil` for a tool that cannot be a task.
    func taskSupport(_ name: String) -> TaskSupport? { fixed.first { $0.name == name }?.taskSupport }

    /// Definitions, in the order in which they are listed.
    func definitions(for peer: Peer) -> [String] {
        fixed.filter { $0.isOffered(to: peer) }.map { $0.json(for: peer, server: server) }
            + (0..<fillers).map { index in
                Definition("\(Self.fillerPrefix)\(index)", "Filler number \(index): answers as echo does.", [.readOnly])
            }.map { $0.json(for: peer, server: server) }
            + (0..<added).map { Definition("\(Self.addedPrefix)\($0 + 1)", "Was not there at first.", [.readOnly]) }
            .map { $0.json(for: peer, server: server) }
    }

    enum TaskSupport: String { case optional, required }

    private struct Definition {
        enum Hint { case readOnly, idempotent, destructive }

        let name: String
        let description: String
        let hints: [Hint]
        let properties: String
        let required: [String]
        let taskSupport: TaskSupport?
        let hasView: Bool

        /// - Parameter properties: JSON text of the members of the schema's `properties`.
        init(
            _ name: String, _ description: String, _ hints: [Hint] = [], properties: String = "", required: [String] = [],
            taskSupport: TaskSupport? = nil, hasView: Bool = false
        ) {
            self.name = name
            self.description = description
            self.hints = hints
            self.properties = properties
            self.required = required
            self.taskSupport = taskSupport
            self.hasView = hasView
        }

        /// A client without tasks cannot call a tool that is always one.
        func isOffered(to peer: Peer) -> Bool { taskSupport != .required || peer.hasCoreTasks || peer.era == .stateless }

        func json(for peer: Peer, server: String) -> String {
            let tool = JSONWriter.object { tool in
                tool.member("name", name)
                tool.member("description", description)
                tool.object("inputSchema") { schema in
                    schema.member("type", "object")
                    schema.member("properties", json: "{\(properties)}")
                    if !required.isEmpty { schema.array("required") { names in required.forEach { names.value($0) } } }
                }
                tool.object("annotations") { annotations in
                    annotations.member("readOnlyHint", hints.contains(.readOnly))
                    annotations.member("idempotentHint", hints.contains(.readOnly) || hints.contains(.idempotent))
                    annotations.member("destructiveHint", hints.contains(.destructive))
                }
                if let taskSupport, peer.hasCoreTasks { tool.object("execution") { $0.member("taskSupport", taskSupport.rawValue) } }
                if hasView { tool.object("_meta") { $0.object("ui") { $0.member("resourceUri", ResourceCatalog.view(of: server)) } } }
            }
            return String(buffer: tool)
        }
    }

    private static let basic: [Definition] = [
        Definition(
            "echo", "Returns its arguments as they came, byte for byte; the text is that of the argument text.", [.readOnly],
            properties: #""text":{"type":"string"}"#),
        Definition(
            "add", "Adds two integers.", [.readOnly], properties: #""a":{"type":"integer"},"b":{"type":"integer"}"#, required: ["a", "b"]),
        Definition(
            "typed", "Returns its arguments, one property of each JSON type.", [.readOnly],
            properties: #""integer":{"type":"integer"},"number":{"type":"number"},"boolean":{"type":"boolean"},"string":{"type":"string"},"#
                + #""array":{"type":"array","items":{"type":"integer"}},"object":{"type":"object"},"#
                + #""enum":{"enum":["red","green","blue"]}"#),
        Definition(
            "payload", "Returns a text of so many bytes.", [.readOnly], properties: #""bytes":{"type":"integer"}"#, required: ["bytes"]),
        Definition(
            "sleep", "Answers after so many milliseconds, with the given text. Any number of them sleep at once.", [.readOnly],
            properties: #""ms":{"type":"integer"},"text":{"type":"string"}"#, required: ["ms"]),
        Definition("fail", "Returns a result that is an error of the tool.", [.idempotent], properties: #""text":{"type":"string"}"#),
        Definition(
            "error", "Is answered with a JSON-RPC error.", [.idempotent],
            properties: #""code":{"type":"integer"},"message":{"type":"string"}"#),
        Definition(
            "progress", "Reports its progress in so many steps.", [.readOnly],
            properties: #""steps":{"type":"integer"},"delayMs":{"type":"integer"}"#, required: ["steps"]),
        Definition(
            "log", "Sends a log message, whatever level the client asked for.", [.readOnly],
            properties: #""level":{"type":"string"},"text":{"type":"string"}"#),
        Definition("hang", "Never answers; tells of progress 0 if it was given a token, so that the caller knows it has begun."),
        Definition("exit", "Ends the server without an answer.", properties: #""code":{"type":"integer"}"#),
        Definition("crash", "Kills the server with SIGKILL.", [.destructive]),
        Definition("garbage", "Writes a line of invalid bytes, then answers.", [.readOnly]),
        Definition(
            "long_line", "Writes a line of so many bytes that is no JSON, then answers.", [.readOnly],
            properties: #""bytes":{"type":"integer"}"#, required: ["bytes"]),
        Definition("change_tools", "Adds a tool and tells the client."),
        Definition("grandchild", "Starts a child of the server that sleeps; returns its process id."),
        Definition("environment", "Returns the environment variables and the working directory of the server.", [.readOnly]),
    ]

    /// What comes with a feature beyond the default ones.
    private static let more: [(feature: Features, tools: [Definition])] = [
        (.prompts, [Definition("change_prompts", "Adds a prompt and tells the client.")]),
        (
            .resources,
            [
                Definition("change_resources", "Adds a resource and tells the client."),
                Definition("view", "Returns the text resource as embedded content; it has a view of its own.", [.readOnly], hasView: true),
                Definition("link", "Returns a link to a resource that can be read but is in no list.", [.readOnly]),
            ]
        ),
        (
            .subscribe,
            [
                Definition(
                    "touch_resource", "Tells those who have subscribed to it that a resource has changed.",
                    properties: #""uri":{"type":"string"}"#, required: ["uri"])
            ]
        ),
        (
            .asking,
            [
                Definition(
                    "ask", "Asks the client all questions at once, or in sequence, and returns what it answers.",
                    properties: #""questions":{"type":"array","items":{"type":"object"}},"sequence":{"type":"boolean"},"#
                        + #""text":{"type":"string"},"force":{"type":"boolean"},"require":{"type":"boolean"},"#
                        + #""thenExitMs":{"type":"integer"},"cancelQuestionsMs":{"type":"integer"},"#
                        + #""noState":{"type":"boolean"},"stateOnly":{"type":"integer"}"#, required: ["questions"]),
                Definition(
                    "nested", "Asks with a form so many times, one after the other.",
                    properties: #""depth":{"type":"integer"},"force":{"type":"boolean"},"require":{"type":"boolean"}"#,
                    required: ["depth"]),
                Definition(
                    "needs_url", "Wants a URL to be visited before it works; one that was asked for counts as visited.",
                    properties: #""url":{"type":"string"},"force":{"type":"boolean"}"#, required: ["url"]),
                Definition(
                    "elicitation_complete", "Tells the client that a URL elicitation is over.",
                    properties: #""elicitationId":{"type":"string"}"#, required: ["elicitationId"]),
                Definition(
                    "roots", "Returns the roots of the client.", [.readOnly],
                    properties: #""force":{"type":"boolean"},"require":{"type":"boolean"}"#),
                Definition(
                    "unsolicited", "Answers, and 10 ms later asks the client something that belongs to no request of its own.",
                    properties: #""method":{"type":"string"},"params":{"type":"object"},"force":{"type":"boolean"}"#),
                Definition(
                    "executions", "Returns how often what has begun, finished and been cancelled: of all, or of only one.", [.readOnly],
                    properties: #""only":{"type":"string"}"#),
                Definition(
                    "log_at", "Sends a log message if the client asked for its level.", [.readOnly],
                    properties: #""level":{"type":"string"},"text":{"type":"string"}"#),
            ]
        ),
        (
            .misbehaving,
            [
                Definition(
                    "misbehave", "Does so for so many milliseconds, and says then how often: \(Misbehaviour.Kind.list).", [.readOnly],
                    properties:
                        #""kind":{"type":"string"},"ms":{"type":"integer"},"perSecond":{"type":"integer"},"bytes":{"type":"integer"}"#,
                    required: ["kind", "ms"])
            ]
        ),
        (
            .tasks,
            [
                Definition("slow_task", "A task that takes so long.", properties: taskProperties, taskSupport: .required),
                Definition("maybe_task", "A task, or a call, that takes so long.", properties: taskProperties, taskSupport: .optional),
            ]
        ),
    ]

    private static let taskProperties =
        #""ms":{"type":"integer"},"text":{"type":"string"},"isError":{"type":"boolean"},"error":{"type":"boolean"},"#
        + #""ask":{"type":"boolean"}"#
}
