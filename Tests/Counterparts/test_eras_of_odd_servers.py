"""Servers that answer what they speak in odd ways, restart, or stop telling of changes: what the host sees of it (2026-07-28,
basic/versioning and basic/subscriptions)."""

import json

import pytest

import bench as tools
from pairs import KEY, able, fake, subscription
from validation import META, NEWEST_HANDSHAKE, STATELESS

OLD = NEWEST_HANDSHAKE
HOSTS = pytest.mark.parametrize("host", [OLD, STATELESS], ids=["handshake host", "stateless host"])
ERAS = pytest.mark.parametrize("server", [OLD, STATELESS], ids=["handshake server", "stateless server"])
CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}}


def tool(name):
    return {"name": name, "inputSchema": {"type": "object"}}


def odd(bench, host, revision, discover=None, initialize=None, **script):
    """A server that answers `server/discover` and `initialize` with this."""
    answers = {method: {"*": answer} for method, answer in (("server/discover", discover), ("initialize", initialize)) if answer}
    answers["tools/call"] = {"a": {"result": {"content": [{"type": "text", "text": "works"}]}}}
    lists = {"tools/list": [[tool("a")]], "resources/list": [[]], "resources/templates/list": [[]]}
    script = {"revision": revision, "capabilities": {"tools": {}}, "lists": lists, **script}
    script["answers"] = {**answers, **script.get("answers", {})}
    return bench.scripted("one", script), bench.host(bench.config(listWait="20s"), host, **able(host))


def opening(server):
    """What the server was sent before it was asked for anything."""
    methods = [m["method"] for m in server.got() if "method" in m]
    return [method for method in methods if method in ("server/discover", "initialize", "notifications/initialized")]


def works(raw, name="one__a"):
    assert raw.call(name)["content"] == [{"type": "text", "text": "works"}]


INITIALIZED = ["server/discover", "initialize", "notifications/initialized"]
NOT_HERE = {"error": {"code": -32601, "message": "Method not found"}}


def unsupported(*versions):
    return {"error": {"code": -32022, "message": "no", "data": {"supported": list(versions), "requested": STATELESS}}}


@pytest.mark.parametrize("answer", [
    {"result": {"supportedVersions": ["2025-11-25", "2025-06-18"], "capabilities": {}}}, unsupported("2025-11-25"),
    {"error": {"code": -32600, "message": "this connection serves the handshake era"}}, {"error": {"code": -32602, "message": "Invalid"}},
    NOT_HERE, {"error": {"code": 0, "message": "?"}}, {"result": None}, {"result": {}}, {"result": {"supportedVersions": "2026-07-28"}},
    {"result": {"supportedVersions": [], "capabilities": {}}}, {"result": {"supportedVersions": [None, 1, {}], "capabilities": {}}},
    {"result": []}, {"error": "no object"}, {"error": {"message": "no code"}},
], ids=json.dumps)  # fmt: skip
def test_any_other_answer_than_a_discovery_leads_to_initialize(bench, answer):
    """On the same pipe: no code is the one that says it."""
    one, raw = odd(bench, STATELESS, OLD, discover=answer)
    assert raw.tool_names() == ["one__a"]
    works(raw)
    assert opening(one) == INITIALIZED
    assert len([line for line in one.log.lines if b'"initialize"' in line]) == 1


@pytest.mark.parametrize("more", [["2025-11-25"], ["2099-01-01"], ["2025-11-25", "2099-01-01", "x"]], ids=str)
def test_a_discovery_that_names_our_revision_among_others_is_taken(bench, more):
    discover = {"result": {"supportedVersions": [*more, STATELESS], "capabilities": {"tools": {}}}}
    one, raw = odd(bench, STATELESS, STATELESS, discover=discover)
    assert raw.tool_names() == ["one__a"]
    works(raw)
    assert opening(one) == ["server/discover"]


def test_a_server_of_stateless_revisions_that_nobody_knows_is_not_initialized(bench):
    one, raw = odd(bench, STATELESS, STATELESS, discover=unsupported("2099-01-01"))
    assert raw.tool_names() == []
    assert opening(one) == ["server/discover"]
    raw.err.wait_for(lambda line: b"2099-01-01" in line or b"server/discover" in line, tools.PATIENCE)


@HOSTS
@pytest.mark.parametrize("refusal", [unsupported(STATELESS), {"error": {"code": -32601, "message": "no initialize here"}}, {
    "error": {"code": -32602, "message": "bad version", "data": {"supported": [STATELESS]}}}], ids=["-32022", "-32601", "-32602"])  # fmt: skip
def test_a_refused_initialize_leads_to_a_discovery(bench, host, refusal):
    one, raw = odd(bench, host, STATELESS, initialize=refusal)
    assert raw.tool_names() == ["one__a"]
    works(raw)
    assert opening(one) == (["server/discover"] if host == STATELESS else ["initialize", "server/discover"])
    (first,) = [m for m in one.got() if m.get("method") == "server/discover"]
    assert first["params"]["_meta"][META + "protocolVersion"] == STATELESS
    assert first["params"]["_meta"][META + "clientInfo"]["name"] == "mcpagg"


@pytest.mark.parametrize("version", ["2026-07-28", "1999-01-01", None, 5])
def test_a_handshake_that_ends_in_what_we_do_not_speak_is_given_up_with_a_reason(bench, version):
    result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
    one, raw = odd(bench, OLD, OLD, initialize={"result": result})
    other = bench.fake("other")
    raw = bench.host(bench.config(one, other), OLD)
    assert {name.split("__")[0] for name in raw.tool_names()} == {"other"}
    text = raw.call("one__a")["content"][0]["text"]
    assert "'one'" in text and (str(version) in text or "protocol version" in text)


def test_an_answer_to_the_probe_that_comes_too_late_is_ignored(bench):
    """The server was given up as silent and is of the handshake era now, whatever it says afterwards."""
    one, raw = odd(bench, STATELESS, OLD, discover="held")
    listed = raw.post("tools/list")  # servers are opened in the era of the first request
    _, probe = one.wait_for("server/discover")
    one.wait_for("notifications/initialized")
    assert [t["name"] for t in raw.answer(listed)["result"]["tools"]] == ["one__a"]
    one.say({"id": probe["id"], "result": {"resultType": "complete", "supportedVersions": [STATELESS], "capabilities": {}}})
    works(raw)
    assert opening(one) == INITIALIZED
    call = one.wait_for("tools/call")[1]["params"]
    assert META + "protocolVersion" not in call.get("_meta", {})


def test_a_host_that_changes_its_era_is_served_by_servers_in_the_era_they_began_in(bench):
    """Both eras on the host's pipe, one on the server's."""
    server = bench.fake(KEY, "--era", "both", "--lock-era", "--features", "all")
    raw = bench.host(bench.config(), STATELESS, **able(STATELESS))
    assert f"{KEY}__echo" in raw.tool_names()
    envelope = raw.envelope
    raw.handshake(OLD, able(OLD))
    assert raw.text(f"{KEY}__echo", {"text": "handshake"}) == "handshake"
    raw.envelope = envelope
    assert raw.text(f"{KEY}__echo", {"text": "stateless"}) == "stateless"
    opened = [m["method"] for m in map(tools.parsed, server.received.lines) if m.get("method") in ("initialize", "server/discover")]
    assert opened == ["server/discover"]


# After a restart


@HOSTS
@ERAS
def test_all_that_the_host_wants_to_hear_of_is_asked_for_again_after_a_restart(bench, host, server):
    """Its log level, the resources it subscribed to, and the changes of lists; each asked for once."""
    one = fake(bench, server, KEY)
    raw = bench.host(bench.config(), host, **able(host))
    names = raw.tool_names()
    uri = f"fake://{KEY}/text"
    level = {META + "logLevel": "warning"} if host == STATELESS else {}
    if host == STATELESS:
        raw.envelope = {**raw.envelope, **level}
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [uri]}
        id = raw.post("subscriptions/listen", {"notifications": wanted})
        _, told = raw.notification("notifications/subscriptions/acknowledged")
        assert told["params"]["notifications"] == wanted
    else:
        id = None
        assert raw.ask("logging/setLevel", {"level": "warning"})["result"] == {}
        assert raw.ask("resources/subscribe", {"uri": uri})["result"] == {}
    before = len(one.received.lines)
    raw.post("tools/call", {"name": f"{KEY}__exit", "arguments": {"code": 3}})
    first = "server/discover" if server == STATELESS else "initialize"
    begun, _ = one.received.wait_for(lambda line: f'"{first}"'.encode() in line, tools.PATIENCE, before)
    follow = b'"subscriptions/listen"' if server == STATELESS else b'"resources/subscribe"'
    one.received.wait_for(lambda line: follow in line and uri.encode() in line, tools.PATIENCE, begun)
    start = len(raw.out.lines)
    raw.call(f"{KEY}__touch_resource", {"uri": uri})
    _, told = raw.notification("notifications/resources/updated", start)
    assert subscription(told) == id
    raw.call(f"{KEY}__change_tools")
    _, told = raw.notification("notifications/tools/list_changed", start)
    assert subscription(told) == id
    assert set(raw.tool_names()) == {*names, f"{KEY}__added_1"}
    for each in ("info", "error"):
        raw.call(f"{KEY}__log_at", {"level": each, "text": each})
    logs = [m["params"]["level"] for m in raw.messages(start) if m.get("method") == "notifications/message"]
    assert logs == ["error"]
    again = [tools.parsed(line) for line in one.received.lines[begun:]]
    if server == OLD:
        subscribed = [m["params"]["uri"] for m in again if m.get("method") == "resources/subscribe"]
        assert subscribed == [uri]
    updates = [m for m in raw.messages(start) if m.get("method") == "notifications/resources/updated"]
    assert len(updates) == 1, "told once of one change"


# Listens that end


def listened(one, log=0):
    """The next `subscriptions/listen` that the server gets, acknowledged."""
    position, listen = one.wait_for("subscriptions/listen", log)
    tag = {META + "subscriptionId": listen["id"]}
    one.notify("notifications/subscriptions/acknowledged", {"notifications": listen["params"]["notifications"], "_meta": tag})
    return position, listen


ENDS = pytest.mark.parametrize("end", ["result", "cancelled", "error"])


@HOSTS
@ENDS
def test_a_change_while_a_server_does_not_tell_is_not_missed(bench, host, end):
    """However the server ends its telling, and without a word of it about the change."""
    one, raw = odd(bench, host, STATELESS, capabilities=CAPABILITIES, answers={"subscriptions/listen": {"*": "held"}})
    position, listen = listened(one)
    assert listen["params"]["notifications"].items() >= {"toolsListChanged": True}.items()
    assert raw.tool_names() == ["one__a"]
    start = len(raw.out.lines)
    id = None
    if host == STATELESS:
        id = raw.post("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        raw.notification("notifications/subscriptions/acknowledged", start)
    # It changes, and nobody is told.
    one.script["lists"]["tools/list"] = [[tool("a"), tool("b")]]
    one.write_script()
    if end == "result":
        one.say({"id": listen["id"], "result": {"resultType": "complete", "_meta": {META + "subscriptionId": listen["id"]}}})
    elif end == "cancelled":
        one.notify("notifications/cancelled", {"requestId": listen["id"]})
    else:
        one.say({"id": listen["id"], "error": {"code": -32603, "message": "lost"}})
    _, again = listened(one, position + 1)
    assert again["id"] != listen["id"] and again["params"]["notifications"] == listen["params"]["notifications"]
    _, told = raw.notification("notifications/tools/list_changed", start)
    assert subscription(told) == id
    assert raw.tool_names() == ["one__a", "one__b"]
    # And the new one is heard.
    one.script["lists"]["tools/list"] = [[tool("c")]]
    one.write_script()
    start = len(raw.out.lines)
    one.notify("notifications/tools/list_changed", {"_meta": {META + "subscriptionId": again["id"]}})
    raw.notification("notifications/tools/list_changed", start)
    assert raw.tool_names() == ["one__c"]


def test_what_a_server_tells_under_an_id_that_is_over_is_still_taken_as_a_change(bench):
    """The list is read again, which harms nobody; but the host hears once, and only of a real change."""
    one, raw = odd(bench, OLD, STATELESS, capabilities=CAPABILITIES, answers={"subscriptions/listen": {"*": "held"}})
    _, listen = listened(one)
    assert raw.tool_names() == ["one__a"]
    start = len(raw.out.lines)
    for id in (listen["id"], "never given", None):
        one.notify("notifications/tools/list_changed", {"_meta": {META + "subscriptionId": id}})
    works(raw)
    assert [m for m in raw.messages(start) if m.get("method")] == [], "nothing has changed"


def test_a_server_is_asked_only_for_what_it_announces(bench):
    """A stateless server that tells of nothing is not listened to at all."""
    one, raw = odd(bench, OLD, STATELESS, capabilities={"tools": {}, "resources": {}})
    assert raw.tool_names() == ["one__a"]
    works(raw)
    assert not [m for m in one.got() if m.get("method") == "subscriptions/listen"]


def test_a_stateless_server_gets_no_token_and_no_level_that_the_host_did_not_ask_for(bench):
    one, raw = odd(bench, OLD, STATELESS, capabilities={"tools": {}, "logging": {}})
    raw.tools()
    works(raw)
    position, call = one.wait_for("tools/call")
    meta = call["params"]["_meta"]
    assert set(meta) == {META + "protocolVersion", META + "clientInfo", META + "clientCapabilities"}
    raw.ask("logging/setLevel", {"level": "notice"})
    raw.ask("tools/call", {"name": "one__a", "_meta": {"progressToken": "t"}})
    meta = one.wait_for("tools/call", position + 1)[1]["params"]["_meta"]
    assert meta[META + "logLevel"] == "notice" and meta["progressToken"] != "t"


def test_what_a_stateless_server_may_not_send_is_refused_or_dropped(bench):
    """Requests of its own, logs that nobody asked for."""
    one, raw = odd(bench, OLD, STATELESS, capabilities={"tools": {}})
    raw.tools()
    start = len(raw.out.lines)
    one.question("q", "elicitation/create", {"message": "m", "requestedSchema": {"type": "object", "properties": {}}})
    assert one.answer_to("q")["error"]["code"] == -32601
    works(raw)
    assert [m for m in raw.messages(start) if m.get("method")] == []


# Views


@HOSTS
@ERAS
def test_views_and_the_extension_that_shows_them_pass(bench, host, server):
    ui = "io.modelcontextprotocol/ui"
    settings = {"mimeTypes": ["text/html;profile=mcp-app"], "future": {"big": 2**80}}
    one = fake(bench, server, KEY)
    capabilities = {**able(host), "extensions": {ui: settings}}
    raw = bench.host(bench.config(), host, **capabilities)
    view = f"ui://{KEY}/view"
    (shown,) = [t for t in raw.tools() if t["name"] == f"{KEY}__view"]
    assert shown["_meta"]["ui"]["resourceUri"] == view
    (listed,) = [r for r in raw.ask("resources/list")["result"]["resources"] if r["uri"] == view]
    assert listed["mimeType"] == "text/html;profile=mcp-app" and listed["_meta"]["ui"] == {"prefersBorder": True}
    (content,) = raw.ask("resources/read", {"uri": view})["result"]["contents"]
    assert content["uri"] == view and content["text"].startswith("<!doctype html>") and content["_meta"]["ui"] == {"prefersBorder": True}
    raw.call(f"{KEY}__view")
    if server == STATELESS:
        declared = one.wait_for("tools/call")[1]["params"]["_meta"][META + "clientCapabilities"]
    else:
        declared = one.wait_for("initialize")[1]["params"]["capabilities"]
    assert declared["extensions"] == {ui: settings}
