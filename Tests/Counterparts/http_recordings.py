"""What an HTTP server of the tests has recorded, as messages for the judge, and held against the rules for clients of each revision."""

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench as tools
import validation
from validation import Recording

JSON, EVENTS = "application/json", "text/event-stream"
SESSION, REVISION, METHOD, NAME = "mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"
# What `Mcp-Name` repeats, of the methods that have it.
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


@dataclass
class Exchange:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: str
    connection: int  # the client's port
    status: int | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)  # bodies or events
    was_closed: bool = False  # by the client, before its end

    def header(self, name: str) -> str | None:
        found = [value for other, value in self.headers if other == name]
        assert len(found) < 2, f"{name} is sent twice: {found}"
        return found[0] if found else None

    @property
    def message(self) -> dict[str, Any]:
        return tools.parsed(self.body.encode("utf-8", "surrogateescape"))


@dataclass
class HTTPRecording:
    exchanges: list[Exchange]
    lines: list[tuple[str, bytes]]  # all messages in the order of the server

    @classmethod
    def read(cls, path: Path) -> "HTTPRecording":
        exchanges: dict[int, Exchange] = {}
        lines = []
        for line in path.read_bytes().splitlines():
            entry = json.loads(line)
            exchange = exchanges.get(entry["exchange"])
            if entry["kind"] == "request":
                headers = [(name.lower(), value) for name, value in entry["headers"]]
                request = Exchange(entry["method"], entry["path"], headers, entry["body"], entry["connection"])
                exchanges[entry["exchange"]] = request
                if request.body:  # else refused before it was read
                    lines.append(("client", request.body.encode("utf-8", "surrogateescape")))
            elif exchange is None:
                continue  # what was answered before it had been read
            elif entry["kind"] == "response":
                exchange.status, exchange.answer_headers = entry["status"], entry["headers"]
            elif entry["kind"] == "message":
                exchange.answers.append(entry["text"])
                lines.append(("server", entry["text"].encode("utf-8", "surrogateescape")))
            else:
                exchange.was_closed = True
        return cls(list(exchanges.values()), lines)

    def recording(self, title: str, tested: str) -> Recording:
        return Recording(title, list(self.lines), tested=tested)

    def cancelled(self) -> list[dict[str, Any]]:
        """The requests of the stateless era whose answers were not waited for: that is how they are cancelled over HTTP."""
        return [exchange.message for exchange in self.exchanges if exchange.was_closed and is_stateless(exchange.message)]


def is_stateless(message: dict[str, Any]) -> bool:
    return validation.VERSION in validation.meta_of(message)


def plain(value: str | None) -> str | None:
    """The value of a header that may be encoded because it does not fit into one."""
    if value is not None and value.startswith("=?base64?") and value.endswith("?="):
        return base64.b64decode(value[len("=?base64?") : -len("?=")], validate=True).decode()
    return value


def problems(recording: HTTPRecording, is_sse: bool) -> list[str]:
    """What is wrong with the requests of a client; the messages in them are for `validation`."""
    found: list[str] = []
    sessions: dict[str, str | None] = {}  # the revision that each has agreed on
    ended: Counter[str] = Counter()
    revision: str | None = None
    last_session: str | None = None
    for number, exchange in enumerate(recording.exchanges, 1):
        complaints: list[str] = []
        message, session = exchange.message, exchange.header(SESSION)
        accepted = exchange.header("accept") or ""
        if exchange.method == "POST":
            if (exchange.header("content-type") or "").partition(";")[0].strip() != JSON:
                complaints.append("the body is not called JSON")
            if not is_sse and (JSON not in accepted or EVENTS not in accepted):
                complaints.append(f"accepts {accepted!r}; both kinds of answers must be")
            if not message and (exchange.body or exchange.status in (200, 202)):
                complaints.append("the body is not one message")
            if exchange.header("last-event-id") is not None:
                complaints.append("a message is not sent again to resume")
        elif exchange.method == "GET" and EVENTS not in accepted:
            complaints.append(f"accepts {accepted!r} where there are events")
        if session is not None and session not in sessions:
            complaints.append("has a session that nobody has given out")
        if session is not None and ended[session]:
            complaints.append("has a session that is over")
        if is_stateless(message):
            complaints += stateless_problems(exchange, message)
        elif message.get("method") == "initialize":
            if session is not None:
                complaints.append("initialize belongs to no session")
            result = next((tools.parsed(text.encode()).get("result") for text in exchange.answers if '"result"' in text), None)
            if result is not None:
                revision = result["protocolVersion"]
                last_session = exchange.answer_headers.get(SESSION)
                if last_session is not None:
                    sessions[last_session] = revision
        elif not is_sse:
            # Everything in a handshake has its revision and session, the request for its end too.
            if exchange.header(REVISION) != revision and revision is not None:
                complaints.append(f"names the revision {exchange.header(REVISION)!r}, not {revision!r}")
            if session != last_session:
                complaints.append(f"has the session {session!r}, not {last_session!r}")
        if exchange.method == "DELETE":
            ended[session or ""] += 1
        found += [f"request {number}, {exchange.method} {exchange.path} {exchange.body[:200]}: {text}" for text in complaints]
    for session in sessions:
        if ended[session] != 1:
            found.append(f"the session {session} was ended {ended[session]} times")
    return found


def stateless_problems(exchange: Exchange, message: dict[str, Any]) -> list[str]:
    found = []
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        found.append("no notification is sent to a server of the stateless era")
    if exchange.header(SESSION) is not None:
        found.append("the stateless era has no session")
    if exchange.header(REVISION) != validation.meta_of(message)[validation.VERSION]:
        found.append(f"the header names the revision {exchange.header(REVISION)!r}")
    if exchange.header(METHOD) != method:
        found.append(f"Mcp-Method is {exchange.header(METHOD)!r}")
    name = params.get(NAMED[method]) if method in NAMED else None
    if plain(exchange.header(NAME)) != name:
        found.append(f"Mcp-Name is {exchange.header(NAME)!r}")
    return found
