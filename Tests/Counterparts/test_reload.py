"""Saving the config file takes effect at once, however it is saved; a broken one changes nothing."""

import re
import time

import pytest

import bench as tools
from saving import WAYS, by_rename, in_place

# From the save until the host has been told; then it lists. The new server's start is inside.
RELOAD_LIMIT = 1.0


@pytest.mark.parametrize("save", WAYS, ids=lambda way: way.__name__)
def test_a_save_takes_effect_within_a_second(bench, save):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    gamma = bench.fake("gamma")
    path = bench.directory / "config" / "mcp.json"
    path.parent.mkdir()
    path.write_text("{}")
    save(path, bench.config_text(alpha))
    host = bench.host(path)
    assert host.tools_when(lambda names: "alpha__echo" in names)

    # Twice, so that what is watched after the first change is right, too.
    for added in (beta, gamma):
        start = len(host.out.lines)
        saved = time.monotonic()
        save(path, bench.config_text(alpha, added))
        host.notification("notifications/tools/list_changed", start, RELOAD_LIMIT)
        host.tools_when(lambda names: f"{added.key}__echo" in names, max(0.1, saved + RELOAD_LIMIT - time.monotonic()))
        assert host.text(f"{added.key}__echo", {"text": "new"}) == "new"

    names = host.tools_when(lambda names: not [name for name in names if name.startswith("beta__")])
    assert {name.split("__")[0] for name in names} == {"alpha", "gamma"}
    starts = [line for line in alpha.received.lines if b'"initialize"' in line]
    assert len(starts) == 1, "the server that did not change keeps running"


@pytest.mark.parametrize("save", [in_place, by_rename], ids=lambda way: way.__name__)
def test_a_broken_save_is_reported_with_its_line_and_changes_nothing(bench, save):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    path = bench.config(alpha)
    host = bench.host(path)
    before = host.tools_when(lambda names: "alpha__echo" in names)

    broken = '{\n  "mcpServers": {\n    "alpha": { "command": "x" \n    "beta": {}\n  }\n}\n'
    save(path, broken)
    _, report = host.err.wait_for(lambda line: re.search(rb"mcp\.json:4:\d+", line) is not None, tools.PATIENCE)
    assert b"error" in report
    assert host.tool_names() == before

    wrong = '{\n  "mcpServers": {\n    "alpha": {\n      "comand": "x"\n    }\n  }\n}\n'
    start = len(host.err.lines)
    save(path, wrong)
    host.err.wait_for(lambda line: re.search(rb"mcp\.json:4:\d+", line) is not None, tools.PATIENCE, start)
    assert host.tool_names() == before
    assert host.text("alpha__echo", {"text": "untouched"}) == "untouched"

    save(path, bench.config_text(alpha, beta))
    host.tools_when(lambda names: "beta__echo" in names)
    assert len([line for line in alpha.received.lines if b'"initialize"' in line]) == 1


def test_a_save_that_changes_nothing_tells_the_host_nothing(bench):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    path = bench.config(alpha)
    host = bench.host(path)
    host.tools_when(lambda names: "alpha__echo" in names)
    start = len(host.out.lines)
    path.write_text("// a comment, and other spaces\n" + path.read_text().replace("  ", "\t"))
    # The next save is a real one: when it has been told of, the one before it has been dealt with.
    by_rename(path, bench.config_text(alpha, beta))
    # Without a look at the list: a host that has seen a change itself is not told of it.
    host.notification("notifications/tools/list_changed", start)
    assert "beta__echo" in host.tool_names()
    told = [line for line in host.out.lines[start:] if b"list_changed" in line]
    assert len(told) == 1
    assert len([line for line in alpha.received.lines if b'"initialize"' in line]) == 1


def test_a_changed_server_is_started_anew_and_the_others_are_not(bench):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    path = bench.config(alpha, beta)
    host = bench.host(path)
    host.tools_when(lambda names: "alpha__echo" in names and "beta__echo" in names)
    beta.entry["args"] = [*beta.entry["args"], "--tools", "2"]
    path.write_text(bench.config_text(alpha, beta))
    host.tools_when(lambda names: "beta__tool_1" in names)
    assert len([line for line in beta.received.lines if b'"initialize"' in line]) == 2
    assert len([line for line in alpha.received.lines if b'"initialize"' in line]) == 1


def test_filters_and_names_change_without_any_restart(bench):
    alpha = bench.fake("alpha")
    path = bench.config(alpha)
    host = bench.host(path)
    host.tools_when(lambda names: "alpha__echo" in names)
    alpha.entry["prefix"] = "first"
    alpha.entry["tools"] = {"include": ["echo"], "rename": {"echo": "say"}}
    path.write_text(bench.config_text(alpha))
    assert host.tools_when(lambda names: "alpha__echo" not in names) == ["first__say"]
    assert host.text("first__say", {"text": "same process"}) == "same process"
    assert len([line for line in alpha.received.lines if b'"initialize"' in line]) == 1


def test_yaml_is_read_and_reloaded_as_well(bench):
    alpha = bench.fake("alpha")
    path = bench.directory / "mcp.yaml"

    def text(*names: str) -> str:
        arguments = ", ".join(f"'{argument}'" for argument in alpha.entry["args"])
        entries = "".join(f"  {name}: {{ <<: *fake }}\n" if name != "alpha" else "" for name in names)
        return f"mcpServers:\n  alpha: &fake\n    command: {alpha.entry['command']}\n    args: [{arguments}]\n{entries}"

    plain = text("alpha")
    path.write_text(plain)
    host = bench.host(path)
    host.tools_when(lambda names: "alpha__echo" in names)
    path.write_text(plain.replace("alpha: &fake", "other: &fake"))
    host.tools_when(lambda names: "other__echo" in names and "alpha__echo" not in names)
    start = len(host.err.lines)
    path.write_text(plain + "  broken: [\n")
    host.err.wait_for(lambda line: re.search(rb"mcp\.yaml:\d+:\d+", line) is not None, tools.PATIENCE, start)
    assert "other__echo" in host.tool_names()
