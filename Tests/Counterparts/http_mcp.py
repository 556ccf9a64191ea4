"""A well-behaved MCP server for `http_server`, in every revision and on both transports; what it does wrong, a test makes it do."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

import http_rules as rules
from http_server import Exchange
from http_wire import EVENTS, JSON
from validation import (
    CAPABILITIES, HANDSHAKE_REVISIONS, LOG_LEVEL, NEWEST_HANDSHAKE, SERVER_INFO, STATELESS, SUBSCRIPTION, VERSION, meta_of,
)  # fmt: skip

NAME = {"name": "scripted", "version": "1"}
OBJECT = {"type": "object"}
HEADER_MISMATCH, CAPABILITY_MISSING, VERSION_UNSUPPORTED = -32020, -32021, -32022
FORM = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "Say é"}}], "maxTokens": 5}
# Tools that ask the host for something, and what for.
ASKING: dict[str, tuple[str, dict[str, Any] | None]] = {
    "ask": ("elicitation/create", FORM),
    "sample": ("sampling/createMessage", SAMPLE),
    "roots": ("roots/list", None),
}


def tool(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {**OBJECT, "properties": properties or {}}, **more}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
TOOLS = [
    tool("echo", {"text": TEXT}),
    tool("add", {"a": NUMBER, "b": NUMBER}),
    *(tool(name) for name in ASKING),
    tool("progress", {"steps": NUMBER}),
    # Never answers: the test does, or nobody.
    tool("slow"),
    tool("read", annotations={"readOnlyHint": True}),
]
PROMPT = {"name": "greet", "arguments": [{"name": "name"}]}
RESOURCE = {"uri": "memo://one", "name": "one"}
TEMPLATE = {"uriTemplate": "memo://{name}", "name": "any"}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}], **more}


@dataclass
class Session:
    id: str
    revision: str
    capabilities: dict[str, Any]
    level: str | None = None
    subscriptions: set[str] = field(default_factory=set)
    stream: Exchange | None = None  # of what belongs to no request


class Refused(Exception):
    def __init__(self, code: int, message: str, data: Any = None, status: int = 200):
        super().__init__(code, message, data, status)


@dataclass
class Behaviour:
    eras: tuple[str, ...] = ("handshake",)
    revision: str | None = None  # what it answers to `initialize`; without it, what it is asked for
    answers: str = JSON  # or EVENTS
    has_sessions: bool = True
    has_stream: bool = True
    path: str = "/mcp"
    tools: list[dict[str, Any]] = field(default_factory=lambda: list(TOOLS))
    sessions: dict[str, Session] = field(default_factory=dict)
    listens: list[Exchange] = field(default_factory=list)  # open subscriptions of stateless clients
    questions: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    def __call__(self, exchange: Exchange) -> Any:
        if exchange.request.path != self.path:
            return exchange.answer(404, b"There is nothing here.", "text/plain")
        handler = {"POST": self.posted, "GET": self.stream_wanted, "DELETE": self.session_ended}.get(exchange.request.method)
        return handler(exchange) if handler else exchange.answer(405)

    def forget(self) -> None:
        """As after a restart: no session is known any more."""
        self.sessions.clear()
        self.listens.clear()

    @property
    def session(self) -> Session:
        """The one that there is."""
        (session,) = self.sessions.values()
        return session

    # The handshake era

    def known_session(self, exchange: Exchange) -> Session | None:
        """The session of a request; refused if there is none."""
        id = exchange.request.header("Mcp-Session-Id")
        if not self.has_sessions:
            return self.sessions.get("")
        if id is None:
            exchange.json(problem(-32600, "Bad Request: Missing session ID"), 400)
        elif id not in self.sessions:
            exchange.json(problem(-32600, "Session not found"), 404)
        else:
            return self.sessions[id]
        return None

    def stream_wanted(self, exchange: Exchange) -> None:
        if not self.has_stream or "handshake" not in self.eras:
            return exchange.answer(405, headers=(("Allow", "POST"),))
        session = self.known_session(exchange)
        if session is not None:
            session.stream = exchange.events()
        elif not self.has_sessions:
            exchange.answer(400)

    def session_ended(self, exchange: Exchange) -> None:
        if not self.has_sessions or "handshake" not in self.eras:
            return exchange.answer(405, headers=(("Allow", "POST"),))
        session = self.known_session(exchange)
        if session is not None:
            del self.sessions[session.id]
            if session.stream is not None:
                session.stream.end()
            exchange.answer(200)

    def posted(self, exchange: Exchange) -> Any:
        request, message = exchange.request, exchange.message
        if (request.header("Content-Type") or "").partition(";")[0].strip() != JSON:
            return exchange.answer(415)
        if not all(kind in (request.header("Accept") or "") for kind in (JSON, EVENTS)):
            return exchange.answer(406)
        if VERSION in meta_of(message):
            return self.posted_stateless(exchange)
        if "handshake" not in self.eras:
            data = {"supported": [STATELESS], "requested": message.get("params", {}).get("protocolVersion", "")}
            return exchange.error(VERSION_UNSUPPORTED, "This server has no sessions", data, status=400)
        if message.get("method") == "initialize":
            return self.initialize(exchange)
        session = self.known_session(exchange)
        if session is None:
            return None if exchange.is_over else exchange.answer(400)
        return self.obey(exchange, session)

    def obey(self, exchange: Exchange, session: Session) -> Any:
        message = exchange.message
        if "method" not in message:
            question = self.questions.pop(str(message.get("id")), None)
            if question is not None and not question.done():
                question.set_result(message)
            return self.accept(exchange)
        if "id" not in message:
            return self.accept(exchange)
        if message["method"] == "tools/call" and exchange.params.get("name") in (*ASKING, "progress", "slow"):
            return self.call_slowly(exchange)
        try:
            return self.respond(exchange, self.result(exchange, session))
        except Refused as refused:
            code, reason, data, _ = refused.args
            return self.fail(exchange, code, reason, data)

    def accept(self, exchange: Exchange) -> None:
        """What has no answer here."""
        exchange.answer(202)

    def respond(self, exchange: Exchange, result: Any) -> None:
        if self.answers == EVENTS:
            exchange.events()
        exchange.result(result)

    def fail(self, exchange: Exchange, code: int, reason: str, data: Any = None, status: int = 200) -> None:
        exchange.error(code, reason, data, status)

    def begin_stream(self, exchange: Exchange) -> None:
        """What is said in the middle of a request is said on its own stream."""
        exchange.events()

    def say(self, exchange: Exchange, message: dict[str, Any]) -> None:
        """Something in the middle of a request."""
        exchange.event(message)

    def initialize(self, exchange: Exchange) -> None:
        asked = exchange.params.get("protocolVersion")
        revision = self.revision or (asked if asked in HANDSHAKE_REVISIONS else NEWEST_HANDSHAKE)
        session = Session(uuid.uuid4().hex if self.has_sessions else "", revision, exchange.params.get("capabilities", {}))
        self.sessions[session.id] = session
        headers = (("Mcp-Session-Id", session.id),) if self.has_sessions else ()
        result = {"protocolVersion": revision, "capabilities": self.capabilities(revision), "serverInfo": NAME}
        if self.answers == EVENTS:
            exchange.events(headers)
            headers = ()
        exchange.result(result, headers)

    def capabilities(self, revision: str) -> dict[str, Any]:
        capabilities = {
            "tools": {"listChanged": True},
            "prompts": {"listChanged": True},
            "resources": {"subscribe": True, "listChanged": True},
            "logging": {},
        }
        return capabilities if revision == "2024-11-05" else capabilities | {"completions": {}}

    # What both eras have

    def result(self, exchange: Exchange, session: Session | None) -> dict[str, Any]:
        method, params = exchange.message["method"], exchange.params
        match method:
            case "tools/list":
                return {"tools": self.tools}
            case "prompts/list":
                return {"prompts": [PROMPT]}
            case "resources/list":
                return {"resources": [RESOURCE]}
            case "resources/templates/list":
                return {"resourceTemplates": [TEMPLATE]}
            case "prompts/get":
                greeting = {"type": "text", "text": f"Hello {params.get('arguments', {}).get('name', 'you')}"}
                return {"messages": [{"role": "user", "content": greeting}]}
            case "resources/read":
                return {"contents": [{"uri": params["uri"], "text": f"the text of {params['uri']}"}]}
            case "completion/complete":
                return {"completion": {"values": [f"{params['argument']['value']}-completed"]}}
            case "tools/call":
                return self.call(params.get("name"), params.get("arguments") or {})
        if session is not None:
            match method:
                case "ping":
                    return {}
                case "logging/setLevel":
                    session.level = params["level"]
                    return {}
                case "resources/subscribe":
                    session.subscriptions.add(params["uri"])
                    return {}
                case "resources/unsubscribe":
                    session.subscriptions.discard(params["uri"])
                    return {}
        raise Refused(-32601, f"There is no {method}", None, 404)

    def call(self, name: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
        match name:
            case "add":
                return text(str(arguments["a"] + arguments["b"]))
            case _ if any(each["name"] == name for each in self.tools):
                return text(arguments.get("text") or name)
        raise Refused(-32602, f"Unknown tool: {name}")

    async def call_slowly(self, exchange: Exchange) -> None:
        name = exchange.params["name"]
        if name == "slow":
            return
        self.begin_stream(exchange)
        if name == "progress":
            token = meta_of(exchange.message).get("progressToken")
            for step in range(1, exchange.params["arguments"]["steps"] + 1):
                if token is not None:
                    params = {"progressToken": token, "progress": step}
                    self.say(exchange, {"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            return self.finish(exchange, text("done"))
        method, params = ASKING[name]
        answer = await self.ask(exchange, method, params)
        if "error" in answer:
            return self.finish(exchange, text(f"refused: {answer['error']['code']}", isError=True))
        return self.finish(exchange, text(describe(answer["result"])))

    def finish(self, exchange: Exchange, result: Any) -> None:
        exchange.result(result if not self.is_stateless(exchange) else self.complete(result))

    async def ask(self, exchange: Exchange, method: str, params: dict[str, Any] | None) -> dict[str, Any]:
        id = f"question-{uuid.uuid4().hex[:8]}"
        self.questions[id] = asyncio.get_running_loop().create_future()
        self.say(exchange, {"jsonrpc": "2.0", "id": id, "method": method} | ({} if params is None else {"params": params}))
        return await self.questions[id]

    # The stateless era

    def is_stateless(self, exchange: Exchange) -> bool:
        return VERSION in meta_of(exchange.message)

    def complete(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"resultType": "complete", **result, "_meta": {**result.get("_meta", {}), SERVER_INFO: NAME}}

    def posted_stateless(self, exchange: Exchange) -> Any:
        meta, method = meta_of(exchange.message), exchange.message.get("method")
        if "stateless" not in self.eras:
            # What servers of the handshake era say to anything that is not `initialize`, and has no session.
            return exchange.json(problem(-32600, "Bad Request: Missing session ID"), 400)
        if meta[VERSION] != STATELESS:
            data = {"supported": [STATELESS], "requested": meta[VERSION]}
            return exchange.error(VERSION_UNSUPPORTED, "Unsupported protocol version", data, status=400)
        wrong = rules.mirror_problems(exchange.request, exchange.message, self.tools)
        if wrong:
            return exchange.error(HEADER_MISMATCH, "; ".join(wrong), status=400)
        if method == "server/discover":
            capabilities = {name: value for name, value in self.capabilities(STATELESS).items()}
            result = {"supportedVersions": [STATELESS], "capabilities": capabilities, "ttlMs": 0, "cacheScope": "private"}
            return self.respond(exchange, self.complete(result))
        if method == "subscriptions/listen":
            return self.listen(exchange)
        if method == "tools/call" and exchange.params["name"] in ASKING:
            return self.ask_stateless(exchange)
        if method == "tools/call" and exchange.params["name"] in ("progress", "slow"):
            return self.call_slowly(exchange)
        try:
            result = self.complete(self.result(exchange, None))
            if method.endswith("/list") or method == "resources/read":
                result |= {"ttlMs": 0, "cacheScope": "private"}
            return self.respond(exchange, result)
        except Refused as refused:
            return exchange.error(*refused.args)

    def listen(self, exchange: Exchange) -> None:
        exchange.events()
        self.listens.append(exchange)
        filter = exchange.params["notifications"]
        params = {"notifications": filter, "_meta": {SUBSCRIPTION: exchange.id}}
        exchange.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})

    def ask_stateless(self, exchange: Exchange) -> None:
        method, params = ASKING[exchange.params["name"]]
        responses = exchange.params.get("inputResponses")
        if responses is not None:
            return self.respond(exchange, self.complete(text(describe(responses["q"]))))
        needed = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}[method]
        if needed not in meta_of(exchange.message)[CAPABILITIES]:
            data = {"requiredCapabilities": {needed: {}}}
            return exchange.error(CAPABILITY_MISSING, f"The client has no {needed}", data, status=400)
        entry = {"method": method} | ({} if params is None else {"params": params})
        state = f"state of {exchange.id}"
        return self.respond(exchange, {"resultType": "input_required", "inputRequests": {"q": entry}, "requestState": state})

    def level(self, exchange: Exchange) -> str | None:
        return meta_of(exchange.message).get(LOG_LEVEL)


def problem(code: int, message: str) -> dict[str, Any]:
    """An error of the transport, before any message was looked at: its id is no request's."""
    return {"jsonrpc": "2.0", "id": "server-error", "error": {"code": code, "message": message}}


def describe(result: dict[str, Any]) -> str:
    """What the host said, in one word."""
    if "roots" in result:
        return ",".join(root["uri"] for root in result["roots"])
    if "role" in result:
        return str(result["content"]["text"] if isinstance(result["content"], dict) else result["content"][0]["text"])
    return f"{result['action']} {result.get('content', {}).get('name', '')}".strip()


@dataclass
class Legacy(Behaviour):
    """HTTP+SSE of 2024-11-05: a stream that begins with an address, messages posted to that, answers on the stream."""

    path: str = "/sse"
    endpoint: str = "/messages?session={id}"
    acceptance: tuple[int, bytes, str | None] = (202, b"Accepted", "text/plain")

    def accept(self, exchange: Exchange) -> None:
        exchange.answer(*self.acceptance)

    def __call__(self, exchange: Exchange) -> Any:
        request = exchange.request
        if request.path == self.path and request.method == "GET":
            session = Session(uuid.uuid4().hex, NEWEST_HANDSHAKE, {}, stream=exchange.events())
            self.sessions[session.id] = session
            return exchange.event(self.endpoint.format(id=session.id, origin=f"http://{request.header('Host')}"), name="endpoint")
        if request.path == self.path:
            return exchange.answer(405, headers=(("Allow", "GET"),))
        session = self.sessions.get(request.target.partition("session=")[2])
        if request.method != "POST" or session is None:
            return exchange.answer(404, b"No such session", "text/plain")
        if "method" in exchange.message and "id" in exchange.message:
            self.accept(exchange)
        if exchange.message.get("method") == "initialize":
            asked = exchange.params.get("protocolVersion")
            session.revision = self.revision or (asked if asked in HANDSHAKE_REVISIONS else NEWEST_HANDSHAKE)
            session.capabilities = exchange.params.get("capabilities", {})
            result = {"protocolVersion": session.revision, "capabilities": self.capabilities(session.revision), "serverInfo": NAME}
            return self.respond(exchange, result)
        if VERSION in meta_of(exchange.message):
            return self.fail(exchange, -32601, "There is no such method")
        return self.obey(exchange, session)

    def of(self, exchange: Exchange) -> Exchange:
        """The stream that the answer to a request goes to."""
        return self.sessions[exchange.request.target.partition("session=")[2]].stream

    def respond(self, exchange: Exchange, result: Any) -> None:
        self.of(exchange).event({"jsonrpc": "2.0", "id": exchange.id, "result": result})

    def finish(self, exchange: Exchange, result: Any) -> None:
        self.respond(exchange, result)

    def fail(self, exchange: Exchange, code: int, reason: str, data: Any = None, status: int = 200) -> None:
        error = {"code": code, "message": reason} | ({} if data is None else {"data": data})
        self.of(exchange).event({"jsonrpc": "2.0", "id": exchange.id, "error": error})

    def begin_stream(self, exchange: Exchange) -> None:
        pass

    def say(self, exchange: Exchange, message: dict[str, Any]) -> None:
        self.of(exchange).event(message)
