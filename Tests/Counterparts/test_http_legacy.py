"""HTTP+SSE of 2024-11-05: one stream that begins with an address, and messages posted to it."""

import json

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD
from http_mcp import Legacy, Session, text
from http_server import hold, raw, status
from http_wire import EVENTS
from validation import HANDSHAKE_REVISIONS

HOSTS = [OLD, NEW]
FAILURE = "dev.mcpagg/failure"
SLOW = {"name": f"{KEY}__slow", "arguments": {}}


def status_of(web) -> str:
    return web.bench.run("--config", str(web.bench.config()), "status").stdout


def works(host, text: str = "works") -> None:
    assert host.text(f"{KEY}__echo", {"text": text}) == text


def typed(web, **knobs):
    return web.legacy(entry={"type": "sse"}, **knobs)


# The address that messages go to

@pytest.mark.parametrize("endpoint, target", [
    ("/messages?session={id}", "/messages?session="),
    ("messages?session={id}", "/messages?session="),
    ("./messages?session={id}", "/messages?session="),
    ("../a/../messages?session={id}", "/messages?session="),
    ("{origin}/messages?session={id}", "/messages?session="),
    ("?session={id}", "/sse?session="),
    ("/messages/?a=b%20c&session={id}", "/messages/?a=b%20c&session="),
    ("//{host}/messages?session={id}", "/messages?session="),
    ("/messages?session={id}#part", "/messages?session="),
])  # fmt: skip
def test_the_address_is_resolved_against_that_of_the_stream(web, endpoint, target):
    class Addressing(Legacy):
        def __call__(self, exchange):
            if exchange.request.method == "GET":
                self.endpoint = endpoint.replace("{host}", exchange.request.header("Host"))
            elif exchange.request.path == self.path and "session=" in exchange.request.target:
                self.path, path = "/none", self.path
                super().__call__(exchange)
                self.path = path
                return None
            return super().__call__(exchange)

    server = web.remote(KEY, Addressing(), {"type": "sse"})
    works(web.host())
    (session,) = server.behaviour.sessions
    assert {exchange.request.target for exchange in server.requests(http="POST")} == {f"{target}{session}"}


def test_the_address_is_taken_from_below_the_stream(web):
    server = typed(web, path="/deep/down/sse", endpoint="messages?session={id}")
    works(web.host())
    assert server.requests(http="POST")[0].request.path == "/deep/down/messages"


@pytest.mark.parametrize("kind", ["another port", "another host", "another scheme"])
def test_an_address_of_another_origin_is_refused_and_gets_nothing(web, kind):
    stranger = web.remote("stranger")
    web.bench.servers.remove(stranger)
    server = web.legacy(entry={"type": "sse", "headers": {"Authorization": "Bearer for-the-right-one"}})
    server.behaviour.endpoint = {
        "another port": f"{stranger.origin}/messages?session={{id}}",
        "another host": f"http://localhost:{server.port}/messages?session={{id}}",
        "another scheme": f"https://127.0.0.1:{server.port}/messages?session={{id}}",
    }[kind]
    said = status_of(web)
    assert "down" in said and "another" in said, said
    assert not stranger.requests() and not server.requests(http="POST")


@pytest.mark.parametrize("endpoint", ["", "http://", "mailto:a@example.com", "file:///etc/passwd", "http://[::1"])
def test_an_address_that_is_none_is_refused_with_a_text(web, endpoint):
    server = web.legacy(entry={"type": "sse", "startupTimeout": "3s"}, endpoint=endpoint)
    said = status_of(web)
    assert "down" in said and "cause" in said, said
    assert not [exchange for exchange in server.requests(http="POST") if exchange.request.path != server.behaviour.path]


def test_nothing_is_posted_before_the_address_has_come(web):
    server = typed(web)
    server.on(hold, http="GET")
    host = web.host(waits=False)
    id = host.post("tools/list")
    stream = server.wait_request(http="GET").events()
    stream.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    stream.stream(b": not yet\n\n")
    assert not server.requests(http="POST")
    server.on_loop(lambda: begin(server, stream))
    server.wait_request("initialize")
    host.answer(id)
    works(host)


def begin(server, stream) -> None:
    """What the behaviour does with a stream that a test has held back."""
    session = Session("held", OLD, {}, stream=stream)
    server.behaviour.sessions[session.id] = session
    stream.event(f"/messages?session={session.id}", name="endpoint")


def test_an_address_that_never_comes_ends_the_start(web):
    server = web.legacy(entry={"type": "sse", "startupTimeout": "1s"})
    server.on(lambda exchange: exchange.events(), http="GET", times=None)
    said = status_of(web)
    assert "down" in said and "endpoint" in said, said


# Messages

@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_newer_revisions_may_be_spoken_on_the_oldest_transport(web, revision):
    server = typed(web, revision=revision)
    host = web.host()
    works(host)
    assert server.requests("initialize")[0].params["protocolVersion"] == OLD


@pytest.mark.parametrize("code, body, kind", [
    (200, b"", None), (202, b"Accepted", "text/plain"), (204, b"", None), (200, b"ok", "text/html"), (201, b"{}", "application/json"),
    (202, b'{"jsonrpc":"2.0","id":1,"result":{"nobody":"reads this"}}', "application/json"),
])  # fmt: skip
def test_a_message_may_be_accepted_in_any_way(web, code, body, kind):
    typed(web, acceptance=(code, body, kind))
    host = web.host()
    works(host)
    id = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}})
    _, put = host.question("elicitation/create")
    host.reply(put["id"], {"action": "accept", "content": {"name": "Ö"}})
    assert host.answer(id)["result"]["content"][0]["text"] == "accept Ö"


def test_an_answer_may_come_before_its_request_was_accepted(web):
    server = typed(web)
    host = web.host()
    id = host.post("tools/call", SLOW)
    server.on(hold, "tools/call", name="echo")
    slow = server.wait_request("tools/call", name="slow")
    server.on_loop(lambda: server.behaviour.respond(slow, {"content": [{"type": "text", "text": "early"}]}))
    assert host.answer(id)["result"]["content"][0]["text"] == "early"
    id = host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {}})
    echo = server.wait_request("tools/call", name="echo")
    server.on_loop(lambda: server.behaviour.respond(echo, {"content": [{"type": "text", "text": "earlier"}]}))
    assert host.answer(id)["result"]["content"][0]["text"] == "earlier"
    echo.answer(202)
    works(host)


@pytest.mark.parametrize("kind", ["ask", "sample", "roots", "progress"])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_questions_and_progress_come_on_the_stream(web, host_revision, kind):
    typed(web)
    host = web.host(host_revision)
    reply = {
        "ask": {"action": "accept", "content": {"name": "Ö"}},
        "sample": {"role": "assistant", "content": {"type": "text", "text": "é"}, "model": "m"},
        "roots": {"roots": [{"uri": "file:///work"}]},
    }.get(kind)
    params = {"name": f"{KEY}__{kind}", "arguments": {"steps": 3} if kind == "progress" else {}}
    start = len(host.out.lines)
    id = host.post("tools/call", {**params, "_meta": {"progressToken": 7}})
    if reply is not None and host_revision == OLD:
        found, put = host.out.wait_for(lambda line: "id" in tools.parsed(line) and "method" in tools.parsed(line), tools.PATIENCE, start)
        host.reply(json.loads(put)["id"], reply)
    elif reply is not None:
        required = host.answer(id)["result"]
        (key,) = required["inputRequests"]
        id = host.post("tools/call", {**params, "inputResponses": {key: reply}, "requestState": required["requestState"]})
    result = host.answer(id)["result"]
    assert result["content"][0]["text"] == {"ask": "accept Ö", "sample": "é", "roots": "file:///work", "progress": "done"}[kind]
    if kind == "progress":
        steps = [m["params"] for m in host.messages(start) if m.get("method") == "notifications/progress"]
        assert [(step["progressToken"], step["progress"]) for step in steps] == [(7, 1), (7, 2), (7, 3)]


def test_a_cancel_is_posted(web):
    server = typed(web)
    host = web.host()
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow")
    host.notify("notifications/cancelled", {"requestId": id})
    assert server.wait_request("notifications/cancelled").params["requestId"] == slow.id
    works(host)


@pytest.mark.parametrize("code", [400, 404, 413, 500])
def test_a_message_that_is_refused_fails_its_call_alone(web, code):
    server = typed(web)
    host = web.host()
    server.on(status(code, b"not this one", "text/plain"), "tools/call", name="slow")
    result = host.ask("tools/call", SLOW)["result"]
    assert result["isError"] and f"{code}" in result["content"][0]["text"], result
    works(host)


def test_one_hundred_calls_at_once_find_their_answers(web):
    server = web.legacy(entry={"type": "sse", "maxConcurrentCalls": 100})
    host = web.host()
    server.on(lambda exchange: exchange.answer(202), "tools/call", times=100)
    ids = [host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": f"{number}"}}) for number in range(100)]
    server.wait_for(lambda entry: len(server.requests("tools/call")) == 100)
    for exchange in reversed(server.requests("tools/call")):
        result = text(exchange.params["arguments"]["text"])
        server.on_loop(lambda exchange=exchange, result=result: server.behaviour.respond(exchange, result))
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"


# The stream is the session

@pytest.mark.parametrize("how", ["end", "cut", "close"])
def test_a_lost_stream_is_a_lost_session(web, how):
    server = web.legacy(entry={"type": "sse"})
    host = web.host()
    host.ask("resources/subscribe", {"uri": "memo://one"})
    host.ask("logging/setLevel", {"level": "warning"})
    old = server.behaviour.session
    id = host.post("tools/call", SLOW)
    server.wait_request("tools/call", name="slow")
    start = server.position
    server.on_loop(server.behaviour.forget)
    getattr(old.stream, how)()
    lost = host.answer(id)["result"]
    assert lost["isError"] and lost["_meta"][FAILURE] == "outcomeUnknown"
    again = server.wait_request(http="GET", start=start)
    assert again.request.header("Last-Event-ID") is None, "this transport has no way to go on"
    server.wait_request("initialize", start=start)
    server.wait_answered(server.wait_request("resources/subscribe", start=start))
    server.wait_answered(server.wait_request("logging/setLevel", start=start))
    assert (server.behaviour.session.subscriptions, server.behaviour.session.level) == ({"memo://one"}, "warning")
    settle(host)
    assert len(server.requests("tools/call", name="slow")) == 1


def settle(host) -> None:
    """Calls until the server is back."""
    deadline = tools.time.monotonic() + tools.PATIENCE
    while host.call(f"{KEY}__echo", {"text": "x"}).get("isError"):
        assert tools.time.monotonic() < deadline


def test_a_server_that_was_restarted_is_found_again(web):
    server = typed(web)
    host = web.host()
    server.stop_listening()
    server.on_loop(server.behaviour.forget)
    start = server.position
    server.drop_connections()
    server.listen()
    server.wait_request("initialize", start=start)
    settle(host)


def test_a_server_that_keeps_failing_is_asked_less_and_less_often(web):
    server = typed(web)
    server.on(status(500), http="GET", times=None)
    host = web.host(waits=False, listWait="100ms")
    host.tools()
    server.wait_for(lambda entry: len(server.requests(http="GET")) >= 4)
    times = [entry.time for entry in server.log if entry.kind == "request"]
    pauses = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert pauses[0] >= 0.1 and pauses[2] > pauses[0], pauses


@pytest.mark.parametrize("kind, word", [
    ("404", "404"), ("401", "401"), ("HTML", "text/html"), ("JSON", "json"), ("no stream", "closed"),
])  # fmt: skip
def test_a_stream_that_cannot_be_had_is_explained(web, kind, word):
    server = web.legacy(entry={"type": "sse", "startupTimeout": "2s", "headers": {"Authorization": "Bearer not-accepted"}})
    handler = {
        "404": status(404, b"no such page", "text/plain"),
        "401": status(401),
        "HTML": status(200, b"<html>sign in</html>", "text/html"),
        "JSON": status(200, b"{}", "application/json"),
        "no stream": raw(b""),
    }[kind]
    server.on(handler, http="GET", times=None)
    said = status_of(web)
    assert ("authorization needed" if kind == "401" else "down") in said and word in said.lower(), said


def test_the_end_is_the_end_of_the_stream(web):
    server = typed(web)
    host = web.host()
    stream = server.requests(http="GET")[0]
    assert host.end() == 0
    server.wait_answered(stream, "dropped")
    assert not server.requests(http="DELETE")


def test_events_of_all_shapes_are_understood_on_it(web):
    server = typed(web)
    server.on(hold, http="GET")
    host = web.host(waits=False)
    stream = server.wait_request(http="GET")
    stream.head(200, (("Content-Type", EVENTS + "; charset=utf-8"),))
    server.behaviour.sessions["odd"] = Session("odd", OLD, {}, stream=stream)
    for byte in b"\xef\xbb\xbf: hello\r\rretry: 5\revent:endpoint\r\ndata:/messages?session=odd\r\n\r\n":
        stream.part(bytes([byte]))
    host.tools()
    works(host)
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow")
    answer = {"jsonrpc": "2.0", "id": slow.id, "result": {"content": [{"type": "text", "text": "größer"}]}}
    lines = json.dumps(answer, indent=1, ensure_ascii=False).encode().split(b"\n")
    for byte in b"id: 7\n" + b"".join(b"data: %s\r" % line for line in lines) + b"\r":
        stream.part(bytes([byte]))
    assert host.answer(id)["result"]["content"][0]["text"] == "größer"


def test_a_second_address_is_followed_or_ignored_but_harms_nothing(web):
    server = typed(web)
    host = web.host()
    works(host)
    session = server.behaviour.session
    session.stream.event(f"/messages?session={session.id}", name="endpoint")
    works(host, "again")
    assert len(server.requests("initialize")) == 1
