"""The same host and the same server, once directly and once through mcpagg: it must not make a difference."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import bench as tools
import places
import validation
from conversations import LABEL, assert_same, assert_same_outcome, normalized, normalized_stateless, own_to_the_hop, without_nulls
from validation import Recording

HERE = Path(__file__).parent
PATIENCE = 90


def drive(bench, host: int, command: list[str], name: str, stateless: bool = False) -> tuple[list, Recording]:
    """Lets the host play its script against the command; what it got, and every message of both sides."""
    recording = bench.directory / f"{name}.txt"
    relay = [places.python(2), str(HERE / "relay.py"), str(recording), "--", *command]
    done = subprocess.run(
        [places.python(host), str(HERE / "hosts" / "host_features.py")],
        input=json.dumps({"command": relay, "environment": bench.environment, "stateless": stateless}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), Recording.of_relay(f"{name}, SDK {host}", recording)


SERVERS = {
    "server-sdk1": (1, None), "server-sdk2": (2, None), "server-sdk2-handshake": (2, "handshake"), "server-sdk2-stateless": (2, "stateless"),
}  # fmt: skip


def play_both(bench, host: int, stateless: bool, server: str):
    """The host's script with the server of its own era directly, and through mcpagg with the given one: what the host got each time,
    the two recordings, and whether the eras are crossed."""
    generation, protocol = SERVERS[server]
    command = {n: [places.python(n), str(HERE / "servers" / "features_sdk.py")] for n in (1, 2)}
    behind = bench.directory / "behind mcpagg.txt"
    relayed = [str(HERE / "relay.py"), str(behind), "--", *command[generation]]
    entry = {"command": places.python(2), "args": relayed, "prefix": "", **({"protocol": protocol} if protocol else {})}
    bench.servers.append(tools.Server(LABEL, entry))
    config = bench.config()
    directly = drive(bench, host, command[2 if stateless else generation], "directly", stateless)
    through = drive(bench, host, [places.mcpagg(), "--config", str(config)], "through mcpagg", stateless)
    behind_recording = Recording.of_relay("mcpagg to the server", behind)
    behind_recording.tested = "client"
    bench.relayed += [through[1], behind_recording]
    requests = [tools.parsed(line) for side, line in behind_recording.lines if side == "client"]
    calls = [request for request in requests if request.get("method") == "tools/call"]
    assert calls
    behind_is_stateless = validation.VERSION in validation.meta_of(calls[0])
    # Without a word in the config, the server is spoken to in the era of the host if it can.
    assert behind_is_stateless == (protocol == "stateless" or (generation == 2 and protocol is None and stateless))
    assert all((validation.VERSION in validation.meta_of(call)) is behind_is_stateless for call in calls)
    return directly, through, behind_is_stateless != stateless


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("host", [1, 2], ids=["host-sdk1", "host-sdk2"])
def test_through_mcpagg_is_as_directly(bench, host, server):
    (direct, direct_recording), (through, recording), crossed = play_both(bench, host, False, server)
    for entry in (*direct, *through):
        if isinstance(entry[1], dict):
            without_nulls(entry[1], crossed)
    assert_same_outcome(direct, through)
    expected, seen = normalized(direct_recording, crossed), normalized(recording, crossed)
    assert_same(expected, seen)
    assert all(len(pair) == 2 for pair in seen.questions.values()) and len(seen.questions) == 9
    assert len(seen.changes) == 3 + crossed
    # The script did what it is for: a host that was never asked would agree with itself.
    methods = {message.get("method") for messages in (*expected.said.values(), expected.changes) for message in messages}
    assert {name.split()[0] for name in expected.questions} == {"elicitation/create", "sampling/createMessage", "roots/list"}
    assert methods >= {
        "notifications/progress", "notifications/message", "notifications/cancelled", "notifications/resources/updated",
        "notifications/roots/list_changed", "completion/complete", "resources/subscribe", "resources/unsubscribe", "logging/setLevel",
    }  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
def test_through_mcpagg_is_as_directly_in_the_stateless_era(bench, server):
    (direct, direct_recording), (through, recording), crossed = play_both(bench, 2, True, server)
    for entry in (*direct, *through):
        if isinstance(entry[1], dict):
            own_to_the_hop(entry[1], crossed)
    assert_same_outcome(direct, through)
    expected, seen = normalized_stateless(direct_recording, crossed), normalized_stateless(recording, crossed)
    assert_same(expected, seen)
    listened = [[message["method"].removeprefix("notifications/") for message in messages] for messages in seen.listened.values()]
    changes = [f"{kind}/list_changed" for kind in ("tools", "prompts", "resources")]
    acknowledged = "subscriptions/acknowledged"
    assert listened == [[acknowledged, "resources/updated"], [acknowledged, *changes]]
    notified = Counter(message["method"] for message in seen.said["server"] if isinstance(message, dict))
    # Three steps of each of three calls and one of the cancelled one; two messages at one level, three at the other, none without.
    assert notified == {"notifications/progress": 10, "notifications/message": 5}
    if crossed:
        assert [len(asked) for asked in seen.questions.values()] == [2, 2, 2, 4, 4, 2, 2]
    else:
        required = [entry for entry in seen.said["server"] if isinstance(entry, list) and "inputRequests" in entry[1].get("result", {})]
        assert len(required) == 8


TALK = [
    ("client", '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"progressToken":1}}}'),
    ("server", '{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"[features] Name?"}}'),
    ("client", '{"jsonrpc":"2.0","id":7,"result":{"action":"accept"}}'),
    ("server", '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}'),
    ("server", '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'),
    ("server", '{"jsonrpc":"2.0","id":1,"result":{"content":[],"a":null}}'),
]
CHANGES = {
    "another hop's question id": (True, '"id":7', '"id":4097'),
    "no label": (True, "[features] ", ""),
    "somebody else's label": (False, "[features]", "[other]"),
    "another id": (False, '"id":1', '"id":"1"'),
    "another token": (False, '"progressToken":1,"progress"', '"progressToken":"1","progress"'),
    "a member lost": (False, ',"a":null', ""),
    "another answer": (False, "accept", "decline"),
    "another notice": (False, "tools/list_changed", "prompts/list_changed"),
    "a message lost": (False, TALK[3][1], '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_comparison_sees_what_differs_and_only_that(change):
    same, old, new = CHANGES[change]
    changed = [(side, line.replace(old, new).encode()) for side, line in TALK]
    assert changed != [(side, line.encode()) for side, line in TALK]
    one = normalized(Recording("one", [(side, line.encode()) for side, line in TALK]))
    assert (normalized(Recording("other", changed)) == one) is same
