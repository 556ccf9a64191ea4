"""A small HTTP/1.1 server on a loopback port, in threads of the test's process. It keeps every request, and tests wait on them."""

import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import bench as tools


@dataclass(eq=False)
class Request:
    method: str
    target: str  # as it stands in the first line
    headers: list[tuple[str, str]]
    body: bytes
    status: int | None = None  # of the answer, as soon as there is one

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return fields(urlsplit(self.target).query)

    @property
    def form(self) -> dict[str, str]:
        return fields(self.body.decode())

    @property
    def message(self) -> dict[str, Any]:
        """The JSON object in the body, or an empty one."""
        return tools.parsed(self.body)

    def header(self, name: str) -> str | None:
        """The value of a header; several are joined, as RFC 9110 has it."""
        values = [value for other, value in self.headers if other.lower() == name.lower()]
        return ", ".join(values) if values else None

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


def fields(text: str) -> dict[str, str]:
    """Names and values of a query or form. None of those in OAuth may stand there twice (RFC 6749, 3.1)."""
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a parameter stands there twice: {text}")
    return found


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    # Instead of a body: pieces that are sent as they come.
    stream: Iterable[bytes] | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, *headers: tuple[str, str]) -> "Answer":
        return cls(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *headers])

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> "Answer":
        return cls(status, b"", [("Location", location)])

    @classmethod
    def page(cls, text: str, status: int = 200) -> "Answer":
        return cls(status, text.encode(), [("Content-Type", "text/html; charset=utf-8")])


class Part(Protocol):
    """Some of what a site has."""

    def answer(self, request: Request) -> Answer | None:
        """`None` if it is for another part."""


Condition = Callable[[Request], bool]


class Gate:
    """Requests of one kind wait here until the test lets them go."""

    def __init__(self, wanted: Condition):
        self.wanted = wanted
        self.open = threading.Event()

    def release(self) -> None:
        self.open.set()


class Site:
    def __init__(self, *parts: Part):
        self.parts = list(parts)
        self.requests: list[Request] = []
        self.faults: list[str] = []  # what no client may do, and what went wrong in here
        self._overrides: list[list[Any]] = []  # condition, answer, how often still (`None`: always)
        self._gates: list[Gate] = []
        self._changed = threading.Condition()
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.site = self
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # What it does

    def instead(
        self, path: str, answer: Answer | Callable[[Request], Answer | None], times: int | None = None, where: Condition | None = None
    ) -> None:
        """From now on a path is answered like this, so many times; `None` from a function means: as always."""
        self._overrides.append([lambda request: request.path == path and (where is None or where(request)), answer, times])

    def as_always(self) -> None:
        """Takes back what was replaced."""
        self._overrides.clear()

    def hold(self, path: str, where: Condition | None = None) -> Gate:
        """Requests like this get no answer until the gate is released, or the test is over."""
        gate = Gate(lambda request: request.path == path and (where is None or where(request)))
        self._gates.append(gate)
        return gate

    def close(self) -> None:
        for gate in self._gates:
            gate.release()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.cut()
        self._thread.join()

    def serve(self, request: Request) -> Answer:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        for gate in list(self._gates):
            if gate.wanted(request):
                gate.open.wait()
        try:
            answer = self._answer(request)
        except Exception:
            self.faults.append(f"{request}: {traceback.format_exc(limit=-3)}")
            answer = Answer.page("the test's server failed", 500)
        with self._changed:
            request.status = answer.status
            self._changed.notify_all()
        return answer

    def _answer(self, request: Request) -> Answer:
        for override in self._overrides:
            applies, answer, left = override
            if left == 0 or not applies(request):
                continue
            answer = answer(request) if callable(answer) else answer
            if answer is not None:
                override[2] = None if left is None else left - 1
                return answer
        for part in self.parts:
            answer = part.answer(request)
            if answer is not None:
                return answer
        return Answer.page("not found", 404)

    # What happened

    def wait_for(self, wanted: Condition, start: int = 0, timeout: float = tools.PATIENCE) -> Request:
        """The first request like this, from number `start` on. It need not be answered yet: `wanted` may look at its status."""
        return self.wait_count(wanted, 1, start, timeout)[0]

    def wait_count(self, wanted: Condition, count: int, start: int = 0, timeout: float = tools.PATIENCE) -> list[Request]:
        """So many requests like this."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [request for request in self.requests[start:] if wanted(request)]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    last = "\n".join(map(str, self.requests[-12:]))
                    raise AssertionError(f"{len(found)} and not {count} requests of the kind in {timeout} s; the last ones:\n{last}")
                self._changed.wait(left)

    def at(self, path: str, method: str | None = None) -> list[Request]:
        """All requests to a path."""
        return [request for request in list(self.requests) if request.path == path and method in (None, request.method)]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    site: Site

    def __init__(self, *arguments: Any):
        self.sockets: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address) -> None:
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self.sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        pass  # the client went away

    def cut(self) -> None:
        for connection in list(self.sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is over already


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.site.serve(Request(self.command, self.path, self.headers.items(), body))
        reason = HTTPStatus(answer.status).phrase
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers)]
        if answer.stream is None:
            # No body, and so no length, behind these (RFC 9110, 8.6).
            if answer.status not in (204, 304):
                lines.append(f"Content-Length: {len(answer.body)}")
            self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)
            return
        lines += ["Transfer-Encoding: chunked"]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for piece in answer.stream:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_OPTIONS = _serve
