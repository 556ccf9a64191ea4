"""What can stand between a call and its server: a circuit that is open, a rate, a number of calls at once, and a person."""

import signal
import time

import pytest

from bench import PATIENCE
from http_bench import KEY, NEW, OLD
from http_mcp import text
from http_server import hold, status
from test_retry_table import DELIVERY, FAILURE

FAST = {"attempts": 1}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}


def kind(answer: dict) -> str:
    return answer["result"]["_meta"][FAILURE]


def said(answer: dict) -> str:
    return answer["result"]["content"][0]["text"]


# The circuit

def failing(web, count: int = 3, reset: str = "1h", **entry):
    server = web.remote(entry={"retry": FAST, "circuitBreaker": {"failures": count, "reset": reset}, **entry})
    host = web.host()
    server.on(status(500), "tools/call", times=count)
    for _ in range(count):
        assert kind(host.ask("tools/call", ECHO)) == "outcomeUnknown"
    return server, host


def test_after_some_failures_in_a_row_calls_fail_at_once(web):
    server, host = failing(web)
    for _ in range(5):
        answer = host.ask("tools/call", ECHO)
        assert kind(answer) == "unavailable"
        assert f"'{KEY}' has failed 3 times in a row" in said(answer) and "500" in said(answer) and "next one is tried in" in said(answer)
    assert len(server.requests("tools/call")) == 3


def test_lists_go_on_while_calls_fail_at_once(web):
    _, host = failing(web)
    assert f"{KEY}__echo" in host.tool_names()


def test_what_a_tool_says_opens_no_circuit(web):
    server = web.remote(entry={"circuitBreaker": {"failures": 1, "reset": "1h"}})
    host = web.host()
    server.on(lambda exchange: exchange.result(text("no", isError=True)), "tools/call", times=3)
    server.on(lambda exchange: exchange.error(-32603, "no"), "tools/call", times=3)
    for _ in range(6):
        host.ask("tools/call", ECHO)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_when_its_time_is_over_one_call_finds_out_and_the_others_wait_for_it(web):
    server, host = failing(web, reset="300ms")
    server.on(hold, "tools/call")
    deadline = time.monotonic() + 20
    start = server.position
    # Until the circuit lets one through, calls fail; that one is held by the server.
    ids = []
    while not server.requests("tools/call", start=start):
        ids.append(host.post("tools/call", ECHO))
        host.ask("ping")
        assert time.monotonic() < deadline
    probe = server.wait_request("tools/call", start=start)
    waiting = [host.post("tools/call", ECHO) for _ in range(5)]
    host.ask("ping")
    assert len(server.requests("tools/call", start=start)) == 1
    probe.result(text("x"))
    for id in waiting:
        assert host.answer(id)["result"]["content"] == text("x")["content"]


def test_a_probe_that_fails_fails_what_waits_for_it(web):
    server, host = failing(web, count=1, reset="200ms")
    server.on(hold, "tools/call")
    deadline = time.monotonic() + 20
    start = server.position
    ids = []
    while not server.requests("tools/call", start=start):
        ids.append(host.post("tools/call", ECHO))
        host.ask("ping")
        assert time.monotonic() < deadline
    waiting = [host.post("tools/call", ECHO) for _ in range(3)]
    host.ask("ping")
    server.wait_request("tools/call", start=start).cut()
    for id in waiting:
        assert kind(host.answer(id)) == "unavailable"
    assert len(server.requests("tools/call", start=start)) == 1


def test_sigusr1_closes_all_circuits_and_says_how_servers_are(web):
    server, host = failing(web)
    assert kind(host.ask("tools/call", ECHO)) == "unavailable"
    host.process.send_signal(signal.SIGUSR1)
    host.err.wait_for(lambda line: b"all circuits are closed" in line, PATIENCE)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    line = next(line for line in host.err.lines if b"circuit open" in line)
    assert b"3 calls sent" in line and b"3 failures" in line and b"500" in line, line


def test_sigusr1_launches_what_waits_for_its_next_launch(bench):
    server = bench.fake(KEY, record=False)
    flag = bench.directory / "locked"
    flag.touch()
    script = f'if [ -e "{flag}" ]; then exit 3; fi; exec "$0" "$@"'
    server.entry = {"command": "bash", "args": ["-c", script, server.entry["command"], *server.entry["args"]]}
    host = bench.host(bench.config())
    # The eighth pause takes 30 seconds.
    host.err.wait_for(lambda line: b"next attempt in 3." in line or b"next attempt in 4." in line, PATIENCE)
    flag.unlink()
    host.process.send_signal(signal.SIGUSR1)
    host.tools_when(lambda names: f"{KEY}__echo" in names, within=3)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_for_want_of_rights_is_not_tried_again(web, code):
    server = web.remote(entry={"headers": {"Authorization": "Bearer wrong"}})
    server.on(status(code), times=None)
    host = web.host(waits=False)
    host.tool_names()
    count = len(server.requests())
    for _ in range(3):
        assert kind(host.ask("tools/call", ECHO)) == "authorizationNeeded"
    assert len(server.requests()) == count


def test_a_server_that_is_not_there_is_not_hammered(web):
    """Stated in docs/configuration.md: about 130 times an hour; here the first seconds of it, in which the pauses grow."""
    server = web.remote()
    server.on(status(500), times=None)
    host = web.host(waits=False)
    host.err.wait_for(lambda line: b"next attempt in 3." in line or b"next attempt in 4." in line, PATIENCE)
    initializes = [e for e in server.requests() if e.request.method == "POST"]
    assert len(initializes) <= 3 * 6, [str(e) for e in initializes]


# Turns

@pytest.mark.parametrize("revision", [OLD, NEW])
def test_no_more_calls_are_in_flight_than_the_file_says(web, revision):
    server = web.remote(eras=("handshake", "stateless"), entry={"maxConcurrentCalls": 2})
    host = web.host(revision)
    ids = [host.post("tools/call", SLOW) for _ in range(5)]
    for served in range(5):
        position = 0
        calls = []
        while len(calls) < min(5, served + 2):
            call = server.wait_request("tools/call", start=position)
            position = call.position + 1
            calls.append(call)
        assert len(server.requests("tools/call")) == min(5, served + 2)
        calls[served].result(text(str(served)))
        assert host.answer(ids[served])["result"]["content"][0]["text"] == str(served), "in the order in which they came"


def test_a_call_that_waits_for_its_turn_can_be_cancelled(web):
    server = web.remote(entry={"maxConcurrentCalls": 1})
    host = web.host()
    first = host.post("tools/call", SLOW)
    call = server.wait_request("tools/call")
    second = host.post("tools/call", SLOW)
    third = host.post("tools/call", ECHO)
    host.notify("notifications/cancelled", {"requestId": second})
    call.result(text("done"))
    host.answer(first)
    assert host.answer(third)["result"]["content"][0]["text"] == "x"
    assert len(server.requests("tools/call", name="slow")) == 1


def test_a_call_does_not_wait_for_its_turn_longer_than_it_may_take(web):
    server = web.remote(entry={"maxConcurrentCalls": 1, "timeout": "400ms", "maxTimeout": "1h"})
    host = web.host()
    host.post("tools/call", {**SLOW, "_meta": {"progressToken": "t"}})
    call = server.wait_request("tools/call")
    stream, token = call.events(), call.params["_meta"]["progressToken"]
    id = host.post("tools/call", ECHO)
    # That it goes on with the first keeps it from the second.
    for step in range(8):
        stream.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        time.sleep(0.1)
    answer = host.answer(id)
    assert kind(answer) == "unavailable" and "maxConcurrentCalls" in said(answer), answer
    assert not server.requests("tools/call", name="echo")
    assert answer["result"]["_meta"][DELIVERY] == {"server": KEY, "attempts": 0, "sent": False}


def test_a_person_who_is_asked_keeps_no_place(web):
    server = web.remote(entry={"maxConcurrentCalls": 1})
    host = web.host()
    asking = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}})
    _, question = host.question("elicitation/create")
    # What the person does may need the server.
    assert host.text(f"{KEY}__echo", {"text": "meanwhile"}) == "meanwhile"
    host.reply(question["id"], {"action": "accept", "content": {"name": "N"}})
    host.answer(asking)


def test_calls_wait_for_the_rate_that_the_file_allows(web):
    server = web.remote(entry={"rateLimit": {"calls": 3, "per": "1s"}})
    host = web.host()
    start = time.monotonic()
    ids = [host.post("tools/call", ECHO) for _ in range(8)]
    for id in ids:
        assert host.answer(id)["result"]["content"][0]["text"] == "x"
    assert time.monotonic() - start >= 2, "three, three and two"
    times = [server.log[e.position].time for e in server.requests("tools/call")]
    # Sent a second apart; a little less where the first was longer on its way.
    assert all(times[index + 3] - times[index] >= 0.8 for index in range(5)), times


def test_lists_and_pings_need_no_place(web):
    web.remote(entry={"maxConcurrentCalls": 1, "rateLimit": {"calls": 1, "per": "1h"}})
    host = web.host()
    host.post("tools/call", SLOW)
    host.ask("ping")
    assert f"{KEY}__echo" in host.tool_names()


def test_too_many_waiting_calls_are_refused_and_the_others_answered(web):
    server = web.remote(entry={"maxConcurrentCalls": 1})
    host = web.host()
    first = host.post("tools/call", SLOW)
    call = server.wait_request("tools/call")
    ids = [host.post("tools/call", ECHO) for _ in range(1_030)]
    refused = [id for id in ids[-6:] if kind(host.answer(id)) == "unavailable"]
    assert refused == ids[-6:]
    call.result(text("done"))
    host.answer(first)
    for id in ids[:-6]:
        assert host.answer(id)["result"]["content"][0]["text"] == "x"


# Time

def test_a_persons_time_is_not_that_of_the_call_and_other_calls_go_on(web):
    web.remote(entry={"timeout": "600ms", "maxTimeout": "900ms"})
    host = web.host()
    asking = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}})
    _, question = host.question("elicitation/create")
    # Another call of the same server is as late as it is.
    late = host.ask("tools/call", SLOW)
    assert kind(late) == "timedOut"
    late = host.ask("tools/call", SLOW)
    assert kind(late) == "timedOut", "by now the person has taken longer than a call may"
    host.reply(question["id"], {"action": "accept", "content": {"name": "N"}})
    assert not host.answer(asking)["result"].get("isError")
