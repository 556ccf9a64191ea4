"""What no revision knows: passed on as it came, or refused, in every pair of eras."""

import json

import pytest

import bench as tools
from pairs import KEY, Pair, able
from validation import STATELESS

OLD = "2025-11-25"
ERAS = pytest.mark.parametrize("server", [OLD, STATELESS], ids=["handshake server", "stateless server"])
HOSTS = pytest.mark.parametrize("host", [OLD, STATELESS], ids=["handshake host", "stateless host"])

# What a careless relay would lose or change: an unknown member, numbers, nulls, a lone surrogate, the order.
ODD = {"z": 1.0, "com.example/unknown": {"big": 2**70, "none": None, "text": "\ud800"}, "a": [], "resultType2": "x"}


def scripted(bench, host, server, **script):
    capabilities = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "future": {"x": 1}}
    lists = {method: [[]] for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list")}
    script["lists"] = lists | script.get("lists", {})
    one = bench.scripted("one", {"revision": server, "capabilities": capabilities, **script})
    raw = bench.host(bench.config(), host, **able(host))
    return raw, one


@HOSTS
@ERAS
@pytest.mark.parametrize("method", ["x/y", "tools/", "tools/list2", "TOOLS/LIST", "", "notifications/message", "ui/initialize"])
def test_an_unknown_method_of_a_host_is_refused_and_goes_nowhere(bench, host, server, method):
    pair = Pair(bench, host, server)
    pair.refused(method, {"name": pair.name("echo"), "uri": "a:b"})
    pair.host.notify(method or "x", {"requestId": "none"})
    assert pair.received(method) == []


@HOSTS
@ERAS
def test_an_unknown_request_of_a_server_is_refused_and_an_unknown_notification_dropped(bench, host, server):
    raw, one = scripted(bench, host, server, lists={"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]})
    raw.tools()
    start = len(raw.out.lines)
    call = raw.post("tools/call", {"name": "one__a"})
    theirs = one.wait_for("tools/call")[1]["id"]
    one.notify("notifications/x", {"a": 1})
    one.notify("x/y")
    one.question("q", "x/y", {"a": 1})
    assert one.answer_to("q")["error"]["code"] == -32601
    one.say({"id": 10**30, "result": {}})
    one.say({"id": "nobody's", "error": {"code": 1, "message": "m"}})
    one.say({"id": theirs, "result": {"content": []} | ({"resultType": "complete"} if server == STATELESS else {})})
    raw.answer(call)
    assert len(raw.out.lines) == start + 1, "the host hears of its answer alone"


@HOSTS
@ERAS
def test_unknown_members_of_requests_pass(bench, host, server):
    """Of params, arguments and `_meta`, with what stands in them."""
    raw, one = scripted(
        bench, host, server, lists={"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]},
        answers={"tools/call": {"a": {"result": {"content": []}}}},
    )  # fmt: skip
    raw.tools()
    traced = {"traceparent": "00-1-2-03", "com.example/k": ODD, "io.modelcontextprotocol/futureKey": 1}
    raw.ask("tools/call", {"name": "one__a", "arguments": ODD, "future": ODD, "_meta": traced})
    params = one.wait_for("tools/call")[1]["params"]
    assert json.dumps(params["arguments"]) == json.dumps(ODD) and json.dumps(params["future"]) == json.dumps(ODD)
    assert {key: json.dumps(params["_meta"][key]) for key in traced} == {key: json.dumps(value) for key, value in traced.items()}


@HOSTS
@ERAS
def test_unknown_members_and_content_of_results_pass(bench, host, server):
    bench.is_judged = False  # a kind of content that no revision has
    content = [{"type": "hologram", "data": ODD}, {"type": "text", "text": "t", "future": ODD, "annotations": {"x": 1}, "_meta": ODD}]
    result = {"content": content, "future": ODD, "_meta": {"com.example/k": ODD}}
    raw, _ = scripted(
        bench, host, server, lists={"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]},
        answers={"tools/call": {"a": {"result": result}, "b": {}}},
    )  # fmt: skip
    raw.tools()
    got = raw.call("one__a")
    assert json.dumps(got["content"]) == json.dumps(content) and json.dumps(got["future"]) == json.dumps(ODD)
    assert json.dumps(got["_meta"]["com.example/k"]) == json.dumps(ODD)


@HOSTS
@ERAS
def test_unknown_members_of_errors_pass(bench, host, server):
    error = {"code": -31999, "message": "m", "data": ODD, "future": ODD}
    raw, _ = scripted(
        bench, host, server, lists={"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]},
        answers={"tools/call": {"a": {"error": error}}},
    )  # fmt: skip
    raw.tools()
    assert json.dumps(raw.ask("tools/call", {"name": "one__a"})["error"]) == json.dumps(error)


@HOSTS
@ERAS
def test_unknown_members_of_definitions_pass(bench, host, server):
    schema = {"type": "object", "$schema": "https://x/", "$defs": {"a": {"$ref": "#/$defs/a"}}, "unevaluatedProperties": False, "x": ODD}
    definitions = {
        "tools/list": {"name": "a", "inputSchema": schema, "annotations": {"readOnlyHint": True, "x": 1}, "future": ODD, "_meta": {"k": ODD}},
        "prompts/list": {"name": "p", "future": ODD, "icons": [{"src": "https://x/", "future": 1}]},
        "resources/list": {"uri": "ui://one/view", "name": "v", "mimeType": "text/html;profile=mcp-app", "_meta": {"ui": ODD}},
        "resources/templates/list": {"uriTemplate": "a:{b}{?c*}", "name": "t", "future": ODD},
    }
    raw, _ = scripted(bench, host, server, lists={method: [[item]] for method, item in definitions.items()})
    for method, item in definitions.items():
        member = {"resources/templates/list": "resourceTemplates"}.get(method, method.split("/")[0])
        (got,) = raw.ask(method)["result"][member]
        expected = item | ({"name": f"one__{item['name']}"} if member in ("tools", "prompts") else {})
        assert json.dumps(got) == json.dumps(expected)


@pytest.mark.parametrize("type", ["future", "", "Complete"])
@HOSTS
def test_an_unknown_result_type_is_passed_on_or_refused(bench, host, type):
    """A stateless host judges it itself; a host that knows no result types cannot."""
    result = {"resultType": type, "content": [{"type": "text", "text": "t"}]}
    raw, _ = scripted(
        bench, host, STATELESS, lists={"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]},
        answers={"tools/call": {"a": {"result": result}}},
    )  # fmt: skip
    raw.tools()
    answer = raw.ask("tools/call", {"name": "one__a"})
    if host == STATELESS:
        assert answer["result"]["resultType"] == type and answer["result"]["content"] == result["content"]
    else:
        assert answer["error"]["code"] == -32603 and "'one'" in answer["error"]["message"]


@ERAS
def test_input_is_required_where_it_cannot_be(bench, server):
    """Only calls, prompts and resources may ask for input."""
    result = {"resultType": "input_required", "requestState": "s"}
    raw, one = scripted(
        bench, OLD, STATELESS, lists={"prompts/list": [[{"name": "p"}]]}, answers={"completion/complete": {"p": {"result": result}}}
    )
    raw.ask("prompts/list")
    params = {"ref": {"type": "ref/prompt", "name": "one__p"}, "argument": {"name": "a", "value": ""}}
    assert raw.ask("completion/complete", params)["error"]["code"] == -32603


@HOSTS
@ERAS
def test_unknown_capabilities_and_extensions_are_not_declared_onwards(bench, host, server):
    one = bench.scripted("one", {
        "revision": server,
        "capabilities": {"tools": {}, "future": {}, "experimental": {"x": {}}, "extensions": {"com.example/x": {}, UI: {"a": 1}}},
        "lists": {"tools/list": [[{"name": "a", "inputSchema": {"type": "object"}}]]},
        "answers": {"tools/call": {"a": {"result": {"content": []}}}},
    })  # fmt: skip
    declared = {"future": {}, "experimental": {"x": {}}, "extensions": {"com.example/y": {}, UI: {"mimeTypes": ["text/html"]}}}
    raw = bench.host(bench.config(), host, **able(host), **declared)
    raw.tools()
    raw.call("one__a")
    told = one.wait_for("initialize")[1]["params"]["capabilities"] if server == OLD else one.wait_for("tools/call")[1]["params"]["_meta"][
        "io.modelcontextprotocol/clientCapabilities"]  # fmt: skip
    assert told.get("extensions") == {UI: {"mimeTypes": ["text/html"]}} and "future" not in told and "experimental" not in told
    shown = raw.ask("server/discover")["result"] if host == STATELESS else raw.handshake(OLD)["result"]
    assert shown["capabilities"]["extensions"][UI] == {"a": 1}
    assert "future" not in shown["capabilities"] and "experimental" not in shown["capabilities"]
    assert "com.example/x" not in shown["capabilities"]["extensions"]


UI = "io.modelcontextprotocol/ui"
