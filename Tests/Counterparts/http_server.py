"""A scripted MCP server over HTTP, inside the process of the tests. It keeps a log of everything, and does as the test says."""

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bench as tools
from http_wire import Connection, Exchange

Handler = Callable[[Exchange], Any]
Condition = Callable[[Exchange], bool]


@dataclass
class Entry:
    """Something that happened. Kinds: connected, request, head (of an answer), message (of the server), end (of an answer), cut (by the
    server), dropped (by the client before the end), disconnected."""

    kind: str
    connection: int
    exchange: Exchange | None = None
    line: bytes = b""
    time: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"{self.kind} on {self.connection} {self.exchange or ''} {self.line[:200].decode(errors='replace')}"


@dataclass
class Rule:
    handler: Handler
    applies: Condition
    left: int | None  # how often it applies, `None` for always


class HTTPServer:
    """Takes connections on a port of the loopback interface. What no rule of the test applies to is answered by `behaviour`."""

    def __init__(self, behaviour: Handler):
        self.behaviour = behaviour
        self.rules: list[Rule] = []
        self.log: list[Entry] = []
        self.connections: dict[int, Connection] = {}
        self.faults: list[str] = []  # of handlers
        self._changed = threading.Condition()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._made = 0
        self._acceptor: socket.socket | None = None
        self._arriving: set[asyncio.Task[Any]] = set()  # connections that were accepted just now
        self._place: socket.socket | None = None  # of the acceptor, while nobody listens
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.listen()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # What it does

    def on(
        self, handler: Handler, method: str | None = None, http: str | None = None, times: int | None = 1,
        where: Condition | None = None, **params: Any,
    ) -> None:  # fmt: skip
        """From now on `handler` answers requests like this. The first rule that applies is taken, and is used up after so many times."""
        applies = condition(method, http, where, params)
        self.on_loop(lambda: self.rules.append(Rule(handler, applies, times)))

    def listen(self) -> None:
        """Takes connections (again), always on the same port. Nothing happens if it does so already."""

        def act() -> None:
            if self._acceptor is not None:
                return
            acceptor = socket.create_server(("127.0.0.1", self.port), backlog=256)
            acceptor.setblocking(False)
            self.port = acceptor.getsockname()[1]
            self._loop.add_reader(acceptor, self._accept, acceptor)
            self._acceptor = acceptor
            if self._place is not None:
                self._place.close()
                self._place = None

        self.on_loop(act)

    def _accept(self, acceptor: socket.socket) -> None:
        # Not left to `asyncio.Server`: what that has just accepted when it is closed stays open, and nobody ever serves it.
        try:
            accepted, _ = acceptor.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._connection, accepted))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def stop_listening(self) -> None:
        """Connections are refused. Those that there are go on. Nothing happens if it is so already."""

        def act() -> None:
            if self._acceptor is None:
                return
            self._end_acceptor()
            # Or some connection that leads elsewhere might get the port meanwhile.
            self._place = socket.socket()
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind(("127.0.0.1", self.port))

        self.on_loop(act)

    def _end_acceptor(self) -> None:
        if self._acceptor is not None:
            self._loop.remove_reader(self._acceptor)
            self._acceptor.close()
            self._acceptor = None

    def drop_connections(self) -> None:
        """All at once, as if the process were killed."""

        def act() -> None:
            for connection in list(self.connections.values()):
                if connection.exchange is not None and not connection.exchange.is_over:
                    connection.exchange.cut()
                else:
                    connection.reset()

        self.on_loop(act)

    def close(self) -> None:
        def act() -> None:
            self._end_acceptor()
            if self._place is not None:
                self._place.close()
            for connection in list(self.connections.values()):
                connection.transport.abort()
            for task in (*self._tasks, *self._arriving):
                task.cancel()

        self.on_loop(act)
        self.wait_on_loop(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What happens on the loop

    def on_loop(self, action: Callable[[], Any]) -> Any:
        if threading.current_thread() is self._thread:
            return action()

        async def act() -> Any:
            return action()

        return self.wait_on_loop(act())

    def wait_on_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(tools.PATIENCE)

    def _connection(self) -> Connection:
        self._made += 1
        return Connection(self, self._made)

    def connected(self, connection: Connection) -> None:
        self.connections[connection.number] = connection
        self._note(Entry("connected", connection.number))
        if self._acceptor is None:
            connection.reset()  # it was accepted, but is in no hands yet: no better than one that was not

    def disconnected(self, connection: Connection) -> None:
        del self.connections[connection.number]
        self._note(Entry("disconnected", connection.number))

    def noted(self, kind: str, exchange: Exchange, text: bytes = b"") -> None:
        self._note(Entry(kind, exchange.connection.number, exchange, text))

    def requested(self, exchange: Exchange) -> None:
        exchange.position = len(self.log)
        self._note(Entry("request", exchange.connection.number, exchange))
        handler = self.behaviour
        for rule in self.rules:
            if rule.left != 0 and rule.applies(exchange):
                rule.left = None if rule.left is None else rule.left - 1
                handler = rule.handler
                break
        self._perform(handler, exchange)

    def _perform(self, handler: Handler, exchange: Exchange) -> None:
        try:
            outcome = handler(exchange)
        except Exception as error:
            return self._failed(exchange, error)
        if inspect.isawaitable(outcome):
            task = self._loop.create_task(outcome)
            self._tasks.add(task)
            task.add_done_callback(lambda task: self._finished(task, exchange))

    def _finished(self, task: asyncio.Task[Any], exchange: Exchange) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed(exchange, task.exception())

    def _failed(self, exchange: Exchange, error: BaseException) -> None:
        # The test fails for it at its end; the client sees a server that failed.
        self.faults.append(f"a handler failed at {exchange}: {error!r}")
        if exchange.status is None:
            exchange.answer(500, str(error).encode(), "text/plain")
        else:
            exchange.cut()

    async def pause(self) -> None:
        """Lets the sockets be written, for handlers that send more than there is room for."""
        await asyncio.sleep(0.001)

    # What happened

    def _note(self, entry: Entry) -> None:
        with self._changed:
            self.log.append(entry)
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[Entry], bool], start: int = 0, timeout: float = tools.PATIENCE) -> tuple[int, Entry]:
        """The first entry from position `start` on that is `wanted`, with its position."""
        deadline = time.monotonic() + timeout
        position = start
        with self._changed:
            while True:
                while position < len(self.log):
                    if wanted(self.log[position]):
                        return position, self.log[position]
                    position += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    last = "\n".join(map(str, self.log[-20:]))
                    raise AssertionError(f"nothing of the kind at the server in {timeout} s; its last entries:\n{last}")
                self._changed.wait(left)

    def wait_request(
        self, method: str | None = None, http: str | None = None, start: int = 0, where: Condition | None = None, **params: Any
    ) -> Exchange:
        """The first request like this from position `start` of the log on."""
        applies = condition(method, http, where, params)
        return self.wait_for(lambda entry: entry.kind == "request" and applies(entry.exchange), start)[1].exchange

    def wait_answered(self, exchange: Exchange, *kinds: str) -> Entry:
        """Waits until an answer is over: by its end, or as `kinds` say."""
        wanted = kinds or ("end", "cut", "dropped")
        return self.wait_for(lambda entry: entry.exchange is exchange and entry.kind in wanted)[1]

    def requests(
        self, method: str | None = None, http: str | None = None, start: int = 0, where: Condition | None = None, **params: Any
    ) -> list[Exchange]:
        applies = condition(method, http, where, params)
        return [entry.exchange for entry in list(self.log[start:]) if entry.kind == "request" and applies(entry.exchange)]

    @property
    def position(self) -> int:
        return len(self.log)


def condition(method: str | None, http: str | None, where: Condition | None, params: dict[str, Any]) -> Condition:
    def applies(exchange: Exchange) -> bool:
        return (
            (method is None or exchange.message.get("method") == method)
            and (http is None or exchange.request.method == http)
            and (where is None or where(exchange))
            and all(exchange.params.get(name) == value for name, value in params.items())
        )

    return applies


# Handlers that many tests use


def hold(exchange: Exchange) -> None:
    """Leaves the request open: the test answers it."""


def cut(exchange: Exchange) -> None:
    exchange.cut()


def status(code: int, body: bytes = b"", content_type: str | None = None, *headers: tuple[str, str]) -> Handler:
    return lambda exchange: exchange.answer(code, body, content_type, headers)


def raw(data: bytes) -> Handler:
    """These bytes, and the end of the connection."""

    def handler(exchange: Exchange) -> None:
        exchange.write(data)
        exchange.close()

    return handler
