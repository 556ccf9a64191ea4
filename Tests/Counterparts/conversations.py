"""Conversations between a host and a server, without what legitimately differs if somebody stands between the two."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import bench as tools
import validation
from validation import Recording

# The server's key in the config file, with which mcpagg says who asks.
LABEL = "features"


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


# Asked while another call waits, where that one cannot say by progress that it has begun: over HTTP either may come first.
BESIDE = "waiting"


def normalized(recording: Recording, crossed: bool = False, over_http: bool = False) -> Conversation:
    """Of a host of the handshake era. Updates of resources come from a listener and not in step if the eras are crossed, and over HTTP
    on a stream of their own."""
    conversation = Conversation()
    names: dict[Any, str] = {}
    counts: Counter[str] = Counter()
    cancelled, beside = [], []
    for side, line in recording.lines:
        message = tools.parsed(line)
        method = message.get("method", "")
        if method == "tools/call" and message["params"]["name"] == BESIDE:
            beside.append(message["id"])
        if "id" in message and message["id"] in beside and (side == "client") == bool(method):
            continue
        is_update = (crossed or over_http) and method == "notifications/resources/updated"
        if (method.endswith("list_changed") or is_update) and side == "server":
            conversation.changes.append(message)
            continue
        params, result = message.get("params") or {}, message.get("result") or {}
        unlabelled(method, params)
        if method == "notifications/message":
            without_logger_prefix(params)
        if method == "notifications/cancelled":
            cancelled.append((side, params["requestId"]))
        if not method and ("client" if side == "server" else "server", message.get("id")) in cancelled:
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
    conversation.changes.sort(key=lambda change: json.dumps(change, sort_keys=True))
    return conversation


def normalized_stateless(recording: Recording, crossed: bool = False, over_http: bool = False) -> Conversation:
    """Of a host of the stateless era. If the eras are crossed, mcpagg chooses how many rounds there are, their keys and their state:
    then all rounds of a request count as one, and what was asked and answered in them is kept apart. Over HTTP nobody says that a
    request is cancelled: its stream is closed."""
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
                if over_http:
                    continue
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
