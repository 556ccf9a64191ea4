"""Many requests at once, and few connections: what a connection costs is paid seldom."""

import time

import pytest

import bench as tools
import processes
from http_bench import KEY, NEW, OLD
from http_mcp import text
from http_wire import EVENTS, JSON

HOSTS = [OLD, NEW]
# The pool's limit, as `HTTPLimits.connections` has it.
CONNECTIONS = 80


def both(web, **knobs):
    return web.remote(eras=("handshake", "stateless"), entry={"maxConcurrentCalls": 10_000}, **knobs)


def most_at_once(server, kinds=("connected", "disconnected")) -> int:
    most = open = 0
    for entry in server.log:
        open += {kinds[0]: 1, kinds[1]: -1}.get(entry.kind, 0)
        most = max(most, open)
    return most


def echo(host, *texts: str, timeout: float = 60) -> None:
    """Calls all at once; each answer must be the right one. The host's lines are read once, not once for each answer."""
    position = len(host.out.lines)
    waiting = {host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": text}}): text for text in texts}
    while waiting:
        found, line = host.out.wait_for(lambda line: True, timeout, position)
        position = found + 1
        message = tools.parsed(line)
        if "method" not in message:
            assert message["result"]["content"][0]["text"] == waiting.pop(message["id"])


def numbered(count: int) -> list[str]:
    return [f"call {number}" for number in range(count)]


@pytest.mark.parametrize("answers", [JSON, EVENTS])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_two_hundred_calls_at_once_are_all_answered_over_a_bounded_number_of_connections(web, host_revision, answers):
    server = both(web, answers=answers)
    host = web.host(host_revision)
    echo(host, *numbered(200))
    assert most_at_once(server) <= CONNECTIONS
    assert len(server.requests("tools/call")) == 200


@pytest.mark.parametrize("host_revision", HOSTS)
def test_more_slow_calls_than_there_are_places_wait_for_their_turn(web, host_revision):
    server = both(web)
    host = web.host(host_revision)
    count = 150
    ids = [host.post("tools/call", {"name": f"{KEY}__slow", "arguments": {"n": number}}) for number in range(count)]
    answered = 0
    position = 0
    while answered < count:
        position, entry = server.wait_for(lambda entry: entry.kind == "request" and entry.exchange.params.get("name") == "slow", position)
        position += 1
        result = text(f"{entry.exchange.params['arguments']['n']}")
        entry.exchange.result(server.behaviour.complete(result) if host_revision == NEW else result)
        answered += 1
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"
    assert most_at_once(server) <= CONNECTIONS


def test_a_thousand_calls_at_once_are_answered_and_memory_stays_bounded(web):
    server = both(web)
    host = web.host()
    echo(host, *numbered(100))
    before = processes.resident_bytes(host.process.pid)
    for _ in range(5):
        echo(host, *numbered(1000))
    grown = processes.resident_bytes(host.process.pid) - before
    assert grown < 64 * 1024 * 1024, f"{grown} bytes more"
    assert most_at_once(server) <= CONNECTIONS


@pytest.mark.parametrize("host_revision", HOSTS)
def test_calls_one_after_the_other_use_the_connections_that_are_there(web, host_revision):
    server = both(web)
    host = web.host(host_revision)
    before = len([entry for entry in server.log if entry.kind == "connected"])
    for number in range(100):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    assert len([entry for entry in server.log if entry.kind == "connected"]) == before


def test_cancelled_calls_give_their_places_back(web):
    """Places that are not given back would end all calls to a server after a while."""
    server = both(web)
    host = web.host(NEW)
    for _ in range(3):
        start = server.position
        ids = [host.post("tools/call", {"name": f"{KEY}__slow"}) for _ in range(64)]
        server.wait_for(lambda entry, start=start: len(server.requests("tools/call", start=start, name="slow")) == 64)
        for id in ids:
            host.notify("notifications/cancelled", {"requestId": id})
        assert host.text(f"{KEY}__echo", {"text": "free"}) == "free"
    assert most_at_once(server) <= CONNECTIONS


def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_is_never_sent(web):
    server = both(web)
    host = web.host(NEW)
    running = [host.post("tools/call", {"name": f"{KEY}__slow", "arguments": {"n": number}}) for number in range(64)]
    server.wait_for(lambda entry: len(server.requests("tools/call", name="slow")) == 64)
    waiting = host.post("tools/call", {"name": f"{KEY}__echo", "arguments": {"text": "never"}})
    host.notify("notifications/cancelled", {"requestId": waiting})
    for exchange in server.requests("tools/call", name="slow"):
        exchange.result(server.behaviour.complete(text("done")))
    for id in running:
        host.answer(id)
    assert host.text(f"{KEY}__echo", {"text": "after"}) == "after"
    assert not server.requests("tools/call", arguments={"text": "never"})


def test_lost_calls_give_their_places_back(web):
    server = both(web)
    host = web.host(NEW)
    for _ in range(3):
        start = server.position
        ids = [host.post("tools/call", {"name": f"{KEY}__slow"}) for _ in range(64)]
        server.wait_for(lambda entry, start=start: len(server.requests("tools/call", start=start, name="slow")) == 64)
        for exchange in server.requests("tools/call", start=start, name="slow"):
            exchange.cut()
        for id in ids:
            assert host.answer(id)["result"]["isError"]
        assert host.text(f"{KEY}__echo", {"text": "free"}) == "free"


def test_one_slow_server_keeps_no_other_waiting(web):
    slow = web.remote("slow", entry={"maxConcurrentCalls": 10_000})
    web.remote("fast")
    host = web.host()
    for _ in range(200):
        host.post("tools/call", {"name": "slow__slow"})
    slow.wait_for(lambda entry: len(slow.requests("tools/call")) >= 60)
    started = time.monotonic()
    for number in range(20):
        assert host.text("fast__echo", {"text": f"{number}"}) == f"{number}"
    assert time.monotonic() - started < tools.PATIENCE / 4


def test_a_hundred_large_answers_at_once_arrive_whole(web):
    server = both(web)
    host = web.host()
    piece = "ä" * 30_000
    echo(host, *(f"{number} {piece}" for number in range(100)))
    assert len(server.requests("tools/call")) == 100
