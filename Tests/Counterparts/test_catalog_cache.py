"""What servers offered is known from run to run: lists are complete at once, and hosts hear of a change only if there is one."""

import json
import os
import random
import stat
import subprocess
import time
from pathlib import Path

import pytest

import bench as tools
import places
import validation
from bench import RawHost

# A server that takes so long to start would be seen in any answer that waits for it.
SLOW = ("--start-delay", "3s")
# What an answer may take that waits for nothing.
AT_ONCE = 1.5
LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
ALL = ("--features", "all", "--tools", "5", "--instructions", "Be kind to the fake.")


def catalog_files(bench) -> list[Path]:
    directory = bench.cache_home / "mcpagg"
    return sorted(directory.glob("*.catalog")) if directory.exists() else []


def everything(host: RawHost) -> list[bytes]:
    """All lists as they came, under ids that are the same for every host."""
    return [host.answer_line(host.post(method, None, f"list-{method}")) for method in LISTS]


def warm(bench, config, revision: str | None = validation.NEWEST_HANDSHAKE, **capabilities) -> list[bytes]:
    """Runs once, so that all is kept; what the lists were."""
    bench.shares_cache = True
    host = bench.host(config, revision, **capabilities)
    lists = everything(host)
    assert host.end() == 0
    return lists


def changes(host: RawHost, start: int = 0) -> list[str]:
    return [m["method"] for m in host.messages(start) if str(m.get("method", "")).endswith("list_changed")]


def ready(host: RawHost, key: str, start: int = 0) -> int:
    """Waits until the log says that the server is ready; the line behind."""
    return host.err.wait_for(lambda line: f"server '{key}': ready".encode() in line, tools.PATIENCE, start)[0] + 1


# Lists at once

@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", validation.NEWEST_HANDSHAKE, validation.STATELESS])
def test_lists_are_complete_and_byte_identical_at_once_though_servers_are_slow(bench, revision):
    bench.fake("alpha", *ALL, *SLOW, "--page-size", "2")
    bench.fake("beta", "--tools", "3", *SLOW, tools={"exclude": ["tool_1"], "rename": {"tool_2": "two"}}, prefix="b")
    config = bench.config()
    cold = warm(bench, config, revision)
    assert len(catalog_files(bench)) == 2
    host = bench.host(config, revision)
    assert everything(host) == cold
    assert time.monotonic() - host.started < AT_ONCE
    for key in ("alpha", "beta"):
        ready(host, key)
    assert everything(host) == cold
    assert host.text("b__two", {"text": "works"}) and not changes(host)


def test_instructions_and_capabilities_are_there_at_once(bench):
    bench.fake("alpha", *ALL, *SLOW)
    bench.fake("beta", "--instructions", "Beta counts from one.", *SLOW)
    config = bench.config()
    warm(bench, config)
    host = bench.host(config, None)
    answer = host.handshake(validation.NEWEST_HANDSHAKE)
    assert time.monotonic() - host.started < AT_ONCE
    assert "Be kind to the fake." in answer["result"]["instructions"] and "Beta counts from one." in answer["result"]["instructions"]
    discovered = bench.host(config, validation.STATELESS)
    # Another era, so nothing is known for it; nothing is made up either.
    assert "instructions" not in discovered.ask("server/discover")["result"]


def test_a_stateless_host_is_told_everything_by_discovery_at_once(bench):
    bench.fake("alpha", "--era", "stateless", "--instructions", "Be kind to the fake.", "--ttl", "60000", "--discover-delay", "3s")
    config = bench.config()
    warm(bench, config, validation.STATELESS)
    host = bench.host(config, validation.STATELESS)
    assert host.ask("server/discover")["result"]["instructions"] == "Be kind to the fake."
    listed = host.ask("tools/list")["result"]
    assert time.monotonic() - host.started < AT_ONCE
    assert listed["tools"] and listed["ttlMs"] == 0, "what was learned in an earlier run may be taken for granted for no time at all"
    ready(host, "alpha")
    assert host.ask("tools/list")["result"]["ttlMs"] == 60000


def test_calls_wait_for_the_server_as_they_wait_for_one_that_starts(bench):
    server = bench.fake("alpha", "--start-delay", "1s", "--features", "tools,resources,prompts,completions")
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    names = host.tool_names()
    ids = [host.post("tools/call", {"name": "alpha__echo", "arguments": {"text": f"{n}"}}) for n in range(5)]
    assert [host.answer(id)["result"]["content"][0]["text"] for id in ids] == [f"{n}" for n in range(5)]
    assert len([line for line in server.received.lines if b'"tools/call"' in line]) == 5
    assert "alpha__echo" in names and not changes(host)
