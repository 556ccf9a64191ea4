"""Streams that end too early, and the stream of notifications (MCP 2025-11-25, basic/transports, "Resumability and Redelivery")."""

import time

import pytest

from http_bench import KEY, NEW, OLD
from http_server import hold, status
from pairs import FORM
from validation import HANDSHAKE_REVISIONS

SLOW = {"name": f"{KEY}__slow", "arguments": {}}
FAILURE = "dev.mcpagg/failure"
QUESTION = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": FORM}
# Clocks of two processes, and a loaded machine.
EARLY, LATE = 0.02, 5.0


def message(exchange, text: str = "resumed") -> dict:
    return {"jsonrpc": "2.0", "id": exchange.id, "result": {"content": [{"type": "text", "text": text}]}}


def changed(kind: str) -> dict:
    return {"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed"}


def resumes(id: str):
    return lambda exchange: exchange.request.header("Last-Event-ID") == id


def call(web, revision: str = OLD, **knobs):
    """A call whose stream the test plays."""
    server = web.remote(revision=revision, **knobs)
    host = web.host()
    # Its GET is not to be confused with that of the call.
    server.wait_request(http="GET")
    id = host.post("tools/call", SLOW)
    return server, host, id, server.wait_request("tools/call", name="slow").events()


# The stream of a request

@pytest.mark.parametrize("how", ["end", "cut", "close"])
@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS[1:])
def test_a_stream_that_ends_before_the_answer_is_gone_on_with_from_its_last_event(web, revision, how):
    server, host, id, stream = call(web, revision)
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream), id="e-3")), http="GET", where=resumes("e-2"))
    token = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "first"}}
    stream.event(token, id="e-1")
    stream.event(token, id="e-2")
    getattr(stream, how)()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"
    (resumed,) = server.requests(http="GET", where=resumes("e-2"))
    assert resumed.request.header("Mcp-Session-Id") == server.behaviour.session.id
    assert resumed.request.header("MCP-Protocol-Version") in ({revision} if revision > "2025-03-26" else {revision, None})
    assert len(server.requests("tools/call")) == 1, "the request is not made again"


@pytest.mark.parametrize("primer", [
    b"id: p-1\ndata:\n\n", b"id: p-1\ndata: \n\n", b"id: p-1\ndata\n\n", b"retry: 10\nid: p-1\ndata:\n\n", b"id:p-1\n\n",
])  # fmt: skip
def test_a_primer_is_enough_to_go_on_with(web, primer):
    server, host, id, stream = call(web)
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream)), exchange.end()), http="GET", where=resumes("p-1"))
    stream.stream(primer)
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"


@pytest.mark.parametrize("retry", [0, 300, 1500])
def test_the_server_says_how_long_to_wait_before_going_on(web, retry):
    server, host, id, stream = call(web)
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream)), exchange.end()), http="GET", where=resumes("1"))
    stream.event(None, id="1", retry=retry)
    stream.end()
    ended = server.wait_answered(stream).time
    _, entry = server.wait_for(lambda entry: entry.kind == "request" and entry.exchange.request.header("Last-Event-ID") == "1")
    waited = entry.time - ended
    assert retry / 1000 - EARLY <= waited <= retry / 1000 + LATE, waited
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"


def test_a_server_that_closes_early_is_polled_until_it_has_the_answer(web):
    """2025-11-25: the server lets go of the connection, and is asked again as often as it says so."""
    server, host, id, stream = call(web)
    rounds = 6

    def poll(exchange) -> None:
        last = int(exchange.request.header("Last-Event-ID"))
        exchange.events()
        if last == rounds:
            exchange.event(message(stream), id="last")
        else:
            exchange.event(None, id=str(last + 1), retry=20)
        exchange.end()

    server.on(poll, http="GET", times=None, where=lambda exchange: exchange.request.header("Last-Event-ID") is not None)
    stream.event(None, id="0", retry=20)
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"
    asked = [exchange.request.header("Last-Event-ID") for exchange in server.requests(http="GET")]
    assert [id for id in asked if id is not None] == [str(number) for number in range(rounds + 1)]
    assert len(server.requests("tools/call")) == 1


def test_a_poll_that_brings_no_news_is_made_again_with_the_same_id(web):
    server, host, id, stream = call(web)
    seen = []

    def poll(exchange) -> None:
        seen.append(exchange.request.header("Last-Event-ID"))
        exchange.events()
        if len(seen) == 4:
            exchange.event(message(stream))
        exchange.end()

    server.on(poll, http="GET", times=None, where=lambda exchange: exchange.request.header("Last-Event-ID") is not None)
    stream.event(None, id="1", retry=10)
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"
    assert seen == ["1"] * 4


def test_an_id_with_nul_is_none_and_an_empty_one_takes_the_last_away(web):
    server, host, id, stream = call(web)
    stream.stream(b"id: good\ndata:\n\n")
    stream.stream(b"id: b\0d\ndata:\n\n")
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream)), exchange.end()), http="GET", where=resumes("good"))
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"


@pytest.mark.parametrize("event_id", ["1", "stream-7_event-12", "a b c", "x" * 1000, "!~/=?", "0"])
def test_an_event_id_is_sent_back_as_it_came(web, event_id):
    server, host, id, stream = call(web)
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream)), exchange.end()), http="GET", where=resumes(event_id))
    stream.event(None, id=event_id)
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"


def test_each_stream_goes_on_from_its_own_last_event(web):
    server = web.remote()
    host = web.host()
    server.wait_request(http="GET")
    ids = [host.post("tools/call", {**SLOW, "arguments": {"n": number}}) for number in range(4)]
    streams = [server.wait_request("tools/call", arguments={"n": number}).events() for number in range(4)]
    for number, stream in enumerate(streams):
        handler = lambda exchange, answer=message(stream, f"{number}"): (exchange.events(), exchange.event(answer))  # noqa: E731
        server.on(handler, http="GET", where=resumes(f"stream {number}"))
        stream.event(None, id=f"stream {number}", retry=10)
    for stream in reversed(streams):
        stream.cut()
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"


def test_what_comes_on_the_resumed_stream_belongs_to_the_call(web):
    server, host, id, stream = call(web)
    server.on(lambda exchange: (exchange.events(), exchange.event(QUESTION, id="2")), http="GET", where=resumes("1"))
    stream.event(None, id="1", retry=10)
    stream.end()
    _, asked = host.question("elicitation/create")
    host.reply(asked["id"], {"action": "decline"})
    server.wait_request(where=lambda exchange: exchange.id == "q")
    resumed = server.wait_request(http="GET", where=resumes("1"))
    resumed.event(message(stream))
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"


def test_events_that_are_told_again_count_once(web):
    """A server may tell again what it does not know to have arrived: the host is asked one question, and gets one answer."""
    server, host, id, stream = call(web)
    host.ask("logging/setLevel", {"level": "debug"})
    start = len(host.out.lines)
    stream.event(None, id="1", retry=10)
    stream.event(QUESTION, id="2")
    _, asked = host.question("elicitation/create")
    server.on(lambda exchange: exchange.events(), http="GET", where=resumes("2"))
    stream.cut()
    resumed = server.wait_request(http="GET", where=resumes("2"))
    resumed.event(QUESTION, id="2")
    resumed.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "told again"}})
    host.notification("notifications/message", start)
    host.reply(asked["id"], {"action": "decline"})
    server.wait_request(where=lambda exchange: exchange.id == "q")
    resumed.event(message(stream))
    resumed.event(message(stream, "again"))
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"
    assert len([m for m in host.messages(start) if m.get("id") == id and "method" not in m]) == 1
    assert len([m for m in host.messages(start) if m.get("method") == "elicitation/create"]) == 1, "the host is asked once"
    answers = [exchange.message for exchange in server.requests(where=lambda exchange: exchange.id == "q")]
    assert len(answers) == 1, f"and answers once: {answers}"


@pytest.mark.parametrize("how", ["end", "cut", "close"])
def test_without_an_event_id_the_answer_is_lost_and_the_host_is_told_at_once(web, how):
    server, host, id, stream = call(web)
    stream.stream(b": alive\n\n")
    getattr(stream, how)()
    result = host.answer(id)["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "outcomeUnknown"
    assert KEY in result["content"][0]["text"]
    assert not server.requests(http="GET", where=lambda exchange: exchange.request.header("Last-Event-ID") is not None)
    assert len(server.requests("tools/call")) == 1


@pytest.mark.parametrize("code", [400, 404, 405, 501])
def test_a_server_that_does_not_go_on_with_streams_loses_the_answer(web, code):
    server, host, id, stream = call(web, has_sessions=code != 404)
    server.on(status(code, b"no"), http="GET", times=None)
    stream.event(None, id="1", retry=10)
    stream.end()
    result = host.answer(id)["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "outcomeUnknown"
    assert len(server.requests(http="GET", where=resumes("1"))) <= 2
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"


def test_a_resumption_that_fails_for_a_moment_is_tried_again(web):
    server, host, id, stream = call(web)
    for handler in (status(503), lambda exchange: exchange.cut(), status(500)):
        server.on(handler, http="GET", where=resumes("1"))
    server.on(lambda exchange: (exchange.events(), exchange.event(message(stream)), exchange.end()), http="GET", where=resumes("1"))
    stream.event(None, id="1", retry=10)
    stream.end()
    assert host.answer(id)["result"]["content"][0]["text"] == "resumed"
    assert len(server.requests(http="GET", where=resumes("1"))) == 4


def test_resumptions_that_bring_nothing_end_with_the_calls_time(web):
    server, host, id, stream = call(web, entry={"timeout": "4s"})
    server.on(lambda exchange: (exchange.events(), exchange.end()), http="GET", where=resumes("1"), times=None)
    stream.event(None, id="1", retry=1)
    stream.end()
    assert host.answer(id)["result"]["isError"]
    tries = len(server.requests(http="GET", where=resumes("1")))
    assert 2 <= tries <= 100, f"{tries} attempts in 4 s: neither none nor a storm"


def test_a_call_that_is_cancelled_is_not_gone_on_with(web):
    server, host, id, stream = call(web)
    stream.event(None, id="1", retry=500)
    stream.end()
    host.notify("notifications/cancelled", {"requestId": id})
    cancelled = server.wait_request("notifications/cancelled")
    server.wait_answered(cancelled)
    time.sleep(0.8)  # that nothing comes can only be seen by waiting
    assert not server.requests(http="GET", where=resumes("1"), start=cancelled.position)


def test_the_revision_without_sessions_has_nothing_to_go_on_with(web):
    server = web.stateless()
    host = web.host(NEW)
    id = host.post("tools/call", SLOW)
    stream = server.wait_request("tools/call", name="slow").events()
    stream.event(None, id="1", retry=10)
    stream.end()
    result = host.answer(id)["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "outcomeUnknown"
    assert not server.requests(http="GET")


def test_a_lost_call_of_a_tool_that_only_reads_is_made_again_under_a_new_id(web):
    server = web.stateless()
    host = web.host(NEW)
    server.on(lambda exchange: (exchange.events(), exchange.cut()), "tools/call", name="read")
    assert host.ask("tools/call", {"name": f"{KEY}__read", "arguments": {"text": "y"}})["result"] is not None
    calls = server.requests("tools/call", name="read")
    # Whether it is made again is for `retry` of the config; if it is, then as another request.
    assert len(calls) == 1 or calls[0].id != calls[1].id


# The stream of notifications

def stream_of(server, start: int = 0):
    stream = server.wait_request(http="GET", start=start)
    server.wait_for(lambda entry: entry.exchange is stream and entry.kind == "head")
    return stream


def test_it_is_opened_after_the_handshake_and_what_is_said_on_it_arrives(web):
    server = web.remote()
    host = web.host()
    stream = stream_of(server)
    assert stream.position > server.requests("notifications/initialized")[0].position
    server.behaviour.tools = server.behaviour.tools[:1]
    start = len(host.out.lines)
    stream.event(changed("tools"))
    host.notification("notifications/tools/list_changed", start)
    assert host.tool_names() == [f"{KEY}__echo"]


@pytest.mark.parametrize("code", [405, 404, 400, 501, 200])
def test_a_server_without_one_is_not_asked_for_it_again(web, code):
    server = web.remote(has_sessions=code != 404)
    server.on(status(code, b"<html>" if code == 200 else b"", "text/html" if code == 200 else None), http="GET", times=None)
    host = web.host()
    server.wait_request(http="GET")
    for number in range(5):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    time.sleep(0.8)  # longer than the first back-off
    assert len(server.requests(http="GET")) == 1
    assert len(server.requests("initialize")) == 1


@pytest.mark.parametrize("how", ["end", "cut", "close"])
def test_it_is_opened_again_from_its_last_event(web, how):
    server = web.remote()
    host = web.host()
    stream = stream_of(server)
    stream.event(None, id="n-1")
    getattr(stream, how)()
    again = server.wait_request(http="GET", where=resumes("n-1"))
    server.behaviour.tools = server.behaviour.tools[:1]
    start = len(host.out.lines)
    again.event(changed("tools"))
    host.notification("notifications/tools/list_changed", start)


def test_it_is_opened_again_without_an_event_id_too(web):
    server = web.remote()
    web.host()
    stream = stream_of(server)
    stream.cut()
    again = server.wait_request(http="GET", start=stream.position + 1)
    assert again.request.header("Last-Event-ID") is None
    assert len(server.requests("initialize")) == 1, "the session goes on"


@pytest.mark.parametrize("retry", [200, 1500])
def test_it_is_opened_again_when_the_server_says(web, retry):
    server = web.remote()
    web.host()
    stream = stream_of(server)
    stream.stream(b"retry: %d\n\n" % retry)
    stream.end()
    ended = server.wait_answered(stream).time
    _, entry = server.wait_for(lambda entry: entry.kind == "request" and entry.exchange.request.method == "GET", stream.position + 1)
    assert retry / 1000 - EARLY <= entry.time - ended <= retry / 1000 + LATE


def test_one_that_breaks_again_and_again_is_opened_less_and_less_often(web):
    server = web.remote()
    server.on(lambda exchange: exchange.cut(), http="GET", times=None)
    host = web.host()
    server.wait_for(lambda entry: len(server.requests(http="GET")) >= 4)
    times = [entry.time for entry in server.log if entry.kind == "request" and entry.exchange.request.method == "GET"]
    pauses = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert pauses[0] >= 0.1 and pauses[2] > pauses[0], pauses
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"


def test_calls_do_not_wait_for_it(web):
    server = web.remote()
    server.on(hold, http="GET", times=None)
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"


def test_what_is_missed_while_it_is_away_is_made_up_for_by_what_the_server_tells_again(web):
    server = web.remote()
    host = web.host()
    host.ask("resources/subscribe", {"uri": "memo://one"})
    stream = stream_of(server)
    updated = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "memo://one"}}
    start = len(host.out.lines)
    stream.event(updated, id="1")
    stream.cut()
    server.on(lambda exchange: (exchange.events(), exchange.event(updated, id="2")), http="GET", where=resumes("1"))
    first, _ = host.notification("notifications/resources/updated", start)
    host.notification("notifications/resources/updated", first + 1)


def test_it_does_not_answer_requests(web):
    """An answer that comes there all the same (some servers do it) is understood, and is not counted twice."""
    server = web.remote()
    host = web.host()
    stream = stream_of(server)
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    stream.event(message(slow, "on the other stream"))
    assert host.answer(id)["result"]["content"][0]["text"] == "on the other stream"
    slow.event(message(slow, "late"))
    slow.end()
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"


def test_the_newest_revision_has_no_such_stream(web):
    server = web.stateless()
    host = web.host(NEW)
    host.text(f"{KEY}__echo", {"text": "x"})
    host.end()
    assert not server.requests(http="GET")
