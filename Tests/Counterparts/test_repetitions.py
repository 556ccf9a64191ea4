"""What becomes of a call on its way to another attempt: what it leaves behind, what it meets, and what the host hears in the end."""

import signal

import pytest

from bench import PATIENCE
from http_bench import KEY, OLD, Printer
from http_server import hold, status
from test_questions import ABLE, DONE, FORM, asking, begin, finish
from test_retry_table import DELIVERY, FAILURE, Fickle, unknown

ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
READ = {"name": f"{KEY}__read", "arguments": {}}
SOON = {"delay": "50ms", "jitter": 0}
# Longer than any of these tests: a call that is held for its next attempt stays held.
LATE = {"delay": "1m", "jitter": 0}


def failure(answer: dict) -> tuple[str, str, dict]:
    """What kind it is, what a person reads, and what programs do."""
    result = answer["result"]
    assert result["isError"], result
    assert DELIVERY in result["_meta"], result
    return result["_meta"][FAILURE], result["content"][0]["text"], result["_meta"][DELIVERY]


def lost_and_held(web, params=ECHO):
    """A host, and the id of a call of its that was sent, lost its connection, and waits for its next attempt."""
    (server,) = web.remotes
    host = web.host(OLD, "--log-level", "debug")
    server.on(hold, "tools/call")
    id = host.post("tools/call", params)
    server.wait_request("tools/call").cut()
    hears(host, b"a request is sent again in")
    return host, id


def hears(host, words: bytes, start: int = 0) -> None:
    """Waits until the log says so."""
    host.err.wait_for(lambda line: words in line, PATIENCE, start)


def give_up(host, id) -> None:
    """mcpagg would wait for it at its end."""
    host.notify("notifications/cancelled", {"requestId": id})


# What it meets

def test_credentials_that_cannot_be_had_for_the_second_attempt_fail_that_call_alone(web):
    printer = Printer(web, "once")
    server = web.remote(entry={"retry": SOON, "headersFrom": printer.entry})
    web.bench.fake("other")
    host = web.host()
    server.on(lambda exchange: exchange.cut(), "tools/call")
    server.on(status(401), "tools/call", times=None)
    kind, said, delivery = failure(host.ask("tools/call", READ))
    assert kind == "outcomeUnknown"
    assert printer.runs == 2 and "no key in the drawer" in said, said
    assert delivery["sent"] is True and delivery["attempts"] == 2, "the first one may have been carried out"
    assert host.text("other__echo", {"text": "y"}) == "y"


def test_a_call_that_was_lost_and_then_finds_nobody_was_sent_all_the_same(web):
    server = web.remote(has_stream=False, entry={"retry": {**SOON, "replay": "always"}})
    host = web.host()

    def leave(exchange) -> None:
        server.stop_listening()
        server.drop_connections()

    server.on(leave, "tools/call")
    kind, said, delivery = failure(host.ask("tools/call", ECHO))
    assert len(server.requests("tools/call")) == 1
    assert kind == "outcomeUnknown" and delivery["sent"] is True and "sentAt" in delivery, delivery
    assert "was not sent." not in said and "whether it had effects is not known" in said, said


def test_a_call_that_was_lost_and_may_not_be_sent_again_now_was_sent_all_the_same(web):
    server = web.remote(entry={"retry": {"delay": "500ms", "jitter": 0, "replay": "always"}})
    host, id = lost_and_held(web)
    # Another call is told that the server takes none for an hour.
    server.on(status(429, b"", None, ("Retry-After", "3600")), "tools/call")
    failure(host.ask("tools/call", READ))
    kind, said, delivery = failure(host.answer(id))
    assert kind == "outcomeUnknown" and delivery["sent"] is True, delivery
    assert "was not sent;" not in said and "try again later" not in said, said


def test_a_call_that_was_lost_and_meets_an_open_circuit_was_sent_all_the_same(web):
    server = web.remote(entry={"retry": {"delay": "500ms", "jitter": 0}, "circuitBreaker": {"failures": 1, "reset": "1h"}})
    host, id = lost_and_held(web, READ)
    server.on(status(500), "tools/call")
    failure(host.ask("tools/call", ECHO))
    kind, said, delivery = failure(host.answer(id))
    assert kind == "outcomeUnknown" and "whether it had effects is not known" in said, said
    assert delivery["attempts"] == 1 and delivery["sent"] is True, delivery


def test_a_call_that_was_refused_with_its_session_waits_for_a_server_that_is_away(web):
    server = web.remote()
    host = web.host()

    def leave(exchange) -> None:
        server.behaviour.forget()
        server.stop_listening()
        exchange.answer(404)
        server.drop_connections()

    server.on(leave, "tools/call")
    # It may have any effects: nothing of it was carried out.
    id = host.post("tools/call", ECHO)
    hears(host, b"next attempt in")
    server.listen()
    assert host.answer(id)["result"]["content"][0]["text"] == "x"
    assert len(server.requests("tools/call")) == 2


def test_a_call_that_is_held_when_mcpagg_ends_was_sent_all_the_same(web):
    web.remote(entry={"retry": {**LATE, "replay": "always"}})
    host, id = lost_and_held(web)
    host.process.send_signal(signal.SIGTERM)
    kind, said, delivery = failure(host.answer(id))
    assert kind == "outcomeUnknown" and "whether it had effects is not known" in said, said
    assert delivery["server"] == KEY and delivery["attempts"] == 1 and delivery["sent"] is True, delivery


# What it leaves behind

def test_the_next_one_in_the_queue_goes_when_the_one_in_flight_is_held(web):
    server = web.remote(entry={"retry": {"delay": "300ms", "jitter": 0}, "maxConcurrentCalls": 1})
    host = web.host()
    server.on(hold, "tools/call")
    first = host.post("tools/call", READ)
    call = server.wait_request("tools/call")
    second = host.post("tools/call", ECHO)
    host.ask("ping")
    call.cut()
    assert host.answer(second)["result"]["content"][0]["text"] == "x"
    assert host.answer(first)["result"]["content"][0]["text"] == "read"


def test_a_server_that_was_replaced_is_left_when_its_last_call_is_held(web):
    first, second = "Bearer first-token", "Bearer second-token"
    server = web.remote(entry={"retry": LATE, "headers": {"Authorization": first}})
    host = web.host()
    server.on(hold, "tools/call")
    held = host.post("tools/call", READ)
    last = server.wait_request("tools/call")
    start = len(host.err.lines)
    server.entry["headers"] = {"Authorization": second}
    web.bench.config()
    hears(host, b"ready after", start)
    assert not server.requests(http="DELETE"), "a call is under way in it"
    last.cut()
    assert server.wait_request(http="DELETE").request.header("Authorization") == first
    give_up(host, held)


# What the host hears

def test_a_wait_for_a_restart_is_not_called_a_sending(bench):
    fickle = Fickle(bench, "dies", "destructive", "as usual", times=10)
    assert unknown(fickle.call(), attempts=1)
    # This one waits for the restart, and is sent then: once.
    _, said, _ = failure(fickle.call())
    assert fickle.executions == 2
    assert said.count("It was sent") == 1 and "times" not in said, said


def test_sendings_are_counted_in_one_sentence(bench):
    fickle = Fickle(bench, "dies", "read-only", "as usual", times=10)
    _, said, delivery = failure(fickle.call())
    assert fickle.executions == delivery["attempts"] == 3
    assert said.count("It was sent") == 1 and "It was sent 3 times, the last time " in said, said


@pytest.mark.parametrize("code", [429, 503])
def test_attempts_that_were_refused_are_counted(web, code):
    server = web.remote(entry={"retry": SOON})
    host = web.host()
    server.on(status(code), "tools/call", times=None)
    kind, _, delivery = failure(host.ask("tools/call", ECHO))
    assert kind == "unavailable" and len(server.requests("tools/call")) == 3
    assert delivery == {"server": KEY, "attempts": 3, "sent": False}


# Persons

def test_what_a_person_may_have_been_asked_for_is_not_sent_again(bench):
    one = asking(bench)
    (pages,) = one.script["lists"]["tools/list"]
    pages[0]["annotations"] = {"readOnlyHint": True}
    one.write_script()
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    calls = [begin(host, one, arguments={"number": number})[0] for number in range(2)]
    # A server on stdio does not say for which of its calls it asks.
    one.question("q", "elicitation/create", FORM)
    host.question("elicitation/create")
    later, _ = begin(host, one, arguments={"number": 2})
    start = len(one.log.lines)
    one.exit(1)
    for id in calls:
        kind, _, _ = failure(host.answer(id))
        assert kind == "outcomeUnknown"
    _, again = one.wait_for("tools/call", start)
    assert again["params"]["arguments"] == {"number": 2}, "it began when the person had been asked already"
    finish(one, again["id"])
    assert host.answer(later)["result"] == DONE
