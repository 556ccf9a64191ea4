"""Servers behind URLs that nothing is said to: they are looked after, and sessions that nobody needs are ended."""

import time

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD
from http_server import hold, status
from pairs import ROOTS

# The shortest that the config file takes.
EVERY = {"healthCheck": {"every": "1s", "methods": ["ping"], "timeout": "1s"}}


def works(host, text: str = "works") -> None:
    assert host.text(f"{KEY}__echo", {"text": text}) == text


def settle(host) -> None:
    """Calls until the server is back."""
    deadline = time.monotonic() + tools.PATIENCE
    while host.call(f"{KEY}__echo", {"text": "x"}).get("isError"):
        assert time.monotonic() < deadline


# Health

def test_a_silent_server_is_asked_how_it_is_in_its_session(web):
    server = web.remote(entry=EVERY)
    host = web.host()
    first = server.wait_request("ping")
    second = server.wait_request("ping", start=first.position + 1)
    assert second.request.header("Mcp-Session-Id") == server.behaviour.session.id
    works(host)
    assert len(server.requests("initialize")) == 1


def test_a_silent_stateless_server_is_asked_what_its_era_has(web):
    server = web.stateless(entry=EVERY)
    host = web.host(NEW)
    start = server.position
    server.wait_request("server/discover", start=start)
    works(host)
    assert not server.requests("ping"), "which 2026-07-28 does not have"


@pytest.mark.parametrize("handler", [hold, lambda exchange: exchange.cut(), status(500)], ids=["silence", "a reset", "500"])
def test_a_server_that_does_not_answer_is_begun_anew(web, handler):
    server = web.remote(entry=EVERY)
    host = web.host()
    server.on(handler, "ping")
    start = server.position
    server.wait_request("initialize", start=start)
    settle(host)
    server.wait_request("ping", start=server.position)


def test_a_health_check_finds_a_lost_session_before_a_call_does(web):
    server = web.remote(entry=EVERY)
    host = web.host()
    start = server.position
    server.on_loop(server.behaviour.forget)
    server.wait_request("initialize", start=start)
    works(host)


def test_the_methods_are_tried_in_order_until_one_is_answered(web):
    server = web.remote(entry={"healthCheck": {"every": "1s", "methods": ["ping", "tools/list", "skip"], "timeout": "1s"}})
    host = web.host()
    server.on(lambda exchange: exchange.error(-32601, "no pings here"), "ping", times=None)
    start = server.position
    ping = server.wait_request("ping", start=start)
    works(host)
    server.wait_request("ping", start=ping.position + 1)
    assert len(server.requests("initialize")) == 1, "an error is an answer"


def test_without_health_checks_nothing_is_asked(web):
    server = web.remote(entry={"healthCheck": False})
    web.host()
    start = server.position
    time.sleep(1.5)  # that nothing comes can only be seen by waiting
    assert not server.requests(start=start)


# Sessions that nobody needs

@pytest.mark.parametrize("check", [False, {"every": "1s"}], ids=["no checks", "checks"])
def test_an_idle_session_is_ended_and_the_next_call_begins_another(web, check):
    server = web.remote(entry={"idleTimeout": "1s", "healthCheck": check})
    host = web.host()
    works(host)
    names = host.tool_names()
    old = server.behaviour.session.id
    end = server.wait_request(http="DELETE")
    assert end.request.header("Mcp-Session-Id") == old
    assert host.tool_names() == names, "its tools are still there"
    start = len(host.out.lines)
    works(host, "awake")
    assert server.behaviour.session.id != old
    assert not [m for m in host.messages(start) if m.get("method") == "notifications/tools/list_changed"]


def test_a_session_with_a_call_in_it_is_not_idle(web):
    server = web.remote(entry={"idleTimeout": "1s", "healthCheck": False})
    host = web.host()
    id = host.post("tools/call", {"name": f"{KEY}__slow"})
    slow = server.wait_request("tools/call", name="slow")
    time.sleep(2.5)  # longer than the idle time; that nothing comes can only be seen by waiting
    assert not server.requests(http="DELETE")
    slow.result({"content": []})
    host.answer(id)
    server.wait_request(http="DELETE")


def test_a_session_that_the_host_listens_in_is_not_ended_or_its_subscription_is_kept(web):
    server = web.remote(entry={"idleTimeout": "1s", "healthCheck": False})
    host = web.host()
    host.ask("resources/subscribe", {"uri": "memo://one"})
    time.sleep(2.5)  # longer than the idle time
    works(host)
    server.wait_for(lambda entry: server.behaviour.session.subscriptions == {"memo://one"})


@pytest.mark.parametrize("host_revision", [OLD, NEW])
def test_many_calls_that_find_the_session_ended_begin_one(web, host_revision):
    server = web.remote(entry={"idleTimeout": "1s", "healthCheck": False})
    host = web.host(host_revision)
    server.wait_request(http="DELETE")
    start = server.position
    ids = [host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": f"{number}"}}) for number in range(30)]
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"
    assert len(server.requests("initialize", start=start)) == 1


# What a host tells

def test_changed_roots_are_told_by_a_post(web):
    server = web.remote()
    host = web.host()
    host.notify("notifications/roots/list_changed")
    told = server.wait_request("notifications/roots/list_changed")
    assert "id" not in told.message
    id = host.post("tools/call", {"name": f"{KEY}__roots", "arguments": {}})
    _, put = host.question("roots/list")
    host.reply(put["id"], ROOTS)
    assert host.answer(id)["result"]["content"][0]["text"] == "file:///work"


def test_changed_roots_are_not_told_to_a_stateless_server(web):
    server = web.stateless()
    host = web.host(OLD)
    host.notify("notifications/roots/list_changed")
    works(host)
    assert not server.requests("notifications/roots/list_changed")
