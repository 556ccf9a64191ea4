"""The table of docs/protocol.md, each field of it with the real executable: host revision × server revision × method or notification.

One mcpagg per pair of revisions; the tests of a pair share it, so each of them looks only at what came since it began.
"""

import json
import os
import time
from collections.abc import Callable

import pytest

import bench as tools
import matrix
import places
import validation
from bench import Bench
from matrix import BRIDGED, IMPOSSIBLE, WORKS, Feature
from pairs import ACCEPTED, FORM, KEY, ROOTS, SAMPLE, SAMPLED, VISIT, Pair, subscription
from validation import LOG_LEVEL, META, REVISIONS, SERVER_INFO, STATELESS

PAIRS = [(host, server) for host in REVISIONS for server in REVISIONS]
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
Check = Callable[[Pair, str], None]  # with the verdict
CHECKS: dict[str, Check] = {}


def checks(*features: str) -> Callable[[Check], Check]:
    """Registers what is tried for fields of these features."""

    def register(check: Check) -> Check:
        for feature in features:
            assert feature not in CHECKS
            CHECKS[feature] = check
        return check

    return register


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"host_{pair[0]}_server_{pair[1]}")
def pair(request, tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("pair"))
    pair = Pair(bench, *request.param)
    yield pair
    problems = bench.close() + foreign(pair)
    if problems:
        pytest.fail(f"{len(problems)} problem(s) in this pair:\n" + "\n".join(problems[:20]), pytrace=False)


def foreign(pair: Pair) -> list[str]:
    """What one hop's era let through to the other."""
    found = []

    def complain(where: str, message: dict) -> None:
        found.append(f"{where}: {json.dumps(message)[:300]}")

    for message in pair.host.messages():
        result, error = message.get("result", {}), message.get("error", {})
        meta = (result.get("_meta") or {}) | ((message.get("params") or {}).get("_meta") or {})
        if pair.is_stateless:
            if "method" in message and "id" in message:
                complain("a stateless host got a request", message)
            if error.get("code") in (-32002, -32042):
                complain("a stateless host got an error of the handshake era", message)
            if "result" in message and (meta.get(SERVER_INFO) or {}).get("name") != "mcpagg":
                complain("a result does not name mcpagg", message)
        else:
            if {"resultType", "ttlMs", "cacheScope", "inputRequests", "requestState"} & result.keys():
                complain("a host of the handshake era got members of the other one", message)
            if any(key.startswith(META) and key != META + "related-task" for key in meta):
                complain("a host of the handshake era got _meta of the other one", message)
            if error.get("code") in range(-32099, -32019):
                complain("a host of the handshake era got an error of the other one", message)
    for message in map(tools.parsed, pair.server.received.lines):
        params = message.get("params") or {}
        if pair.server_is_stateless:
            continue  # that every request has an envelope the schema wants
        if {"inputResponses", "requestState"} & params.keys():
            complain("a server of the handshake era got members of the other one", message)
        if message.get("method") != "server/discover" and any(key in (params.get("_meta") or {}) for key in validation.ENVELOPE):
            complain("a server of the handshake era got an envelope", message)
    return found


# The table itself


def test_every_feature_of_the_table_has_a_check():
    assert CHECKS.keys() == {feature.key for feature in matrix.FEATURES}
    for feature in matrix.FEATURES:
        rows = feature.grid.split()
        assert [len(row) for row in rows] == [len(REVISIONS)] * len(REVISIONS), feature
        assert set("".join(rows)) - {"+"} == feature.notes.keys(), feature


def test_the_table_has_every_method_and_notification():
    """Those that the models of the SDK know, and tasks, which they leave out."""
    known = {method for method, _ in [*validation.sdk.CLIENT_REQUESTS, *validation.sdk.CLIENT_NOTIFICATIONS]}
    asked = {method for method, _ in [*validation.sdk.SERVER_REQUESTS, *validation.sdk.SERVER_NOTIFICATIONS]}
    for sender, methods in (("host", known), ("server", asked)):
        in_table = {feature.name.partition(" with ")[0] for feature in matrix.FEATURES if feature.sender == sender}
        assert in_table - {method for method in in_table if "tasks/" in method} == methods


def test_the_page_shows_the_table():
    path = places.REPOSITORY / matrix.FILE
    if os.environ.get("MCPAGG_WRITE_DOCS"):
        path.write_text(matrix.page())
    assert path.read_text() == matrix.page(), f"run the test once with MCPAGG_WRITE_DOCS=1 to write {matrix.FILE}"


@pytest.mark.parametrize("feature", matrix.FEATURES, ids=lambda feature: feature.key.replace(" ", "_"))
def test_field(pair, feature: Feature):
    CHECKS[feature.key](pair, feature.verdict(pair.host_revision, pair.server_revision))


# Beginning


@checks("initialize from the host")
def initialize(pair, verdict):
    if not pair.is_stateless:
        assert pair.introduction["protocolVersion"] == pair.host_revision
        assert pair.introduction["serverInfo"]["name"] == "mcpagg"
    pair.barrier()
    accepted = [m["result"] for m in map(tools.parsed, pair.server.sent.lines) if "protocolVersion" in (m.get("result") or {})]
    if pair.server_is_stateless:
        assert accepted == [] and pair.received("server/discover")
    else:
        assert [result["protocolVersion"] for result in accepted] == [pair.server_revision]
    if verdict == IMPOSSIBLE:
        assert pair.received("initialize") == []


@checks("notifications/initialized from the host")
def initialized(pair, verdict):
    assert len(pair.received("notifications/initialized")) == (0 if pair.server_is_stateless else 1)


@checks("server/discover from the host")
def discover(pair, verdict):
    if pair.is_stateless:
        result = pair.get("server/discover")
        assert result["supportedVersions"] == [STATELESS]
        assert {"tools", "prompts", "resources", "completions", "logging"} <= result["capabilities"].keys()
        assert result["ttlMs"] >= 0 and result["cacheScope"] in ("public", "private")
    else:
        pair.refused("server/discover")
        capabilities = {"tools", "prompts", "resources", "logging"} | ({"completions"} if pair.host_revision > "2024-11-05" else set())
        assert capabilities <= pair.introduction["capabilities"].keys()
    if verdict == BRIDGED and pair.server_is_stateless:
        assert pair.received("server/discover")


@checks("ping from the host")
def ping(pair, verdict):
    if verdict == IMPOSSIBLE:
        pair.refused("ping")
    else:
        assert pair.ask("ping")["result"] == {}
    assert pair.received("ping") == []


@checks("ping from the server")
def ping_from_server(pair, verdict):
    if verdict != IMPOSSIBLE:
        assert pair.begin_questions(("ping", None)).entries() == [{"result": {}}]
    elif not pair.is_stateless:
        # Such an entry is none that the protocol knows.
        assert pair.begin_questions(("ping", None)).answer()["error"]["code"] == -32603
    assert pair.told("ping") == []


# Lists, calls, reads


def cacheable(pair, result):
    if pair.is_stateless:
        assert result["ttlMs"] >= 0 and result["cacheScope"] in ("public", "private")


def envelopes(pair, method, start):
    """What the server was asked since then, with an envelope or without."""
    asked = pair.received(method, start)
    for message in asked:
        meta = (message.get("params") or {}).get("_meta") or {}
        assert (meta.get(validation.VERSION) == STATELESS) == pair.server_is_stateless, message
    return asked


@checks("tools/list from the host")
def tools_list(pair, verdict):
    result = pair.get("tools/list")
    cacheable(pair, result)
    listed = {tool["name"]: tool for tool in result["tools"]}
    assert listed[pair.name("add")]["inputSchema"] == {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]
    }
    assert envelopes(pair, "tools/list", 0)


@checks("tools/call from the host")
def tools_call(pair, verdict):
    start = pair.got()
    arguments = {"text": "é", "n": 2**60, "_meta": None}
    result = pair.call("echo", arguments, **{"com.example/k": 1})
    assert result["content"] == [{"type": "text", "text": "é"}]
    assert result["_meta"]["com.example/unknown"] == 1.0
    [asked] = [m for m in envelopes(pair, "tools/call", start) if m["params"]["name"] == "echo"]
    assert asked["params"]["arguments"] == arguments and asked["params"]["_meta"]["com.example/k"] == 1
    assert pair.call("fail", {"text": "no"})["isError"] is True
    pair.refused("tools/call", {"name": pair.name("nothing"), "arguments": {}}, -32602)
    [block] = pair.call("link")["content"]
    has_links = min(pair.host_revision, pair.server_revision) >= "2025-06-18"
    assert block["type"] == ("resource_link" if has_links else "text")
    assert pair.uri("hidden") in (block["uri"] if has_links else block["text"])


@checks("prompts/list from the host")
def prompts_list(pair, verdict):
    result = pair.get("prompts/list")
    cacheable(pair, result)
    assert {pair.name("greeting"), pair.name("multi"), pair.name("ask")} <= {prompt["name"] for prompt in result["prompts"]}
    assert envelopes(pair, "prompts/list", 0)


@checks("prompts/get from the host")
def prompts_get(pair, verdict):
    start = pair.got()
    result = pair.get("prompts/get", {"name": pair.name("greeting"), "arguments": {"name": "Ö"}})
    assert result["messages"] == [{"role": "user", "content": {"type": "text", "text": "Greet Ö in english."}}]
    assert [m["params"]["name"] for m in envelopes(pair, "prompts/get", start)] == ["greeting"]
    pair.refused("prompts/get", {"name": pair.name("nothing")}, -32602)


@checks("resources/list from the host")
def resources_list(pair, verdict):
    result = pair.get("resources/list")
    cacheable(pair, result)
    assert {pair.uri("text"), pair.uri("blob"), f"ui://{KEY}/view"} <= {resource["uri"] for resource in result["resources"]}
    assert envelopes(pair, "resources/list", 0)


@checks("resources/templates/list from the host")
def templates_list(pair, verdict):
    result = pair.get("resources/templates/list")
    cacheable(pair, result)
    assert [template["uriTemplate"] for template in result["resourceTemplates"]] == [pair.uri("item/{id}")]
    assert envelopes(pair, "resources/templates/list", 0)


@checks("resources/read from the host")
def resources_read(pair, verdict):
    start = pair.got()
    for uri, member in ((pair.uri("text"), "text"), (pair.uri("blob"), "blob"), (pair.uri("item/7"), "text"), (f"ui://{KEY}/view", "text")):
        result = pair.get("resources/read", {"uri": uri})
        cacheable(pair, result)
        [contents] = result["contents"]
        assert contents["uri"] == uri and contents[member]
    assert len(envelopes(pair, "resources/read", start)) == 4
    error = pair.ask("resources/read", {"uri": pair.uri("nothing")})["error"]
    assert error["code"] == (-32602 if pair.is_stateless else -32002)
    assert error["data"]["uri"] == pair.uri("nothing")


@checks("completion/complete from the host")
def complete(pair, verdict):
    start = pair.got()
    knows_context = pair.host_revision >= "2025-06-18"
    context = {"context": {"arguments": {"language": "english"}}} if knows_context else {}
    reference = {"ref": {"type": "ref/prompt", "name": pair.name("greeting")}}
    result = pair.get("completion/complete", {**reference, "argument": {"name": "name", "value": "A"}, **context})
    assert result["completion"]["values"] == ["Ada", "Alan"]
    [asked] = envelopes(pair, "completion/complete", start)
    assert asked["params"]["ref"]["name"] == "greeting"
    assert ("context" in asked["params"]) == (knows_context and pair.server_revision >= "2025-06-18")
    reference = {"ref": {"type": "ref/resource", "uri": pair.uri("item/{id}")}}
    result = pair.get("completion/complete", {**reference, "argument": {"name": "id", "value": "1"}})
    assert result["completion"]["values"] == ["1", "10", "11", "12"]


# Changes


def touch(pair, path="text"):
    pair.call("touch_resource", {"uri": pair.uri(path)})


@checks("resources/subscribe from the host")
def subscribe(pair, verdict):
    if verdict == IMPOSSIBLE:
        return pair.refused("resources/subscribe", {"uri": pair.uri("text")})
    start = len(pair.host.out.lines)
    touch(pair)
    pair.barrier()
    assert pair.told("notifications/resources/updated", start) == [], "nobody has subscribed"
    pair.get("resources/subscribe", {"uri": pair.uri("text")})
    touch(pair, "blob")
    touch(pair)
    _, message = pair.host.notification("notifications/resources/updated", start)
    assert message["params"] == {"uri": pair.uri("text")}
    listened = [m for m in pair.received("subscriptions/listen") if "resourceSubscriptions" in m["params"]["notifications"]]
    assert bool(listened) == pair.server_is_stateless and bool(pair.received("resources/subscribe")) != pair.server_is_stateless
    pair.get("resources/unsubscribe", {"uri": pair.uri("text")})


@checks("resources/unsubscribe from the host")
def unsubscribe(pair, verdict):
    if verdict == IMPOSSIBLE:
        return pair.refused("resources/unsubscribe", {"uri": pair.uri("text")})
    begun = pair.got()
    for path in ("text", "blob"):
        pair.get("resources/subscribe", {"uri": pair.uri(path)})
    pair.get("resources/unsubscribe", {"uri": pair.uri("text")})
    start = len(pair.host.out.lines)
    touch(pair)
    touch(pair, "blob")
    position, message = pair.host.notification("notifications/resources/updated", start)
    assert message["params"] == {"uri": pair.uri("blob")}, "the one that was given up is not told of any more"
    pair.get("resources/unsubscribe", {"uri": pair.uri("blob")})
    touch(pair, "blob")
    pair.barrier()
    assert pair.told("notifications/resources/updated", position + 1) == []
    if pair.server_is_stateless:
        # One listen for the two URIs, then one without either.
        listens = [m["params"]["notifications"].get("resourceSubscriptions", []) for m in pair.received("subscriptions/listen", begun)]
        assert sorted(listens[0] + listens[1])[0:1] and listens[-1] == []
    else:
        assert [m["params"]["uri"] for m in pair.received("resources/unsubscribe", begun)] == [pair.uri("text"), pair.uri("blob")]


@checks("subscriptions/listen from the host")
def listen(pair, verdict):
    if not pair.is_stateless:
        pair.refused("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        assert bool(pair.received("subscriptions/listen")) == (verdict == BRIDGED)
        return
    wanted = [pair.uri("text")] if pair.server_is_stateless else [pair.uri("text"), pair.uri("nothing")]
    first, start, honoured = pair.listen(toolsListChanged=True, resourceSubscriptions=wanted)
    assert honoured == {"toolsListChanged": True, "resourceSubscriptions": [pair.uri("text")]}, "only what the server takes"
    second, _, honoured = pair.listen(resourceSubscriptions=[pair.uri("text"), pair.uri("blob")])
    assert honoured == {"resourceSubscriptions": [pair.uri("text"), pair.uri("blob")]}
    pair.call("change_prompts")
    touch(pair)
    touch(pair, "blob")
    position, _ = pair.host.out.wait_for(lambda line: tools.parsed(line).get("params", {}).get("uri") == pair.uri("blob"), tools.PATIENCE, start)
    told = [(subscription(m), m["params"]["uri"]) for m in pair.told("notifications/resources/updated", start)]
    assert sorted(told) == sorted([(first, pair.uri("text")), (second, pair.uri("text")), (second, pair.uri("blob"))])
    pair.stop_listening(first)
    touch(pair)
    position, message = pair.host.notification("notifications/resources/updated", position + 1)
    assert subscription(message) == second
    pair.stop_listening(second)
    touch(pair)
    end = pair.barrier()
    assert pair.told("notifications/resources/updated", position + 1) == []
    assert pair.told("notifications/prompts/list_changed", start) == [], "nobody asked for that"
    ended = [m for m in pair.host.messages(start)[: end - start] if m.get("id") in (first, second)]
    assert ended == [], "what was cancelled gets no answer"
    assert bool(pair.received("resources/subscribe")) != pair.server_is_stateless
    if not pair.server_is_stateless:
        assert {m["params"]["uri"] for m in pair.received("resources/unsubscribe")} >= {pair.uri("text"), pair.uri("blob")}


@checks("notifications/subscriptions/acknowledged from the server")
def acknowledged(pair, verdict):
    if verdict == IMPOSSIBLE:
        assert pair.told("notifications/subscriptions/acknowledged") == []
    else:
        id, position, honoured = pair.listen(promptsListChanged=True)
        assert honoured == {"promptsListChanged": True}
        assert [m for m in pair.host.messages()[:position] if subscription(m) == id] == [], "it is the first message of its stream"
        pair.stop_listening(id)
    assert bool(pair.sent("notifications/subscriptions/acknowledged")) == pair.server_is_stateless


def changed(kind, method, member, key):
    def check(pair, verdict):
        before = {item[key] for item in pair.get(method)[member]}
        id, start = None, len(pair.host.out.lines)
        if pair.is_stateless:
            id, start, honoured = pair.listen(**{f"{kind}ListChanged": True})
            assert honoured == {f"{kind}ListChanged": True}
        pair.call(f"change_{kind}")
        changed = f"notifications/{kind}/list_changed"
        wanted = lambda line: tools.parsed(line).get("method") == changed and subscription(tools.parsed(line)) == id  # noqa: E731
        pair.host.out.wait_for(wanted, tools.PATIENCE, start)
        after = {item[key] for item in pair.get(method)[member]}
        assert before < after and len(after - before) == 1
        if id is not None:
            assert {m["method"] for m in pair.host.messages(start + 1) if subscription(m) == id} == {f"notifications/{kind}/list_changed"}
            pair.stop_listening(id)

    return check


for kind, method, member, key in (
    ("tools", "tools/list", "tools", "name"),
    ("prompts", "prompts/list", "prompts", "name"),
    ("resources", "resources/list", "resources", "uri"),
):
    checks(f"notifications/{kind}/list_changed from the server")(changed(kind, method, member, key))


@checks("notifications/resources/updated from the server")
def updated(pair, verdict):
    uri = pair.uri("item/5")  # in no list: a template fits it
    id, start = None, len(pair.host.out.lines)
    if pair.is_stateless:
        id, start, honoured = pair.listen(resourceSubscriptions=[uri])
        assert honoured == {"resourceSubscriptions": [uri]}
    else:
        pair.get("resources/subscribe", {"uri": uri})
    for _ in range(2):
        touch(pair, "item/5")
        start, message = pair.host.notification("notifications/resources/updated", start + 1)
        assert message["params"]["uri"] == uri and subscription(message) == id
    if pair.is_stateless:
        pair.stop_listening(id)
    else:
        pair.get("resources/unsubscribe", {"uri": uri})


# Logging and progress


@checks("logging/setLevel from the host")
def set_level(pair, verdict):
    if pair.is_stateless:
        pair.refused("logging/setLevel", {"level": "debug"})
        start = pair.got()
        pair.call("echo", **{LOG_LEVEL: "debug"})
        pair.call("echo")
        levels = [m["params"].get("_meta", {}).get(LOG_LEVEL) for m in pair.received("tools/call", start)]
        if verdict == BRIDGED:
            # Set once; it may have been before.
            pair.server.wait_for("logging/setLevel", 0, level="debug")
            assert levels == [None, None]
        else:
            assert levels == ["debug", None]
        return
    for level in ("error", "warning"):
        start = pair.got()
        pair.get("logging/setLevel", {"level": level})
        pair.call("echo")
        if pair.server_is_stateless:
            assert [m["params"]["_meta"][LOG_LEVEL] for m in pair.received("tools/call", start)] == [level]
        else:
            assert [m["params"]["level"] for m in pair.received("logging/setLevel", start)] == [level]
    pair.refused("logging/setLevel", {"level": "loud"}, -32602)


@checks("notifications/message from the server")
def message(pair, verdict):
    wanted = {LOG_LEVEL: "warning"} if pair.is_stateless else {}
    if not pair.is_stateless:
        pair.get("logging/setLevel", {"level": "warning"})
    start = len(pair.host.out.lines)
    pair.call("log_at", {"level": "error", "text": "told"}, **wanted)
    pair.call("log_at", {"level": "info", "text": "not told"}, **wanted)
    # Says so whatever it was told about levels, unless its era forbids it.
    pair.call("log", {"level": "debug", "text": "not told"}, **wanted)
    if pair.is_stateless:
        pair.call("log_at", {"level": "error", "text": "nobody asked"})
        pair.call("log", {"level": "error", "text": "nobody asked"})
    pair.barrier()
    messages = pair.told("notifications/message", start)
    assert [(m["params"]["level"], m["params"]["data"]) for m in messages] == [("error", "told")]
    assert KEY in messages[0]["params"]["logger"]


@checks("notifications/progress from the server")
def progress(pair, verdict):
    start = len(pair.host.out.lines)
    for token in ("t-1", 1):
        pair.call("progress", {"steps": 3}, progressToken=token)
        messages = [m["params"] for m in pair.told("notifications/progress", start)]
        assert [m["progressToken"] for m in messages] == [token] * 3 and [m["progress"] for m in messages] == [1, 2, 3]
        assert type(messages[0]["progressToken"]) is type(token)
        start = len(pair.host.out.lines)
    pair.call("progress", {"steps": 3})
    pair.barrier()
    assert pair.told("notifications/progress", start) == []


@checks("notifications/progress from the host")
def progress_of_host(pair, verdict):
    # A token that is a number might be taken for one of mcpagg's own.
    start = pair.got()
    call = pair.begin_questions(("sampling/createMessage", {**SAMPLE, "_meta": {"progressToken": 1, "com.example/k": 1}}))
    [asked] = call.asked()
    assert asked.params["_meta"]["com.example/k"] == 1
    token = asked.params["_meta"].get("progressToken")
    if verdict == WORKS:
        pair.host.notify("notifications/progress", {"progressToken": token, "progress": 1, "total": 3})
        assert pair.server.wait_for("notifications/progress", start)[1]["params"] == {"progressToken": 1, "progress": 1, "total": 3}
    else:
        if not (pair.is_stateless and pair.server_is_stateless):
            assert token is None, "it would be one hop's token on another hop"
        pair.host.notify("notifications/progress", {"progressToken": 1, "progress": 1})
    call.reply((asked, SAMPLED))
    assert call.entries() == [{"result": SAMPLED}]
    if verdict == IMPOSSIBLE:
        pair.barrier()
        assert pair.received("notifications/progress", start) == []


# Questions


def contains(params, expected):
    """All that was asked is asked, apart from what is labelled."""
    return all(params.get(name) == value for name, value in expected.items() if name not in ("message", "_meta"))


def question(method, params, answer, exists=True):
    def check(pair, verdict):
        sent = dict(params or {})
        if params is VISIT and not pair.server_is_stateless:
            sent["elicitationId"] = "e-1"
        before = pair.executions()["begun"]
        call = pair.begin_questions((method, sent or None), force=True)
        if verdict == IMPOSSIBLE:
            refused(pair, call)
        else:
            [asked] = call.asked()
            assert asked.method == method
            expected = {name: value for name, value in sent.items() if name != "elicitationId"}
            assert contains(asked.params, expected), asked
            if method == "elicitation/create":
                assert KEY in asked.params["message"] and params["message"] in asked.params["message"], "the person sees who asks"
            if params is VISIT:
                assert bool(asked.params.get("elicitationId")) != pair.is_stateless
                if not pair.is_stateless and not pair.server_is_stateless:
                    assert asked.params["elicitationId"] == "e-1"
            call.reply((asked, answer))
            assert call.entries() == [{"result": answer}]
        assert pair.executions()["begun"] == before + 1

    return check


def refused(pair, call):
    """The server asks what it may not: it is refused, or its call is, and the host hears nothing of the question."""
    if pair.server_is_stateless:
        assert call.answer()["error"]["code"] == -32603
    else:
        [entry] = call.entries()
        assert entry["error"]["code"] == -32601
    assert call.was_asked() == []


WITH_TOOLS = {**SAMPLE, "tools": [{"name": "x", "inputSchema": {"type": "object"}}], "toolChoice": {"mode": "auto"}}
checks("roots/list from the server")(question("roots/list", None, ROOTS))
checks("sampling/createMessage from the server")(question("sampling/createMessage", SAMPLE, SAMPLED))
checks("sampling/createMessage with tools from the server")(question("sampling/createMessage", WITH_TOOLS, SAMPLED))
checks("elicitation/create with a form from the server")(question("elicitation/create", FORM, ACCEPTED))
checks("elicitation/create with a URL from the server")(question("elicitation/create", VISIT, {"action": "accept"}))


@checks("notifications/roots/list_changed from the host")
def roots_changed(pair, verdict):
    for roots in (ROOTS, {"roots": []}):
        start = pair.got()
        call = pair.begin("roots")
        [asked] = call.asked()
        call.reply((asked, roots))
        assert json.loads(call.result()["content"][0]["text"]) == roots
        pair.host.notify("notifications/roots/list_changed")
        if verdict == WORKS:
            pair.server.wait_for("notifications/roots/list_changed", start)
        else:
            pair.barrier()
            assert pair.received("notifications/roots/list_changed") == []
    for initialize in pair.received("initialize"):
        if not pair.server_is_stateless:
            assert ("listChanged" in initialize["params"]["capabilities"]["roots"]) == (verdict == WORKS)


@checks("notifications/elicitation/complete from the server")
def elicitation_complete(pair, verdict):
    start = len(pair.host.out.lines)
    told = pair.said()
    can_ask = min(pair.host_revision, pair.server_revision) >= "2025-11-25" and not pair.server_is_stateless
    if can_ask:
        call = pair.begin_questions(("elicitation/create", {**VISIT, "elicitationId": "e-2"}))
        [asked] = call.asked()
        call.reply((asked, {"action": "accept"}))
        call.result()
    result = pair.call("elicitation_complete", {"elicitationId": "e-2"})
    pair.barrier()
    # The tool says itself if its server has no such thing.
    assert bool(pair.sent("notifications/elicitation/complete", told)) == (not result.get("isError"))
    assert bool(result.get("isError")) == (pair.server_revision != "2025-11-25")
    messages = [m["params"] for m in pair.told("notifications/elicitation/complete", start)]
    assert messages == ([{"elicitationId": "e-2"}] if verdict == WORKS else [])


# Cancellation


@checks("notifications/cancelled from the host")
def cancelled(pair, verdict):
    before = pair.executions("hang")
    start = pair.got()
    position = len(pair.host.out.lines)
    id = pair.host.post("tools/call", {"name": pair.name("hang"), "arguments": {}, "_meta": {"progressToken": "h"}})
    pair.host.notification("notifications/progress", position)
    _, asked = pair.server.wait_for("tools/call", start, name="hang")
    pair.host.notify("notifications/cancelled", {"requestId": id, "reason": "enough"})
    assert pair.server.wait_for("notifications/cancelled", start)[1]["params"] == {"requestId": asked["id"], "reason": "enough"}
    after = pair.executions("hang")
    assert after == {"begun": before["begun"] + 1, "finished": 0, "cancelled": before["cancelled"] + 1}
    assert [m for m in pair.host.messages(position) if m.get("id") == id] == [], "it gets no answer any more"


# The server has this long to be asked before it takes its question back, and the test is not faster than that.
TAKEN_BACK = 250


@checks("notifications/cancelled from the server")
def taken_back(pair, verdict):
    start = pair.said()
    call = pair.begin_questions(("sampling/createMessage", SAMPLE), cancelQuestionsMs=TAKEN_BACK)
    [asked] = call.asked()
    if verdict == IMPOSSIBLE:
        call.reply((asked, SAMPLED))
        assert call.entries() == [{"result": SAMPLED}]
        assert pair.told("notifications/cancelled", call.position) == []
        return
    pair.server.sent.wait_for(lambda line: tools.parsed(line).get("method") == "notifications/cancelled", tools.PATIENCE, start)
    if verdict == WORKS:
        _, message = pair.host.notification("notifications/cancelled", call.position)
        assert message["params"]["requestId"] == asked.handle
    received = pair.got()
    call.reply((asked, SAMPLED))
    [entry] = call.entries()
    assert "took its question back" in entry["error"]["message"]
    pair.barrier()
    answers = [m for m in map(tools.parsed, pair.server.received.lines[received:]) if "method" not in m]
    assert answers == [], "what the host brings late nobody wants"


# Tasks


def slow(pair, **arguments):
    return {"name": pair.name("slow_task"), "arguments": arguments}


def has_task_methods(pair):
    return pair.host_revision == "2025-11-25" or pair.is_stateless


def no_such_task(pair, method, **more):
    pair.refused(method, {"taskId": "none", **more, **as_task_host(pair)}, -32602 if has_task_methods(pair) else -32601)


def as_task_host(pair):
    """A stateless host says in each request that it knows tasks."""
    if not pair.is_stateless:
        return {}
    capabilities = pair.host.envelope[validation.CAPABILITIES] | TASKS
    return {"_meta": {validation.CAPABILITIES: capabilities}}


def begin_task(pair, **arguments):
    """A task that the host follows; its id, which is not the server's."""
    if pair.is_stateless:
        result = pair.ask("tools/call", {**slow(pair, **arguments), **as_task_host(pair)})["result"]
        assert result["resultType"] == "task", result
        id = result["taskId"]
    else:
        id = pair.ask("tools/call", {**slow(pair, **arguments), "task": {"ttl": 60_000}})["result"]["task"]["taskId"]
    assert not [line for line in pair.server.sent.lines if json.dumps(id).encode() in line], "ids of two servers may be the same"
    return id


def task(pair, method, id, **more):
    return pair.ask(method, {"taskId": id, **more, **as_task_host(pair)})


def task_until(pair, id, status):
    deadline = time.monotonic() + tools.PATIENCE
    while True:
        result = task(pair, "tasks/get", id)["result"]
        assert result["taskId"] == id
        if result["status"] == status:
            return result
        assert result["status"] == "working" and time.monotonic() < deadline, result


def text_of(result):
    return result["content"][0]["text"]


def followed(pair, method):
    """The host knows no tasks of this kind, and gets what they come to."""
    start = pair.got()
    before = pair.executions("slow_task")["begun"]
    result = pair.get("tools/call", slow(pair, ms=20, text="in the end"))
    assert text_of(result) == "in the end" and not result.get("isError")
    assert pair.executions("slow_task")["begun"] == before + 1
    assert pair.received(method, start)


@checks("tasks/get from the host")
def tasks_get(pair, verdict):
    if verdict == WORKS:
        id = begin_task(pair, ms=20, text="in the end")
        done = task_until(pair, id, "completed")
        if pair.is_stateless:
            assert text_of(done["result"]) == "in the end"
        return
    if verdict == BRIDGED:
        followed(pair, "tasks/get")
    no_such_task(pair, "tasks/get")


@checks("tasks/result from the host")
def tasks_result(pair, verdict):
    if pair.is_stateless:
        pair.refused("tasks/result", {"taskId": "none"})
    if verdict == WORKS:
        id = begin_task(pair, ms=20, text="in the end")
        result = task(pair, "tasks/result", id)["result"]
        assert text_of(result) == "in the end"
        assert result["_meta"][META + "related-task"] == {"taskId": id}
    elif verdict == BRIDGED:
        followed(pair, "tasks/get" if pair.server_is_stateless else "tasks/result")
    elif not pair.is_stateless:
        no_such_task(pair, "tasks/result")


@checks("tasks/cancel from the host")
def tasks_cancel(pair, verdict):
    start = pair.got()
    before = pair.executions("slow_task") if verdict != IMPOSSIBLE else None
    if verdict == WORKS:
        id = begin_task(pair, ms=60_000)
        answer = task(pair, "tasks/cancel", id)
        if not pair.is_stateless:
            assert answer["result"]["taskId"] == id and answer["result"]["status"] == "cancelled"
        task_until(pair, id, "cancelled")
    elif verdict == BRIDGED:
        said, position = pair.said(), len(pair.host.out.lines)
        id = pair.host.post("tools/call", slow(pair, ms=60_000))
        pair.server.sent.wait_for(lambda line: b'"taskId"' in line and b'"working"' in line, tools.PATIENCE, said)
        pair.host.notify("notifications/cancelled", {"requestId": id})
        pair.server.wait_for("tasks/cancel", start)
        pair.barrier()
        assert [m for m in pair.host.messages(position) if m.get("id") == id] == []
    if verdict != IMPOSSIBLE:
        after = pair.executions("slow_task")
        assert (after["begun"], after["cancelled"]) == (before["begun"] + 1, before["cancelled"] + 1)
    if verdict != WORKS:
        no_such_task(pair, "tasks/cancel")


@checks("tasks/update from the host")
def tasks_update(pair, verdict):
    start = pair.got()
    if verdict == WORKS:
        id = begin_task(pair, ms=0, text="in the end", ask=True)
        asked = task_until(pair, id, "input_required")["inputRequests"]
        [(key, entry)] = asked.items()
        assert entry["method"] == "elicitation/create"
        task(pair, "tasks/update", id, inputResponses={key: ACCEPTED})
        assert text_of(task_until(pair, id, "completed")["result"]) == "in the end"
        return
    if not pair.is_stateless:
        pair.refused("tasks/update", {"taskId": "none", "inputResponses": {}})
    else:
        no_such_task(pair, "tasks/update", inputResponses={})
    if pair.server_is_stateless:
        position = len(pair.host.out.lines)
        id = pair.host.post("tools/call", slow(pair, ms=0, text="in the end", ask=True))
        if verdict == BRIDGED:
            _, asked = pair.host.question("elicitation/create", position)
            pair.host.reply(asked["id"], ACCEPTED)
        assert text_of(pair.complete(pair.host.answer(id))) == "in the end"
    assert bool(pair.received("tasks/update", start)) == (verdict == BRIDGED)


@checks("tasks/list from the host")
def tasks_list(pair, verdict):
    pair.refused("tasks/list")
    if not pair.is_stateless:
        assert "list" not in pair.introduction["capabilities"].get("tasks", {})
    assert pair.received("tasks/list") == []


@checks("notifications/tasks/status from the server")
def tasks_status(pair, verdict):
    start, said = len(pair.host.out.lines), pair.said()
    if verdict == WORKS:
        id = begin_task(pair, ms=20)
        _, message = pair.host.notification("notifications/tasks/status", start)
        assert message["params"]["taskId"] == id and message["params"]["status"] == "completed"
        return
    if pair.server_revision >= "2025-11-25":
        pair.get("tools/call", slow(pair, ms=20))
        pair.barrier()
        assert bool(pair.sent("notifications/tasks/status", said)) != pair.server_is_stateless
    assert pair.told("notifications/tasks/status") == []
