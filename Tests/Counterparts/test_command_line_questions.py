"""Servers that ask the person at the command line: on a terminal, without one, and with --accept-defaults."""

import json
import signal

import pytest

import bench as tools
from lines import PipeLog
from terminals import Person

SUCCESS, TOOL_ERROR = 0, 5
INTERRUPTED = 128 + signal.SIGINT
ERAS = ["handshake", "stateless"]

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name", "description": "As in your \x1b[31mpassport", "minLength": 2},
        "mail": {"type": "string", "format": "email"},
        "age": {"type": "integer", "minimum": 0, "default": 30},
        "news": {"type": "boolean", "default": False},
        "colour": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]},
        "size": {"type": "string", "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}], "default": "l"},
        "fruit": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "Apple"}, {"const": "b", "title": "Berry"}]}},
        "days": {"type": "array", "items": {"type": "string", "enum": ["mon", "tue"]}, "default": ["tue"]},
    },
    "required": ["name", "colour"],
}
SMALL = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
DEFAULTED = {
    "type": "object",
    "properties": {"name": {"type": "string", "default": "Ada"}, "age": {"type": "integer", "default": 7}, "mail": {"type": "string"}},
    "required": ["name"],
}
VISIT = {"mode": "url", "message": "Log in", "url": "https://good.example@login.example/?secret=1"}


def form(schema, message="Who are you?"):
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def visit(era):
    # Only the handshake era has ids for them.
    return {"method": "elicitation/create", "params": VISIT | ({"elicitationId": "e-1"} if era == "handshake" else {})}


def ask(*questions, **more) -> list[str]:
    return ["call", "alpha__ask", "--json", "--args", json.dumps({"questions": questions, **more})]


def results(output: str) -> list:
    """What the server got to know, which it returns."""
    return [answer.get("result", answer) for answer in json.loads(output)["structuredContent"]["answers"]]


@pytest.fixture(params=ERAS)
def era(request):
    return request.param


class Log(PipeLog):
    """What a fake receives, to be read and not judged."""

    def __init__(self, bench, key: str):
        super().__init__(f"what {key} received", bench.directory / f"{key}.log")

    def message(self, method: str) -> dict:
        return json.loads(self.wait_for(lambda line: tools.parsed(line).get("method") == method, tools.PATIENCE)[1])


@pytest.fixture
def alpha(bench, era):
    """What the server receives."""
    log = Log(bench, "alpha")
    bench.fake("alpha", "--features", "all", "--era", era, "--record", str(log.path), record=False)
    bench.config()
    yield log
    log.close()


@pytest.fixture
def person(bench, alpha):
    """Somebody who types a command on a terminal."""
    return lambda *arguments: Person(bench, "--config", "mcp.json", *arguments)


@pytest.fixture
def script(bench, alpha):
    """A command without a terminal."""
    return lambda *arguments: bench.run("--config", "mcp.json", *arguments)


# On a terminal


def test_a_form_is_asked_field_by_field(person):
    at = person(*ask(form(SCHEMA, "Who are you?\n> really\x1b[2J")))
    at.sees("[alpha] Who are you?")
    assert at.sees("really").startswith("    > really"), "set apart from what we say"
    at.answers(("As in your", "A"), ("too short", "Ada"))
    at.answers(("mail (e-mail address; optional)", "nobody"), ("no e-mail", "!skip"))
    at.answers(("age (whole number, at least 0; default: 30; optional)", "-1"), ("less than 0", "40"))
    at.answers(("news (yes or no; default: no; optional)", "yes"))
    at.answers(("2  Green  (g)", "3"), ("none of the choices", "2"))
    at.answers(("size (one of these; default: Large; optional)", ""))
    at.answers(("2  Berry", "1,Berry"), ("default: tue", "none"), ("Send this?", "y"))
    status, output = at.end()
    assert status == SUCCESS
    content = {"name": "Ada", "age": 40, "news": True, "colour": "g", "size": "l", "fruit": ["a", "b"], "days": []}
    assert results(output) == [{"action": "accept", "content": content}]
    assert "\x1b" not in at.screen.text(), "what a terminal would obey is not shown"
    assert output.count("\n") == 1, "only the result goes to stdout"


@pytest.mark.parametrize(
    ("exchanges", "result"),
    [
        ([("name", "!decline")], {"action": "decline"}),
        ([("name", "Ada"), ("Send this?", "n")], {"action": "decline"}),
        ([("name", "!cancel")], {"action": "cancel"}),
        ([("name", "Ada"), ("Send this?", "e"), ("default: Ada", "Bo"), ("Send", "y")], {"action": "accept", "content": {"name": "Bo"}}),
    ],
    ids=["decline", "decline at the end", "cancel", "once more"],
)
def test_the_person_decides(person, exchanges, result):
    at = person(*ask(form(SMALL)))
    at.sees("Enter takes a default")
    at.answers(*exchanges)
    status, output = at.end()
    assert (status, results(output)) == (SUCCESS, [result])


def test_ctrl_d_cancels_the_form_and_not_the_call(person):
    at = person(*ask(form(SMALL)))
    at.sees("name (text)")
    at.types("\x04")
    status, output = at.end()
    assert (status, results(output)) == (SUCCESS, [{"action": "cancel"}])


def test_ctrl_c_cancels_the_call(person, alpha, era):
    at = person(*ask(form(SMALL)))
    at.sees("name (text)")
    at.types("\x03")
    assert at.end() == (INTERRUPTED, "")
    if era == "handshake":  # in the other one no request is in flight while the person is asked
        assert alpha.message("notifications/cancelled")["params"]["requestId"] == alpha.message("tools/call")["id"]


def test_several_questions_are_asked_one_after_the_other(person):
    at = person(*ask(form(SMALL, "First?"), form(SMALL, "Second?")))
    for text, name in (("First?", "Ada"), ("Second?", "Bo")):
        at.sees(text)
        at.answers(("name (text)", name), ("Send this?", "y"))
    status, output = at.end()
    assert status == SUCCESS
    assert [result["content"]["name"] for result in results(output)] == ["Ada", "Bo"]


def test_questions_that_follow_from_answers_are_asked_too(person):
    at = person("call", "alpha__nested", "depth=3", "--json")
    for number in (1, 2, 3):
        at.answers((f"question {number} of 3", str(number)), ("Send this?", "y"))
    status, output = at.end()
    assert status == SUCCESS
    assert [result["content"]["answer"] for result in results(output)] == ["1", "2", "3"]


def test_an_address_is_shown_and_never_opened(person, era):
    at = person(*ask(visit(era)))
    at.sees("[alpha] Log in")
    at.sees("https://good.example@login.example/?secret=1")
    at.sees("It leads to login.example.")
    at.answers(("y once that is done", "y"))
    status, output = at.end()
    assert (status, results(output)) == (SUCCESS, [{"action": "accept"}])


def test_a_call_that_needs_an_address_visited_is_made_again(person):
    at = person("call", "alpha__needs_url", "url=https://login.example/")
    at.sees("[alpha] Please visit https://login.example/")
    at.answers(("y once that is done", "y"))
    status, output = at.end()
    assert status == SUCCESS and output.startswith("https://login.example/: ")


def test_a_call_whose_address_is_declined_fails(person):
    at = person("call", "alpha__needs_url", "url=https://login.example/")
    at.answers(("y once that is done", "n"))
    status, _ = at.end()
    assert status == TOOL_ERROR


def test_prompts_and_resources_can_ask_too(person):
    at = person("get-prompt", "alpha__ask")
    at.answers(("answer (text)", "a prompt"), ("Send this?", "y"))
    status, output = at.end()
    assert status == SUCCESS and "a prompt" in output
    at = person("read-resource", "fake://alpha/ask")
    at.answers(("answer (text)", "a resource"), ("Send this?", "y"))
    status, output = at.end()
    assert status == SUCCESS and "a resource" in output


def test_a_question_that_is_taken_back_leaves_the_terminal(bench):
    bench.fake("alpha", "--features", "all", record=False)
    bench.config()
    at = Person(bench, "--config", "mcp.json", *ask(form(SMALL), cancelQuestionsMs=300))
    at.sees("name (text)")
    at.sees("Taken back.")
    assert at.end()[0] == SUCCESS


def test_a_server_that_ends_while_it_asks_leaves_the_terminal(bench):
    bench.fake("alpha", "--features", "all", record=False)
    bench.config()
    at = Person(bench, "--config", "mcp.json", *ask(form(SMALL), thenExitMs=300))
    at.sees("name (text)")
    at.sees("Taken back.")
    assert at.end()[0] == 6, "the outcome is unknown"


# Without one


def test_without_a_terminal_everything_is_declined(script, era):
    done = script(*ask(form(SMALL), visit(era)))
    assert done.returncode == SUCCESS
    assert results(done.stdout) == [{"action": "decline"}, {"action": "decline"}]
    assert "[alpha] Who are you?" in done.stderr and "--accept-defaults" in done.stderr
    assert "[alpha] Log in" in done.stderr and "secret" not in done.stderr


def test_an_address_that_nobody_can_visit_is_an_error(script):
    done = script("call", "alpha__needs_url", "url=https://login.example/")
    assert done.returncode == TOOL_ERROR
    assert "declined" in done.stderr


def test_defaults_are_accepted_on_request(script, era):
    done = script(*ask(form(DEFAULTED), form(SMALL, "Second?"), visit(era)), "--accept-defaults")
    assert done.returncode == SUCCESS
    expected = [{"action": "accept", "content": {"name": "Ada", "age": 7}}, {"action": "decline"}, {"action": "decline"}]
    assert results(done.stdout) == expected
    assert "answered with the defaults: [alpha] Who are you?" in done.stderr
    assert "'name'" in done.stderr and "[alpha] Second?" in done.stderr
    assert "[alpha] Log in" in done.stderr


def test_defaults_are_accepted_on_a_terminal_without_asking(person):
    at = person(*ask(form(DEFAULTED)), "--accept-defaults")
    status, output = at.end()
    assert (status, results(output)) == (SUCCESS, [{"action": "accept", "content": {"name": "Ada", "age": 7}}])


# What servers are told of


def test_servers_hear_of_forms_and_addresses_and_of_nothing_else(script, alpha, era):
    script("call", "alpha__echo", "text=x")
    declared = {"elicitation": {"form": {}, "url": {}}}
    if era == "handshake":
        assert alpha.message("initialize")["params"]["capabilities"] == declared
    else:
        assert alpha.message("tools/call")["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == declared
