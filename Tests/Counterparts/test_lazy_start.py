"""`start: lazy`: a server whose offer is known runs only while somebody needs it."""

import json
import os
import signal
import time

import pytest

import bench as tools
import places
import processes
import validation
from test_catalog_cache import changes, everything, ready, warm

LAZY = {"start": "lazy"}
# Long enough for a server that is started to have said so.
MOMENT = 1.0


def starts(server) -> int:
    """How often it was begun: each launch has one handshake."""
    methods = (b'"initialize"', b'"server/discover"')
    return len([line for line in server.received.lines if any(method in line for method in methods)])


def stopped(host, key: str, start: int = 0) -> int:
    return host.err.wait_for(lambda line: f"server '{key}': stopped".encode() in line, tools.PATIENCE, start)[0] + 1


def gone(bench, count: int = 0) -> None:
    """Waits until no more than so many fake servers run."""
    deadline = time.monotonic() + tools.PATIENCE
    while len(fakes(bench)) > count:
        assert time.monotonic() < deadline, fakes(bench)
        time.sleep(0.02)


def fakes(bench) -> list[int]:
    found = []
    for pid in processes.marked(bench.mark):
        try:
            with open(f"/proc/{pid}/comm") as file:
                if file.read().startswith("fake-mcp"):
                    found.append(pid)
        except FileNotFoundError:
            pass
    return found


# Start

def test_it_is_started_once_to_learn_what_it_has_and_then_only_when_it_is_called(bench):
    lazy = bench.fake("lazy", "--features", "all", **LAZY)
    eager = bench.fake("eager")
    config = bench.config()
    cold = warm(bench, config)
    assert starts(lazy) == 1
    host = bench.host(config)
    assert everything(host) == cold
    ready(host, "eager")
    time.sleep(MOMENT)  # that it does not start can only be seen by waiting
    assert (starts(lazy), starts(eager)) == (1, 2)
    assert host.text("lazy__echo", {"text": "awake"}) == "awake"
    assert starts(lazy) == 2
    assert host.text("lazy__echo", {"text": "still"}) == "still"
    assert starts(lazy) == 2 and not changes(host)
    assert everything(host) == cold


NEEDS = {
    "a prompt": ("prompts/get", {"name": "lazy__greeting", "arguments": {"name": "Ada"}}),
    "a resource": ("resources/read", {"uri": "note://lazy/1"}),
    "a completion": ("completion/complete", {"ref": {"type": "ref/prompt", "name": "lazy__greeting"}, "argument": {"name": "name", "value": ""}}),
    "a subscription": ("resources/subscribe", {"uri": "note://lazy/1"}),
}


@pytest.mark.parametrize("need", NEEDS)
def test_everything_that_needs_it_starts_it(bench, need):
    lazy = bench.fake("lazy", "--features", "all", **LAZY)
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    method, params = NEEDS[need]
    if "uri" in params:
        params = {"uri": host.ask("resources/list")["result"]["resources"][0]["uri"]}
    elif "ref" in params:
        names = [p["name"] for p in host.ask("prompts/list")["result"]["prompts"]]
        assert params["ref"]["name"] in names, names
    answer = host.ask(method, params)
    assert "result" in answer, answer
    assert starts(lazy) == 2


def test_many_calls_at_once_start_it_once(bench):
    lazy = bench.fake("lazy", "--start-delay", "300ms", **LAZY)
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    ids = [host.post("tools/call", {"name": "lazy__echo", "arguments": {"text": f"{n}"}}) for n in range(40)]
    assert [host.answer(id)["result"]["content"][0]["text"] for id in ids] == [f"{n}" for n in range(40)]
    assert starts(lazy) == 2


@pytest.mark.parametrize("host_era", [validation.NEWEST_HANDSHAKE, validation.STATELESS])
@pytest.mark.parametrize("server_era", ["handshake", "stateless"])
def test_in_both_eras(bench, host_era, server_era):
    lazy = bench.fake("lazy", "--features", "all", "--era", server_era, "--instructions", "Be kind.", **LAZY)
    config = bench.config()
    cold = warm(bench, config, host_era)
    begun = starts(lazy)
    host = bench.host(config, host_era)
    assert everything(host) == cold
    assert host.text("lazy__echo", {"text": "awake"}) == "awake"
    assert starts(lazy) == 2 * begun


def test_a_stateless_host_that_listens_to_a_resource_of_it_hears_of_it(bench):
    bench.fake("lazy", "--features", "all", **LAZY)
    config = bench.config()
    warm(bench, config, validation.STATELESS)
    host = bench.host(config, validation.STATELESS)
    uri = host.ask("resources/list")["result"]["resources"][0]["uri"]
    host.post("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}}, "l")
    _, said = host.notification("notifications/subscriptions/acknowledged")
    assert said["params"]["notifications"]["resourceSubscriptions"] == [uri]
    host.call("lazy__touch_resource", {"uri": uri})
    host.notification("notifications/resources/updated")


def test_a_resource_in_no_list_is_looked_for_at_it_too(bench):
    lazy = bench.fake("lazy", "--features", "tools,resources", **LAZY)
    bench.fake("eager", "--features", "tools,resources")
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    ready(host, "eager")
    answer = host.ask("resources/read", {"uri": "nowhere://at/all"})
    assert answer["error"]["code"] == -32002
    assert starts(lazy) == 2, "only its server knows"


@pytest.mark.parametrize("failing", ["exit 3", f'exec "{places.fake()}" --hang-initialize "$@"'])
def test_one_that_does_not_start_hides_no_resource_of_another(bench, failing):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    bad = bench.fake("bad", "--features", "tools,resources", **LAZY, startupTimeout="2s")
    bad.entry["command"] = str(program)
    good = bench.fake("good", "--features", "tools,resources", **LAZY)
    config = bench.config()
    warm(bench, config)
    program.write_text(f"#!/bin/sh\n{failing}\n")
    host = bench.host(config)
    host.tools()
    assert "result" in host.ask("resources/read", {"uri": "fake://good/hidden"})
    assert (starts(bad), starts(good)) == (1 + failing.startswith("exec"), 2), "one attempt is enough for a guess"
    assert host.ask("resources/read", {"uri": "nowhere://at/all"})["error"]["code"] == -32002


def test_a_resource_of_which_only_a_broken_one_can_know_is_answered_with_what_is_wrong_with_it(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    bad = bench.fake("bad", "--features", "tools,resources", **LAZY)
    bad.entry["command"] = str(program)
    config = bench.config()
    warm(bench, config)
    program.write_text("#!/bin/sh\nexit 3\n")
    host = bench.host(config)
    host.tools()
    assert "exited with code 3" in host.ask("resources/read", {"uri": "fake://bad/hidden"})["error"]["message"]


def test_its_start_does_not_count_for_the_time_of_the_call_that_began_it(bench):
    lazy = bench.fake("lazy", "--start-delay", "2s", **LAZY, timeout="1s")
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    host.tools()
    assert host.text("lazy__echo", {"text": "slow"}) == "slow"
    assert starts(lazy) == 2


@pytest.mark.parametrize("failing", ["exit 3", f'exec "{places.fake()}" --hang-initialize "$@"'])
def test_a_changed_entry_that_does_not_work_takes_nothing_away_from_one_that_rests(bench, failing):
    lazy = bench.fake("lazy", **LAZY)
    config = bench.config()
    cold = warm(bench, config)
    host = bench.host(config)
    assert everything(host) == cold
    good = dict(lazy.entry)
    lazy.entry |= {"command": "/bin/sh", "args": ["-c", failing, "sh", *good["args"]], "startupTimeout": "1s"}
    config.write_text(bench.config_text())
    host.err.wait_for(lambda line: b"its new config does not work" in line, tools.PATIENCE)
    assert everything(host) == cold
    assert host.text("lazy__echo", {"text": "as before"}) == "as before"
    assert not changes(host)


def test_what_changed_at_it_is_announced_when_it_is_started(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    lazy = bench.fake("lazy", **LAZY)
    lazy.entry["command"] = str(program)
    config = bench.config()
    cold = warm(bench, config)
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --tools 2 "$@"\n')
    host = bench.host(config)
    assert everything(host) == cold
    assert host.text("lazy__echo", {"text": "awake"}) == "awake"
    host.notification("notifications/tools/list_changed")
    assert "lazy__tool_1" in host.tool_names()
    assert changes(host) == ["notifications/tools/list_changed"]


def test_one_that_does_not_start_is_tried_again_at_the_next_call(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    lazy = bench.fake("lazy", **LAZY, retry=False)
    lazy.entry["command"] = str(program)
    config = bench.config()
    warm(bench, config)
    program.write_text("#!/bin/sh\nexit 3\n")
    host = bench.host(config)
    host.tools()
    assert host.call("lazy__echo", {"text": "x"})["isError"]
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    deadline = time.monotonic() + tools.PATIENCE
    while (result := host.call("lazy__echo", {"text": "works"})).get("isError"):
        assert time.monotonic() < deadline, result
    assert result["content"][0]["text"] == "works"


def test_that_it_did_not_start_is_said_without_a_promise_that_nobody_keeps(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    lazy = bench.fake("lazy", **LAZY, retry=False)
    lazy.entry["command"] = str(program)
    config = bench.config()
    warm(bench, config)
    program.write_text("#!/bin/sh\nexit 3\n")
    host = bench.host(config)
    host.tools()
    text = host.call("lazy__echo", {"text": "x"})["content"][0]["text"]
    assert "or later starts it again" in text and "It is started again" not in text
    host.err.wait_for(lambda line: b"if somebody needs it" in line, tools.PATIENCE)


def test_one_whose_entry_changed_is_started_once_and_takes_over(bench):
    lazy = bench.fake("lazy", **LAZY)
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    host.tools()
    lazy.entry["args"] = [*lazy.entry["args"], "--tools", "2"]
    config.write_text(bench.config_text())
    host.tools_when(lambda names: "lazy__tool_1" in names)
    assert starts(lazy) == 2
    # Back to what is known: nothing is started for that.
    lazy.entry["args"] = lazy.entry["args"][:-2]
    config.write_text(bench.config_text())
    host.tools_when(lambda names: "lazy__tool_1" not in names)
    assert starts(lazy) == 2
    lazy.entry["start"] = "eager"
    config.write_text(bench.config_text())
    lazy.wait_for("initialize", len(lazy.received.lines) if starts(lazy) == 2 else 0)
    assert host.text("lazy__echo", {"text": "works"}) == "works"
    assert starts(lazy) == 3


# Stop

def test_it_is_stopped_when_nobody_needs_it_and_started_by_the_next_call(bench):
    lazy = bench.fake("lazy", "--features", "all", **LAZY, idleTimeout="1s")
    config = bench.config()
    cold = warm(bench, config)
    host = bench.host(config)
    seen = 0
    for round in range(3):
        assert host.text("lazy__echo", {"text": f"{round}"}) == f"{round}"
        assert starts(lazy) == 2 + round
        seen = stopped(host, "lazy", seen)
        gone(bench)
        assert everything(host) == cold
    assert not changes(host)
    assert "is down" not in host.err.text(), "that it was stopped is no failure"


def test_one_that_was_started_to_learn_what_it_has_is_stopped_too(bench):
    bench.fake("lazy", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    names = host.tool_names()
    stopped(host, "lazy")
    gone(bench)
    assert host.tool_names() == names
    assert host.text("lazy__echo", {"text": "again"}) == "again"


def test_an_eager_one_with_an_idle_timeout_is_stopped_too_and_without_one_is_not(bench):
    bench.fake("still", idleTimeout="1s")
    bench.fake("always")
    host = bench.host(bench.config())
    host.tools()
    stopped(host, "still")
    gone(bench, 1)
    assert host.text("still__echo", {"text": "again"}) == "again"


def test_it_is_never_stopped_during_a_call(bench):
    lazy = bench.fake("lazy", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    for _ in range(3):
        assert host.text("lazy__sleep", {"ms": 2500, "text": "done"}) == "done"
    assert starts(lazy) == 1 and "': stopped" not in host.err.text()
    stopped(host, "lazy")


def test_it_is_not_stopped_while_it_waits_for_an_answer_of_the_person(bench):
    lazy = bench.fake("lazy", "--features", "all", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config(), elicitation={})
    host.tools()
    id = host.post("tools/call", {"name": "lazy__nested", "arguments": {"depth": 1}})
    _, question = host.question("elicitation/create")
    time.sleep(2.5)  # longer than the idle time; that nothing is stopped can only be seen by waiting
    host.reply(question["id"], {"action": "decline"})
    assert "result" in host.answer(id)
    assert starts(lazy) == 1 and "': stopped" not in host.err.text()


@pytest.mark.parametrize("what", ["a call", "a prompt"])
def test_it_is_not_stopped_while_a_stateless_host_asks_the_person_for_it(bench, what):
    method, name = {"a call": ("tools/call", "lazy__nested"), "a prompt": ("prompts/get", "lazy__ask")}[what]
    lazy = bench.fake("lazy", "--era", "stateless", "--features", "all", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config(), validation.STATELESS, elicitation={"form": {}})
    host.tools()
    params = {"name": name, "arguments": {"depth": 1} if what == "a call" else {}}
    asked = host.ask(method, params)["result"]
    assert asked["resultType"] == "input_required"
    time.sleep(2.5)  # longer than the idle time; that nothing is stopped can only be seen by waiting
    assert "': stopped" not in host.err.text()
    begun = starts(lazy)
    answers = {key: {"action": "decline"} for key in asked["inputRequests"]}
    answer = host.ask(method, {**params, "requestState": asked["requestState"], "inputResponses": answers})
    assert answer["result"]["resultType"] == "complete", answer
    assert starts(lazy) == begun
    stopped(host, "lazy")


def test_it_is_not_stopped_before_a_list_is_read_that_changed(bench):
    bench.fake("lazy", **LAZY, idleTimeout="1500ms")
    host = bench.host(bench.config())
    host.tools()
    # A list that changes all the time is read less and less often: at last more seldom than the server would be stopped.
    for _ in range(5):
        start = len(host.out.lines)
        host.call("lazy__change_tools")
        host.notification("notifications/tools/list_changed", start)
    stopped(host, "lazy")


def test_it_is_unused_only_since_nobody_is_subscribed_any_more(bench):
    bench.fake("lazy", "--features", "all", "--era", "stateless", **LAZY, idleTimeout="2s")
    host = bench.host(bench.config())
    uri = host.ask("resources/list")["result"]["resources"][0]["uri"]
    host.ask("resources/subscribe", {"uri": uri})
    time.sleep(3.5)  # until it is about to be looked at again
    host.ask("resources/unsubscribe", {"uri": uri})
    ended = time.monotonic()
    stopped(host, "lazy")
    assert time.monotonic() - ended > 1.5


def test_it_is_unused_only_since_its_last_answer(bench):
    bench.fake("lazy", **LAZY, idleTimeout="2s")
    host = bench.host(bench.config())
    host.tools()
    assert host.text("lazy__sleep", {"ms": 1900, "text": "done"}) == "done"
    ended = time.monotonic()
    stopped(host, "lazy")
    assert time.monotonic() - ended > 1.5


def test_it_is_not_stopped_while_somebody_is_subscribed(bench):
    lazy = bench.fake("lazy", "--features", "all", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    uri = host.ask("resources/list")["result"]["resources"][0]["uri"]
    host.ask("resources/subscribe", {"uri": uri})
    time.sleep(2.5)  # longer than the idle time
    assert starts(lazy) == 1 and "': stopped" not in host.err.text()
    host.call("lazy__touch_resource", {"uri": uri})
    host.notification("notifications/resources/updated")
    host.ask("resources/unsubscribe", {"uri": uri})
    stopped(host, "lazy")


def test_it_is_not_stopped_while_a_task_of_it_goes_on(bench):
    lazy = bench.fake("lazy", "--features", "all", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    host.tools()
    answer = host.ask("tools/call", {"name": "lazy__maybe_task", "arguments": {"ms": 2500, "text": "done"}, "task": {"ttl": 60000}})
    task = answer["result"]["task"]["taskId"]
    time.sleep(2.0)  # longer than the idle time
    assert starts(lazy) == 1 and "': stopped" not in host.err.text()
    assert "result" in host.ask("tasks/result", {"taskId": task})
    assert starts(lazy) == 1
    stopped(host, "lazy")


def test_a_call_while_it_is_being_stopped_is_answered_by_the_next_start(bench):
    lazy = bench.fake("lazy", "--ignore-stdin-eof", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    host.tools()
    stopped(host, "lazy")
    # It goes on until it is told to end.
    assert host.text("lazy__echo", {"text": "next"}) == "next"
    assert starts(lazy) == 2


def test_a_call_does_not_wait_for_the_patience_that_an_unused_one_is_ended_with(bench):
    lazy = bench.fake("lazy", "--ignore-stdin-eof", "--ignore-sigterm", **LAZY, idleTimeout="1s")
    host = bench.host(bench.config())
    host.tools()
    stopped(host, "lazy")
    called = time.monotonic()
    assert host.text("lazy__echo", {"text": "next"}) == "next"
    assert time.monotonic() - called < 1.8 and starts(lazy) == 2


def test_one_that_crashes_while_nobody_needs_it_is_started_by_the_next_call(bench):
    lazy = bench.fake("lazy", **LAZY)
    host = bench.host(bench.config())
    host.tools()
    [pid] = fakes(bench)
    os.kill(pid, signal.SIGKILL)
    host.err.wait_for(lambda line: b"server 'lazy' is down" in line, tools.PATIENCE)
    time.sleep(MOMENT)
    assert starts(lazy) == 1
    assert host.text("lazy__echo", {"text": "again"}) == "again"
    assert starts(lazy) == 2


# Over HTTP

def test_a_lazy_server_behind_a_url_is_connected_to_when_it_is_called(web):
    server = web.remote(entry={**LAZY, "idleTimeout": "1s", "healthCheck": False})
    web.bench.shares_cache = True
    first = web.host()
    names = first.tool_names()
    first.end()
    start = server.position
    host = web.host()
    assert host.tool_names() == names
    time.sleep(MOMENT)
    assert not server.requests(start=start)
    for round in range(2):
        assert host.text(f"{server.key}__echo", {"text": f"{round}"}) == f"{round}"
        server.wait_request(http="DELETE", start=start)
        start = server.position
    assert len(server.requests("initialize")) == 3


# The command line

def test_status_starts_it_and_says_that_it_is_lazy(bench):
    lazy = bench.fake("lazy", **LAZY)
    config = bench.config()
    warm(bench, config)
    status = json.loads(bench.run("--config", str(config), "status", "--json").stdout)
    assert [(s["name"], s["state"], s["start"]) for s in status["servers"]] == [("lazy", "ready", "lazy")]
    assert starts(lazy) == 2
    assert "ready, lazy" in bench.run("--config", str(config), "status").stdout


def test_lists_of_the_command_line_come_from_it(bench):
    lazy = bench.fake("lazy", **LAZY)
    config = bench.config()
    warm(bench, config)
    assert "lazy__echo" in bench.run("--config", str(config), "list-tools").stdout
    assert starts(lazy) == 2


def test_a_cold_first_list_waits_for_it(bench):
    bench.fake("lazy", "--start-delay", "700ms", **LAZY)
    host = bench.host(bench.config())
    assert "lazy__echo" in host.tool_names()
