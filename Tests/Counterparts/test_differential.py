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
import validation
from validation import Recording

HERE = Path(__file__).parent
PATIENCE = 90
LABEL = "features"


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


@dataclass
class Conversation:
    """All messages, without what belongs to one hop: the questions' ids, who introduces himself, the labels that tell the person
    which server speaks."""

    said: dict[str, list] = field(default_factory=lambda: {"client": [], "server": []})  # each side's own, in order
    questions: dict[str, list] = field(default_factory=dict)  # and answers: two at once have no order
    changes: list = field(default_factory=list)  # sent when the new list is there, so not in step with the rest
    listened: dict[str, list] = field(default_factory=dict)  # what came to each listener: not in step with the rest either
    late: list = field(default_factory=list)  # answers to what was cancelled: the first generation's servers give them


def unlabelled(method: str, params: dict) -> None:
    """Takes from a question what tells the person which server asks it."""
    if method == "elicitation/create":
        params["message"] = params["message"].removeprefix(f"[{LABEL}] ")
    if method == "sampling/createMessage" and params.get("_meta", {}).get("dev.mcpagg/server") == LABEL:
        strip_meta(params, "dev.mcpagg/server")


def strip_meta(value: dict, key: str) -> None:
    if key in value.get("_meta", {}):
        del value["_meta"][key]
        if not value["_meta"]:
            del value["_meta"]


def without_logger_prefix(params: dict) -> None:
    logger = params.pop("logger", "")
    params["logger"] = logger.removeprefix(LABEL).removeprefix("/")


def normalized(recording: Recording, crossed: bool = False) -> Conversation:
    """Of a host of the handshake era. Updates of resources come from a listener and not in step if the eras are crossed."""
    conversation = Conversation()
    names: dict[Any, str] = {}
    counts: Counter[str] = Counter()
    cancelled = []
    for side, line in recording.lines:
        message = tools.parsed(line)
        method = message.get("method", "")
        is_update = crossed and method == "notifications/resources/updated"
        if (method.endswith("list_changed") or is_update) and side == "server":
            conversation.changes.append(message)
            continue
        params, result = message.get("params") or {}, message.get("result") or {}
        unlabelled(method, params)
        if method == "notifications/message":
            without_logger_prefix(params)
        if method == "notifications/cancelled":
            cancelled.append((side, params["requestId"]))
        if not method and ("client" if side == "server" else "server", message["id"]) in cancelled:
            conversation.late.append(message)
            continue
        without_nulls(result, crossed)
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


def normalized_stateless(recording: Recording, crossed: bool = False) -> Conversation:
    """Of a host of the stateless era. If the eras are crossed, mcpagg chooses how many rounds there are, their keys and their state:
    then all rounds of a request count as one, and what was asked and answered in them is kept apart."""
    conversation = Conversation()
    names: dict[Any, str] = {}  # of requests, by their ids
    tokens: dict[Any, str] = {}
    begun: dict[str, str] = {}  # the last request, by what it is about
    counts: Counter[str] = Counter()
    cancelled = []
    for side, line in recording.lines:
        message = tools.parsed(line)
        method, params, result = message.get("method", ""), message.get("params") or {}, message.get("result") or {}
        if side == "client" and method and "id" in message:
            id = message.pop("id")
            rounds = {key: params.pop(key) for key in ("inputResponses", "requestState") if crossed and key in params}
            token = params["_meta"].pop("progressToken", None)
            about = method + json.dumps(params, sort_keys=True)
            if not rounds:
                counts[method] += 1
                begun[about] = f"{method} {counts[method]}"
            names[id] = begun[about]
            if token is not None:
                tokens[token] = names[id]
            if not rounds:
                conversation.said[side].append([names[id], token is not None, message])
            for answer in (rounds.get("inputResponses") or {}).values():
                conversation.questions[names[id]].append([side, answer])
        elif side == "client":
            if method == "notifications/cancelled":
                cancelled.append(params["requestId"])
                params["requestId"] = names[params["requestId"]]
            conversation.said[side].append(message)
        elif method:
            assert "id" not in message, "no server asks a host of the stateless era"
            if validation.SUBSCRIPTION in params.get("_meta", {}):
                listener = names[params["_meta"][validation.SUBSCRIPTION]]
                strip_meta(params, validation.SUBSCRIPTION)
                conversation.listened.setdefault(listener, []).append(message)
                continue
            if method == "notifications/progress":
                params["progressToken"] = tokens[params["progressToken"]]
            if method == "notifications/message":
                without_logger_prefix(params)
            conversation.said[side].append(message)
        elif message["id"] in cancelled:
            conversation.late.append(message)
        else:
            name = names[message.pop("id")]
            own_to_the_hop(result, crossed)
            if name.startswith("server/discover"):
                result.pop("capabilities")
            for question in result.get("inputRequests", {}).values():
                unlabelled(question["method"], question.get("params", {}))
                if crossed:
                    question.setdefault("params", {})  # mcpagg sends a question of the handshake era on with params
                    conversation.questions.setdefault(name, []).append([side, question])
            if not crossed or result.get("resultType") != "input_required":
                conversation.said[side].append([name, message])
    if crossed:
        for asked in conversation.questions.values():
            asked.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    return conversation


def without_nulls(result: dict, crossed: bool) -> None:
    """The SDK's server loses members that are null from the `_meta` of its results in the stateless era, but not in the other."""
    for key in [key for key, value in (result.get("_meta") or {}).items() if crossed and value is None]:
        strip_meta(result, key)


def own_to_the_hop(result: dict, crossed: bool) -> None:
    """How long something may be cached is said by the server; one of the handshake era says nothing of it."""
    strip_meta(result, validation.SERVER_INFO)
    without_nulls(result, crossed)
    if crossed:
        for key in ("ttlMs", "cacheScope"):
            result.pop(key, None)


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


def assert_same(expected: Conversation, seen: Conversation) -> None:
    for side in ("client", "server"):
        for one, other in zip(expected.said[side], seen.said[side]):
            assert other == one
        assert len(seen.said[side]) == len(expected.said[side])
    assert not seen.late, "what was cancelled is not answered"
    assert seen.questions == expected.questions
    assert seen.listened == expected.listened
    assert seen.changes == expected.changes


def assert_same_outcome(expected: list, seen: list) -> None:
    for one, other in zip(expected, seen):
        assert other == one
    assert len(seen) == len(expected)
    refused = [entry[0] for entry in expected if entry[1] == "error"]
    assert refused == ["refuses", "feature://none"], "everything else worked"


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
