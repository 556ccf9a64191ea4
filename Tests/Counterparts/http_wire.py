"""HTTP/1.1 as a server speaks it, byte by byte: nothing stands between a test and the socket that would mend what the test breaks."""

import asyncio
import json
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

JSON, EVENTS = "application/json", "text/event-stream"
REASONS = {
    200: "OK", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable",
}  # fmt: skip
# A head that is longer is not a request of any client that is tested here.
LONGEST_HEAD = 1024 * 1024

Headers = tuple[tuple[str, str], ...]


@dataclass
class Request:
    method: str
    target: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The one value of a header that may stand there once."""
        found = self.all(name)
        assert len(found) <= 1, f"{self.method} {self.target} has {name} {len(found)} times: {found}"
        return found[0] if found else None

    @cached_property
    def value(self) -> Any:
        """The body as JSON, `None` if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def message(self) -> dict[str, Any]:
        return self.value if isinstance(self.value, dict) else {}

    @property
    def params(self) -> dict[str, Any]:
        params = self.message.get("params")
        return params if isinstance(params, dict) else {}


class Listener(Protocol):
    """Who hears of what happens on the connections. Called on the loop."""

    def connected(self, connection: "Connection") -> None: ...
    def requested(self, exchange: "Exchange") -> None: ...
    def noted(self, kind: str, exchange: "Exchange", text: bytes = b"") -> None: ...
    def disconnected(self, connection: "Connection") -> None: ...
    def on_loop(self, action: Callable[[], Any]) -> Any: ...


class Connection(asyncio.Protocol):
    """One TCP connection. It takes requests one after the other, the next one when the last has its answer."""

    def __init__(self, listener: Listener, number: int):
        self.listener = listener
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.unread = b""
        self.exchange: Exchange | None = None
        self.is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listener.connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_gone = True
        if self.exchange is not None and not self.exchange.is_over:
            self.exchange.lost()
        self.listener.disconnected(self)

    def data_received(self, data: bytes) -> None:
        self.unread += data
        self.read_on()

    def read_on(self) -> None:
        while self.exchange is None or self.exchange.is_over:
            request = self.parse()
            if request is None:
                return
            self.exchange = Exchange(self, request, was_abandoned=self.is_closed_by_client)
            self.listener.requested(self.exchange)

    def parse(self) -> Request | None:
        end = self.unread.find(b"\r\n\r\n")
        assert end >= 0 or len(self.unread) < LONGEST_HEAD, "a head without an end"
        if end < 0:
            return None
        first, *lines = self.unread[:end].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple((name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines))
        request = Request(method, target, headers)
        body = self.unread[end + 4 :]
        if (request.header("Transfer-Encoding") or "").lower() == "chunked":
            found = dechunked(body)
            if found is None:
                return None
            request.body, self.unread = found
            return request
        length = int(request.header("Content-Length") or 0)
        if len(body) < length:
            return None
        request.body, self.unread = body[:length], body[length:]
        return request

    @property
    def is_closed_by_client(self) -> bool:
        """Its end has arrived, though it may lie behind requests that are not read yet."""
        if self.is_gone:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def reset(self) -> None:
        """The end as a crashed machine makes it."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def dechunked(data: bytes) -> tuple[bytes, bytes] | None:
    """The body and what follows it; `None` if it is not whole."""
    body, position = b"", 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        size = int(data[position:end].partition(b";")[0], 16)
        start = end + 2
        if len(data) < start + size + 2:
            return None
        body += data[start : start + size]
        position = start + size + 2
        if size == 0:
            return body, data[position:]


@dataclass
class Exchange:
    """A request and what it is answered with. Every method may be called from any thread; a handler may also leave the exchange as it
    is, and the test goes on with it later."""

    connection: Connection
    request: Request
    position: int = -1  # in the log of the server
    status: int | None = None  # once the head of the answer is out
    is_over: bool = False
    was_dropped: bool = False  # by the client
    was_abandoned: bool = False  # by the client, before we took it
    framing: str = ""
    answer_headers: Headers = ()
    sent: list[dict[str, Any]] = field(default_factory=list)  # messages of the server

    def __repr__(self) -> str:
        what = self.message.get("method") or (f"answer to {self.message['id']}" if "id" in self.message else "")
        return f"<{self.position}: {self.request.method} {self.request.target} {what} -> {self.status}>"

    @property
    def message(self) -> dict[str, Any]:
        return self.request.message

    @property
    def params(self) -> dict[str, Any]:
        return self.request.params

    @property
    def id(self) -> Any:
        return self.message.get("id")

    @property
    def listener(self) -> Listener:
        return self.connection.listener

    # Bytes

    def write(self, data: bytes) -> None:
        """Anything at all, as it is."""
        self.listener.on_loop(lambda: self._write(data))

    def _write(self, data: bytes) -> None:
        if not self.connection.is_gone and not self.connection.transport.is_closing():
            self.connection.transport.write(data)

    def head(self, status: int = 200, headers: Headers = (), framing: str = "chunked") -> None:
        """The head of the answer; its body is "chunked", or "close" by the end of the connection, or has a length in `headers`."""

        def act() -> None:
            self.status, self.framing, self.answer_headers = status, framing, headers
            lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers)]
            if framing == "chunked":
                lines.append("Transfer-Encoding: chunked")
            elif framing == "close":
                lines.append("Connection: close")
            self._write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            self.listener.noted("head", self)

        self.listener.on_loop(act)

    def part(self, data: bytes) -> None:
        """A piece of the body; one chunk, where there are chunks."""
        self.write(b"%x\r\n%s\r\n" % (len(data), data) if self.framing == "chunked" and data else data)

    def end(self) -> None:
        """The body is whole."""

        def act() -> None:
            if self.is_over:
                return
            if self.framing == "chunked":
                self._write(b"0\r\n\r\n")
            self._over("end")
            if self.framing == "close":
                self.connection.transport.close()
            elif not self.connection.is_gone:
                self.connection.read_on()

        self.listener.on_loop(act)

    def close(self) -> None:
        """Ends the connection, however much of the answer is out."""
        self.listener.on_loop(lambda: self._broken(self.connection.transport.close))

    def cut(self) -> None:
        """Resets the connection."""
        self.listener.on_loop(lambda: self._broken(self.connection.reset))

    def _broken(self, how: Callable[[], None]) -> None:
        if not self.is_over:
            self._over("cut")
        how()

    def _over(self, kind: str) -> None:
        self.is_over = True
        self.listener.noted(kind, self)

    def lost(self) -> None:
        self.was_dropped = True
        self._over("dropped")

    # Whole answers

    def answer(self, status: int, body: bytes = b"", content_type: str | None = None, headers: Headers = ()) -> None:
        typed = (("Content-Type", content_type),) if content_type else ()
        length = () if status == 204 else (("Content-Length", str(len(body))),)

        def act() -> None:
            self.head(status, (*headers, *typed, *length), framing="length")
            self._write(body)
            self.end()

        self.listener.on_loop(act)

    def json(self, value: Any, status: int = 200, headers: Headers = ()) -> None:
        body = json.dumps(value).encode()

        def act() -> None:
            self._note(value)
            self.answer(status, body, JSON, headers)

        self.listener.on_loop(act)

    def result(self, result: Any, headers: Headers = ()) -> None:
        """The answer to the request: as an event where the stream is open already, else as JSON."""
        self._reply({"jsonrpc": "2.0", "id": self.id, "result": result}, 200, headers)

    def error(self, code: int, message: str, data: Any = None, status: int = 200) -> None:
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self._reply({"jsonrpc": "2.0", "id": self.id, "error": error}, status, ())

    def _reply(self, message: dict[str, Any], status: int, headers: Headers) -> None:
        def act() -> None:
            if self.status is None:
                return self.json(message, status, headers)
            self.event(message)
            self.end()

        self.listener.on_loop(act)

    # Streams of events

    def events(self, headers: Headers = ()) -> "Exchange":
        self.head(200, (("Content-Type", EVENTS), ("Cache-Control", "no-store"), *headers))
        return self

    def event(self, message: Any = None, id: str | None = None, retry: int | None = None, name: str | None = None) -> None:
        """A message as an event; without one, an event with empty data."""
        fields = [f"event: {name}"] if name else []
        fields += [f"id: {id}"] if id is not None else []
        fields += [f"retry: {retry}"] if retry is not None else []
        fields.append("data: " + ("" if message is None else message if isinstance(message, str) else json.dumps(message)))

        def act() -> None:
            if message is not None and not isinstance(message, str):
                self._note(message)
            self.part("\n".join([*fields, "", ""]).encode())

        self.listener.on_loop(act)

    def stream(self, text: bytes, message: Any = None) -> None:
        """A piece of the stream of events, as it is; `message` for what it says, for the books."""

        def act() -> None:
            if message is not None:
                self._note(message)
            self.part(text)

        self.listener.on_loop(act)

    def _note(self, value: Any) -> None:
        for message in value if isinstance(value, list) else [value]:
            if isinstance(message, dict):
                self.sent.append(message)
                self.listener.noted("message", self, json.dumps(message).encode())
