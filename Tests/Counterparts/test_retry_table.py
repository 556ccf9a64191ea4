"""What is sent again, and what is not (DESIGN, D7), as a table: how often a tool runs, and what the host hears.

| The attempt was | is sent again |
|---|---|
| not sent: nobody listens, or the server is down | always |
| refused: 429 or 503 | always, when the server says |
| sent and not answered: the server or the connection is lost | if it is harmless, or `replay: always` |
| not answered in time | never |
| answered, with an error too | never |
"""

import json
import sys
from pathlib import Path

import pytest

from http_bench import NEW, OLD
from http_mcp import text, tool
from http_server import cut, hold, status
from http_wire import EVENTS, JSON

SERVERS = Path(__file__).parent / "servers"
KEY = "s"
ACT = {"name": f"{KEY}__act", "arguments": {}}
FAILURE, DELIVERY = "dev.mcpagg/failure", "dev.mcpagg/delivery"

NOTHING, READ_ONLY, IDEMPOTENT = {}, {"readOnlyHint": True}, {"readOnlyHint": False, "idempotentHint": True}
DESTRUCTIVE = {"destructiveHint": True, "idempotentHint": False}
ANNOTATIONS = {"nothing": NOTHING, "read-only": READ_ONLY, "idempotent": IDEMPOTENT, "destructive": DESTRUCTIVE}
HARMLESS = ("read-only", "idempotent")
QUICKLY = {"attempts": 3, "delay": "50ms", "maxDelay": "100ms"}
RETRY = {
    "as usual": QUICKLY,
    "always": {**QUICKLY, "replay": "always"},
    "never": {**QUICKLY, "replay": "never"},
    "one attempt": {"attempts": 1},
}


def repeats(annotation: str, config: str) -> bool:
    """Whether what was sent and not answered is sent again."""
    if config in ("never", "one attempt"):
        return False
    return config == "always" or annotation in HARMLESS


CASES = [pytest.param(annotation, config, id=f"{annotation}, {config}") for annotation in ANNOTATIONS for config in RETRY]


# On stdio

class Fickle:
    def __init__(self, bench, failure: str, annotation: str, config: str, times: int = 1, **entry):
        self.count = bench.directory / "executions"
        server = bench.fake(KEY, record=False, **entry)
        arguments = [str(SERVERS / "fickle.py"), str(self.count), failure, str(times), json.dumps(ANNOTATIONS[annotation])]
        server.entry = {"command": sys.executable, "args": ["-S", *arguments], "retry": RETRY[config], **entry}
        self.host = bench.host(bench.config())
        self.host.tools_when(lambda names: ACT["name"] in names)

    def call(self) -> dict:
        return self.host.ask("tools/call", ACT)

    @property
    def executions(self) -> int:
        return self.count.stat().st_size if self.count.exists() else 0


def works(answer: dict) -> bool:
    return answer["result"]["content"] == [{"type": "text", "text": "done"}] and not answer["result"].get("isError")


def unknown(answer: dict, attempts: int) -> bool:
    """The host hears that nobody knows what happened, what was tried, and what to do."""
    result = answer["result"]
    said, meta = result["content"][0]["text"], result["_meta"]
    assert "not known" in said and "check before you repeat" in said and f"'{KEY}'" in said, said
    delivery = meta[DELIVERY]
    assert delivery["server"] == KEY and delivery["sent"] is True and delivery["sentAgo_ms"] >= 0, delivery
    assert delivery["sentAt"].startswith("20") and delivery["attempts"] == attempts, delivery
    return result["isError"] and meta[FAILURE] == "outcomeUnknown"


@pytest.mark.parametrize("failure", ["dies", "dies within its answer"])
@pytest.mark.parametrize("annotation, config", CASES)
def test_a_server_that_dies_while_it_works(bench, failure, annotation, config):
    fickle = Fickle(bench, failure, annotation, config)
    answer = fickle.call()
    if repeats(annotation, config):
        assert works(answer) and fickle.executions == 2
    else:
        assert unknown(answer, attempts=1) and fickle.executions == 1


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_a_server_that_dies_before_it_does_anything_looks_the_same(bench, annotation):
    fickle = Fickle(bench, "dies before it reads", annotation, "as usual")
    answer = fickle.call()
    if annotation in HARMLESS:
        assert works(answer) and fickle.executions == 1
    else:
        assert unknown(answer, attempts=1) and fickle.executions == 0


@pytest.mark.parametrize("failure, kind", [("is silent", "timedOut"), ("answers garbage", "outcomeUnknown")])
@pytest.mark.parametrize("annotation, config", CASES)
def test_silence_and_answers_that_are_none_are_not_asked_for_again(bench, failure, kind, annotation, config):
    fickle = Fickle(bench, failure, annotation, config, timeout="300ms")
    result = fickle.call()["result"]
    assert result["isError"] and result["_meta"][FAILURE] == kind and fickle.executions == 1
    assert result["_meta"][DELIVERY]["attempts"] == 1


@pytest.mark.parametrize("annotation, config", CASES)
def test_what_a_tool_says_is_the_answer(bench, annotation, config):
    fickle = Fickle(bench, "says that the tool failed", annotation, config)
    assert fickle.call()["result"] == {"content": [], "isError": True} and fickle.executions == 1


@pytest.mark.parametrize("annotation, config", CASES)
def test_an_error_is_an_answer(bench, annotation, config):
    fickle = Fickle(bench, "answers an error", annotation, config)
    assert fickle.call()["error"] == {"code": -32603, "message": "no"} and fickle.executions == 1


def test_attempts_are_counted(bench):
    fickle = Fickle(bench, "dies", "read-only", "as usual", times=10)
    assert unknown(fickle.call(), attempts=3) and fickle.executions == 3


def test_a_call_to_a_server_that_is_being_restarted_waits_for_it_whatever_it_does(bench):
    fickle = Fickle(bench, "dies", "destructive", "as usual")
    assert unknown(fickle.call(), attempts=1)
    # Nothing was sent of this one: it may be, as often as it has attempts.
    assert works(fickle.call()) and fickle.executions == 2


def test_without_another_attempt_a_call_does_not_wait_for_a_restart(bench):
    fickle = Fickle(bench, "dies", "destructive", "one attempt")
    fickle.call()
    result = fickle.call()["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "unavailable" and fickle.executions == 1


# Over HTTP

LOST = {
    "the connection is reset": cut,
    "500": status(500, b"out of memory", "text/plain"),
    "502": status(502),
    "a stream without an answer": lambda exchange: exchange.events().end(),
}


class Fetched:
    def __init__(self, web, revision: str, annotation: str, config: str, **entry):
        tools = [tool("act", annotations=ANNOTATIONS[annotation])]
        self.server = web.remote(
            eras=("handshake", "stateless"), tools=tools, answers=EVENTS if revision == OLD else JSON,
            entry={"retry": RETRY[config], **entry})
        self.host = web.host(revision)

    def fail(self, handler, times: int = 1) -> None:
        self.server.on(handler, "tools/call", times=times)
        self.server.on(lambda exchange: exchange.result(text("done")), "tools/call", times=None)

    def call(self) -> dict:
        return self.host.ask("tools/call", ACT)

    @property
    def executions(self) -> int:
        return len(self.server.requests("tools/call"))


def done(answer: dict) -> bool:
    return answer["result"]["content"] == [{"type": "text", "text": "done"}]


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize("annotation, config", CASES)
def test_a_request_over_http_whose_answer_is_lost(web, revision, failure, annotation, config):
    fetched = Fetched(web, revision, annotation, config)
    fetched.fail(LOST[failure])
    answer = fetched.call()
    if repeats(annotation, config):
        assert done(answer) and fetched.executions == 2
        first, second = fetched.server.requests("tools/call")
        assert first.id != second.id, "an id is not used again"
    else:
        assert unknown(answer, attempts=1) and fetched.executions == 1


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("annotation, config", CASES)
def test_a_request_that_was_refused(web, revision, code, annotation, config):
    fetched = Fetched(web, revision, annotation, config)
    fetched.fail(status(code, b"", None, ("Retry-After", "0")))
    answer = fetched.call()
    if config == "one attempt":
        assert answer["result"]["isError"] and answer["result"]["_meta"][FAILURE] == "unavailable" and fetched.executions == 1
    else:
        assert done(answer) and fetched.executions == 2


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_a_request_that_was_not_sent(web, revision, annotation):
    fetched = Fetched(web, revision, annotation, "as usual")
    fetched.server.stop_listening()
    fetched.server.drop_connections()
    id = fetched.host.post("tools/call", ACT)
    fetched.host.ask("ping") if revision == OLD else fetched.host.tools()
    fetched.server.listen()
    answer = fetched.host.answer(id)
    assert fetched.executions <= 1
    assert "result" in answer


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("annotation, config", CASES)
def test_a_request_over_http_that_is_not_answered_in_time(web, revision, annotation, config):
    fetched = Fetched(web, revision, annotation, config, timeout="300ms")
    fetched.fail(hold)
    result = fetched.call()["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "timedOut" and fetched.executions == 1


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("annotation, config", CASES)
def test_html_in_the_place_of_an_answer_is_not_asked_for_again(web, revision, annotation, config):
    fetched = Fetched(web, revision, annotation, config)
    fetched.fail(status(200, b"<h1>Welcome</h1>", "text/html"))
    assert unknown(fetched.call(), attempts=1) and fetched.executions == 1
