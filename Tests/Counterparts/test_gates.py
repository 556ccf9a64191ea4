"""What can stand between a call and its server: a circuit that is open, a rate, a number of calls at once, and a person."""

import re
import signal
import time

import pytest

from bench import PATIENCE
from http_bench import KEY, NEW, OLD
from http_mcp import text
from http_server import hold, status
from test_questions import ABLE, DONE, FORM, asking, begin, finish
from test_retry_table import DELIVERY, FAILURE

FAST = {"attempts": 1}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
READ = {"name": f"{KEY}__read", "arguments": {}}


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


def probe(server, host, params=ECHO):
    """The call that is to show whether the server works again: its id, and its request, which the server holds."""
    server.on(hold, "tools/call")
    start, deadline = server.position, time.monotonic() + PATIENCE
    while True:
        at = len(host.out.lines)
        id = host.post("tools/call", params)
        host.ask("ping")
        # Until the circuit lets one through, calls fail at once.
        if not any(message.get("id") == id for message in host.messages(at)):
            return id, server.wait_request("tools/call", start=start)
        assert time.monotonic() < deadline


def test_when_its_time_is_over_one_call_finds_out_and_the_others_wait_for_it(web):
    server, host = failing(web, reset="300ms")
    first, call = probe(server, host)
    waiting = [host.post("tools/call", ECHO) for _ in range(5)]
    host.ask("ping")
    assert len(server.requests("tools/call", start=call.position)) == 1
    call.result(text("x"))
    for id in (first, *waiting):
        assert host.answer(id)["result"]["content"] == text("x")["content"]


def test_a_probe_that_fails_fails_what_waits_for_it(web):
    server, host = failing(web, count=1, reset="200ms")
    _, call = probe(server, host)
    waiting = [host.post("tools/call", ECHO) for _ in range(3)]
    host.ask("ping")
    call.cut()
    for id in waiting:
        assert kind(host.answer(id)) == "unavailable"
    assert len(server.requests("tools/call", start=call.position)) == 1


def test_a_probe_that_is_lost_and_held_for_another_attempt_leaves_it_to_the_next(web):
    server, host = failing(web, count=1, reset="200ms", retry={"delay": "300ms", "jitter": 0})
    first, call = probe(server, host, READ)
    second = host.post("tools/call", ECHO)
    host.ask("ping")
    call.cut()
    assert host.answer(second)["result"]["content"] == text("x")["content"]
    assert host.answer(first)["result"]["content"] == text("read")["content"]


def test_a_probe_that_makes_progress_keeps_nobody_waiting(web):
    server, host = failing(web, count=1, reset="200ms")
    first, call = probe(server, host, {**ECHO, "_meta": {"progressToken": "t"}})
    second = host.post("tools/call", ECHO)
    host.ask("ping")
    assert len(server.requests("tools/call", start=call.position)) == 1
    progress = {"progressToken": call.params["_meta"]["progressToken"], "progress": 1}
    call.events().event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
    assert host.answer(second)["result"]["content"] == text("x")["content"]
    call.result(text("done"))
    assert host.answer(first)["result"]["content"] == text("done")["content"]


def test_what_is_said_of_the_wait_for_a_probe_is_that(web):
    server, host = failing(web, count=1, reset="200ms")
    first, call = probe(server, host)
    # Only so many may wait; the others hear at once what for.
    ids = [host.post("tools/call", ECHO) for _ in range(1_026)]
    for id in ids[-2:]:
        answer = host.answer(id)
        assert kind(answer) == "unavailable" and "failed before" in said(answer) and "maxConcurrentCalls" not in said(answer), answer
    call.cut()
    assert kind(host.answer(first)) == "outcomeUnknown" and kind(host.answer(ids[0])) == "unavailable"


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
    host.err.wait_for(lambda line: re.search(rb"next attempt in [345](\.\d)? s", line) is not None, PATIENCE)
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
    host.err.wait_for(lambda line: re.search(rb"next attempt in [345](\.\d)? s", line) is not None, PATIENCE)
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


LIMITS = {
    "rate": ({"rateLimit": {"calls": 1, "per": "1h"}}, {"rateLimit": False}),
    "time": ({"rateLimit": {"calls": 1, "per": "1h"}}, {"rateLimit": {"calls": 2, "per": "1ms"}}),
    "number": ({"maxConcurrentCalls": 1}, {"maxConcurrentCalls": 2}),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_that_is_lifted_in_the_file_lets_waiting_calls_go(web, kind):
    limit, lifted = LIMITS[kind]
    server = web.remote(entry=limit)
    host = web.host()
    first = host.post("tools/call", SLOW)
    call = server.wait_request("tools/call")
    second = host.post("tools/call", ECHO)
    host.ask("ping")
    server.entry |= lifted
    web.bench.config()
    assert host.answer(second)["result"]["content"][0]["text"] == "x"
    assert host.text(f"{KEY}__echo", {"text": "later"}) == "later"
    call.result(text("done"))
    host.answer(first)
    assert len(server.requests("initialize")) == 1


# Questions of a server on stdio, which does not say for which of its calls it asks

def asking_one_at_a_time(bench, **script):
    one = asking(bench, maxConcurrentCalls=1)
    one.script["capabilities"]["resources"] = {"subscribe": True}
    one.script |= script
    one.write_script()
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    return host, one


def calls_at(host, one) -> list[dict]:
    """The calls that the server has got, of those that the host has made so far."""
    # It needs no place, and comes after what was sent before.
    start = len(one.log.lines)
    host.post("resources/subscribe", {"uri": "one://r"})
    one.wait_for("resources/subscribe", start)
    return [message for message in one.got() if message.get("method") == "tools/call"]


def test_a_call_that_asks_three_things_leaves_one_place(bench):
    host, one = asking_one_at_a_time(bench)
    first, theirs = begin(host, one)
    at = 0
    for number in range(3):
        one.question(f"q{number}", "elicitation/create", FORM)
        at = host.question("elicitation/create", at)[0] + 1
    others = [host.post("tools/call", {"name": "one__t"}) for _ in range(3)]
    calls = calls_at(host, one)
    assert len(calls) == 2, "the one that asks, and one more"
    one.script["answers"]["tools/call"] = {"*": {"result": DONE}}
    one.write_script()
    for call in calls:
        finish(one, call["id"])
    for id in (first, *others):
        assert host.answer(id)["result"] == DONE


def test_a_question_that_no_call_led_to_leaves_no_place(bench):
    roots = {"jsonrpc": "2.0", "id": "r", "method": "roots/list"}
    host, one = asking_one_at_a_time(bench, onInitialized=[roots])
    host.question("roots/list")
    first, theirs = begin(host, one)
    second = host.post("tools/call", {"name": "one__t"})
    assert len(calls_at(host, one)) == 1
    one.script["answers"]["tools/call"] = {"*": {"result": DONE}}
    one.write_script()
    finish(one, theirs)
    assert host.answer(first)["result"] == host.answer(second)["result"] == DONE


def test_a_question_whose_call_is_over_leaves_no_place(bench):
    host, one = asking_one_at_a_time(bench)
    first, theirs = begin(host, one)
    one.question("q", "elicitation/create", FORM)
    host.question("elicitation/create")
    second, other = begin(host, one)
    finish(one, theirs)
    host.answer(first)
    third = host.post("tools/call", {"name": "one__t"})
    assert len(calls_at(host, one)) == 2, "the second is under way"
    one.script["answers"]["tools/call"] = {"*": {"result": DONE}}
    one.write_script()
    finish(one, other)
    assert host.answer(second)["result"] == host.answer(third)["result"] == DONE


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


SHORT = {"timeout": "300ms", "maxTimeout": "400ms"}


def test_on_stdio_a_persons_time_is_not_that_of_calls_that_began_later(bench):
    one = asking(bench, **SHORT)
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    first, theirs = begin(host, one)
    one.question("q", "elicitation/create", FORM)
    _, question = host.question("elicitation/create")
    for _ in range(2):
        assert kind(host.answer(begin(host, one)[0])) == "timedOut"
    host.reply(question["id"], {"action": "decline"})
    one.answer_to("q")
    finish(one, theirs)
    assert host.answer(first)["result"] == DONE, "the person has taken longer than a call may"


def test_a_person_who_never_answers_holds_up_no_call_for_ever(bench):
    one = asking(bench, **SHORT)
    host = bench.host(bench.config(inputWait="1s"), **ABLE)
    host.tools()
    # It may have been the first one that asked.
    calls = [begin(host, one)[0] for _ in range(2)]
    one.question("q", "elicitation/create", FORM)
    host.question("elicitation/create")
    for id in calls:
        assert kind(host.answer(id)) == "timedOut"


@pytest.mark.parametrize("method, params", [("roots/list", None), ("elicitation/create", FORM)])
def test_a_question_that_no_call_led_to_stops_no_clock(bench, method, params):
    one = asking(bench, **SHORT)
    one.script["onInitialized"] = [{"jsonrpc": "2.0", "id": "q", "method": method} | ({"params": params} if params else {})]
    one.write_script()
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    host.question(method)
    assert kind(host.answer(begin(host, one)[0])) == "timedOut"


def test_a_host_that_never_says_its_roots_stops_no_clock(bench):
    one = asking(bench, **SHORT)
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    id, _ = begin(host, one)
    one.question("q", "roots/list")
    host.question("roots/list")
    assert kind(host.answer(id)) == "timedOut"


def test_the_longest_duration_of_a_call_goes_on_at_the_server_that_takes_over(web):
    first, second = {"Authorization": "Bearer first-token"}, {"Authorization": "Bearer second-token"}
    retry = {"delay": "3s", "jitter": 0}
    server = web.remote(entry={"timeout": "10s", "maxTimeout": "10s", "retry": retry, "headers": first})
    host = web.host()
    server.on(hold, "tools/call", times=None)
    started = time.monotonic()
    id = host.post("tools/call", READ)
    call = server.wait_request("tools/call")
    at = len(host.err.lines)
    server.entry["headers"] = second
    web.bench.config()
    host.err.wait_for(lambda line: b"ready after" in line, PATIENCE, at)
    call.cut()
    answer = host.answer(id)
    assert kind(answer) == "timedOut" and "maxTimeout" in said(answer), answer
    assert time.monotonic() - started < 12.7, "the second attempt began after three seconds, and had seven left"
    assert len(server.requests("tools/call")) == 2
