"""Sessions of Streamable HTTP: begun once, lost, begun again with all that was in them, and ended (MCP 2025-11-25, basic/transports)."""

import json

import pytest

from http_bench import KEY, NEW, OLD
from http_mcp import Session
from http_server import hold, status
from http_wire import EVENTS, JSON

SESSION = "Mcp-Session-Id"
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
# Ways in which servers say that they do not know a session.
GONE = {
    "404": status(404),
    "404 with words": status(404, b"Session not found", "text/plain"),
    "404 with an error": status(404, b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session terminated"}}', JSON),
    "404 with an error under null": status(404, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}', JSON),
    "400 with words": status(400, b"Bad Request: No valid session ID provided", "text/plain"),
    "400 with an error": status(
        400, b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Invalid session ID"}}', JSON
    ),
}


def is_of(session: str):
    return lambda exchange: exchange.request.header(SESSION) == session


def lose_session(server, handler=None) -> str:
    """From now on the server does not know its session any more."""
    (old,) = server.behaviour.sessions
    server.on_loop(server.behaviour.forget)
    if handler is not None:
        server.on(handler, where=is_of(old), times=None)
    return old


@pytest.mark.parametrize("kind", GONE)
def test_a_session_that_is_gone_is_begun_anew_and_the_request_is_made_again(web, kind):
    server = web.remote()
    host = web.host()
    server.wait_request(http="GET")
    old = lose_session(server, GONE[kind])
    start = server.position
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    (initialize,) = server.requests("initialize", start=start)
    assert initialize.request.header(SESSION) is None
    first, second = server.requests("tools/call", start=start)
    assert first.request.header(SESSION) == old
    assert second.request.header(SESSION) == server.behaviour.session.id != old
    late = server.requests(start=initialize.position, where=is_of(old))
    assert late == [], "nothing more is said in the old session"


@pytest.mark.parametrize("answers", [JSON, EVENTS])
def test_many_requests_that_find_the_session_gone_begin_one_new_one(web, answers):
    server = web.remote(answers=answers)
    host = web.host()
    server.wait_request(http="GET")
    held = []
    count = 40
    server.on(held.append, "tools/call", name="echo", times=count)
    ids = [host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": f"{number}"}}) for number in range(count)]
    server.wait_for(lambda entry: len(held) == count)
    start = server.position
    lose_session(server)
    for exchange in held:
        exchange.answer(404)
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"
    assert len(server.requests("initialize", start=start)) == 1
    assert len(server.requests("notifications/initialized", start=start)) == 1
    assert len(server.requests("tools/call", start=start)) == count, "each was made once more"


def test_calls_in_flight_when_the_session_is_lost_are_answered_on_their_streams(web):
    server = web.remote()
    host = web.host()
    server.wait_request(http="GET")
    slow = [host.post("tools/call", SLOW) for _ in range(3)]
    server.wait_for(lambda entry: len(server.requests("tools/call", name="slow")) == 3)
    calls = server.requests("tools/call", name="slow")
    calls[0].events()
    lose_session(server)
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    for number, exchange in enumerate(calls):
        exchange.result({"content": [{"type": "text", "text": f"slow {number}"}]})
    for number, id in enumerate(slow):
        assert host.answer(id)["result"]["content"][0]["text"] == f"slow {number}"
    assert len(server.requests("tools/call", name="slow")) == 3, "they were not made again"


def test_what_was_agreed_on_in_the_session_is_restored_in_the_next(web):
    server = web.remote()
    host = web.host()
    host.ask("resources/subscribe", {"uri": "memo://one"})
    host.ask("resources/subscribe", {"uri": "memo://two"})
    host.ask("resources/unsubscribe", {"uri": "memo://two"})
    host.ask("logging/setLevel", {"level": "warning"})
    # The host is answered at once; the server is told meanwhile.
    server.wait_answered(server.wait_request("logging/setLevel"))
    first: Session = server.behaviour.session
    assert (first.subscriptions, first.level) == ({"memo://one"}, "warning")
    start = server.position
    lose_session(server)
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    server.wait_answered(server.wait_request("resources/subscribe", start=start))
    server.wait_answered(server.wait_request("logging/setLevel", start=start))
    second = server.behaviour.session
    assert (second.subscriptions, second.level, second.capabilities) == ({"memo://one"}, "warning", first.capabilities)
    server.wait_for(lambda entry: second.stream is not None)
    at = len(host.out.lines)
    second.stream.event({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "memo://one"}})
    assert host.notification("notifications/resources/updated", at)[1]["params"] == {"uri": "memo://one"}


def test_a_list_that_changed_with_the_session_is_announced(web):
    server = web.remote()
    host = web.host()
    assert f"{KEY}__slow" in host.tool_names()
    server.behaviour.tools = server.behaviour.tools[:2]
    lose_session(server)
    start = len(host.out.lines)
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    host.notification("notifications/tools/list_changed", start)
    assert host.tool_names() == [f"{KEY}__echo", f"{KEY}__add"]


def test_a_stream_that_is_told_of_the_loss_begins_the_new_session(web):
    """The server was restarted: the stream of notifications breaks first, and finds out before any request does."""
    server = web.remote()
    host = web.host()
    host.ask("resources/subscribe", {"uri": "memo://one"})
    stream = server.wait_request(http="GET")
    server.wait_for(lambda entry: stream.status is not None)
    start = server.position
    lose_session(server)
    stream.cut()
    server.wait_answered(server.wait_request("resources/subscribe", start=start))
    assert len(server.requests("initialize", start=start)) == 1
    assert server.behaviour.session.subscriptions == {"memo://one"}
    server.wait_request(http="GET", start=start, where=is_of(server.behaviour.session.id))


def test_a_server_that_forgets_every_session_at_once_is_not_asked_for_ever(web):
    server = web.remote()
    host = web.host()
    server.on(status(404, b"no such session", "text/plain"), "tools/call", times=None)
    start = server.position
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and KEY in result["content"][0]["text"]
    assert result["_meta"]["dev.mcpagg/failure"] == "unavailable", "a 404 says that it was not carried out"
    assert len(server.requests("tools/call", start=start)) <= 3
    assert len(server.requests("initialize", start=start)) <= 3


def test_a_new_session_may_agree_on_another_revision(web):
    """The header must follow; that is what the judge looks at."""
    server = web.remote(revision="2025-11-25")
    host = web.host()
    server.behaviour.revision = "2025-06-18"
    lose_session(server)
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    call = server.requests("tools/call")[-1]
    assert call.request.header("MCP-Protocol-Version") == "2025-06-18"


def test_a_session_that_cannot_be_begun_again_fails_the_request_with_a_text(web):
    server = web.remote(entry={"timeout": "5s", "startupTimeout": "3s"})
    host = web.host()
    lose_session(server)
    server.on(status(500, b"out of memory", "text/plain"), "initialize", times=None)
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and "500" in result["content"][0]["text"], result
    assert result["_meta"]["dev.mcpagg/failure"] == "unavailable", result


@pytest.mark.parametrize("id", ["simple", "!~" + "x" * 500, "a.b-c_d=="])
def test_a_session_id_is_sent_back_as_it_came(web, id):
    server = web.remote()

    def initialize(exchange) -> None:
        server.behaviour.sessions[id] = Session(id, OLD, {})
        result = {"protocolVersion": OLD, "capabilities": {"tools": {}}, "serverInfo": {"name": "n", "version": "1"}}
        exchange.result(result, (("mCP-sESSION-iD", id),))

    server.on(initialize, "initialize")
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert server.wait_request("tools/call").request.header(SESSION) == id


def test_a_session_id_from_any_other_answer_is_none(web):
    server = web.remote()
    host = web.host()
    server.on(lambda exchange: exchange.result({"content": []}, ((SESSION, "another"),)), "tools/call")
    host.ask("tools/call", ECHO)
    host.text(f"{KEY}__echo", {"text": "x"})
    assert server.requests("tools/call")[-1].request.header(SESSION) == server.behaviour.session.id


# The end

@pytest.mark.parametrize("code", [200, 202, 204, 405, 404, 500])
def test_the_session_is_ended_with_mcpagg_whatever_the_server_says_to_it(web, code):
    server = web.remote()
    host = web.host()
    session = server.behaviour.session.id
    server.on(status(code), http="DELETE", times=None)
    assert host.end() == 0
    (end,) = server.requests(http="DELETE")
    assert end.request.header(SESSION) == session
    assert server.requests()[-1] is end


def test_an_end_that_is_not_answered_does_not_keep_mcpagg(web):
    server = web.remote()
    host = web.host()
    server.on(hold, http="DELETE", times=None)
    assert host.end() == 0
    assert len(server.requests(http="DELETE")) == 1


def test_a_server_that_is_gone_does_not_keep_mcpagg(web):
    server = web.remote()
    host = web.host()
    server.stop_listening()
    server.drop_connections()
    assert host.end() == 0


def test_calls_in_flight_are_not_waited_for_longer_than_the_grace(web):
    server = web.remote()
    host = web.host()
    host.post("tools/call", SLOW)
    server.wait_request("tools/call", name="slow")
    assert host.end() == 0
    assert len(server.requests(http="DELETE")) == 1


def test_a_command_of_the_shell_ends_its_session_too(web):
    server = web.remote()
    config = web.bench.config()
    done = web.bench.run("--config", str(config), "call", f"{KEY}__add", "a=19", "b=23")
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    assert len(server.requests("initialize")) == len(server.requests(http="DELETE")) == 1


def test_a_stateless_server_has_no_session_to_end(web):
    server = web.stateless()
    host = web.host(NEW)
    host.text(f"{KEY}__echo", {"text": "x"})
    host.end()
    assert {exchange.request.method for exchange in server.requests()} == {"POST"}


# Isolation

def test_two_entries_with_one_url_and_two_identities_never_share_a_session(web):
    server = web.remote("one", entry={"headers": {"Authorization": "Bearer first-token"}})
    other = {"key": "two", "entry": {**server.entry, "headers": {"Authorization": "Bearer second-token"}}}
    path = web.bench.directory / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"one": server.entry, "two": other["entry"]}}))
    host = web.bench.host(path)
    assert {name.split("__")[0] for name in host.tool_names()} == {"one", "two"}
    for number in range(10):
        assert host.text(f"{('one', 'two')[number % 2]}__echo", {"text": f"{number}"}) == f"{number}"
    host.end()
    owners: dict[str, set[str]] = {}
    for exchange in server.requests(where=lambda exchange: exchange.request.header(SESSION) is not None):
        owners.setdefault(exchange.request.header(SESSION), set()).add(exchange.request.header("Authorization"))
    assert sorted(map(sorted, owners.values())) == [["Bearer first-token"], ["Bearer second-token"]]
    assert len(server.requests(http="DELETE")) == 2
    for number, call in enumerate(server.requests("tools/call")):
        assert call.request.header("Authorization") == f"Bearer {('first', 'second')[number % 2]}-token"


def test_a_changed_identity_in_the_file_begins_a_session_of_its_own(web):
    server = web.remote(entry={"headers": {"Authorization": "Bearer first-token"}})
    host = web.host()
    host.text(f"{KEY}__echo", {"text": "x"})
    start = server.position
    server.entry["headers"] = {"Authorization": "Bearer second-token"}
    web.bench.config()
    server.wait_request("initialize", start=start)
    server.wait_request(http="DELETE", start=start)
    host.text(f"{KEY}__echo", {"text": "y"})
    assert server.requests("tools/call")[-1].request.header("Authorization") == "Bearer second-token"
    (end,) = server.requests(http="DELETE")
    assert end.request.header("Authorization") == "Bearer first-token", "each ends its own"


def test_two_hosts_have_two_sessions(web):
    server = web.remote()
    first, second = web.host(), web.host()
    assert first.text(f"{KEY}__echo", {"text": "1"}) == "1" and second.text(f"{KEY}__echo", {"text": "2"}) == "2"
    assert len(server.behaviour.sessions) == 2
    first.end()
    server.wait_request(http="DELETE")
    assert second.text(f"{KEY}__echo", {"text": "3"}) == "3"


def test_the_name_of_a_session_is_said_to_nobody(web):
    server = web.remote()
    host = web.host(OLD, "--log-level", "debug")
    old = lose_session(server)
    host.text(f"{KEY}__echo", {"text": "x"})
    new = server.behaviour.session.id
    host.end()
    text = host.err.text()
    assert old not in text and new not in text, text
