"""The official SDKs drive mcpagg over stdio, as hosts do, with real and fake servers behind it."""

import json
import subprocess
from pathlib import Path

import pytest

import bench as tools
import places
from validation import Recording

# 100 calls in flight at once, over three servers of two kinds.
AT_ONCE = 100
# For a host's whole conversation, the start of two Python servers included.
HOST_PATIENCE = 60


def drive(bench, generation: int, config: Path, plan: dict) -> tuple[dict, Recording]:
    """Runs an SDK host against mcpagg, through the relay that records; its outcome and the recording."""
    recording = bench.directory / f"relay-{len(bench.relayed)}.txt"
    relay = Path(__file__).parent / "relay.py"
    command = [places.python(2), str(relay), str(recording), "--", places.mcpagg(), "--config", str(config)]
    try:
        done = subprocess.run(
            [places.python(generation), str(Path(__file__).parent / "hosts" / f"host_sdk{generation}.py")],
            input=json.dumps({"command": command, "environment": bench.environment, "plan": plan}),
            capture_output=True,
            text=True,
            timeout=HOST_PATIENCE,
            env=bench.environment,
        )
    except subprocess.TimeoutExpired as late:
        last = b"\n".join(line[:300] for line in recording.read_bytes().splitlines()[-10:])
        raise AssertionError(f"the host waits for something; the last lines:\n{last.decode()}\n{late.stderr}") from None
    assert done.returncode == 0, done.stderr
    seen = Recording.of_relay(f"mcpagg to the Python SDK {generation}", recording)
    bench.relayed.append(seen)
    return json.loads(done.stdout), seen


def lists(recording: Recording) -> list[bytes]:
    """The bytes of every tools/list result, in order."""
    asked = {tools.parsed(line).get("id") for side, line in recording.lines if tools.parsed(line).get("method") == "tools/list"}
    found = []
    for side, line in recording.lines:
        if side == "server" and "result" in tools.parsed(line) and tools.parsed(line).get("id") in asked:
            found.append(line[line.index(b'"tools"') :])
    return found


@pytest.mark.parametrize("servers", [1, 2], ids=["servers-sdk1", "servers-sdk2"])
@pytest.mark.parametrize("generation", [1, 2], ids=["host-sdk1", "host-sdk2"])
def test_real_and_fake_servers_behind_a_real_host(bench, generation, servers):
    repository = bench.git_repository()
    bench.time(generation=servers)
    alpha = bench.fake("alpha")
    bench.git(repository, generation=servers)
    bench.fake("beta", "--tools", "3", "--page-size", "4")
    # Real servers start slowly on a busy machine, and these hosts read the list once.
    config = bench.config(listWait="40s")

    calls = [
        ["time__get_current_time", {"timezone": "UTC"}],
        ["alpha__echo", {"text": "through two pipes"}],
        ["git__git_status", {"repo_path": str(repository)}],
        ["beta__add", {"a": 2, "b": 40}],
    ]
    at_once = []
    for number in range(AT_ONCE):
        choices = [
            ["alpha__echo", {"text": f"call {number}"}],
            ["beta__add", {"a": number, "b": 1000}],
            ["alpha__sleep", {"ms": number % 7, "text": f"slept {number}"}],
            ["git__git_log", {"repo_path": str(repository), "max_count": 1}],
        ]
        at_once.append(choices[3] if number % 20 == 7 else choices[number % 3])
    plan = {"calls": calls, "atOnce": at_once, "progress": ["alpha__progress", {"steps": 3, "delayMs": 5}], "cancel": ["beta__hang", {}]}
    outcome, first = drive(bench, generation, config, plan)

    assert outcome["revision"] == "2025-11-25"
    assert outcome["serverName"] == "mcpagg"
    names = outcome["names"]
    assert outcome["namesAgain"] == names
    order = list(dict.fromkeys(name.split("__")[0] for name in names))
    assert order == ["time", "alpha", "git", "beta"], "servers in the order of the config file, each in one piece"
    assert {"time__get_current_time", "alpha__echo", "git__git_status", "beta__tool_0", "beta__tool_2"} <= set(names)

    now, echoed, status, sum_ = outcome["calls"]
    assert json.loads(now["content"][0]["text"])["timezone"] == "UTC"
    assert echoed["content"][0]["text"] == "through two pipes"
    assert echoed["structuredContent"] == {"arguments": {"text": "through two pipes"}}
    assert "new.txt" in status["content"][0]["text"]
    assert sum_["content"][0]["text"] == "42"

    for (name, arguments), text in zip(at_once, outcome["atOnce"], strict=True):
        if name == "git__git_log":
            assert "first" in text
        else:
            assert text == (str(arguments["a"] + arguments["b"]) if name == "beta__add" else arguments["text"])

    assert [step[:2] for step in outcome["progress"]] == [[1, 3], [2, 3], [3, 3]]

    assert outcome["cancelled"] == "cancelled"
    beta = bench.servers[-1]
    _, call = beta.wait_for("tools/call", name="hang")
    _, cancel = beta.wait_for("notifications/cancelled")
    assert cancel["params"]["requestId"] == call["id"], "the server is told under the id that it knows"

    # Another run, another process, the same bytes; and the servers' real name for their tool, without our prefix.
    _, second = drive(bench, generation, config, {"calls": [], "atOnce": []})
    assert lists(first)[0] == lists(first)[1] == lists(second)[0]
    alpha.wait_for("tools/call", name="echo")
