"""More of the traps that aggregators fall into, from the side that is looked at less: what servers do to us, and we to hosts."""

import json

import pytest

import bench as tools
from pairs import ACCEPTED, FORM, KEY, VISIT, Pair, able
from validation import META, STATELESS

OLD = "2025-11-25"
ERAS = pytest.mark.parametrize("server", [OLD, STATELESS], ids=["handshake server", "stateless server"])
HOSTS = pytest.mark.parametrize("host", [OLD, STATELESS], ids=["handshake host", "stateless host"])
ITEMS = {
    "tools/list": ("tools", lambda name: {"name": name, "inputSchema": {"type": "object"}}),
    "prompts/list": ("prompts", lambda name: {"name": name}),
    "resources/list": ("resources", lambda name: {"uri": f"one://{name}", "name": name}),
    "resources/templates/list": ("resourceTemplates", lambda name: {"uriTemplate": f"one://{name}/{{x}}", "name": name}),
}


def scripted(bench, host, server, lists=None, declared=None, **script):
    listed = {method: [[item("t")]] for method, (_, item) in ITEMS.items()} | (lists or {})
    capabilities = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
    one = bench.scripted("one", {"revision": server, "capabilities": capabilities, "lists": listed, **script})
    raw = bench.host(bench.config(), host, **(able(host) if declared is None else declared))
    raw.tools()
    return raw, one


def complete(server, **result):
    return {"result": result | ({"resultType": "complete"} if server == STATELESS else {})}


@HOSTS
@ERAS
@pytest.mark.parametrize("method", ITEMS)
def test_the_empty_cursor_in_every_list(bench, host, server, method):
    member, item = ITEMS[method]
    raw, _ = scripted(bench, host, server, {method: [[item("a")], [item("b")], [], [item("c")]]})
    listed = raw.ask(method)["result"]
    assert [each["name"].removeprefix("one__") for each in listed[member]] == ["a", "b", "c"]
    assert "nextCursor" not in listed


def paged(server, **result):
    cached = {"ttlMs": 0, "cacheScope": "private"} if server == STATELESS else {}
    return {"tools/list": {"*": complete(server, tools=[ITEMS["tools/list"][1]("a")], **result, **cached)}}


@HOSTS
@ERAS
def test_a_cursor_of_null_ends_a_list(bench, host, server):
    bench.is_judged = False  # the schemas have none
    raw, one = scripted(bench, host, server, answers=paged(server, nextCursor=None))
    assert raw.tool_names() == ["one__a"]
    assert len([m for m in one.got() if m.get("method") == "tools/list"]) == 1


@HOSTS
@ERAS
def test_a_list_that_never_ends_is_given_up(bench, host, server):
    """The same cursor again and again; the other lists and servers do not wait for it, and it is said why."""
    bench.fake("other")
    raw, one = scripted(bench, host, server, answers=paged(server, nextCursor="same"))
    names = raw.tool_names()
    assert "other__echo" in names and names.count("one__a") <= 1
    assert raw.ask("prompts/list")["result"]["prompts"][0]["name"] == "one__t"
    assert 2 <= len([m for m in one.got() if m.get("method") == "tools/list"]) < 10
    raw.err.wait_for(lambda line: b"server 'one': its list of tools goes round in circles" in line, tools.PATIENCE)


@HOSTS
@ERAS
@pytest.mark.parametrize("arguments", [None, {}], ids=["absent", "empty"])
def test_absent_arguments_of_prompts_are_not_empty_ones(bench, host, server, arguments):
    raw, one = scripted(bench, host, server, answers={"prompts/get": {"t": complete(server, messages=[])}})
    raw.ask("prompts/list")
    params = {"name": "one__t"} if arguments is None else {"name": "one__t", "arguments": arguments}
    assert raw.ask("prompts/get", params)["result"]["messages"] == []
    got = one.wait_for("prompts/get")[1]["params"]
    assert ("arguments" in got) == (arguments is not None) and got["name"] == "t"


@HOSTS
def test_a_result_type_that_a_stateless_server_left_out_means_complete(bench, host):
    raw, one = scripted(bench, host, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    one.say({"id": one.wait_for("tools/call")[1]["id"], "result": {"content": []}})
    result = raw.answer(id)["result"]
    assert result["content"] == [] and result.get("resultType") == ("complete" if host == STATELESS else None)


def test_members_of_the_stateless_era_never_reach_a_handshake_host(bench):
    pair = Pair(bench, OLD, STATELESS)
    for method, params in [
        ("tools/list", None), ("prompts/list", None), ("resources/list", None), ("resources/templates/list", None),
        ("resources/read", {"uri": pair.uri("text")}), ("tools/call", {"name": pair.name("echo")}),
        ("prompts/get", {"name": pair.name("multi")}), ("resources/subscribe", {"uri": pair.uri("text")}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": pair.name("greeting")}, "argument": {"name": "name", "value": "A"}}),
    ]:  # fmt: skip
        result = pair.ask(method, params)["result"]
        assert not result.keys() & {"resultType", "ttlMs", "cacheScope", "inputRequests", "requestState"}, method
        assert not [key for key in result.get("_meta", {}) if key.startswith(META)], method


@HOSTS
@pytest.mark.parametrize("code, data", [(-32020, None), (-32022, {"supported": ["2099-01-01"], "requested": STATELESS})])
def test_codes_about_one_hop_do_not_leak_to_the_other(bench, host, code, data):
    error = {"code": code, "message": "between us"} | ({"data": data} if data else {})
    raw, _ = scripted(bench, host, STATELESS, answers={"tools/call": {"t": {"error": error}}})
    assert raw.ask("tools/call", {"name": "one__t"})["error"]["code"] == -32603
    assert raw.ask("prompts/list")["result"]["prompts"], "and the server goes on"


@HOSTS
def test_a_missing_capability_is_named_to_a_stateless_host_alone(bench, host):
    error = {"code": -32021, "message": "needs sampling", "data": {"requiredCapabilities": {"sampling": {}}}}
    raw, one = scripted(bench, host, STATELESS, declared={}, answers={"tools/call": {"t": {"error": error}}})
    got = raw.ask("tools/call", {"name": "one__t"})["error"]
    if host == STATELESS:
        assert got == error
    else:
        assert got["code"] == -32603 and "needs sampling" in got["message"]


@pytest.mark.parametrize("declared, entry", [
    ({}, ("elicitation/create", FORM)), ({"elicitation": {}}, ("elicitation/create", VISIT)),
    ({"elicitation": {"form": {}}}, ("sampling/createMessage", {"messages": [], "maxTokens": 1})), ({"sampling": {}}, ("roots/list", {})),
], ids=["form", "url", "sampling", "roots"])  # fmt: skip
def test_what_a_handshake_host_did_not_declare_it_is_not_asked_for(bench, declared, entry):
    raw, one = scripted(bench, OLD, STATELESS, declared=declared)
    start = len(raw.out.lines)
    id = raw.post("tools/call", {"name": "one__t"})
    call = one.wait_for("tools/call")[1]
    asked = {"q": {"method": entry[0], "params": entry[1]}}
    one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}})
    answer = raw.answer(id)
    assert "error" in answer or answer["result"].get("isError") is True
    assert not [m for m in raw.messages(start) if "method" in m]
    assert len([m for m in one.got() if m.get("method") == "tools/call"]) == 1


def test_urls_of_a_stateless_server_get_ids_of_their_own_in_the_handshake_era(bench):
    raw, one = scripted(bench, OLD, STATELESS)
    start = len(raw.out.lines)
    id = raw.post("tools/call", {"name": "one__t"})
    position, call = one.wait_for("tools/call")
    asked = {key: {"method": "elicitation/create", "params": VISIT} for key in ("a", "b")}
    one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": asked}})
    first, question = raw.question("elicitation/create", start)
    _, other = raw.question("elicitation/create", first + 1)
    assert question["params"]["url"] == VISIT["url"]
    ids = {each["params"]["elicitationId"] for each in (question, other)}
    assert len(ids) == 2 and all(isinstance(each, str) and each for each in ids)
    for each in (other, question):
        raw.reply(each["id"], {"action": "accept"})
    _, retry = one.wait_for("tools/call", position + 1)
    assert retry["params"]["inputResponses"] == {"a": {"action": "accept"}, "b": {"action": "accept"}}
    one.say({"id": retry["id"], **complete(STATELESS, content=[])})
    assert raw.answer(id)["result"]["content"] == []


@pytest.mark.parametrize("answer, outcome", [
    ({"error": {"code": -32603, "message": "no window"}}, "cancel"), ({"result": {"action": "decline"}}, "decline"),
])  # fmt: skip
def test_input_responses_carry_results_alone(bench, answer, outcome):
    """A host's error over a form is its cancellation."""
    raw, one = scripted(bench, OLD, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    position, call = one.wait_for("tools/call")
    asked = {"q": {"method": "elicitation/create", "params": FORM}}
    one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}})
    raw.reply(raw.question("elicitation/create")[1]["id"], **answer)
    _, retry = one.wait_for("tools/call", position + 1)
    assert retry["params"]["inputResponses"] == {"q": {"action": outcome}}
    one.say({"id": retry["id"], **complete(STATELESS, content=[])})
    raw.answer(id)


@pytest.mark.parametrize("method", ["sampling/createMessage", "roots/list"])
def test_a_host_that_refuses_to_sample_ends_the_call(bench, method):
    raw, one = scripted(bench, OLD, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    call = one.wait_for("tools/call")[1]
    params = {"messages": [], "maxTokens": 1} if method.startswith("sampling") else {}
    asked = {"q": {"method": method, "params": params}}
    one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}})
    error = {"code": -1, "message": "User rejected", "data": {"a": None}}
    raw.reply(raw.question(method)[1]["id"], error=error)
    assert raw.answer(id)["error"] == error
    assert len([m for m in one.got() if m.get("method") == "tools/call"]) == 1


def test_a_server_that_wants_nothing_but_patience_is_asked_again(bench):
    raw, one = scripted(bench, OLD, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    position = -1
    for state in ("first", "second"):
        position, call = one.wait_for("tools/call", position + 1)
        one.say({"id": call["id"], "result": {"resultType": "input_required", "requestState": state}})
    _, last = one.wait_for("tools/call", position + 1)
    assert last["params"]["requestState"] == "second" and "inputResponses" not in last["params"]
    one.say({"id": last["id"], **complete(STATELESS, content=[])})
    assert raw.answer(id)["result"]["content"] == []


def test_a_server_that_asks_without_end_is_given_up(bench):
    raw, one = scripted(bench, OLD, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    position, rounds = -1, 0
    asked = {"q": {"method": "roots/list"}}
    start = len(raw.out.lines)
    while True:
        position, call = one.wait_for("tools/call", position + 1)
        rounds += 1
        one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": asked}})
        start, line = raw.out.wait_for(lambda line: tools.parsed(line).get("method") == "roots/list" or b'"id":%d,' % id in line, 20, start)
        message = tools.parsed(line)
        if "method" not in message:
            break
        raw.reply(message["id"], {"roots": []})
        start += 1
        assert rounds < 30
    assert "error" in message or message["result"]["isError"]
    assert rounds >= 10


@HOSTS
@ERAS
def test_tokens_that_differ_in_type_alone_are_two(bench, host, server):
    raw, one = scripted(bench, host, server)
    start = len(raw.out.lines)
    calls = {}
    position = -1
    for token in (1, "1"):
        id = raw.post("tools/call", {"name": "one__t", "_meta": {"progressToken": token}})
        position, call = one.wait_for("tools/call", position + 1)
        calls[type(token).__name__] = (id, call)
    theirs = [call["params"]["_meta"]["progressToken"] for _, call in calls.values()]
    assert len({json.dumps(token) for token in theirs}) == 2
    one.notify("notifications/progress", {"progressToken": "nobody's", "progress": 9})
    for number, (_, call) in enumerate(calls.values()):
        one.notify("notifications/progress", {"progressToken": call["params"]["_meta"]["progressToken"], "progress": number})
    for id, call in calls.values():
        one.say({"id": call["id"], **complete(server, content=[])})
        raw.answer(id)
        # Nothing after the answer.
        one.notify("notifications/progress", {"progressToken": call["params"]["_meta"]["progressToken"], "progress": 9})
    one.question("p", "ping")
    one.answer_to("p")
    told = [m["params"] for m in raw.messages(start) if m.get("method") == "notifications/progress"]
    assert [(type(p["progressToken"]).__name__, p["progress"]) for p in told] == [("int", 0), ("str", 1)]


@ERAS
@pytest.mark.parametrize("method, params", [
    ("ping", None), ("logging/setLevel", {"level": "info"}), ("resources/subscribe", {"uri": "a:b"}), ("resources/unsubscribe", {"uri": "a:b"}),
    ("tasks/list", None), ("tasks/result", {"taskId": "x"}),
])  # fmt: skip
def test_methods_of_the_handshake_era_are_unknown_inside_an_envelope(bench, server, method, params):
    pair = Pair(bench, STATELESS, server)
    pair.refused(method, params)
    assert pair.received(method) == [] or method == "ping"


@pytest.mark.parametrize("meta, code", [
    ({META + "protocolVersion": STATELESS}, -32602), ({META + "protocolVersion": STATELESS, META + "clientCapabilities": []}, -32602),
    ({META + "protocolVersion": STATELESS, META + "clientCapabilities": None}, -32602),
    ({META + "protocolVersion": 20260728, META + "clientCapabilities": {}}, -32602),
    ({META + "protocolVersion": "2099-01-01", META + "clientCapabilities": {}}, -32022),
    ({META + "protocolVersion": "2025-11-25", META + "clientCapabilities": {}}, -32022),
], ids=json.dumps)  # fmt: skip
@pytest.mark.parametrize("method", ["tools/list", "server/discover"])
def test_an_envelope_that_is_none(bench, meta, code, method):
    bench.fake(KEY)
    raw = bench.host(bench.config(), None)
    error = raw.ask(method, {"_meta": meta})["error"]
    assert error["code"] == code
    if code == -32022:
        assert error["data"]["supported"] == [STATELESS] and error["data"]["requested"] == meta[META + "protocolVersion"]
    raw.envelope = tools.envelope({})
    assert raw.ask(method)["result"]["resultType"] == "complete", "the next one is as good as any"


def test_a_state_dies_with_the_server_that_was_parked(bench):
    raw, one = scripted(bench, STATELESS, OLD)
    id = raw.post("tools/call", {"name": "one__t", "arguments": {"a": 1}})
    call = one.wait_for("tools/call")[1]
    one.question(call["id"], "elicitation/create", FORM)
    result = raw.answer(id)["result"]
    ((key, _),) = result["inputRequests"].items()
    again = {"name": "one__t", "arguments": {"a": 1}, "inputResponses": {key: ACCEPTED}, "requestState": result["requestState"]}
    position = len(one.log.lines)
    one.exit(1)
    one.wait_for("notifications/initialized", position)
    answer = raw.ask("tools/call", again)
    assert answer.get("error", {}).get("code") == -32602 or answer["result"]["isError"] is True
    assert "tools/call" not in [m.get("method") for m in one.got(position)], "the tool may have acted, and is not run anew"
    # The state is used up either way.
    assert raw.ask("tools/call", again)["error"]["code"] == -32602


@pytest.mark.parametrize("change", ["name", "arguments", "state", "method"])
def test_a_state_is_for_one_request_alone(bench, change):
    other = ITEMS["tools/list"][1]("u")
    lists = {"tools/list": [[ITEMS["tools/list"][1]("t"), other]]}
    raw, one = scripted(bench, STATELESS, OLD, lists)
    raw.ask("prompts/list")
    id = raw.post("tools/call", {"name": "one__t", "arguments": {"a": 1}})
    call = one.wait_for("tools/call")[1]
    one.question("q", "elicitation/create", FORM)
    result = raw.answer(id)["result"]
    ((key, _),) = result["inputRequests"].items()
    again = {"name": "one__t", "arguments": {"a": 1}, "inputResponses": {key: ACCEPTED}, "requestState": result["requestState"]}
    wrong = again | {
        "name": {"name": "one__u"}, "arguments": {"arguments": {"a": 2}}, "state": {"requestState": result["requestState"] + "x"}, "method": {},
    }[change]  # fmt: skip
    position = len(one.log.lines)
    assert raw.ask("prompts/get" if change == "method" else "tools/call", wrong)["error"]["code"] == -32602
    assert [m for m in one.got(position) if m.get("method") in ("tools/call", "prompts/get")] == []
    # The right one still has its answer.
    id = raw.post("tools/call", again)
    assert one.answer_to("q")["result"] == ACCEPTED
    one.say({"id": call["id"], "result": {"content": []}})
    assert raw.answer(id)["result"]["content"] == []
