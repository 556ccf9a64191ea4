"""The same host and the same server, once directly and once through mcpagg: it must not make a difference."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import bench as tools
import places
from validation import Recording

HERE = Path(__file__).parent
PATIENCE = 90
LABEL = "features"


def drive(bench, host: int, command: list[str], name: str) -> tuple[list, Recording]:
    """Lets the host play its script against the command; what it got, and every message of both sides."""
    recording = bench.directory / f"{name}.txt"
    relay = [places.python(2), str(HERE / "relay.py"), str(recording), "--", *command]
    done = subprocess.run(
        [places.python(host), str(HERE / "hosts" / "host_features.py")],
        input=json.dumps({"command": relay, "environment": bench.environment}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), Recording.of_relay(f"{name}, SDK {host}", recording)


@dataclass
class Conversation:
    """All messages, without what belongs to one hop: the questions' ids, who introduces himself, the labels that tell the person
    which server speaks."""

    said: dict[str, list] = field(default_factory=lambda: {"client": [], "server": []})  # each side's own, in order
    questions: dict[str, list] = field(default_factory=dict)  # and answers: two at once have no order
    changes: list = field(default_factory=list)  # sent when the new list is there, so not in step with the rest
    late: list = field(default_factory=list)  # answers to what was cancelled: the first generation's servers give them


def normalized(recording: Recording) -> Conversation:
    conversation = Conversation()
    names: dict[Any, str] = {}
    counts: Counter[str] = Counter()
    cancelled = []
    for side, line in recording.lines:
        message = tools.parsed(line)
        method = message.get("method", "")
        if method.endswith("list_changed") and side == "server":
            conversation.changes.append(message)
            continue
        params, result = message.get("params") or {}, message.get("result") or {}
        if method == "elicitation/create":
            params["message"] = params["message"].removeprefix(f"[{LABEL}] ")
        if method == "sampling/createMessage" and params.get("_meta", {}).get("dev.mcpagg/server") == LABEL:
            del params["_meta"]["dev.mcpagg/server"]
            if not params["_meta"]:
                del params["_meta"]
        if method == "notifications/message":
            logger = params.pop("logger", "")
            params["logger"] = logger.removeprefix(LABEL).removeprefix("/")
        if method == "notifications/cancelled":
            cancelled.append((side, params["requestId"]))
        if not method and ("client" if side == "server" else "server", message["id"]) in cancelled:
            conversation.late.append(message)
            continue
        if "serverInfo" in result:
            result.pop("serverInfo"), result.pop("capabilities")
        if (side == "server") == bool(method) and "id" in message:
            id = message.pop("id")
            if method:
                counts[method] += 1
                names[id] = f"{method} {counts[method]}"
            conversation.questions.setdefault(names[id], []).append([side, message])
        else:
            conversation.said[side].append(message)
    conversation.changes.sort(key=json.dumps)
    return conversation


@pytest.mark.parametrize("server", [1, 2], ids=["server-sdk1", "server-sdk2"])
@pytest.mark.parametrize("host", [1, 2], ids=["host-sdk1", "host-sdk2"])
def test_through_mcpagg_is_as_directly(bench, host, server):
    command = [places.python(server), str(HERE / "servers" / "features_sdk.py")]
    behind = bench.directory / "behind mcpagg.txt"
    relayed = [str(HERE / "relay.py"), str(behind), "--", *command]
    bench.servers.append(tools.Server(LABEL, {"command": places.python(2), "args": relayed, "prefix": ""}))
    config = bench.config()
    direct, direct_recording = drive(bench, host, command, "directly")
    through, recording = drive(bench, host, [places.mcpagg(), "--config", str(config)], "through mcpagg")
    behind_recording = Recording.of_relay("mcpagg to the server", behind)
    behind_recording.tested = "client"
    bench.relayed += [recording, behind_recording]
    assert any(side == "client" for side, _ in behind_recording.lines)
    for one, other in zip(direct, through):
        assert other == one
    assert len(direct) == len(through)
    refused = [entry[0] for entry in direct if entry[1] == "error"]
    assert refused == ["refuses", "feature://none"], "everything else worked"
    expected, seen = normalized(direct_recording), normalized(recording)
    for side in ("client", "server"):
        for one, other in zip(expected.said[side], seen.said[side]):
            assert other == one
        assert len(seen.said[side]) == len(expected.said[side])
    assert not seen.late, "what was cancelled is not answered"
    assert seen.questions == expected.questions
    assert all(len(pair) == 2 for pair in seen.questions.values()) and len(seen.questions) == 9
    assert seen.changes == expected.changes and len(seen.changes) == 3
    # The script did what it is for: a host that was never asked would agree with itself.
    methods = {message.get("method") for messages in expected.said.values() for message in messages}
    assert {name.split()[0] for name in expected.questions} == {"elicitation/create", "sampling/createMessage", "roots/list"}
    assert methods >= {
        "notifications/progress", "notifications/message", "notifications/cancelled", "notifications/resources/updated", "notifications/roots/list_changed",
        "completion/complete", "resources/subscribe", "resources/unsubscribe", "logging/setLevel",
    }  # fmt: skip


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
