"""The traps that aggregators fall into: one test each, named after the trap, run in every pair of eras that it concerns."""

import json

import pytest

import bench as tools
from pairs import ACCEPTED, FORM, KEY, VISIT, Pair, able, subscription
from validation import META, STATELESS

OLD = "2025-11-25"
ERAS = pytest.mark.parametrize("server", [OLD, STATELESS], ids=["handshake server", "stateless server"])
HOSTS = pytest.mark.parametrize("host", [OLD, STATELESS], ids=["handshake host", "stateless host"])


def scripted(bench, host, server, capabilities=None, **script):
    """A host in front of a server that says what the test wants it to say."""
    one = bench.scripted("one", {"revision": server, "capabilities": {"tools": {}, "resources": {}} | (capabilities or {}), **script})
    return bench.host(bench.config(), host, **able(host)), one


def tool(name, **more):
    return {"name": name, "inputSchema": {"type": "object"}, **more}


@pytest.mark.parametrize("asked", [STATELESS, "2099-01-01"])
def test_initialize_asking_for_2026_07_28_is_answered_with_2025_11_25(bench, asked):
    bench.fake(KEY)
    host = bench.host(bench.config(), None)
    answer = host.handshake(asked)
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    assert host.text(f"{KEY}__echo", {"text": "and works"}) == "and works"


def test_server_discover_followed_by_initialize_works(bench):
    bench.fake(KEY)
    host = bench.host(bench.config(), STATELESS)
    assert host.ask("server/discover")["result"]["supportedVersions"] == [STATELESS]
    assert host.handshake("2025-06-18")["result"]["protocolVersion"] == "2025-06-18"
    assert host.text(f"{KEY}__echo", {"text": "and works"}) == "and works"


@HOSTS
@ERAS
def test_nested_requests_while_a_call_is_open(bench, host, server):
    """Nobody waits for the call that asks: the same server, another one and the host's own requests go on."""
    bench.fake("other")
    pair = Pair(bench, host, server)
    asking = pair.begin_questions(("elicitation/create", FORM))
    asked = asking.asked()
    assert pair.call("echo", {"text": "same server"})["content"][0]["text"] == "same server"
    assert pair.host.call("other__echo", {"text": "another"})["content"][0]["text"] == "another"
    asking.reply((asked[0], ACCEPTED))
    assert asking.entries() == [{"result": ACCEPTED}]


@HOSTS
def test_the_same_id_in_both_directions_at_once_is_normal(bench, host):
    """The host calls under the id that the server's own question has."""
    one = bench.scripted("one", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[tool("a")]]}})
    raw = bench.host(bench.config(), host, **able(host))
    raw.tools()
    call = raw.post("tools/call", {"name": "one__a"}, id=77)
    theirs = one.wait_for("tools/call")[1]["id"]
    one.question(theirs, "elicitation/create", FORM)  # our own id of the call, too
    if host == STATELESS:
        result = raw.answer(call)["result"]
        key, asked = next(iter(result["inputRequests"].items()))
        assert asked["method"] == "elicitation/create"
        call = raw.post(
            "tools/call", {"name": "one__a", "inputResponses": {key: ACCEPTED}, "requestState": result["requestState"]}, id=78)
    else:
        _, asked = raw.question("elicitation/create")
        raw.reply(asked["id"], ACCEPTED)
    assert one.answer_to(theirs)["result"] == ACCEPTED
    one.say({"id": theirs, "result": {"content": []}})
    assert raw.answer(call)["result"]["content"] == []


@HOSTS
@ERAS
def test_an_empty_string_cursor_continues(bench, host, server):
    pages = [[tool("a")], [tool("b")], [tool("c")]]  # the second page stands behind the cursor ""
    raw, one = scripted(bench, host, server, lists={"tools/list": pages, "resources/list": [[]], "resources/templates/list": [[]]})
    assert raw.tool_names() == ["one__a", "one__b", "one__c"]
    assert [m["params"].get("cursor") for m in one.got() if m.get("method") == "tools/list" and "cursor" in (m.get("params") or {})] == ["", "2"]


@HOSTS
@ERAS
@pytest.mark.parametrize("arguments", [None, {}, {"a": None}], ids=["absent", "empty", "null inside"])
def test_absent_arguments_are_not_empty_ones(bench, host, server, arguments):
    answers = {"tools/call": {"a": {"result": {"content": []}}}}
    raw, one = scripted(bench, host, server, lists={"tools/list": [[tool("a")]]}, answers=answers)
    raw.tools()
    assert raw.call("one__a", arguments)["content"] == [], "content may be empty"
    params = one.wait_for("tools/call")[1]["params"]
    assert ("arguments" in params, params.get("arguments")) == (arguments is not None, arguments)


@HOSTS
def test_structured_content_may_be_null_in_the_stateless_era(bench, host):
    result = {"content": [{"type": "text", "text": "null"}], "structuredContent": None}
    raw, _ = scripted(bench, host, STATELESS, lists={"tools/list": [[tool("a")]]}, answers={"tools/call": {"a": {"result": result}}})
    raw.tools()
    got = raw.call("one__a")
    assert got["content"] == result["content"]
    # Older hosts demand an object there.
    assert ("structuredContent" in got) == (host == STATELESS) and got.get("structuredContent") is None


@HOSTS
@ERAS
@pytest.mark.parametrize("method, params", [
    ("tools/call", {"name": "nobody__has"}), ("prompts/get", {"name": "nobody__has"}), ("tools/list", {"cursor": "foreign"}),
])  # fmt: skip
def test_what_is_unknown_is_an_invalid_parameter(bench, host, server, method, params):
    Pair(bench, host, server).refused(method, params, -32602)


@HOSTS
@ERAS
def test_a_resource_that_is_not_found_has_the_code_of_its_era(bench, host, server):
    pair = Pair(bench, host, server)
    for uri in (pair.uri("nothing"), "else://where"):
        error = pair.ask("resources/read", {"uri": uri})["error"]
        assert error["code"] == (-32602 if host == STATELESS else -32002)
        assert error["data"]["uri"] == uri


def test_codes_of_the_handshake_era_never_reach_a_stateless_host(bench):
    """-32002 and -32042, wherever a server says them."""
    elicitation = {"mode": "url", "message": "m", "url": "https://example.com/", "elicitationId": "e"}
    answers = {
        "tools/call": {
            "missing": {"error": {"code": -32002, "message": "Resource not found", "data": {"uri": "a:b"}}},
            "visit": {"error": {"code": -32042, "message": "Visit", "data": {"elicitations": [elicitation]}}},
        }
    }
    one = bench.scripted("one", {
        "capabilities": {"tools": {}}, "lists": {"tools/list": [[tool("missing"), tool("visit")]]}, "answers": answers,
    })  # fmt: skip
    raw = bench.host(bench.config(), STATELESS, **able(STATELESS))
    raw.tools()
    assert raw.ask("tools/call", {"name": "one__missing"})["error"]["code"] == -32602
    result = raw.ask("tools/call", {"name": "one__visit"})["result"]
    assert result["resultType"] == "input_required"
    # Without the capability to visit anything it is an error that says where to.
    raw.envelope = tools.envelope({})
    error = raw.ask("tools/call", {"name": "one__visit"})["error"]
    assert error["code"] == -32603 and "https://example.com/" in error["message"]
    assert len([m for m in one.got() if m.get("method") == "tools/call"]) == 3


@HOSTS
@pytest.mark.parametrize("mode", [None, "form"])
def test_an_empty_elicitation_capability_means_forms_alone(bench, host, mode):
    one = bench.scripted("one", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[tool("a")]]}})
    raw = bench.host(bench.config(), host, elicitation={})
    raw.tools()
    call = raw.post("tools/call", {"name": "one__a"})
    theirs = one.wait_for("tools/call")[1]["id"]
    one.question("visit", "elicitation/create", {**VISIT, "elicitationId": "e"})
    assert one.answer_to("visit")["error"]["code"] == -32601
    one.question("form", "elicitation/create", FORM if mode is None else {"mode": mode, **FORM})
    if host == STATELESS:
        assert [asked["method"] for asked in raw.answer(call)["result"]["inputRequests"].values()] == ["elicitation/create"]
    else:
        _, asked = raw.question("elicitation/create")
        assert asked["params"].get("mode") == mode
        raw.reply(asked["id"], ACCEPTED)
        assert one.answer_to("form")["result"] == ACCEPTED
        one.say({"id": theirs, "result": {"content": []}})
        raw.answer(call)


@ERAS
def test_a_stateless_host_that_never_opts_in_hears_of_nothing(bench, server):
    pair = Pair(bench, STATELESS, server)
    start = len(pair.host.out.lines)
    pair.call("log_at", {"level": "emergency", "text": "loud"})
    pair.call("progress", {"steps": 2, "delayMs": 1})
    pair.call("change_tools")
    pair.call("change_prompts")
    pair.call("change_resources")
    pair.call("touch_resource", {"uri": pair.uri("text")})
    while f"{KEY}__added_1" not in pair.host.tool_names():
        pass  # until mcpagg has read the changed list: then it would have told
    pair.barrier()
    assert [m for m in pair.host.messages(start) if "method" in m] == []


@ERAS
def test_the_result_type_stands_on_every_result_and_on_no_error(bench, server):
    pair = Pair(bench, STATELESS, server)
    for method, params in [
        ("server/discover", None), ("tools/list", None), ("prompts/list", None), ("resources/list", None), ("resources/templates/list", None),
        ("resources/read", {"uri": pair.uri("text")}), ("tools/call", {"name": pair.name("echo")}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "no{where}"}, "argument": {"name": "a", "value": ""}}),
    ]:  # fmt: skip
        assert pair.ask(method, params)["result"]["resultType"] == "complete", method
    assert "resultType" not in json.dumps(pair.ask("tools/call", {"name": "none"}))
    id, _, _ = pair.listen(toolsListChanged=True)
    pair.host.close_stdin()
    closing = pair.host.answer(id)["result"]
    assert closing["resultType"] == "complete" and closing["_meta"][META + "subscriptionId"] == id


@HOSTS
@ERAS
def test_header_annotations_stay_in_the_schema_shown_to_the_host(bench, host, server):
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    raw, _ = scripted(bench, host, server, lists={"tools/list": [[{"name": "a", "inputSchema": schema}]]})
    assert raw.tools()[0]["inputSchema"] == schema


@HOSTS
@ERAS
def test_what_belongs_to_a_connection_dies_with_it(bench, host, server):
    """Calls fail, states and tasks are unknown afterwards; what the host wants to hear of is asked for again."""
    pair = Pair(bench, host, server)
    if host == STATELESS:
        id, _, honoured = pair.listen(resourceSubscriptions=[pair.uri("text")])
        assert honoured["resourceSubscriptions"] == [pair.uri("text")]
    else:
        pair.get("resources/subscribe", {"uri": pair.uri("text")})
    hanging = pair.host.post("tools/call", {"name": pair.name("hang")})
    first = len(pair.server.received.lines)
    pair.host.post("tools/call", {"name": pair.name("exit"), "arguments": {"code": 3}})
    answer = pair.host.answer(hanging)["result"]
    assert answer["isError"] and answer["_meta"]["dev.mcpagg/failure"] == "outcomeUnknown"
    # It is back; the hanging call is not, and the subscription is.
    follow = "subscriptions/listen" if server == STATELESS else "resources/subscribe"
    wanted = lambda line: pair.uri("text").encode() in line and follow.encode() in line  # noqa: E731
    pair.server.received.wait_for(wanted, tools.PATIENCE, first)
    start = len(pair.host.out.lines)
    pair.call("touch_resource", {"uri": pair.uri("text")})
    _, update = pair.host.notification("notifications/resources/updated", start)
    assert subscription(update) == (id if host == STATELESS else None)
    assert pair.executions("hang")["begun"] == 0

