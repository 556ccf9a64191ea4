"""One bad server of four is one bad server: the other three answer, and `status` says which one it is and why."""

import shlex
import time

import pytest

import bench as tools

# The longest a first list may wait in these tests, and what an answer that waits for nobody may take on a loaded machine.
LIST_WAIT = 5.0
AT_ONCE = 5.0

NAMES = ["one", "two", "three"]

FAULTS = {
    "exits at start": ["--exit-at-start", "7"],
    "hangs in the handshake": ["--hang-initialize"],
    "prints banners": ["--banner", "50"],
    "writes garbage": ["--garbage"],
    "starts late": ["--start-delay", "60s"],
    "floods its stderr": ["--stderr-flood", str(8 * 1024 * 1024)],
    "exits after each call": ["--exit-after-calls", "1"],
}
# These faults keep a server from working; the others are noise beside its work.
DOWN = {"exits at start", "hangs in the handshake", "starts late"}


def four(bench, fault: str):
    """Three good servers around a bad one, in a config with a short wait for the first list."""
    bench.fake("one")
    bench.fake("two", "--tools", "3")
    bench.fake("bad", *FAULTS[fault], "--stderr-line", "cannot open the vault", startupTimeout="12s")
    bench.fake("three")
    return bench.config(listWait=f"{LIST_WAIT}s")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_other_three_are_not_kept_waiting(bench, fault):
    config = four(bench, fault)
    host = bench.host(config)
    started = time.monotonic()
    names = host.tool_names(timeout=LIST_WAIT + AT_ONCE)
    assert time.monotonic() - started <= LIST_WAIT + AT_ONCE
    for name in NAMES:
        assert f"{name}__echo" in names
    if fault in DOWN:
        assert not [name for name in names if name.startswith("bad__")]
    for round in range(3):
        for name in NAMES:
            result = host.call(f"{name}__echo", {"text": f"{round}"}, timeout=AT_ONCE)
            assert result["content"][0]["text"] == f"{round}"
        assert set(host.tool_names(timeout=AT_ONCE)) >= {f"{name}__echo" for name in NAMES}
    if fault not in DOWN:
        assert "bad__echo" in host.tools_when(lambda names: "bad__echo" in names)
        assert host.text("bad__echo", {"text": "works all the same"}) == "works all the same"


@pytest.mark.parametrize("fault", sorted(DOWN))
def test_status_names_the_culprit_the_cause_and_its_last_words(bench, fault):
    config = four(bench, fault)
    done = bench.run("--config", str(config), "status")
    assert done.returncode in (0, 4), done.stderr
    for name in [*NAMES, "bad"]:
        assert name in done.stdout
    assert "cannot open the vault" in done.stdout
    if fault == "exits at start":
        assert "7" in done.stdout.split("bad", 1)[1], "its exit code"
    else:
        assert "initialize" in done.stdout, "what it has not answered"


@pytest.mark.parametrize("fault", ["prints banners", "writes garbage"])
def test_noise_on_stdout_is_skipped_and_reported_once(bench, fault):
    config = four(bench, fault)
    host = bench.host(config)
    assert "bad__echo" in host.tools_when(lambda names: "bad__echo" in names)
    for number in range(5):
        assert host.text("bad__echo", {"text": f"{number}"}) == f"{number}"
    host.end()
    reports = [line for line in host.err.text().splitlines() if "bad" in line and "stdout" in line]
    assert len(reports) == 1, host.err.text()
    done = bench.run("--config", str(config), "status")
    assert "stdout" in done.stdout.split("bad", 1)[1], "status tells of it, too"


def test_of_a_flood_of_log_messages_a_part_is_passed_on_and_the_person_is_told_once(bench):
    bench.fake("alpha")
    bench.fake("bad", "--features", "tools,logging,misbehaving", record=False)
    host = bench.host(bench.config())
    host.tools_when(lambda names: "bad__misbehave" in names and "alpha__echo" in names)
    flood = host.post("tools/call", {"name": "bad__misbehave", "arguments": {"kind": "logs", "ms": 300, "perSecond": 20_000}})
    sent = int(host.answer(flood)["result"]["content"][0]["text"])
    assert host.text("alpha__echo", {"text": "beside it"}) == "beside it"
    passed = [message for message in host.messages() if message.get("method") == "notifications/message"]
    # A thousand, and a hundred more for each second that it takes on a slow machine.
    assert 1000 <= len(passed) <= 2000 < sent
    host.end()
    assert host.err.text().count("1000 log messages in 10 s") == 1


def test_a_tool_of_a_server_that_is_down_says_so(bench):
    bench.fake("alpha")
    bad = bench.fake("bad")
    # It starts well once; from the moment the flag is there it does no more.
    flag = bench.directory / "vault-is-locked"
    script = f'if [ -e {shlex.quote(str(flag))} ]; then echo "cannot open the vault" >&2; exit 3; fi; exec "$0" "$@"'
    bad.entry = {"command": "bash", "args": ["-c", script, bad.entry["command"], *bad.entry["args"]]}
    host = bench.host(bench.config())
    host.tools_when(lambda names: "bad__echo" in names and "alpha__echo" in names)
    flag.touch()
    assert host.call("bad__crash", {})["isError"] is True
    # It waits for as many launches as it has attempts, which are soon made.
    refused = host.call("bad__echo", {"text": "x"}, timeout=2 * AT_ONCE)
    assert refused["isError"] is True
    assert "bad" in refused["content"][0]["text"]
    assert host.text("alpha__echo", {"text": "beside it"}) == "beside it"


def test_a_call_that_dies_with_its_server_is_answered_and_the_server_comes_back(bench):
    bad = bench.fake("bad", "--stderr-line", "cannot open the vault")
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools_when(lambda names: "bad__echo" in names and "alpha__echo" in names)
    first, _ = bad.wait_for("tools/list")
    result = host.call("bad__crash", {})
    assert result["isError"] is True
    assert "bad" in result["content"][0]["text"]
    assert host.text("alpha__echo", {"text": "beside it"}) == "beside it"
    again, _ = bad.wait_for("initialize", first + 1)
    bad.wait_for("tools/list", again)
    # It has been asked for its list; its answer may still be on the way, and until then a call is refused at once.
    deadline = time.monotonic() + tools.PATIENCE
    while (result := host.call("bad__echo", {"text": "back"})).get("isError"):
        assert time.monotonic() < deadline, result
    assert result["content"][0]["text"] == "back"
    executions = [line for line in bad.received.lines if b'"crash"' in line]
    assert len(executions) == 1, "what may have run is not run again"


def test_a_command_that_does_not_exist_is_named(bench):
    bench.fake("alpha")
    bench.fake("bad")
    bench.servers[1].entry = {"command": "no-such-command-anywhere", "args": []}
    config = bench.config()
    host = bench.host(config)
    assert "alpha__echo" in host.tool_names(timeout=AT_ONCE * 3)
    done = bench.run("--config", str(config), "status")
    assert "no-such-command-anywhere" in done.stdout


def test_a_server_that_never_reads_stops_nobody(bench):
    """Its pipe is full and stays so; calls to the others go their way."""
    bench.fake("alpha")
    bad = bench.fake("bad", record=False)
    # Answers the handshake and the list, then never reads again.
    script = (
        'read -r l; printf \'%s\\n\' \'{"jsonrpc":"2.0","id":\'"$(id "$l")"\',"result":{"protocolVersion":"2025-11-25",'
        '"capabilities":{"tools":{}},"serverInfo":{"name":"bad","version":"1"}}}\'; read -r l; read -r l; '
        'printf \'%s\\n\' \'{"jsonrpc":"2.0","id":\'"$(id "$l")"\',"result":{"tools":[{"name":"eat","inputSchema":{"type":"object"}}]}}\'; '
        "exec tail -f /dev/null"
    )
    find_id = 'id() { printf %s "$1" | sed -E \'s/.*"id" *: *([0-9]+).*/\\1/\'; }; '
    bad.entry = {"command": "bash", "args": ["-c", find_id + script]}
    host = bench.host(bench.config())
    host.tools_when(lambda names: "bad__eat" in names and "alpha__echo" in names)
    filler = "x" * (1024 * 1024)
    for _ in range(4):
        host.post("tools/call", {"name": "bad__eat", "arguments": {"text": filler}})
    for number in range(5):
        assert host.text("alpha__echo", {"text": f"{number}"}) == f"{number}"
