"""What mcpagg does not know it does not touch: every byte of it arrives, whichever era each side speaks, in every kind of message."""

import json

import pytest

import bench as tools
import places
from pairs import FORM, KEY, SAMPLE, Pair, able
from validation import META, STATELESS

OLD = "2025-11-25"
ERAS = pytest.mark.parametrize("server", [OLD, STATELESS], ids=["handshake server", "stateless server"])
HOSTS = pytest.mark.parametrize("host", [OLD, STATELESS], ids=["handshake host", "stateless host"])

# Legal JSON that no library writes so: spaces, numbers beyond every type, escapes that need not be, half a surrogate pair, an empty key.
ODD = r'{ "z":1.0, "a" :[ 1e400, -0, 9007199254740993,"\ud800", "\/é\u0041"] ,"n":null, "":{ } }'
HOP = [META + key for key in ("protocolVersion", "clientInfo", "clientCapabilities", "logLevel", "subscriptionId")]


def text(value) -> str:
    """JSON text, in which the string "ODD" stands for the odd text."""
    return json.dumps(value).replace('"ODD"', ODD)


def send(raw, method: str, params: dict, host: str, id: int | str | None = None, **meta) -> int | str:
    """A request with these params, and of a stateless host with the envelope behind what else is in `_meta`."""
    id = raw.next_id() if id is None else id
    envelope = raw.envelope if host == STATELESS else {}
    whole = {**params, "_meta": {**meta, **envelope}} if meta or envelope else params
    raw.send(text({"jsonrpc": "2.0", "id": id, "method": method, "params": whole}).encode())
    return id


def count(line: bytes) -> int:
    return line.count(ODD.encode())


def scripted(bench, host, server, capabilities=None, lists=None, **script):
    declared = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "completions": {}, "logging": {}, **(capabilities or {})}
    listed = {
        "tools/list": [[{"name": "t", "inputSchema": {"type": "object"}}]], "prompts/list": [[{"name": "p"}]],
        "resources/list": [[{"uri": "one://r", "name": "r"}]], "resources/templates/list": [[]],
    } | (lists or {})  # fmt: skip
    one = bench.scripted("one", {"revision": server, "capabilities": declared, "lists": listed, **script})
    raw = bench.host(bench.config(), host, **able(host))
    raw.tools()
    return raw, one


def sent(one, needle: bytes, start: int = 0) -> bytes:
    """The line of the scripted server's log, received by it, that has this in it."""
    return one.log.wait_for(lambda line: line.startswith(b"> ") and needle in line, tools.PATIENCE, start)[1][2:]


@HOSTS
@ERAS
def test_of_a_call_and_its_result(bench, host, server):
    pair = Pair(bench, host, server)
    params = {"future": "ODD", "arguments": {"text": "t", "payload": "ODD", "deep": [["ODD"]]}, "name": pair.name("echo")}
    id = send(pair.host, "tools/call", params, host, **{"traceparent": "00-1-2-03", "com.example/k": "ODD", META + "future": "ODD"})
    answer = pair.host.answer_line(id)
    assert count(answer) == 2, "the server gives the arguments back"
    arguments = text(params["arguments"]).encode()
    assert arguments in answer
    _, call = pair.server.received.wait_for(lambda line: b'"echo"' in line, tools.PATIENCE)
    assert count(call) == 5 and arguments in call
    meta = json.loads(call)["params"]["_meta"]
    assert meta["traceparent"] == "00-1-2-03" and {"com.example/k", META + "future"} <= meta.keys()
    if server == STATELESS:
        assert meta[META + "clientInfo"]["name"] == "mcpagg", "the host's name is for mcpagg"
    else:
        assert not meta.keys() & set(HOP)
    result = json.loads(answer)["result"]
    if host == STATELESS:
        assert result["resultType"] == "complete" and result["_meta"][META + "serverInfo"]["name"] == "mcpagg"
    else:
        assert not result.keys() & {"resultType", "ttlMs", "cacheScope"} and META + "serverInfo" not in result.get("_meta", {})


@HOSTS
@ERAS
@pytest.mark.parametrize("method, params, answer", [
    ("sampling/createMessage", {**SAMPLE, "metadata": {"k": 2**80}, "future": "ODD", "_meta": {"com.example/k": "ODD"}},
     {"role": "assistant", "content": {"type": "text", "text": "s", "_meta": {"com.example/k": "ODD"}}, "model": "m", "future": "ODD"}),
    ("elicitation/create", {**FORM, "future": "ODD", "_meta": {"com.example/k": "ODD", "traceparent": "00"}},
     {"action": "accept", "content": {"name": "n"}, "future": "ODD", "_meta": {"com.example/k": "ODD"}}),
    ("roots/list", {"_meta": {"com.example/k": "ODD"}}, {"roots": [{"uri": "file:///w", "_meta": {"k": "ODD"}}], "future": "ODD"}),
], ids=["sample", "form", "roots"])  # fmt: skip
def test_of_a_question_and_its_answer(bench, host, server, method, params, answer):
    pair = Pair(bench, host, server)
    start = len(pair.host.out.lines)
    call = {"name": pair.name("ask"), "arguments": {"questions": [{"method": method, "params": params}]}}
    id = send(pair.host, "tools/call", call, host)
    if host == STATELESS:
        line = pair.host.answer_line(id)
        result = json.loads(line)["result"]
        ((key, asked),) = result["inputRequests"].items()
        again = {**call, "inputResponses": {key: answer}, "requestState": result["requestState"]}
        id = send(pair.host, "tools/call", again, host)
    else:
        _, line = pair.host.out.wait_for(lambda line: method.encode() in line, tools.PATIENCE, start)
        asked = json.loads(line)
        pair.host.send(text({"jsonrpc": "2.0", "id": asked["id"], "result": answer}).encode())
    assert count(line) == text(params).count(ODD), "towards the host"
    assert asked["params"].keys() == params.keys()
    final = pair.host.answer_line(id)
    assert text(answer).encode() in final, "the server tells what it was answered"
    # Every member that is nobody's but the server's, as it wrote it.
    for name, value in params.items():
        if name not in ("message", "_meta"):
            assert text(value).encode() in line, name


@HOSTS
@ERAS
@pytest.mark.parametrize("method, params, member", [
    ("tools/call", {"name": "one__t"}, {"content": []}), ("prompts/get", {"name": "one__p"}, {"messages": []}),
    ("resources/read", {"uri": "one://r"}, {"contents": []}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "one__p"}, "argument": {"name": "a", "value": "v"}},
     {"completion": {"values": [], "future": 1.0}}),
], ids=["call", "prompt", "read", "complete"])  # fmt: skip
def test_of_the_results_of_all_that_is_passed_on(bench, host, server, method, params, member):
    """The server's JSON has spaces that nobody else would write."""
    unknown = {"big": 2**80, "float": 1.0, "half": "\ud800", "none": None, "list": [{}]}
    result = {**member, "future": unknown, "_meta": {"com.example/k": unknown, META + "serverInfo": {"name": "theirs", "version": "1"}}}
    if server == OLD:
        del result["_meta"][META + "serverInfo"]  # it does not know of it
    raw, one = scripted(bench, host, server, answers={method: {"*": {"result": result}, "p": {"result": result}}})
    for member_of_prompts in ("prompts/list", "resources/list"):
        raw.ask(member_of_prompts)
    id = send(raw, method, {**params, "future": "ODD"}, host, **{"com.example/k": "ODD"})
    line = raw.answer_line(id)
    fragment = json.dumps(unknown).encode()
    assert line.count(fragment) == 2 and json.dumps(member)[1:-1].encode() in line
    got = json.loads(line)["result"]
    info = got["_meta"].get(META + "serverInfo", {}).get("name")
    assert info == ("mcpagg" if host == STATELESS else None) and b"theirs" not in line
    assert count(sent(one, f'"{method}"'.encode())) == 2, "and towards the server"


@HOSTS
@ERAS
def test_of_progress_and_logs(bench, host, server):
    """Only the token and the logger's name are another's."""
    raw, one = scripted(bench, host, server)
    if host == OLD:
        raw.ask("logging/setLevel", {"level": "debug"})
    unknown = {"big": 2**80, "float": 1.0, "half": "\ud800", "none": None}
    start = len(raw.out.lines)
    level = {META + "logLevel": "debug"} if host == STATELESS else {}
    id = send(raw, "tools/call", {"name": "one__t"}, host, **{"progressToken": "mine", **level})
    params = one.wait_for("tools/call")[1]
    meta = params["params"]["_meta"]
    assert meta["progressToken"] != "mine"
    assert meta.get(META + "logLevel") == ("debug" if server == STATELESS else None)
    progress = {"progress": 1.0, "total": 2**60, "future": unknown, "progressToken": meta["progressToken"]}
    one.notify("notifications/progress", {**progress, "_meta": {"com.example/k": unknown}})
    log = {"level": "warning", "data": unknown, "future": unknown, "logger": "theirs", "_meta": {"com.example/k": unknown}}
    one.notify("notifications/message", log)
    one.say({"id": params["id"], "result": {"content": [], **({"resultType": "complete"} if server == STATELESS else {})}})
    raw.answer(id)
    fragment = json.dumps(unknown).encode()
    lines = {tools.parsed(line).get("method"): line for line in raw.out.lines[start:] if b'"method"' in line}
    told = lines["notifications/progress"]
    assert told.count(fragment) == 2 and b'"progress": 1.0, "total": 1152921504606846976' in told
    assert json.loads(told)["params"]["progressToken"] == "mine"
    told = lines["notifications/message"]
    assert told.count(fragment) == 3
    assert json.loads(told)["params"].items() >= {"level": "warning", "logger": "one/theirs"}.items()


@HOSTS
@ERAS
def test_of_a_cancellation(bench, host, server):
    pair = Pair(bench, host, server)
    start = len(pair.server.received.lines)
    id = pair.host.post("tools/call", {"name": pair.name("hang")})
    _, call = pair.server.wait_for("tools/call", start, name="hang")
    params = {"reason": "no \u00e9", "future": "ODD", "requestId": id, "_meta": {"com.example/k": "ODD"}}
    pair.host.send(text({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).encode())
    _, line = pair.server.received.wait_for(lambda line: b"notifications/cancelled" in line, tools.PATIENCE, start)
    assert count(line) == 2
    assert json.loads(line)["params"]["requestId"] == call["id"] and json.loads(line)["params"]["reason"] == params["reason"]


@HOSTS
@ERAS
def test_of_what_is_told_of_a_resource(bench, host, server):
    """The host gets a copy with the subscription that it asked under."""
    raw, one = scripted(bench, host, server, answers={"subscriptions/listen": {"*": "held"}})
    raw.ask("resources/list")
    unknown = {"big": 2**80, "none": None}
    start, log = len(raw.out.lines), len(one.log.lines)
    if host == STATELESS:
        id = raw.post("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["one://r"]}})
    else:
        id = raw.post("resources/subscribe", {"uri": "one://r"})
    params = {"uri": "one://r", "future": unknown, "_meta": {"com.example/k": unknown}}
    if server == STATELESS:
        listen = json.loads(sent(one, b'"one://r"', log))
        assert listen["method"] == "subscriptions/listen"
        tag = {META + "subscriptionId": listen["id"]}
        one.notify("notifications/subscriptions/acknowledged", {"notifications": listen["params"]["notifications"], "_meta": tag})
        params["_meta"] |= tag
    else:
        one.wait_for("resources/subscribe", log)
    if host == OLD:
        assert raw.answer(id)["result"] == {}
    else:
        raw.notification("notifications/subscriptions/acknowledged", start)
    one.notify("notifications/resources/updated", params)
    _, told = raw.notification("notifications/resources/updated", start)
    assert told["params"]["uri"] == "one://r"
    assert told["params"]["future"] == unknown and told["params"]["_meta"]["com.example/k"] == unknown
    assert told["params"]["_meta"].get(META + "subscriptionId") == (id if host == STATELESS else None)


@HOSTS
@pytest.mark.parametrize("state", ["é\u2028\U0001f600\ud800 \"\\/\x00", "", "mcpagg-1", "x" * 100_000], ids=["odd", "empty", "like ours", "long"])
def test_of_a_state(bench, host, state):
    """It comes back to the server as the server wrote it, whatever it looks like."""
    first = {"resultType": "input_required", "inputRequests": {"k \u00e9": {"method": "elicitation/create", "params": FORM}}}
    raw, one = scripted(bench, host, STATELESS)
    id = raw.post("tools/call", {"name": "one__t", "arguments": {"a": 1}})
    position, call = one.wait_for("tools/call")
    start = len(raw.out.lines)
    one.say({"id": call["id"], "result": {**first, "requestState": state}})
    accepted = {"action": "accept", "content": {"name": "n"}}
    if host == STATELESS:
        result = raw.answer(id)["result"]
        assert result["requestState"] == state and list(result["inputRequests"]) == ["k \u00e9"]
        again = {"name": "one__t", "arguments": {"a": 1}, "inputResponses": {"k \u00e9": accepted}, "requestState": result["requestState"]}
        id = raw.post("tools/call", again)
    else:
        raw.reply(raw.question("elicitation/create", start)[1]["id"], accepted)
    _, retry = one.wait_for("tools/call", position + 1)
    assert retry["id"] != call["id"]
    assert retry["params"]["requestState"] == state and retry["params"]["inputResponses"] == {"k \u00e9": accepted}
    assert (retry["params"]["name"], retry["params"]["arguments"]) == ("t", {"a": 1})
    one.say({"id": retry["id"], "result": {"resultType": "complete", "content": []}})
    assert raw.answer(id)["result"]["content"] == []


def test_of_a_state_that_is_absent(bench):
    """A server that keeps none gets none back."""
    raw, one = scripted(bench, OLD, STATELESS)
    id = raw.post("tools/call", {"name": "one__t"})
    position, call = one.wait_for("tools/call")
    one.say({"id": call["id"], "result": {"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}}})
    raw.reply(raw.question("roots/list")[1]["id"], {"roots": []})
    params = one.wait_for("tools/call", position + 1)[1]["params"]
    assert "requestState" not in params and params["inputResponses"] == {"q": {"roots": []}} and "arguments" not in params
    one.say({"id": one.wait_for("tools/call", position + 1)[1]["id"], "result": {"resultType": "complete", "content": []}})
    raw.answer(id)


@pytest.mark.parametrize("text", ["half \ud800 left", "\x00\x1f\u2028 \"\\/", "[s] \U0001f600"])
@HOSTS
@ERAS
def test_of_the_text_that_is_labelled(bench, host, server, text):
    """The label stands in front of it, and nothing of it is lost."""
    pair = Pair(bench, host, server)
    asking = pair.begin_questions(("elicitation/create", {**FORM, "message": text}))
    (asked,) = asking.asked()
    assert asked.params["message"] == f"[{KEY}] {text}"
    asking.reply((asked, {"action": "decline"}))
    assert asking.entries() == [{"result": {"action": "decline"}}]


@HOSTS
@ERAS
def test_of_names_with_half_a_character(bench, host, server):
    """Member names are as free as texts are."""
    bench.is_judged = False  # the SDKs refuse such names, though JSON has them
    name = "com.example/\ud800"
    raw, one = scripted(bench, host, server)
    start = len(raw.out.lines)
    id = raw.post("tools/call", {"name": "one__t", name: 1, "arguments": {name: 1}, "_meta": {name: 1}})
    position, call = one.wait_for("tools/call")
    assert call["params"][name] == call["params"]["arguments"][name] == call["params"]["_meta"][name] == 1
    question = {**FORM, name: 1, "_meta": {name: 1}}
    key, retried = "q", call
    if server == STATELESS:
        key = name
        one.say({"id": call["id"], "result": {
            "resultType": "input_required", "inputRequests": {key: {"method": "elicitation/create", "params": question}}, "requestState": name,
        }})  # fmt: skip
    else:
        one.question(name, "elicitation/create", question)
    if host == STATELESS:
        result = raw.answer(id)["result"]
        ((theirs, asked),) = result["inputRequests"].items()
        params = asked["params"]
        again = {"name": "one__t", name: 1, "arguments": {name: 1}, "inputResponses": {theirs: {"action": "decline", name: 1}}}
        id = raw.post("tools/call", {**again, "requestState": result["requestState"]})
    else:
        _, asked = raw.question("elicitation/create", start)
        params = asked["params"]
        raw.reply(asked["id"], {"action": "decline", name: 1})
    assert params[name] == params["_meta"][name] == 1
    if server == STATELESS:
        _, retried = one.wait_for("tools/call", position + 1)
        assert retried["params"]["requestState"] == name
        assert retried["params"]["inputResponses"] == {name: {"action": "decline", name: 1}}
    else:
        assert one.answer_to(name)["result"] == {"action": "decline", name: 1}
    end = {"content": [], name: 1, "_meta": {name: 1}}
    one.say({"id": retried["id"], "result": end | ({"resultType": "complete"} if server == STATELESS else {})})
    result = raw.answer(id)["result"]
    assert result[name] == result["_meta"][name] == 1


def test_of_what_passes_two_mcpaggs(bench):
    """A server of the handshake era behind one that is behind another: the inner one's states are not the outer one's."""
    inner = bench.directory / "inner.json"
    server = bench.fake("s", "--features", "all", prefix="")
    inner.write_text(bench.config_text(server))
    bench.servers.remove(server)
    bench.servers.append(tools.Server("inner", {"command": places.mcpagg(), "args": ["--config", str(inner)]}))
    config = bench.config()
    raw = bench.host(config, STATELESS, **able(STATELESS))
    names = raw.tool_names()
    assert "inner__ask" in names
    call = {"name": "inner__ask", "arguments": {"questions": [{"method": "elicitation/create", "params": FORM}]}}
    result = raw.ask("tools/call", call)["result"]
    assert result["resultType"] == "input_required", result
    ((key, asked),) = result["inputRequests"].items()
    assert asked["params"]["message"].endswith(FORM["message"]) and "inner" in asked["params"]["message"]
    responses = {key: {"action": "accept", "content": {"name": "n"}}}
    answer = raw.ask("tools/call", {**call, "inputResponses": responses, "requestState": result["requestState"]})
    assert "result" in answer, answer
    assert json.loads(answer["result"]["content"][0]["text"])["answers"] == [{"result": responses[key]}]
