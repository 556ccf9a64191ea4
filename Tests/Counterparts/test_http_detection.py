"""Which era and transport a server behind a URL is spoken to in: found out by asking, said in the config file, and remembered."""

import json

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD, Web
from http_mcp import Behaviour, Legacy
from http_server import hold, raw, status
from http_wire import JSON
from validation import HANDSHAKE_REVISIONS, VERSION, meta_of

HOSTS = [OLD, NEW]
BOTH = ("handshake", "stateless")


def opening(server, start: int = 0) -> list[str]:
    """What it was asked before its first list: by method, GET as such."""
    found = []
    for exchange in server.requests(start=start):
        name = exchange.message.get("method") or exchange.request.method
        if name in ("initialize", "server/discover"):
            found.append(name)
        elif name == "GET" and isinstance(server.behaviour, Legacy):
            found.append("GET")
        elif name == "tools/list":
            break
    return found


def kinds(web: Web, kind: str, **entry):
    match kind:
        case "handshake":
            return web.remote(entry=entry)
        case "handshake without sessions":
            return web.remote(entry=entry, has_sessions=False, has_stream=False)
        case "stateless":
            return web.stateless(entry=entry)
        case "both":
            return web.remote(entry=entry, eras=BOTH)
        case "legacy":
            return web.legacy(entry=entry)
    raise KeyError(kind)


TABLE = {
    ("handshake", OLD): ["initialize"],
    ("handshake", NEW): ["server/discover", "initialize"],
    ("both", OLD): ["initialize"],
    ("both", NEW): ["server/discover"],
    ("stateless", OLD): ["initialize", "server/discover"],
    ("stateless", NEW): ["server/discover"],
    ("legacy", OLD): ["initialize", "server/discover", "GET", "initialize"],
    ("legacy", NEW): ["server/discover", "initialize", "GET", "initialize"],
}


@pytest.mark.parametrize("kind, host_revision", TABLE)
def test_what_a_server_speaks_is_found_out(web, kind, host_revision):
    server = kinds(web, kind)
    host = web.host(host_revision)
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    seen = opening(server)
    expected = TABLE[kind, host_revision]
    # Between the eras of one that knows no POST there is nothing to choose: one question less is as good.
    assert seen == expected or (kind == "legacy" and seen[-2:] == ["GET", "initialize"] and len(seen) < len(expected)), seen


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_server_may_answer_in_any_revision_of_the_handshake_era(web, revision):
    server = web.remote(revision=revision)
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert server.requests("initialize")[0].params["protocolVersion"] == OLD, "the newest is offered"


def test_a_revision_that_nobody_knows_is_refused_with_a_text(web):
    server = web.remote(revision="2031-01-01")
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert "2031-01-01" in done.stdout
    assert not server.requests("tools/list")


# What handshake servers say to a request with an envelope that they do not understand, and stateless ones to `initialize`.
UNKNOWN = {
    "400 and an error": status(400, b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Missing session ID"}}', JSON),
    "400 and words": status(400, b"Bad Request: No valid session ID provided", "text/plain"),
    "400 and nothing": status(400),
    "404 and words": status(404, b"Not found", "text/plain"),
    "404 and nothing": status(404),
    "405": status(405),
    "406": status(406),
    "415": status(415),
    "422 and an error": status(422, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"Invalid request parameters"}}', JSON),
    "200 and method not found": lambda exchange: exchange.error(-32601, "Method not found"),
    "200 and invalid params": lambda exchange: exchange.error(-32602, "Invalid request parameters"),
    "200 and an error of its own": lambda exchange: exchange.error(-32000, "Not initialized"),
    "400 and not initialized": lambda exchange: exchange.error(-32000, "Bad Request: Server not initialized", status=400),
    "400 and the handshake revisions": lambda exchange: exchange.error(
        -32022, "Unsupported protocol version", {"supported": ["2025-11-25", "2025-06-18"], "requested": NEW}, status=400
    ),
    "a result that names none": lambda exchange: exchange.result({}),
    "a result of handshake revisions": lambda exchange: exchange.result({"supportedVersions": ["2025-11-25"], "capabilities": {}}),
    "HTML": status(200, b"<html></html>", "text/html"),
    "202": status(202),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_handshake_server_is_found_however_it_refuses_to_be_discovered(web, kind):
    server = web.remote()
    server.on(UNKNOWN[kind], "server/discover", times=None)
    host = web.host(NEW)
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert opening(server) == ["server/discover", "initialize"]


def test_a_handshake_server_that_never_answers_the_probe_is_found_too(web):
    server = web.remote()
    server.on(hold, "server/discover", times=None)
    host = web.host(NEW, listWait="20s")
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert opening(server) == ["server/discover", "initialize"]


REFUSED_INITIALIZE = {
    "400 and -32022": lambda exchange: exchange.error(-32022, "Unsupported", {"supported": [NEW], "requested": OLD}, status=400),
    "400 and -32020": lambda exchange: exchange.error(-32020, "Mcp-Method is missing", status=400),
    "400 and -32602": lambda exchange: exchange.error(-32602, "The envelope is missing", status=400),
    "404 and -32601": lambda exchange: exchange.error(-32601, "Method not found: initialize", status=404),
    "200 and -32601": lambda exchange: exchange.error(-32601, "Method not found: initialize"),
    "400 and words": status(400, b"MCP-Protocol-Version is required", "text/plain"),
    "400 and nothing": status(400),
    "404 and nothing": status(404),
}


@pytest.mark.parametrize("kind", REFUSED_INITIALIZE)
def test_a_stateless_server_is_found_however_it_refuses_the_handshake(web, kind):
    server = web.stateless()
    server.on(REFUSED_INITIALIZE[kind], "initialize", times=None)
    host = web.host(OLD)
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert opening(server) == ["initialize", "server/discover"]


@pytest.mark.parametrize("code, message", [(-32020, "headers"), (-32021, "a capability"), (-32601, "Method not found: server/discover")])
def test_an_error_of_the_stateless_era_means_a_stateless_server(web, code, message):
    """It is not asked to shake hands: whoever says so has no handshake."""
    server = web.stateless()
    data = {"requiredCapabilities": {"roots": {}}} if code == -32021 else None
    server.on(lambda exchange: exchange.error(code, message, data, status=404 if code == -32601 else 400), "server/discover")
    host = web.host(NEW, waits=False)
    host.tools()
    if code != -32601:
        # With 404 and -32601 both readings are defensible: a server must have server/discover.
        assert "initialize" not in opening(server)


@pytest.mark.parametrize("host_revision", HOSTS)
@pytest.mark.parametrize("handler", [
    status(401, b"", None, ("WWW-Authenticate", "Bearer")), status(403, b"forbidden", "text/plain"),
], ids=["401", "403"])  # fmt: skip
def test_a_want_of_authorization_says_nothing_about_the_era(web, handler, host_revision):
    server = web.remote(eras=BOTH, entry={"headers": {"Authorization": "Bearer not-accepted"}})
    server.on(handler, times=None)
    web.bench.fake("other")
    host = web.host(host_revision)
    assert {name.split("__")[0] for name in host.tool_names()} == {"other"}
    seen = [exchange.message.get("method") or exchange.request.method for exchange in server.requests()]
    assert set(seen) == {"initialize" if host_revision == OLD else "server/discover"}, seen
    assert len(seen) <= 2, "asking again does not help"


OUTAGES = {
    "500": status(500, b"oops", "text/plain"),
    "502": status(502, b"<html>bad gateway</html>", "text/html"),
    "503": status(503),
    "500 with an error": lambda exchange: exchange.error(-32603, "Internal error", status=500),
    "a reset": lambda exchange: exchange.cut(),
    "an end": lambda exchange: exchange.close(),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "half a body": raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"jsonrpc"'),
}


@pytest.mark.parametrize("host_revision", HOSTS)
@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_says_nothing_about_the_era(web, kind, host_revision):
    server = web.remote(eras=BOTH)
    method = "initialize" if host_revision == OLD else "server/discover"
    server.on(OUTAGES[kind], times=2)
    host = web.host(host_revision, waits=False)
    host.tools_when(lambda names: f"{KEY}__echo" in names) if host_revision == OLD else host.tools()
    server.wait_for(lambda entry: server.requests("tools/list"))
    seen = [exchange.message.get("method") or exchange.request.method for exchange in server.requests()]
    assert seen[:3] == [method] * 3, seen


@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_that_is_not_there_yet_is_waited_for(web, host_revision):
    server = web.remote()
    server.stop_listening()
    host = web.host(host_revision, waits=False, listWait="100ms")
    host.tools()
    server.listen()
    server.wait_for(lambda entry: server.requests("tools/list"))
    assert opening(server) == TABLE["handshake", host_revision]


# What the config file says

SAID = [
    ("both", "handshake", NEW, ["initialize"]),
    ("both", "stateless", OLD, ["server/discover"]),
    ("both", "auto", NEW, ["server/discover"]),
    ("handshake", "handshake", NEW, ["initialize"]),
    ("stateless", "stateless", OLD, ["server/discover"]),
]


@pytest.mark.parametrize("kind, said, host_revision, expected", SAID)
def test_the_config_file_has_the_last_word_about_the_era(web, kind, said, host_revision, expected):
    server = kinds(web, kind, protocol=said)
    host = web.host(host_revision)
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert opening(server) == expected


@pytest.mark.parametrize("kind, said", [("handshake", "stateless"), ("stateless", "handshake")])
def test_a_server_that_does_not_speak_what_the_file_says_is_down(web, kind, said):
    server = kinds(web, kind, protocol=said)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4
    what = "initialize" if said == "handshake" else "server/discover"
    assert what in done.stdout, done.stdout
    assert set(opening(server)) == {what}
    assert not server.requests(http="GET"), "whoever says so is no server of the oldest transport"


def test_a_server_called_http_is_never_taken_for_the_oldest_transport(web):
    server = web.legacy(entry={"type": "http"})
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4
    assert not server.requests(http="GET")


@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_called_sse_is_asked_nothing_else(web, host_revision):
    server = web.legacy(entry={"type": "sse"})
    host = web.host(host_revision)
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"
    assert server.requests()[0].request.method == "GET"
    assert not server.requests(http="POST", where=lambda exchange: exchange.request.path == server.behaviour.path)


@pytest.mark.parametrize("type", ["streamable-http", "http", "streamableHttp"])
def test_the_names_that_hosts_have_for_it_are_understood(web, type):
    web.remote(entry={"type": type})
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"


# What is remembered

def settle(host, wanted) -> None:
    """Lists until the names are as wanted; a stateless host is told of changes only if it listens."""
    deadline = tools.time.monotonic() + tools.PATIENCE
    while not wanted(host.tool_names()):
        assert tools.time.monotonic() < deadline


def restarted(server) -> int:
    """The server is gone for a moment, with all it knew. From where its log tells of its new life."""
    server.stop_listening()
    server.on_loop(server.behaviour.forget)
    start = server.position
    server.drop_connections()
    server.listen()
    return start


@pytest.mark.parametrize("kind, host_revision, expected", [
    ("handshake", NEW, ["initialize"]), ("stateless", OLD, ["server/discover"]),
    ("legacy", OLD, ["GET", "initialize"]), ("legacy", NEW, ["GET", "initialize"]),
])  # fmt: skip
def test_a_server_that_was_known_is_not_asked_again_what_it_speaks(web, kind, host_revision, expected):
    server = kinds(web, kind)
    host = web.host(host_revision)
    # A connection that is made anew, without another process of mcpagg: the entry is taken out and put back.
    entry = dict(server.entry)
    server.entry = {**entry, "disabled": True}
    web.bench.config()
    host.tools_when(lambda names: not names) if host_revision == OLD else settle(host, lambda names: not names)
    start = server.position
    server.entry = {**entry, "timeout": "1m"}
    web.bench.config()
    server.wait_for(lambda entry: entry.kind == "request" and entry.exchange.message.get("method") == "tools/list", start)
    assert opening(server, start) == expected


def test_a_server_that_was_restarted_as_another_is_found_out_anew(web):
    server = web.remote()
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "old"}) == "old"
    server.on_loop(lambda: setattr(server.behaviour, "eras", ("stateless",)))
    start = restarted(server)
    answer = host.ask("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": "x"}})
    assert answer.get("error", {}).get("code") not in (-32020, -32021, -32022), "that is between the two of us"
    server.wait_for(lambda entry: entry.kind == "request" and VERSION in meta_of(entry.exchange.message), start)
    server.wait_for(lambda entry: server.requests("tools/list", start=start))
    deadline = tools.time.monotonic() + tools.PATIENCE
    while host.call(f"{KEY}__echo", {"text": "new"}).get("isError"):
        assert tools.time.monotonic() < deadline


def test_two_servers_of_one_origin_are_found_out_apart(web):
    class Two(Behaviour):
        """One origin, two endpoints."""

        def __call__(self, exchange):
            self.eras = ("stateless",) if exchange.request.path == "/new" else ("handshake",)
            self.path = exchange.request.path
            return super().__call__(exchange)

    server = web.remote("old", Two())
    path = web.bench.directory / "mcp.json"
    entries = {"old": {"url": f"{server.origin}/old"}, "new": {"url": f"{server.origin}/new"}}
    path.write_text(json.dumps({"mcpServers": entries}))
    host = web.bench.host(path, NEW)
    assert {name.split("__")[0] for name in host.tool_names()} == {"old", "new"}
    for key in entries:
        assert host.text(f"{key}__echo", {"text": key}) == key
