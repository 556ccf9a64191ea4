"""mcpagg when nobody wants anything of it."""

import sys
import time
from pathlib import Path

import pytest

import bench as tools

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell how often a thread woke up")

# Seconds of silence; whatever ticks does so at least once in it.
SILENCE = 3.0


def switches(pid: int) -> dict[str, tuple[str, int]]:
    """The threads, each with how often it began to run."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found[task.name] = ((task / "comm").read_text().strip(), sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line))
    return found


def test_an_idle_mcpagg_never_wakes_up(bench):
    for key in ("alpha", "beta"):
        bench.fake(key, record=False, healthCheck=False)
    config = bench.config()
    host = bench.host(config)
    host.tools_when(lambda names: {"alpha__echo", "beta__echo"} <= set(names))
    assert host.text("alpha__echo", {"text": "before"}) == "before"
    # Whatever was done once must not begin to tick by it.
    config.write_text(config.read_text() + "\n")
    config.write_text(bench.config_text(*bench.servers[:1]))
    host.tools_when(lambda names: "beta__echo" not in names)
    # What is left to be done after the last answer takes some seconds; what ticks would never let there be silence.
    deadline = time.monotonic() + tools.PATIENCE
    before = switches(host.process.pid)
    while True:
        time.sleep(SILENCE)
        after = switches(host.process.pid)
        if after == before:
            break
        assert time.monotonic() < deadline, f"{before} before, {after} after {SILENCE} s"
        before = after
    assert host.text("alpha__echo", {"text": "after"}) == "after"
