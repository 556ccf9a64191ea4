"""The rules for clients over HTTP: what is wrong with the requests that a server got (MCP, basic/transports, of each revision)."""

import base64
from typing import Any

import validation
from http_wire import EVENTS, JSON, Request
from validation import STATELESS, VERSION, meta_of

# What `Mcp-Name` repeats.
NAMED = {
    "tools/call": "name", "prompts/get": "name", "resources/read": "uri",
    "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId",
}  # fmt: skip
PARAMETER = "mcp-param-"


def plain(value: str) -> str:
    """What a header says."""
    if value.startswith("=?base64?") and value.endswith("?="):
        return base64.b64decode(value[len("=?base64?") : -len("?=")], validate=True).decode()
    return value


def annotated(schema: dict[str, Any], path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The headers that a tool wants, and the way to each in the arguments."""
    found = {}
    for name, property in schema.get("properties", {}).items():
        if "x-mcp-header" in property:
            found[property["x-mcp-header"]] = (*path, name)
        found |= annotated(property, (*path, name))
    return found


def parameter(arguments: Any, path: tuple[str, ...]) -> str | None:
    """What a header says for these arguments, before it is encoded; `None` for no header."""
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    if isinstance(arguments, bool):
        return "true" if arguments else "false"
    return None if arguments is None else str(arguments)


def mirror_problems(request: Request, message: dict[str, Any], tools: list[dict[str, Any]] | None = None) -> list[str]:
    """Where headers do not repeat what the body says (2026-07-28). The parameters only if the tools are given."""
    method, params = message.get("method"), request.params
    expected = {"MCP-Protocol-Version": meta_of(message).get(VERSION), "Mcp-Method": method}
    expected["Mcp-Name"] = params.get(NAMED[method]) if method in NAMED else None
    if tools is not None:
        wanted: dict[str, str | None] = {}
        for tool in tools if method == "tools/call" else ():
            if tool["name"] == params.get("name"):
                wanted = {name: parameter(params.get("arguments"), path) for name, path in annotated(tool["inputSchema"]).items()}
        expected |= {f"Mcp-Param-{name}": value for name, value in wanted.items()}
        known = {f"{PARAMETER}{name.lower()}" for name in wanted}
        expected |= {name: None for name, _ in request.headers if name.lower().startswith(PARAMETER) and name.lower() not in known}
    problems = []
    for name, value in expected.items():
        got = request.header(name)
        try:
            if (None if got is None else plain(got)) != value:
                problems.append(f"{name} is {got!r}, not {value!r}")
        except ValueError as error:
            problems.append(f"{name} is {got!r}, which cannot be decoded: {error}")
    return problems


class Judge:
    """Goes through the log of a server and collects what is wrong with the requests. What is in their bodies is for `validation`."""

    def __init__(self, log: list[Any], is_legacy: bool = False):
        self.log = log
        self.is_legacy = is_legacy
        self.sessions: dict[str, str] = {}  # with the revisions that were agreed on
        self.revisions: set[str] = set()  # of connections without sessions
        self.ended: set[str] = set()
        self.identities: dict[str, str | None] = {}
        self.problems: list[str] = []

    def run(self) -> list[str]:
        for entry in self.log:
            if entry.kind == "request":
                for problem in self.judge(entry.exchange.request, entry.exchange.was_abandoned):
                    self.problems.append(f"{entry.exchange}: {problem}\n    {entry.exchange.request.headers}")
                if entry.exchange.request.method == "DELETE":
                    self.ended.add(entry.exchange.request.header("Mcp-Session-Id") or "")
            elif entry.kind == "message" and entry.exchange.message.get("method") == "initialize":
                self.begun(entry.exchange)
        return self.problems

    def begun(self, exchange: Any) -> None:
        result = exchange.sent[-1].get("result") if exchange.sent else None
        if not isinstance(result, dict) or "protocolVersion" not in result:
            return
        # A revision that nobody knows is not agreed on; the session is there all the same, and may be ended.
        revision = result["protocolVersion"] if result["protocolVersion"] in validation.HANDSHAKE_REVISIONS else ""
        ids = [value for name, value in exchange.answer_headers if name.lower() == "mcp-session-id"]
        if ids:
            self.sessions[ids[0]] = revision
        else:
            self.revisions.add(revision)

    def judge(self, request: Request, was_abandoned: bool = False) -> list[str]:
        message, found = request.message, []
        names = [name.lower() for name, _ in request.headers]
        found += [f"{name} stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
        if "host" not in names:
            found.append("has no Host")
        accepted = request.header("Accept") or ""
        if request.method == "POST":
            if not message:
                found.append("the body is no single JSON object")
            if (request.header("Content-Type") or "").partition(";")[0].strip() != JSON:
                found.append("the body is not called JSON")
            if not self.is_legacy and not (JSON in accepted and EVENTS in accepted):
                found.append("does not accept both kinds of answers")
            if "last-event-id" in names:
                found.append("a POST resumes nothing")
        elif request.body:
            found.append(f"a {request.method} has no body")
        if request.method == "GET" and EVENTS not in accepted:
            found.append("does not accept events")
        if request.method not in ("POST", "GET", "DELETE"):
            found.append("is no method of the transport")
        if message and meta_of(message).get(VERSION) is not None:
            return found + self.judge_stateless(request, names)
        found += [f"{name} is of another era" for name in names if name in ("mcp-method", "mcp-name") or name.startswith(PARAMETER)]
        return found if self.is_legacy else found + self.judge_session(request, message, was_abandoned)

    def judge_stateless(self, request: Request, names: list[str]) -> list[str]:
        found = mirror_problems(request, request.message)
        found += [f"{name} has no place in {STATELESS}" for name in ("mcp-session-id", "last-event-id") if name in names]
        if "id" not in request.message:
            found.append("is no request")
        return found

    def judge_session(self, request: Request, message: dict[str, Any], was_abandoned: bool) -> list[str]:
        found = []
        session, revision = request.header("Mcp-Session-Id"), request.header("MCP-Protocol-Version")
        if message.get("method") == "initialize":
            return ["initialize belongs to no session"] if session is not None else []
        if session is None:
            if self.sessions and not self.revisions:
                found.append("has no session, though the server has them")
            agreed = self.revisions
        else:
            agreed = {self.sessions[session]} if session in self.sessions else set()
            if not agreed:
                found.append("has a session that was never given")
            # What was given up, and the end of the session after it, came on two connections, which are not read in the order of sending.
            if session in self.ended and not was_abandoned:
                found.append("has a session that was ended")
            identity = request.header("Authorization")
            if self.identities.setdefault(session, identity) != identity:
                found.append("two identities share a session")
        if request.method == "DELETE" and session is None:
            found.append("ends no session")
        if revision is None and agreed and min(agreed) >= "2025-06-18":
            found.append("does not say the revision that was agreed on")
        if revision is not None and revision not in agreed:
            found.append(f"the revision that was agreed on is {agreed}, not {revision}")
        return found


def recording(title: str, log: list[Any], tested: str = "client") -> validation.Recording:
    """All messages in the order of the server, for the judge of messages."""
    lines: list[tuple[str, bytes]] = []
    unanswered: set[int] = set()
    for entry in log:
        exchange = entry.exchange
        if entry.kind == "request" and exchange.request.method == "POST":
            lines.append(("client", exchange.request.body))
            if "method" in exchange.message and "id" in exchange.message:
                unanswered.add(id(exchange))
        elif entry.kind == "message":
            lines.append(("server", entry.line))
            unanswered.discard(id(exchange))
        elif entry.kind in ("end", "cut", "dropped") and id(exchange) in unanswered and (exchange.status or 0) != 202:
            # It is over without an answer: the same request may come again.
            lines.append(("server", json_error(exchange.id)))
    return validation.Recording(title, lines, tested=tested)


def json_error(id: Any) -> bytes:
    return validation.json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "no answer"}}).encode()
