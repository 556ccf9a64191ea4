"""The headers of every kind of request, in every revision (MCP, basic/transports; the table of headers there)."""

import json

import pytest
from mcp.shared.inbound import encode_header_value

import http_rules as rules
from http_bench import KEY, NEW, OLD
from http_mcp import TOOLS, tool
from http_wire import EVENTS, JSON
from validation import HANDSHAKE_REVISIONS

STREAMABLE = HANDSHAKE_REVISIONS[1:]
SESSION, REVISION, METHOD, NAME = "Mcp-Session-Id", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
BOTH = {JSON, EVENTS}


def accepted(exchange) -> set[str]:
    return {kind.partition(";")[0].strip() for kind in (exchange.request.header("Accept") or "").split(",")}


def converse(host, asks: bool = True) -> None:
    """One request of each kind that a host can cause; a server without elicitation `asks` nothing."""
    host.text(f"{KEY}__echo", {"text": "x"})
    host.ask("prompts/get", {"name": f"{KEY}__greet", "arguments": {"name": "Ada"}})
    host.ask("resources/read", {"uri": "memo://one"})
    argument = {"name": "name", "value": "A"}
    host.ask("completion/complete", {"ref": {"type": "ref/prompt", "name": f"{KEY}__greet"}, "argument": argument})
    if host.envelope is None:
        host.ask("resources/subscribe", {"uri": "memo://one"})
        host.ask("logging/setLevel", {"level": "error"})
    if not asks:
        return
    id = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}})
    if host.envelope is None:
        _, question = host.question("elicitation/create")
        host.reply(question["id"], {"action": "accept", "content": {"name": "Ö"}})
    host.answer(id)


@pytest.mark.parametrize("revision", STREAMABLE)
def test_requests_of_a_session_say_which_session_and_which_revision(web, revision):
    server = web.remote(revision=revision)
    host = web.host()
    server.wait_request(http="GET")
    converse(host, asks=revision > "2025-03-26")
    slow = host.post("tools/call", {"name": f"{KEY}__slow"})
    server.wait_request("tools/call", name="slow")
    host.notify("notifications/cancelled", {"requestId": slow})
    server.wait_request("notifications/cancelled")
    (session,) = server.behaviour.sessions
    host.end()

    first, *others = server.requests()
    assert first.message["method"] == "initialize"
    assert accepted(first) == BOTH
    assert (first.request.header(SESSION), first.request.header(REVISION)) == (None, None), "there is no session yet"
    kinds = {"POST": BOTH, "GET": {EVENTS}, "DELETE": accepted(others[-1])}
    for exchange in others:
        assert accepted(exchange) == kinds[exchange.request.method], exchange
        assert exchange.request.header(SESSION) == session, exchange
        assert exchange.request.header(REVISION) in ({revision} if revision > "2025-03-26" else {revision, None}), exchange
        assert exchange.request.header("Content-Type") == (JSON if exchange.request.method == "POST" else None), exchange
        assert not [name for name, _ in exchange.request.headers if name.lower().startswith(("mcp-method", "mcp-name", "mcp-param"))]
    methods = {exchange.message.get("method", "an answer") for exchange in others if exchange.request.method == "POST"}
    expected = {
        "notifications/initialized", "tools/list", "tools/call", "prompts/get", "resources/read", "completion/complete",
        "resources/subscribe", "logging/setLevel", "notifications/cancelled",
    }  # fmt: skip
    assert expected | ({"an answer"} if revision > "2025-03-26" else set()) <= methods
    assert others[-1].request.method == "DELETE", "the session is ended last"


def test_a_server_without_sessions_is_told_of_none_and_is_not_told_the_end(web):
    server = web.remote(has_sessions=False, has_stream=False)
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    host.end()
    assert not server.requests(where=lambda exchange: exchange.request.header(SESSION) is not None)
    assert not server.requests(http="DELETE")


def test_stateless_requests_repeat_in_headers_what_their_bodies_say(web):
    server = web.stateless()
    host = web.host(NEW)
    host.post("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    server.wait_request("subscriptions/listen")
    converse(host)
    host.end()

    named = {"tools/call": {"echo", "ask"}, "prompts/get": {"greet"}, "resources/read": {"memo://one"}}
    seen = set()
    for exchange in server.requests():
        method = exchange.message["method"]
        seen.add(method)
        assert exchange.request.method == "POST", "there is neither a stream of its own nor a session to end"
        assert accepted(exchange) == BOTH
        assert exchange.request.header("Content-Type") == JSON
        assert exchange.request.header(REVISION) == NEW == exchange.params["_meta"][rules.VERSION]
        assert exchange.request.header(METHOD) == method
        assert exchange.request.header(SESSION) is None
        name = exchange.request.header(NAME)
        assert name in named[method] if method in named else name is None, exchange
    assert {*named, "server/discover", "tools/list", "completion/complete", "subscriptions/listen"} <= seen


@pytest.mark.parametrize("revision", [OLD, "2024-11-05"])
def test_on_the_oldest_transport_messages_are_posted_to_the_address_that_was_given(web, revision):
    server = web.legacy(revision=revision)
    host = web.host(OLD)
    converse(host, asks=revision == OLD)
    host.end()
    (stream,) = server.requests(http="GET")
    assert accepted(stream) == {EVENTS}
    posts = [exchange for exchange in server.requests(http="POST") if exchange.request.path != server.behaviour.path]
    (session,) = server.behaviour.sessions
    for post in posts:
        assert post.request.target == f"/messages?session={session}"
        assert post.request.header("Content-Type") == JSON
        assert post.request.header(SESSION) is None
    assert {"initialize", "notifications/initialized", "tools/call"} <= {post.message.get("method") for post in posts}
    assert not server.requests(http="DELETE")


# Names as the server has them

NAMES = ["echo", "with space", " edge", "é", "=?base64?ZWNobw==?=", "a" * 100, "tab\there", "dotted.name/with~all"]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_in_the_header_is_the_servers_own(web, name):
    prompt = {"name": name}
    server = web.stateless(entry={"prefix": "exposed"}, tools=[tool(name)])
    server.on(lambda exchange: exchange.result(server.behaviour.complete({"prompts": [prompt], "ttlMs": 0, "cacheScope": "private"})),
              "prompts/list", times=None)  # fmt: skip
    host = web.host(NEW)
    (exposed,) = host.tool_names()
    assert exposed.startswith("exposed__")
    host.call(exposed, {})
    call = server.wait_request("tools/call", name=name)
    assert call.request.header(NAME) == encode_header_value(name)
    (greeting,) = host.ask("prompts/list")["result"]["prompts"]
    host.ask("prompts/get", {"name": greeting["name"]})
    assert server.wait_request("prompts/get", name=name).request.header(NAME) == encode_header_value(name)


def test_a_renamed_tool_goes_by_its_own_name_in_the_header(web):
    server = web.stateless(entry={"tools": {"rename": {"echo": "parrot"}}})
    host = web.host(NEW)
    host.text(f"{KEY}__parrot", {"text": "x"})
    assert server.wait_request("tools/call").request.header(NAME) == "echo"


@pytest.mark.parametrize("uri", ["memo://one", "memo://é", "memo://a b", "memo://" + "x" * 3000])
def test_a_resource_is_named_by_its_uri(web, uri):
    server = web.stateless()
    host = web.host(NEW)
    host.ask("resources/read", {"uri": uri})
    assert server.wait_request("resources/read", uri=uri).request.header(NAME) == encode_header_value(uri)


# Arguments that are repeated in headers

TEXT, NUMBER, FLAG = ({"type": kind, "x-mcp-header": kind.capitalize()} for kind in ("string", "integer", "boolean"))
DEEP = {"type": "object", "properties": {"er": {"type": "object", "properties": {"est": {"type": "string", "x-mcp-header": "Deep"}}}}}
ANNOTATED = tool("annotated", {"text": TEXT, "number": NUMBER, "flag": FLAG, "deep": DEEP, "plain": {"type": "string"}})

STRINGS = [
    "plain", "two words", "", " leading", "trailing ", "\ttab first", "tab\tinside", "line\nbreak", "\r\nInjected: yes", "é", "日本語",
    "\x7f", "\x00", "=?base64?cGxhaW4=?=", "=?base64?", "=?base64??=", "=?BASE64?cGxhaW4=?=", "?=", "~!@#$%^&*()_+", "🙂", "\u00a0",
    "a" * 2000, "\u2028", "\\",
    '"quoted"', "a,b", "a;b=c",
]  # fmt: skip
VALUES = [
    *({"text": value} for value in STRINGS),
    *({"number": value} for value in (0, 42, -7, 2**53 - 1, -(2**53) + 1)),
    {"flag": True},
    {"flag": False},
    {"deep": {"er": {"est": "found"}}},
    {"deep": {"er": {"est": "gefüllt"}}},
    {"text": "a", "number": 1, "flag": False, "deep": {"er": {"est": "b"}}, "plain": "not repeated"},
]
NONE = [
    {}, {"text": None}, {"number": None, "flag": None}, {"deep": None}, {"deep": {}}, {"deep": {"er": None}}, {"deep": {"er": {}}},
    {"plain": "x"},
]  # fmt: skip
PATHS = {name: path for name, path in rules.annotated(ANNOTATED["inputSchema"]).items()}


def parameters(exchange) -> dict[str, str]:
    return {name[len("Mcp-Param-") :]: value for name, value in exchange.request.headers if name.lower().startswith("mcp-param-")}


@pytest.fixture
def annotated(web):
    server = web.stateless(tools=[*TOOLS, ANNOTATED])
    return server, web.host(NEW)


def test_arguments_are_repeated_in_headers_where_the_schema_says_so(annotated):
    server, host = annotated
    wrong = []
    for arguments in VALUES:
        start = server.position
        host.call(f"{KEY}__annotated", arguments)
        call = server.wait_request("tools/call", start=start)
        expected = {name: rules.parameter(arguments, path) for name, path in PATHS.items()}
        expected = {name: encode_header_value(value) for name, value in expected.items() if value is not None}
        if parameters(call) != expected:
            wrong.append(f"{arguments}: {parameters(call)}, not {expected}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("arguments", [None, *NONE], ids=str)
def test_what_is_absent_or_null_has_no_header(annotated, arguments):
    server, host = annotated
    host.call(f"{KEY}__annotated", arguments)
    assert parameters(server.wait_request("tools/call")) == {}


@pytest.mark.parametrize("written, expected", [("1.0", "1"), ("1e2", "100"), ("-0", "0"), ("9007199254740991", "9007199254740991")])
def test_an_integer_is_decimal_however_it_was_written(annotated, written, expected):
    server, host = annotated
    request = host.request("tools/call", {"name": f"{KEY}__annotated", "arguments": {"number": "HERE"}}, 77)
    host.send(json.dumps(request).replace('"HERE"', written).encode())
    host.answer(77)
    call = server.wait_request("tools/call")
    assert parameters(call) == {"Integer": expected}
    assert f'"number":{written}' in call.request.body.decode().replace(" ", ""), "the body stays as the host wrote it"


def test_escapes_in_the_body_are_no_part_of_the_value(annotated):
    server, host = annotated
    request = host.request("tools/call", {"name": f"{KEY}__annotated", "arguments": {"text": "HERE"}}, 77)
    host.send(json.dumps(request).replace("HERE", "\\u0061\\/\\u00e9").encode())
    host.answer(77)
    assert parameters(server.wait_request("tools/call")) == {"String": encode_header_value("a/é")}


@pytest.mark.parametrize("host_revision", [OLD, NEW])
def test_a_host_of_either_era_gets_its_arguments_repeated(web, host_revision):
    server = web.stateless(tools=[ANNOTATED])
    host = web.host(host_revision)
    (shown,) = host.tools()
    assert shown["inputSchema"] == ANNOTATED["inputSchema"], "the annotation stays in what the host is shown"
    host.call(f"{KEY}__annotated", {"text": "x"})
    assert parameters(server.wait_request("tools/call")) == {"String": "x"}


def test_a_retry_with_what_was_asked_for_has_the_headers_too(web):
    asking = {**ANNOTATED, "name": "ask"}
    server = web.stateless(tools=[asking])
    host = web.host(OLD)
    id = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {"text": "é", "flag": True}})
    _, question = host.question("elicitation/create")
    host.reply(question["id"], {"action": "decline"})
    host.answer(id)
    first, second = server.requests("tools/call")
    assert "inputResponses" in second.params
    assert parameters(first) == parameters(second) == {"String": encode_header_value("é"), "Boolean": "true"}


def test_a_server_of_the_handshake_era_gets_no_such_headers(web):
    server = web.remote(tools=[ANNOTATED, tool("odd", {"a": {"type": "string", "x-mcp-header": "not a token"}})])
    host = web.host()
    assert host.tool_names() == [f"{KEY}__annotated", f"{KEY}__odd"], "the annotation means nothing there"
    host.call(f"{KEY}__annotated", {"text": "x"})
    assert parameters(server.wait_request("tools/call")) == {}


def test_a_child_process_may_have_any_annotations(web):
    # Over pipes there are no headers.
    odd = tool("odd", {"a": {"type": "string", "x-mcp-header": " "}})
    web.bench.scripted("child", {"revision": NEW, "capabilities": {"tools": {}}, "lists": {"tools/list": [[odd]]}})
    assert web.host(NEW).tool_names() == ["child__odd"]


def property(value, kind="string"):
    return {"properties": {"a": {"type": kind, "x-mcp-header": value}}}


INVALID = {
    "no text": property(7),
    "nothing": property(""),
    "a space": property("a b"),
    "a colon": property("a:b"),
    "not ASCII": property("é"),
    "a line break": property("a\r\nb"),
    "on an object": property("A", "object"),
    "on an array": property("A", "array"),
    "on any number": property("A", "number"),
    "on null": property("A", "null"),
    "without a type": {"properties": {"a": {"x-mcp-header": "A"}}},
    "with several types": property("A", ["string", "null"]),
    "twice": {"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "A"}}},
    "twice but for case": {"properties": {"a": {"type": "string", "x-mcp-header": "Ab"}, "b": {"type": "integer", "x-mcp-header": "aB"}}},
    "twice, one nested": {
        "properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "object", **property("A")}},
    },
    "in items": {"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
    "in items deeper": {"properties": {"a": {"type": "array", "items": {"type": "object", **property("A")}}}},
    "in a definition": {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
    "in allOf": {"allOf": [property("A")]},
    "in anyOf": {"properties": {"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}, {"type": "null"}]}}},
    "in oneOf": {"oneOf": [property("A")]},
    "in not": {"not": property("A")},
    "in then": {"if": {}, "then": property("A")},
    "in additionalProperties": {"additionalProperties": {"type": "string", "x-mcp-header": "A"}},
    "in patternProperties": {"patternProperties": {"^a": {"type": "string", "x-mcp-header": "A"}}},
    "on the schema itself": {"x-mcp-header": "A"},
}  # fmt: skip
VALID = {
    "every character of a token": property("!#$%&'*+-.^_`|~09azAZ"),
    "in a default": {"properties": {"a": {"type": "object", "default": {"x-mcp-header": "a b"}}}},
    "in an enumeration": {"properties": {"a": {"enum": [{"x-mcp-header": ""}]}}},
    "a property of that name": {"properties": {"x-mcp-header": {"type": "string"}}},
}


def test_tools_with_annotations_that_cannot_be_followed_are_dropped_with_a_warning(web):
    tools = [tool("good", {"a": TEXT})]
    tools += [{"name": f"bad_{number}", "inputSchema": {"type": "object", **schema}} for number, schema in enumerate(INVALID.values())]
    tools += [{"name": f"good_{number}", "inputSchema": {"type": "object", **schema}} for number, schema in enumerate(VALID.values())]
    web.stateless(tools=tools)
    host = web.host(NEW)
    names = host.tool_names()
    kinds = dict(zip((f"bad_{number}" for number in range(len(INVALID))), INVALID, strict=True))
    assert [kinds[name] for name in kinds if f"{KEY}__{name}" in names] == [], "tools that must not be offered"
    assert names == [f"{KEY}__good"] + [f"{KEY}__good_{number}" for number in range(len(VALID))]
    warnings = [line for line in host.err.text().splitlines() if "warning" in line]
    for name, kind in kinds.items():
        assert any(f"'{name}'" in line and f"'{KEY}'" in line for line in warnings), f"no warning for {kind}"
    # It is not to be had by its name either.
    assert host.ask("tools/call", {"name": f"{KEY}__bad_0", "arguments": {"a": "x"}})["error"]["code"] == -32602
