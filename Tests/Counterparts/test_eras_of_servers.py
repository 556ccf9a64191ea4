"""Which era a server is spoken to in: found out by asking, or said in the config file (2026-07-28, basic/versioning)."""

import json

import pytest

import bench as tools
from pairs import KEY, able, subscription
from validation import STATELESS

OLD = "2025-11-25"


def methods(server):
    """What the server was sent, up to the lists."""
    found = [json.loads(line)["method"] for line in server.received.lines if "method" in json.loads(line)]
    return [method for method in found if method in ("initialize", "server/discover", "notifications/initialized")]


def works(host):
    assert host.call(f"{KEY}__echo", {"text": "works"})["content"][0]["text"] == "works"


# host's era, flags of the server, what it is sent
TABLE = [
    ("stateless server, handshake host", OLD, ["--era", "stateless"], ["initialize", "server/discover"]),
    ("stateless server, stateless host", STATELESS, ["--era", "stateless"], ["server/discover"]),
    ("server of both, handshake host", OLD, ["--era", "both"], ["initialize", "notifications/initialized"]),
    ("server of both, stateless host", STATELESS, ["--era", "both"], ["server/discover"]),
    ("locks itself, handshake host", OLD, ["--era", "both", "--lock-era"], ["initialize", "notifications/initialized"]),
    ("locks itself, stateless host", STATELESS, ["--era", "both", "--lock-era"], ["server/discover"]),
    ("handshake server, handshake host", OLD, [], ["initialize", "notifications/initialized"]),
    ("handshake server, stateless host", STATELESS, [], ["server/discover", "initialize", "notifications/initialized"]),
    ("odd error", STATELESS, ["--discover", "error"], ["server/discover", "initialize", "notifications/initialized"]),
    ("no result", STATELESS, ["--discover", "garbage"], ["server/discover", "initialize", "notifications/initialized"]),
    ("silence", STATELESS, ["--discover", "silent"], ["server/discover", "initialize", "notifications/initialized"]),
    ("ends on it", STATELESS, ["--discover", "exit"], ["server/discover", "initialize", "notifications/initialized"]),
    ("slow", STATELESS, ["--era", "both", "--discover-delay", "300ms"], ["server/discover"]),
    (
        "so slow that it is given up, and locked by it", STATELESS, ["--era", "both", "--lock-era", "--discover-delay", "3500ms"],
        ["server/discover", "initialize", "server/discover"],
    ),
]  # fmt: skip


@pytest.mark.parametrize("host, flags, expected", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_a_server_speaks_is_found_out(bench, host, flags, expected):
    server = bench.fake(KEY, *flags)
    raw = bench.host(bench.config(listWait="20s"), host)
    raw.tools()
    works(raw)
    assert methods(server) == expected


@pytest.mark.parametrize("host", [OLD, STATELESS])
@pytest.mark.parametrize("said, expected", [
    ("handshake", ["initialize", "notifications/initialized"]), ("stateless", ["server/discover"]),
])  # fmt: skip
def test_the_config_file_has_the_last_word(bench, host, said, expected):
    server = bench.fake(KEY, "--era", "both", protocol=said)
    raw = bench.host(bench.config(), host)
    raw.tools()
    works(raw)
    assert methods(server) == expected


@pytest.mark.parametrize("said, era, what", [("stateless", "handshake", "server/discover"), ("handshake", "stateless", "initialize")])
def test_a_server_that_does_not_speak_what_the_file_says_is_down(bench, said, era, what):
    bench.fake(KEY, "--era", era, protocol=said)
    bench.fake("other")
    raw = bench.host(bench.config())
    assert {name.split("__")[0] for name in raw.tool_names()} == {"other"}
    result = raw.call(f"{KEY}__echo")
    assert result["isError"] and what in result["content"][0]["text"]


@pytest.mark.parametrize("host", [OLD, STATELESS])
def test_changes_reach_the_host_after_the_server_ended_its_subscription(bench, host):
    server = bench.fake(KEY, "--era", "stateless", "--features", "all", "--end-listens-after", "50ms")
    raw = bench.host(bench.config(), host, **able(host))
    names = raw.tool_names()
    id = raw.post("subscriptions/listen", {"notifications": {"toolsListChanged": True}}) if host == STATELESS else None
    listens = lambda line: b'"subscriptions/listen"' in line  # noqa: E731
    first, _ = server.received.wait_for(listens, tools.PATIENCE)
    server.received.wait_for(listens, tools.PATIENCE, first + 1)
    start = len(raw.out.lines)
    raw.call(f"{KEY}__change_tools")
    _, told = raw.notification("notifications/tools/list_changed", start)
    assert subscription(told) == id
    assert set(raw.tool_names()) == {*names, f"{KEY}__added_1"}


@pytest.mark.parametrize("era", ["handshake", "stateless"])
def test_the_log_level_outlives_a_restart(bench, era):
    server = bench.fake(KEY, "--era", era, "--features", "all")
    raw = bench.host(bench.config())
    raw.tools()
    raw.ask("logging/setLevel", {"level": "warning"})
    raw.post("tools/call", {"name": f"{KEY}__exit"})
    if era == "handshake":
        position, _ = server.wait_for("logging/setLevel", level="warning")
        server.wait_for("logging/setLevel", position + 1, level="warning")
    else:
        server.received.wait_for(lambda line: b'"server/discover"' in line, tools.PATIENCE, len(server.received.lines))
    start = len(raw.out.lines)
    for level in ("info", "error"):
        raw.call(f"{KEY}__log_at", {"level": level, "text": level})
    told = [m["params"]["data"] for m in raw.messages(start) if m.get("method") == "notifications/message" and m["params"]["logger"] == f"{KEY}/{KEY}"]
    assert told == ["error"]
