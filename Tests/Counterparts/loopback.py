"""Small servers on loopback ports, in a thread of the test: an MCP server over HTTP/1.1 that counts what reaches it, and a proxy."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import validation

# A test has failed long before; this only keeps a thread from waiting for ever.
PATIENCE = 30.0
SESSION = "00112233445566778899aabbccddeeff"
TOOL = {"name": "echo", "inputSchema": {"type": "object", "additionalProperties": True}}
COMPLETE = {"resultType": "complete"}
UNCACHED = {"ttlMs": 0, "cacheScope": "private"}


@dataclass
class Head:
    """The first line and the headers of a request, with lower-case names."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def proxy_credentials(self) -> str | None:
        kind, _, value = self.headers.get("proxy-authorization", "").partition(" ")
        return base64.b64decode(value).decode() if kind.lower() == "basic" else None


async def read_head(reader: asyncio.StreamReader) -> tuple[Head, bytes] | None:
    """The head of the next request and its bytes; `None` at the end of the connection."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        return None
    first, *lines = data.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    return Head(method, target, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}), data


class Server:
    """Listens on a port of the system's choice, in an event loop of its own thread, until `close`."""

    def __init__(self, context: ssl.SSLContext | None = None):
        self.context = context
        self.open = self.most_open = self.connections = 0
        self.handshake_errors: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, what: self.handshake_errors.append(str(what.get("exception"))))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self.run(asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context, backlog=1024))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.serve(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass  # the other side went away
        finally:
            self.open -= 1
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


@dataclass
class Served:
    """What a server on a loopback port has seen of one request."""

    head: Head
    message: dict[str, Any]
    certificate: str | None = None  # the common name in the client's


class MCPServer(Server):
    """One tool, `echo`, in both eras or one of them, answering with JSON or with a stream of one event."""

    def __init__(self, context: ssl.SSLContext | None = None, has_streams: bool = False):
        self.eras: tuple[str, ...] = ("handshake", "stateless")
        self.has_streams = has_streams
        self.served: list[Served] = []
        # What a call waits for before it is answered.
        self.before_answer: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        super().__init__(context)

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}/mcp"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = None
        if tls := writer.get_extra_info("ssl_object"):
            subject = (tls.getpeercert() or {}).get("subject", ())
            certificate = next((value for part in subject for name, value in part if name == "commonName"), None)
        while (read := await read_head(reader)) is not None:
            head, _ = read
            body = await read_body(reader, head)
            message = json.loads(body) if body else {}
            self.served.append(Served(head, message, certificate))
            status, headers, answer = await self.answer(head, message)
            if answer is None:
                writer.write(f"HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n".encode())
            elif self.has_streams and status == 200:
                event = b"event: message\ndata: " + json.dumps(answer).encode() + b"\n\n"
                start = f"HTTP/1.1 200 OK\r\n{headers}content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                writer.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (start.encode(), len(event), event))
            else:
                data = json.dumps(answer).encode()
                start = f"HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
                writer.write(start.encode() + data)
            await writer.drain()

    async def answer(self, head: Head, message: dict[str, Any]) -> tuple[int, str, dict[str, Any] | None]:
        """Status, further headers, body."""
        method, params, id = message.get("method"), message.get("params") or {}, message.get("id")
        if head.method != "POST":
            return (200 if head.method == "DELETE" else 405), "", None
        if id is None:
            return 202, "", None
        is_stateless = validation.VERSION in (params.get("_meta") or {})
        result: dict[str, Any]
        if method == "initialize" and "handshake" in self.eras:
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "loopback", "version": "1"}}
            return 200, f"mcp-session-id: {SESSION}\r\n", {"jsonrpc": "2.0", "id": id, "result": result}
        if is_stateless != ("stateless" in self.eras) and (is_stateless or head.headers.get("mcp-session-id") != SESSION):
            data = {"supported": [validation.STATELESS], "requested": params.get("protocolVersion", "none")}
            error = {"code": -32022, "message": "not this version", "data": data} if not is_stateless else {"code": -32600, "message": "no"}
            return 400, "", {"jsonrpc": "2.0", "id": id, "error": error}
        if method == "server/discover":
            result = {"supportedVersions": [validation.STATELESS], "capabilities": {"tools": {}}, **COMPLETE, **UNCACHED}
        elif method == "tools/list":
            result = {"tools": [TOOL], **(COMPLETE | UNCACHED if is_stateless else {})}
        elif method == "tools/call":
            if self.before_answer is not None:
                await self.before_answer(params)
            text = params["arguments"]["text"]
            result = {"content": [{"type": "text", "text": text}], **(COMPLETE if is_stateless else {})}
        else:
            result = {}
        return 200, "", {"jsonrpc": "2.0", "id": id, "result": result}


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if "chunked" not in head.headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(head.headers.get("content-length", 0)))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


@dataclass
class Asked:
    """What a proxy was asked for."""

    method: str  # CONNECT, or that of a request that is to be passed on
    target: str  # host:port, or the whole URL
    credentials: str | None


class Proxy(Server):
    """Connects to whatever is asked for by way of loopback, whatever the name, and notes what that was."""

    def __init__(self, status: int = 200, credentials: str | None = None):
        self.status = status  # of every answer to CONNECT
        self.credentials = credentials  # without them nothing is done
        self.asked: list[Asked] = []
        super().__init__()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read = await read_head(reader)
        if read is None:
            return
        head, data = read
        self.asked.append(Asked(head.method, head.target, head.proxy_credentials))
        status = 407 if self.credentials not in (None, head.proxy_credentials) else self.status
        if status != 200:
            more = 'proxy-authenticate: Basic realm="loopback"\r\n' if status == 407 else ""
            writer.write(f"HTTP/1.1 {status} No\r\n{more}content-length: 0\r\n\r\n".encode())
            return await writer.drain()
        port = int(head.target.rpartition(":")[2]) if head.method == "CONNECT" else urlsplit(head.target).port
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", port)
        if head.method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            behind.write(data)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while part := await source.read(1 << 16):
                sink.write(part)
                await sink.drain()
            sink.close()

        await asyncio.gather(pass_on(reader, behind), pass_on(behind_reader, writer))
