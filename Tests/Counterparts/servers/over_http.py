"""Serves a server of the SDK, or an ASGI application, on a loopback port, and records every exchange.

The first line on stdout is the port. Each line of the recording is a JSON object of one `exchange`, numbered as they came:
`request` with method, path, headers, body and the client's port; `response` with status and headers; `message`, a JSON body or the data
of an event as it leaves; `closed`, the client went away before the answer had its end.
"""

import contextlib
import json
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route

# Endpoints of the two kinds of transport. The older one has a second endpoint, which its clients are told.
STREAMABLE, EVENTS, MESSAGES = "/mcp", "/sse", "/messages/"
# How a server answers: `json` or `stream` with sessions, the same without, or by the transport of 2024-11-05.
VARIANTS = ("stream", "json", "stream-without-sessions", "json-without-sessions", "sse")


class Recorder:
    """Stands around the application, so that what is written down is what went over the wire, whatever serves it."""

    def __init__(self, application, path: Path):
        self.application = application
        self.file = open(path, "ab", buffering=0)
        self.exchanges = 0

    def note(self, exchange: int, kind: str, **what) -> None:
        self.file.write(json.dumps({"exchange": exchange, "kind": kind, **what}).encode() + b"\n")

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.application(scope, receive, send)
        exchange = self.exchanges = self.exchanges + 1
        body, tail, kind = b"", b"", ""
        is_noted, is_over = False, False

        def request() -> None:
            nonlocal is_noted
            is_noted = True
            headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
            target = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
            # Bytes that are no UTF-8 survive, as lone surrogates.
            text = body.decode("utf-8", "surrogateescape")
            port = scope["client"][1]
            self.note(exchange, "request", method=scope["method"], path=target, headers=headers, body=text, connection=port)

        async def receiving():
            nonlocal body
            event = await receive()
            if event["type"] == "http.request":
                body += event.get("body", b"")
                if not event.get("more_body") and scope["method"] == "POST":
                    request()
            elif not is_over:
                self.note(exchange, "closed")
            return event

        async def sending(event):
            nonlocal tail, kind, is_over
            if event["type"] == "http.response.start":
                if not is_noted:
                    request()  # refused without a look at what it says
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event["headers"]}
                kind = headers.get("content-type", "").partition(";")[0]
                self.note(exchange, "response", status=event["status"], headers=headers)
            else:
                tail += event.get("body", b"")
                is_over = not event.get("more_body")
                if kind == "text/event-stream":
                    *events, tail = tail.replace(b"\r\n", b"\n").split(b"\n\n")
                    for text in events:
                        fields = [line.partition(b":") for line in text.split(b"\n")]
                        data = b"\n".join(value.removeprefix(b" ") for name, _, value in fields if name == b"data")
                        if data and (b"event", b":", b" endpoint") not in fields:
                            self.note(exchange, "message", text=data.decode())
                elif kind == "application/json" and is_over and tail:
                    self.note(exchange, "message", text=tail.decode("utf-8", "surrogateescape"))
            await send(event)

        if scope["method"] != "POST":
            request()
        await self.application(scope, receiving, sending)


def application(server, options, variant: str) -> Starlette:
    """A low-level server of the SDK, either generation, behind the given transport."""
    if variant == "sse":
        from mcp.server.sse import SseServerTransport

        transport = SseServerTransport(MESSAGES)

        class Events:
            async def __call__(self, scope, receive, send):
                async with transport.connect_sse(scope, receive, send) as (reading, writing):
                    await server.run(reading, writing, options)

        # An endpoint that is no function gets the bare connection, and no response of the framework's after it.
        return Starlette(routes=[Route(EVENTS, endpoint=Events(), methods=["GET"]), Mount(MESSAGES, app=transport.handle_post_message)])

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    # The servers of the SDK introduce themselves with what `server` says, not with options, where a manager runs them.
    server.create_initialization_options = lambda *_, **__: options
    manager = StreamableHTTPSessionManager(server, json_response=variant.startswith("json"), stateless=variant.endswith("without-sessions"))

    class Endpoint:
        async def __call__(self, scope, receive, send):
            await manager.handle_request(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        async with manager.run():
            yield

    return Starlette(routes=[Route(STREAMABLE, endpoint=Endpoint(), methods=["GET", "POST", "DELETE"])], lifespan=lifespan)


def serve(served, recording: Path) -> None:
    """Until the process is ended from outside."""
    # The protocol is named so that asyncio switches Nagle's algorithm off; or the second part of an answer would wait for 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(Recorder(served, recording), lifespan="on", log_level="warning", ws="none")
    uvicorn.Server(config).run(sockets=[listening])
