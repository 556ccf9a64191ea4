"""What goes wrong between mcpagg and a server behind a URL: each has a class, a text, and does no harm beyond itself."""

import asyncio
import json
import socket
import time

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD
from http_mcp import text
from http_server import hold, raw, status
from http_wire import JSON

HOSTS = [OLD, NEW]
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
FAILURE = "dev.mcpagg/failure"


def both(web, entry=None, **knobs):
    return web.remote(eras=("handshake", "stateless"), entry=entry or {}, **knobs)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def failed(host, params=ECHO, timeout: float = tools.PATIENCE) -> tuple[str, str]:
    """The class of the failure of a call, and what it says."""
    result = host.ask("tools/call", params, timeout)["result"]
    assert result["isError"], result
    said = result["content"][0]["text"]
    assert f"'{KEY}'" in said, said
    return result["_meta"][FAILURE], said


# A server that cannot be started to talk to

def answers(handler):
    return lambda server: server.on(handler, times=None)


DOWN = {
    "nobody listens": (lambda server: server.stop_listening(), ["refused"]),
    "a name that does not exist": (lambda server: server.entry.update(url="http://no-such-host.invalid/mcp"), ["no-such-host.invalid"]),
    "HTML": (answers(status(200, b"<title>Welcome to nginx!</title>", "text/html")), ["text/html", "Welcome to nginx", "url"]),
    "HTML that is not found": (answers(status(404, b"<h1>Not Found</h1>", "text/html")), ["404", "url"]),
    "plain text": (answers(status(200, b"hello", "text/plain")), ["text/plain", "hello"]),
    "no JSON": (answers(status(200, b"hello", JSON)), ["JSON"]),
    "cut JSON": (answers(status(200, b'{"jsonrpc":"2.0","id":', JSON)), ["JSON"]),
    "500": (answers(status(500, b"out of memory", "text/plain")), ["500", "out of memory"]),
    "502": (answers(status(502, b"<html>no upstream</html>", "text/html")), ["502"]),
    "503": (answers(status(503)), ["503"]),
    "418": (answers(status(418, b"short and stout", "text/plain")), ["418"]),
    "another protocol": (answers(raw(b"SSH-2.0-OpenSSH_9.9\r\n")), ["HTTP"]),
    "binary noise": (answers(raw(bytes(range(256)))), ["HTTP"]),
    "no answer": (answers(raw(b"")), ["closed"]),
    "a reset": (answers(lambda exchange: exchange.cut()), ["reset", "broke", "closed"]),
    "silence": (answers(hold), ["initialize"]),
    "a head that never ends": (answers(lambda exchange: exchange.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000)), [""]),
    "a coding that nobody asked for": (answers(lambda e: e.answer(200, b"\x1f\x8b", JSON, (("Content-Encoding", "gzip"),))), ["gzip"]),
}


@pytest.mark.parametrize("kind", DOWN)
def test_status_says_why_a_server_is_down(web, kind):
    prepare, words = DOWN[kind]
    server = web.remote(entry={"type": "http", "startupTimeout": "3s"})
    prepare(server)
    web.bench.fake("other")
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4, done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"{KEY} ") and "down" in line for line in lines), done.stdout
    assert any(line.startswith("other ") and "ready" in line for line in lines), done.stdout
    about = done.stdout[done.stdout.index(f"\n{KEY}\n") :]
    assert any(word in about for word in words) if kind == "a reset" else all(word in about for word in words), about


@pytest.mark.parametrize("kind", ["nobody listens", "500", "HTML", "silence"])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_that_is_down_keeps_nobody_waiting(web, kind, host_revision):
    server = both(web, {"type": "http", "startupTimeout": "30s"})
    DOWN[kind][0](server)
    web.bench.fake("other")
    host = web.host(host_revision, waits=False, listWait="500ms")
    started = time.monotonic()
    assert {name.split("__")[0] for name in host.tool_names()} == {"other"}
    assert host.text("other__echo", {"text": "y"}) == "y"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("kind", ["nobody listens", "500", "HTML"])
def test_a_server_that_is_down_comes_back_by_itself(web, kind):
    server = web.remote(entry={"type": "http"})
    DOWN[kind][0](server)
    host = web.host(waits=False, listWait="100ms")
    host.tools()
    if kind == "nobody listens":
        server.listen()
    else:
        server.wait_for(lambda entry: entry.kind == "end")
        server.on_loop(server.rules.clear)
    host.tools_when(lambda names: f"{KEY}__echo" in names, within=60)


# A call that fails

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
CALLS = {
    "a reset before the head": (lambda exchange: exchange.cut(), "outcomeUnknown", [""]),
    "an end before the head": (lambda exchange: exchange.close(), "outcomeUnknown", ["closed"]),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-"), "outcomeUnknown", [""]),
    "half a body": (raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"), "outcomeUnknown", [""]),
    "half a chunk": (raw(CHUNKED + b"7d0\r\n{"), "outcomeUnknown", [""]),
    "a chunk of no size": (raw(CHUNKED + b"xyz\r\n{"), "outcomeUnknown", [""]),
    "500": (status(500, b"out of memory", "text/plain"), "outcomeUnknown", ["500", "out of memory"]),
    "502": (status(502, b"<html>bad</html>", "text/html"), "outcomeUnknown", ["502"]),
    "504": (status(504), "outcomeUnknown", ["504"]),
    "404 without a session": (status(404, b"nothing here", "text/plain"), "unavailable", ["404"]),
    "405": (status(405), "unavailable", ["405"]),
    "413": (status(413, b"too much", "text/plain"), "unavailable", ["413"]),
    "no HTTP": (raw(b"\x15\x03\x01\x00\x02\x02\x46"), "outcomeUnknown", ["HTTP"]),
    "a head that never ends": (lambda exchange: exchange.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000), "outcomeUnknown", [""]),
    "very many headers": (lambda exchange: exchange.write(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 300_000), "outcomeUnknown", [""]),
}


@pytest.mark.parametrize("host_revision", HOSTS)
@pytest.mark.parametrize("kind", CALLS)
def test_a_call_that_fails_says_why_and_whether_it_may_have_run(web, kind, host_revision):
    handler, failure, words = CALLS[kind]
    server = both(web, {"timeout": "10s"}, has_sessions=False, has_stream=False)
    host = web.host(host_revision)
    server.on(handler, "tools/call", times=None)
    started = time.monotonic()
    seen, said = failed(host)
    assert time.monotonic() - started < 8, "it need not wait for its time to be over"
    assert seen == failure and all(word in said for word in words), said
    assert len(server.requests("tools/call")) == 1, "a tool that may have run is not run again"
    server.on_loop(server.rules.clear)
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"


def test_a_call_to_a_server_that_is_gone_was_not_sent_and_a_later_one_finds_it_again(web):
    server = web.remote(has_stream=False)
    host = web.host()
    server.stop_listening()
    server.drop_connections()
    seen, said = failed(host)
    assert (seen, "refused" in said) == ("unavailable", True), said
    server.listen()
    deadline = time.monotonic() + tools.PATIENCE
    while host.call(f"{KEY}__echo", {"text": "back"}).get("isError"):
        assert time.monotonic() < deadline
    assert len([call for call in server.requests("tools/call") if call.params["arguments"] == {"text": "x"}]) == 0


@pytest.mark.parametrize("sessions", [True, False], ids=["sessions", "no sessions"])
def test_a_restart_on_the_same_port_is_hardly_noticed(web, sessions):
    server = web.remote(has_sessions=sessions, has_stream=sessions)
    host = web.host()
    for round in range(3):
        server.stop_listening()
        server.on_loop(server.behaviour.forget)
        if not sessions:
            server.behaviour.sessions[""] = tools_session()
        server.drop_connections()
        server.listen()
        assert host.text(f"{KEY}__echo", {"text": f"{round}"}) == f"{round}", "it was not sent on a connection that is gone"


def tools_session():
    from http_mcp import Session

    return Session("", OLD, {})


def test_connections_that_the_server_has_closed_meanwhile_are_not_used(web):
    server = web.stateless()
    host = web.host(NEW)
    for number in range(10):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
        idle = [c for c in server.connections.values() if c.exchange is None or c.exchange.is_over]
        server.on_loop(lambda idle=idle: [connection.transport.close() for connection in idle])
        for connection in idle:
            server.wait_for(lambda entry, number=connection.number: entry.kind == "disconnected" and entry.connection == number)


def test_a_server_that_ends_every_connection_is_served_all_the_same(web):
    server = both(web)
    original = server.behaviour

    def closing(exchange):
        answer = exchange.answer

        def last(code, body=b"", kind=None, headers=()) -> None:
            answer(code, body, kind, (*headers, ("Connection", "close")))
            exchange.close()

        exchange.answer = last
        return type(original).__call__(original, exchange)

    server.on(closing, http="POST", times=None)
    host = web.host()
    for number in range(10):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"


# Slow servers

async def drip(exchange, data: bytes, pause: float = 0.05) -> None:
    for byte in data:
        if exchange.is_over:
            return
        exchange.write(bytes([byte]))
        await asyncio.sleep(pause)


ENDLESS = CHUNKED + b"1\r\n \r\n" * 10_000
SLOWLY = {
    "no head": hold,
    "a head in drops": lambda exchange: drip(exchange, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000),
    "a head alone": lambda exchange: exchange.head(200, (("Content-Type", JSON),)),
    "a body in drops": lambda exchange: drip(exchange, ENDLESS),
    "events that say nothing": lambda exchange: drip(exchange.events(), b"3\r\n:\n\n\r\n" * 10_000),
    "half an event": lambda exchange: exchange.events().stream(b'data: {"jsonrpc":'),
}


@pytest.mark.parametrize("host_revision", HOSTS)
@pytest.mark.parametrize("kind", SLOWLY)
def test_a_slow_answer_ends_with_the_calls_time_and_keeps_no_other_waiting(web, kind, host_revision):
    server = both(web, {"timeout": "3s"})
    host = web.host(host_revision)
    server.on(SLOWLY[kind], "tools/call", name="slow", times=None)
    started = time.monotonic()
    ids = [host.post("tools/call", SLOW) for _ in range(3)]
    server.wait_for(lambda entry: len(server.requests("tools/call", name="slow")) == 3)
    for number in range(10):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    assert time.monotonic() - started < 2.8, "nobody waited for the slow ones"
    for id in ids:
        result = host.answer(id)["result"]
        assert result["_meta"][FAILURE] == "timedOut", result
    assert 2.8 < time.monotonic() - started < 10
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"
    for exchange in server.requests("tools/call", name="slow"):
        server.wait_answered(exchange, "dropped")


def test_an_answer_in_drops_that_is_done_in_time_is_an_answer(web):
    server = web.remote()
    host = web.host()

    def handler(exchange):
        body = json.dumps({"jsonrpc": "2.0", "id": exchange.id, "result": text("in drops")}).encode()
        return drip(exchange, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body, 0.005)

    server.on(handler, "tools/call")
    assert host.text(f"{KEY}__echo") == "in drops"


def test_progress_keeps_a_call_alive(web):
    server = web.remote(entry={"timeout": "1500ms"})
    host = web.host()

    async def handler(exchange) -> None:
        exchange.events()
        token = exchange.params["_meta"]["progressToken"]
        for step in range(1, 9):
            await asyncio.sleep(0.4)
            exchange.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        exchange.result(text("at last"))

    server.on(handler, "tools/call")
    assert host.ask("tools/call", {**ECHO, "_meta": {"progressToken": "t"}})["result"] == text("at last")


# Too many requests

def overloaded(code: int, after: str | None):
    return status(code, b"slow down", "text/plain", *([("Retry-After", after)] if after is not None else []))


def waited(server, method: str = "tools/call") -> list[float]:
    times = [entry.time for entry in server.log if entry.kind == "request" and entry.exchange.message.get("method") == method]
    return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_that_says_when_to_come_back_is_asked_then(web, host_revision, code):
    server = both(web)
    host = web.host(host_revision)
    server.on(overloaded(code, "1"), "tools/call")
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    (pause,) = waited(server)
    assert 0.98 <= pause < 4, pause
    first, second = server.requests("tools/call")
    assert first.params["arguments"] == second.params["arguments"]


@pytest.mark.parametrize("code", [429, 503])
def test_without_a_time_it_is_asked_again_after_a_while(web, code):
    server = both(web)
    host = web.host()
    server.on(overloaded(code, None), "tools/call", times=2)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    first, second = waited(server)
    assert first >= 0.3 and second > first * 1.1, "the second pause is longer"


def test_a_wait_that_is_longer_than_the_call_may_take_fails_it_at_once_and_is_named(web):
    server = both(web, {"timeout": "20s"})
    host = web.host()
    server.on(overloaded(429, "3600"), "tools/call", times=None)
    started = time.monotonic()
    seen, said = failed(host)
    assert time.monotonic() - started < 10
    assert "429" in said and ("3600" in said or "1 h" in said or "60 min" in said), said
    assert seen == "unavailable", "a server that has no time has not done it"
    assert len(server.requests("tools/call")) == 1


def test_attempts_have_an_end(web):
    server = both(web, {"retry": {"attempts": 3, "delay": "50ms"}})
    host = web.host()
    server.on(overloaded(429, "0"), "tools/call", times=None)
    seen, said = failed(host)
    assert seen == "unavailable" and "429" in said
    assert len(server.requests("tools/call")) == 3


def test_a_time_of_day_to_come_back_at_does_no_harm(web):
    server = both(web, {"retry": {"attempts": 2, "delay": "50ms"}})
    host = web.host()
    for after in ("Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5", "1e9", "99999999999999999999", ""):
        server.on(overloaded(429, after), "tools/call")
        result = host.ask("tools/call", ECHO)["result"]
        assert result["content"][0]["text"] == "x" or "429" in result["content"][0]["text"], result


@pytest.mark.parametrize("code", [429, 503])
def test_other_calls_wait_with_the_one_that_was_told_to(web, code):
    server = both(web, {"retry": False})
    web.bench.fake("other")
    host = web.host()
    server.on(overloaded(code, "1"), "tools/call")
    failed(host)
    id = host.post("tools/call", ECHO)
    assert host.text("other__echo", {"text": "y"}) == "y", "it is this server alone that wants to be left alone"
    assert host.answer(id)["result"]["content"][0]["text"] == "x"
    (pause,) = waited(server)
    assert 0.98 <= pause < 4, pause


def test_calls_that_could_not_wait_long_enough_are_not_sent(web):
    server = both(web)
    host = web.host()
    server.on(overloaded(429, "600"), "tools/call", times=None)
    failed(host)
    for _ in range(5):
        seen, said = failed(host)
        assert len(server.requests("tools/call")) == 1
        assert seen == "unavailable" and "left alone" in said and " min" in said, said


def test_one_that_waits_can_be_cancelled(web):
    server = both(web)
    host = web.host()
    server.on(overloaded(429, "1"), "tools/call", times=1)
    id = host.post("tools/call", {**ECHO, "arguments": {"text": "never"}})
    server.wait_answered(server.wait_request("tools/call"))
    # The refusal has arrived when a later answer has, of what is no call.
    host.ask("resources/subscribe", {"uri": "memo://one"})
    host.notify("notifications/cancelled", {"requestId": id})
    time.sleep(1.3)  # that nothing comes can only be seen by waiting
    assert len(server.requests("tools/call", arguments={"text": "never"})) == 1
    assert not server.requests("notifications/cancelled"), "the server knows nothing of it"


@pytest.mark.parametrize("code", [429, 503])
def test_an_overload_at_the_start_is_waited_out(web, code):
    server = both(web)
    server.on(overloaded(code, "1"))
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert [exchange.message.get("method") for exchange in server.requests()][:2] == ["initialize", "initialize"]
    assert waited(server, "initialize")[0] >= 0.98


# Codes of the command line

@pytest.mark.parametrize("kind, code", [("nobody listens", 4), ("500 to the call", 6), ("an error of the tool", 5), ("a cut", 6)])
def test_the_command_line_ends_with_the_code_of_what_happened(web, kind, code):
    server = web.remote(entry={"startupTimeout": "2s"})
    match kind:
        case "nobody listens":
            server.stop_listening()
        case "500 to the call":
            server.on(status(500), "tools/call", times=None)
        case "a cut":
            server.on(lambda exchange: exchange.cut(), "tools/call", times=None)
        case _:
            server.on(lambda exchange: exchange.result(text("no", isError=True)), "tools/call")
    done = web.bench.run("--config", str(web.bench.config()), "call", f"{KEY}__echo", "text=x")
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
