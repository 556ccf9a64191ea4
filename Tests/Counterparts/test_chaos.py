"""`mcpagg chaos`: faults between mcpagg and its servers. Whatever happens there, the host gets valid lines, and one answer to each request."""

import json
import os
import re
import signal
import time

import pytest

import bench as tools
from http_bench import NEW, OLD
from http_wire import EVENTS

FAILURE = "dev.mcpagg/failure"
TIMEOUT = "700ms"
LINK = ["stdio", "stateless stdio", "HTTP", "HTTP with events", "stateless HTTP", "HTTP with SSE"]
FAULTS = ["drop", "delay", "duplicate", "garble", "kill"]
# More of them for whoever looks for what nobody has seen yet.
SEEDS = range(1, 1 + int(os.environ.get("MCPAGG_CHAOS_SEEDS", "2")))


def bad_server(web, link: str, key: str = "bad", **entry):
    """A server on a link with faults: what passes there is not judged."""
    entry = {"timeout": TIMEOUT, "startupTimeout": "2s", **entry}
    match link:
        case "stdio":
            server = web.bench.fake(key, "--features", "all", **entry)
        case "stateless stdio":
            server = web.bench.fake(key, "--features", "all", "--era", "stateless", **entry)
        case "HTTP":
            server = web.remote(key, entry=entry)
        case "HTTP with events":
            server = web.remote(key, entry=entry, answers=EVENTS)
        case "stateless HTTP":
            server = web.stateless(key, entry=entry)
        case "HTTP with SSE":
            server = web.legacy(key, entry=entry)
    server.is_judged = False
    return server


def chaos(web, *options: str, revision: str = OLD, **aggregator):
    return web.bench.host(web.bench.config(**aggregator), revision, ("chaos", *options), elicitation={})


def log(host) -> list[str]:
    """What was done, without the times."""
    lines = [line for line in host.err.text().splitlines() if line.startswith("mcpagg: info: chaos: ") and ", " in line]
    return [re.sub(r"delayed by \d+ ms", "delayed", line.removeprefix("mcpagg: info: chaos: ")) for line in lines]


def faults(host) -> list[str]:
    return [line for line in log(host) if not line.startswith("server ")]


def tally(host, server: str) -> dict[str, int]:
    (line,) = [line for line in log(host) if line.startswith(f"server '{server}': ")]
    return {what: int(number) for number, what in re.findall(r"(\d+) (messages|dropped|delayed|duplicated|garbled|with a kill)", line)}


def echo(host, server: str, text: str) -> int:
    return host.post("tools/call", {"name": f"{server}__echo", "arguments": {"text": text}})


def outcome(answer) -> str:
    """What became of a call: its text, or what kind of failure it was."""
    if "error" in answer:
        return (answer["error"].get("data") or {}).get(FAILURE, "error")
    result = answer["result"]
    return result["_meta"][FAILURE] if result.get("isError") else result["content"][0]["text"]


def answers(host, id) -> list[dict]:
    return [message for message in host.messages() if "method" not in message and message.get("id") == id]


def attend(host, ids: list[int]) -> None:
    """Waits for the answers to these requests, and answers what is asked meanwhile. While a person is being asked, no time runs."""
    sent = [tools.parsed(line) for side, line in host.recording.lines if side == "client"]
    replied = {message["id"] for message in sent if "method" not in message}
    waiting, position = set(ids), 0
    while waiting:
        message = json.loads(host.out.wait_for(lambda line: True, tools.PATIENCE, position)[1])
        position += 1
        if "method" not in message:
            waiting.discard(message["id"])
        elif "id" in message and message["id"] not in replied:
            host.reply(message["id"], {"action": "decline"})


# One fault for every message

@pytest.mark.parametrize("link", LINK)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_at_one_server_is_seen_at_that_server_alone(web, fault, link):
    bad_server(web, link)
    web.bench.fake("good")
    options = ["--seed", "7", f"--{fault}", "1", "--server", "bad", "--spare-handshake", "--max-delay", "100ms"]
    host = chaos(web, *options)
    host.tools_when(lambda names: {"good__echo", "bad__echo"} <= set(names))
    ids = [echo(host, "bad", f"{number}") for number in range(4)]
    for number in range(4):
        assert host.text("good__echo", {"text": f"beside {number}"}) == f"beside {number}"
    outcomes = [outcome(host.answer(id)) for id in ids]
    match fault:
        case "drop":
            assert outcomes == ["timedOut"] * 4
        case "delay" | "duplicate":
            assert outcomes == ["0", "1", "2", "3"]
        case "garble" | "kill":
            assert all(text in ("timedOut", "outcomeUnknown", "unavailable", "error") for text in outcomes), outcomes
    assert host.end() == 0
    assert [len(answers(host, id)) for id in ids] == [1] * 4
    assert faults(host) and all("server 'bad'" in line for line in log(host))
    word = {"drop": "dropped", "delay": "delayed", "duplicate": "duplicated", "garble": "garbled", "kill": "with a kill"}[fault]
    counted = tally(host, "bad")
    assert counted[word] == counted["messages"] == len(faults(host))


@pytest.mark.parametrize("link", ["stdio", "HTTP", "HTTP with SSE"])
@pytest.mark.parametrize("fault", ["drop", "garble", "kill"])
def test_a_server_that_never_gets_ready_keeps_nobody_waiting(web, fault, link):
    bad_server(web, link)
    web.bench.fake("good")
    host = chaos(web, f"--{fault}", "1", "--server", "bad", listWait="2s")
    assert "good__echo" in host.tool_names(timeout=10)
    for number in range(3):
        assert host.text("good__echo", {"text": f"{number}"}) == f"{number}"
    refused = host.ask("tools/call", {"name": "bad__echo", "arguments": {}})
    assert "error" in refused or refused["result"]["isError"]
    assert host.end() == 0


@pytest.mark.parametrize("fault", ["delay", "duplicate"])
@pytest.mark.parametrize("link", LINK)
def test_a_server_gets_ready_though_every_message_is_late_or_comes_twice(web, fault, link):
    bad_server(web, link, startupTimeout="10s", timeout="5s")
    host = chaos(web, f"--{fault}", "1", "--max-delay", "30ms", "--seed", "3")
    host.tools_when(lambda names: "bad__echo" in names)
    ids = [echo(host, "bad", f"{number}") for number in range(5)]
    assert [outcome(host.answer(id)) for id in ids] == ["0", "1", "2", "3", "4"]
    assert host.end() == 0
    assert [len(answers(host, id)) for id in ids] == [1] * 5


def test_a_duplicated_call_runs_twice_and_is_answered_once(web):
    server = bad_server(web, "stdio")
    host = chaos(web, "--duplicate", "1", "--spare-handshake")
    host.tools_when(lambda names: "bad__echo" in names)
    id = echo(host, "bad", "twice, as asked")
    assert outcome(host.answer(id)) == "twice, as asked"
    first, _ = server.wait_for("tools/call")
    server.wait_for("tools/call", first + 1)
    assert host.end() == 0
    assert len(answers(host, id)) == 1
    assert len([line for line in server.received.lines if b"twice, as asked" in line]) == 2


def test_what_is_delayed_is_overtaken(web):
    bad_server(web, "stdio", timeout="1m")
    host = chaos(web, "--delay", "0.5", "--max-delay", "300ms", "--seed", "1", "--spare-handshake")
    host.tools_when(lambda names: "bad__echo" in names)
    ids = [echo(host, "bad", f"{number}") for number in range(30)]
    assert [outcome(host.answer(id)) for id in ids] == [f"{number}" for number in range(30)]
    came = [message["id"] for message in host.messages() if message.get("id") in ids]
    assert sorted(came) == ids and came != ids


# The seed

SOME = ["--drop", "0.1", "--delay", "0.1", "--duplicate", "0.1", "--garble", "0.1", "--max-delay", "50ms"]


def one_after_the_other(web, *options: str) -> list[str]:
    """Calls that wait for each other: what is said at each server is the same in each run, as far as chance does not change it."""
    host = chaos(web, *SOME, "--spare-handshake", *options)
    host.tools_when(lambda names: {"one__echo", "two__echo"} <= set(names))
    for number in range(25):
        for server in ["one", "two"]:
            host.answer(echo(host, server, f"{number}"))
    assert host.end() == 0
    return faults(host)


def of(server: str, lines: list[str]) -> list[str]:
    return [line for line in lines if f"'{server}'" in line]


def test_the_same_seed_makes_the_same_faults_and_one_server_changes_nothing_for_another(web):
    for key in ["one", "two"]:
        bad_server(web, "stdio", key, timeout="200ms")
    first = one_after_the_other(web, "--seed", "11")
    again = one_after_the_other(web, "--seed", "11")
    assert len(first) > 20
    for direction in ["to", "from"]:
        for server in ["one", "two"]:
            lines = [[line for line in of(server, run) if line.startswith(direction)] for run in (first, again)]
            # At the end one more cancellation may be on its way.
            shorter = min(map(len, lines))
            assert lines[0][:shorter] == lines[1][:shorter]
            assert max(map(len, lines)) - shorter <= 2
    alone = one_after_the_other(web, "--seed", "11", "--server", "two")
    assert of("one", alone) == []
    assert of("two", alone)[:10] == of("two", first)[:10]
    assert one_after_the_other(web, "--seed", "12") != first


def test_a_seed_that_was_drawn_is_shown_whatever_is_logged(web):
    bad_server(web, "stdio")
    seeds = set()
    for _ in range(2):
        host = chaos(web, "--log-level", "critical")
        host.end()
        seeds.add(re.fullmatch(r"mcpagg: chaos: the seed is (\d+); the same again: --seed \1\n?", host.err.text())[1])
    assert len(seeds) == 2


def test_the_config_file_has_no_say(web):
    bad_server(web, "stdio")
    path = web.bench.config(logLevel="critical")
    host = web.bench.host(path, OLD, ("chaos", "--delay", "1", "--max-delay", "1ms"))
    host.tool_names()
    assert host.end() == 0
    assert faults(host), "what was asked for is logged"
    for text in ['{"mcpServers": {}, "chaos": {"drop": 1}}', '{"mcpServers": {}, "aggregator": {"chaos": {"drop": 1}}}']:
        path.write_text(text)
        assert web.bench.run("--config", str(path), "check").returncode == 2


# Everything at once

@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("link", LINK)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_request_is_answered_once_whatever_happens(web, link, seed, revision):
    bad_server(web, link)
    web.bench.fake("good")
    host = chaos(
        web, "--seed", f"{seed}", "--drop", "0.04", "--delay", "0.3", "--duplicate", "0.1", "--garble", "0.05", "--kill", "0.02",
        "--max-delay", "60ms", "--server", "bad", revision=revision, listWait="1s", inputWait="1s",
    )  # fmt: skip
    assert "good__echo" in host.tool_names()
    ids, good = [], []
    asks = "form" if "stdio" in link else "ask"
    for round in range(12):
        ids += [echo(host, "bad", f"{round}") for _ in range(4)]
        ids.append(host.post("tools/call", {"name": "bad__progress", "arguments": {"steps": 3}, "_meta": {"progressToken": f"p{round}"}}))
        ids.append(host.post("tools/call", {"name": f"bad__{asks}", "arguments": {}}))
        ids.append(host.post("tools/list"))
        ids.append(host.post("prompts/list"))
        good.append(echo(host, "good", f"{round}"))
        assert outcome(host.answer(good[-1])) == f"{round}"
        # Some of a round: others go on beside the next one.
        attend(host, ids[-8:-4])
    attend(host, ids)
    assert host.process.poll() is None
    assert host.end() == 0
    for id in ids + good:
        assert len(answers(host, id)) == 1, id
    assert tally(host, "bad")["messages"] > 0
    assert all("server 'bad'" in line for line in log(host))


@pytest.mark.parametrize("link", ["stdio", "HTTP", "HTTP with events"])
def test_what_is_held_back_keeps_nobody_from_ending(web, link):
    bad_server(web, link, timeout="1h")
    host = chaos(web, "--delay", "1", "--max-delay", "1h", "--spare-handshake")
    host.tools_when(lambda names: "bad__echo" in names)
    id = echo(host, "bad", "later")
    host.err.wait_for(lambda line: b"delayed by" in line, tools.PATIENCE)
    started = time.monotonic()
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(tools.PATIENCE) == 0
    assert time.monotonic() - started < 5
    host.end()
    assert len(answers(host, id)) == 1


def test_a_killed_server_comes_back(web):
    bad_server(web, "stdio")
    host = chaos(web, "--kill", "0.2", "--seed", "2", "--spare-handshake")
    host.tools_when(lambda names: "bad__echo" in names)
    deadline = time.monotonic() + tools.PATIENCE
    while not [line for line in faults(host) if "killed" in line]:
        assert time.monotonic() < deadline
        host.answer(echo(host, "bad", "x"))
    while outcome(host.answer(echo(host, "bad", "back"))) != "back":
        assert time.monotonic() < deadline
    assert host.end() == 0


# The command line

@pytest.mark.parametrize(
    "options",
    [["--drop", "2"], ["--delay", "x"], ["--kill=-1"], ["--max-delay", "5"], ["--seed", "x"], ["--drop", "0.9", "--garble", "0.9"],
     ["--server", "bda"], ["--server"], ["word"]],
)  # fmt: skip
def test_a_slip_of_the_pen_is_told(bench, options):
    bench.fake("bad", record=False)
    done = bench.run("--config", str(bench.config()), "chaos", *options, input="")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    if "bda" in options:
        assert "did you mean 'bad'?" in done.stderr


def test_the_help_says_that_tools_run_twice(bench):
    done = bench.run("chaos", "--help")
    assert done.returncode == 0
    assert "runs twice" in " ".join(done.stdout.split())
