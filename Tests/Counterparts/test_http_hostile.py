"""Servers that mean harm, or are built in ways that do harm: nothing leaks, nothing is done twice, nothing waits for ever."""

import json
import time

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD, Printer
from http_server import hold, status
from http_wire import JSON
from lines import PipeLog

ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
SESSION = "Mcp-Session-Id"
FAILURE = "dev.mcpagg/failure"
FORM = {"message": "Name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}


def token(exchange) -> int:
    """The run of the command that printed what a request carries."""
    return int((exchange.request.header("Authorization") or "-0").rpartition("-")[2])


def done(exchange, text: str = "done") -> dict:
    return {"jsonrpc": "2.0", "id": exchange.id, "result": {"content": [{"type": "text", "text": text}]}}


# Identities and sessions

def test_a_session_that_is_being_begun_is_not_ended_by_somebody_else(web):
    """That no session is used by two identities is for the judge."""
    printer = Printer(web)
    server = web.remote(entry={"headersFrom": {**printer.entry, "lifetime": "1s"}})
    server.on(hold, "initialize")
    host = web.host(waits=False)
    first = server.wait_request("initialize")
    second = server.wait_request("initialize", where=lambda exchange: token(exchange) > token(first))
    first.result({"protocolVersion": OLD, "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}, ((SESSION, "theirs"),))
    server.wait_answered(second)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert not server.requests(where=lambda exchange: exchange.request.header(SESSION) == "theirs")


def test_a_call_in_flight_outlives_the_identity_it_was_made_with(web):
    printer = Printer(web)
    server = web.remote(entry={"headersFrom": {**printer.entry, "lifetime": "1s"}})
    host = web.host()
    id = host.post("tools/call", SLOW)
    call = server.wait_request("tools/call", name="slow")
    session = call.request.header(SESSION)
    later = server.wait_request("initialize", where=lambda exchange: token(exchange) > token(call))
    server.wait_answered(later)
    assert not server.requests(http="DELETE", where=lambda exchange: exchange.request.header(SESSION) == session)
    call.result({"content": [{"type": "text", "text": "done"}]})
    assert host.answer(id)["result"]["content"][0]["text"] == "done"
    end = server.wait_request(http="DELETE", where=lambda exchange: exchange.request.header(SESSION) == session)
    assert token(end) == token(call), "as whoever began it"


def test_what_was_asked_in_a_session_is_not_answered_in_the_next(web):
    server = web.remote()
    host = web.host()
    host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    slow.event({"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": FORM})
    _, put = host.question("elicitation/create")
    server.on_loop(server.behaviour.forget)
    start, seen = server.position, len(host.out.lines)
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    assert host.notification("notifications/cancelled", 0)[1]["params"]["requestId"] == put["id"]
    # The next session asks under the same id: that is another question.
    id = host.post("tools/call", SLOW)
    again = server.wait_request("tools/call", name="slow", start=start).events()
    again.event({"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": {**FORM, "message": "Again?"}})
    _, second = host.question("elicitation/create", seen)
    host.reply(put["id"], {"action": "accept", "content": {"name": "for the first"}})
    host.reply(second["id"], {"action": "decline"})
    reply = server.wait_request(http="POST", start=start, where=lambda e: "method" not in e.message and e.id == 0)
    assert reply.message["result"] == {"action": "decline"}
    again.event(done(again))
    again.end()
    host.answer(id)


# Commands that print headers

def test_a_command_that_does_not_end_does_not_outlive_us(web):
    """Survivors are looked for at the end of the test."""
    printer = Printer(web, "stubborn")
    web.remote(entry={"headersFrom": printer.entry})
    running = PipeLog("the command", printer.pipe)
    host = web.host(waits=False)
    running.wait_for(lambda line: line == b"running", tools.PATIENCE)
    host.end()
    running.close()


def test_headers_of_the_transport_are_not_for_commands(web):
    printer = Printer(web, "transport")
    server = web.remote(entry={"headersFrom": printer.entry})
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    for exchange in server.requests():
        assert exchange.request.header("Host") == f"127.0.0.1:{server.port}"
        assert exchange.request.header(SESSION) != "stolen"
        assert [value for name, value in exchange.request.headers if name.lower() == "x-own"] == ["2"]


def test_a_stream_that_is_refused_again_and_again_is_given_up(web):
    printer = Printer(web)
    server = web.remote(entry={"headersFrom": printer.entry})
    server.on(status(401), http="GET", times=None)
    host = web.host()
    for number in range(50):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    # The stream of each identity: once, and once more with what was fresh.
    assert len(server.requests(http="GET")) <= 3 and printer.runs <= 3


# Places and waits

def test_answers_that_come_elsewhere_leave_no_place_taken(web):
    server = web.remote()

    def elsewhere(exchange):
        exchange.events()
        server.behaviour.session.stream.event(done(exchange, "elsewhere"))

    host = web.host()
    server.wait_for(lambda entry: bool(server.behaviour.sessions) and server.behaviour.session.stream is not None)
    server.on(elsewhere, "tools/call", times=None)
    for _ in range(70):
        assert host.text(f"{KEY}__echo", {"text": "x"}) == "elsewhere"


def test_a_session_lost_before_it_was_announced_is_begun_anew(web):
    server = web.remote()
    server.on(status(404), "notifications/initialized")
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert len(server.requests("initialize")) == 2


def test_a_server_that_forgets_each_session_at_once_is_down(web):
    server = web.remote(entry={"startupTimeout": "20s"})
    server.on(status(404), "notifications/initialized", times=None)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4 and "forgets each session" in done.stdout, done.stdout
    assert len(server.requests("initialize")) <= 5


def test_a_notification_is_accepted_by_the_head_of_its_answer(web):
    server = web.remote()
    server.on(lambda exchange: exchange.events(), "notifications/initialized", times=None)
    assert web.host().text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_an_answer_with_nothing_in_it_is_told_at_once(web):
    # Nothing else may happen that would take the answer along.
    server = web.remote(entry={"healthCheck": False}, has_stream=False)
    host = web.host()
    server.wait_answered(server.wait_request("resources/templates/list"))
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    server.on(status(200, b"", JSON), "tools/call")
    result = host.answer(host.post("tools/call", ECHO), 10)["result"]
    assert result["isError"] and "nothing in it" in result["content"][0]["text"], result


def test_no_stream_is_asked_for_without_a_pause(web):
    server = web.remote()

    def shortly(exchange):
        exchange.events()
        exchange.event(id="1", retry=0)
        exchange.end()

    server.on(shortly, http="GET", times=None)
    web.host()
    asked = []
    for _ in range(6):
        position, entry = server.wait_for(
            lambda entry: entry.kind == "request" and entry.exchange.request.method == "GET", asked[-1][0] + 1 if asked else 0
        )
        asked.append((position, entry.time))
    assert asked[-1][1] - asked[0][1] >= 0.4, "five pauses of 100 ms at least"


# The first requests of a session

def test_the_first_requests_wait_for_the_stream_of_notifications(web):
    server = web.remote()
    server.on(hold, http="GET")
    host = web.host(waits=False)
    stream = server.wait_request(http="GET")
    time.sleep(0.3)  # that nothing comes can only be seen by waiting
    stream.events()
    server.on_loop(lambda: setattr(server.behaviour.session, "stream", stream))
    first, entry = server.wait_for(lambda entry: entry.kind == "request" and entry.exchange.message.get("method") == "tools/list")
    opened, _ = server.wait_for(lambda entry: entry.kind == "head" and entry.exchange is stream)
    # On a machine that stood still meanwhile, the second may be over that they wait at most.
    assert opened < first or entry.time - server.log[stream.position].time > 0.9
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_they_do_not_wait_long(web):
    server = web.remote()
    server.on(hold, http="GET")
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


# Answers that are read wrongly

@pytest.mark.parametrize("words", ["missing argument: session_name", "invalid session kind", "session not found in the log"])
def test_an_error_about_the_request_is_no_loss_of_the_session(web, words):
    server = web.remote()
    host = web.host()
    server.on(lambda exchange: exchange.error(-32602, words, status=400), "tools/call")
    assert host.ask("tools/call", ECHO)["error"]["message"] == words
    assert len(server.requests("tools/call")) == 1 and len(server.requests("initialize")) == 1


@pytest.mark.parametrize("host_revision", [OLD, NEW])
def test_see_other_does_not_run_a_call_twice(web, host_revision):
    server = web.remote(eras=("handshake", "stateless"))
    host = web.host(host_revision)
    server.on(status(303, b"", None, ("Location", "/mcp")), "tools/call")
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "outcomeUnknown", result
    assert len(server.requests("tools/call")) == 1


def test_a_redirect_of_messages_is_followed_on_the_oldest_transport(web):
    server = web.legacy(entry={"type": "sse"})

    def moved(exchange):
        exchange.answer(307, headers=(("Location", exchange.request.target.replace("/messages", "/moved")),))

    server.on(moved, http="POST", times=None, where=lambda exchange: exchange.request.path == "/messages")
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_no_part_of_a_secret_is_shown(web, monkeypatch):
    secret = "s3cret-token-of-the-person-that-is-long"
    monkeypatch.setenv("WEB_TOKEN", secret)
    server = web.remote(entry={"headers": {"Authorization": "Bearer ${WEB_TOKEN}"}})
    host = web.host(OLD, "--log-level", "debug")
    # Where it is cut, the secret has only begun.
    server.on(status(500, b"." * 140 + f"Bearer {secret}".encode(), "text/plain"), "tools/call")
    said = json.dumps(host.ask("tools/call", ECHO))
    assert "....." in said and secret[:8] not in said, said
    assert secret[:8] not in host.err.text()
