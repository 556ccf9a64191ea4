"""What servers ask of hosts while they work: roots, sampling, elicitation; who is asked, who gets the answer, and how it ends."""

import time

import pytest

import bench as tools
from validation import HANDSHAKE_REVISIONS

ABLE = {
    "roots": {"listChanged": True},
    "sampling": {"tools": {}, "context": {}},
    "elicitation": {"form": {}, "url": {}},
}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORM = {"message": "Your name?", "requestedSchema": SCHEMA}
VISIT = {"mode": "url", "message": "Log in", "url": "https://example.com/?a=b&c", "elicitationId": "e-1"}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "Say é"}}], "maxTokens": 5, "_meta": {"com.example/k": 2**60}}
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "é"}, "model": "m", "stopReason": "endTurn", "x": 1.0}
ROOTS = {"roots": [{"uri": "file:///work", "name": "w", "_meta": {"com.example/k": None}}]}
DONE = {"content": [{"type": "text", "text": "done"}]}


def asking(bench, key="one", **entry):
    """A server whose tool, prompt and resource the test plays."""
    script = {
        "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
        "lists": {
            "tools/list": [[{"name": "t", "inputSchema": {"type": "object"}}]],
            "prompts/list": [[{"name": "p"}]],
            "resources/list": [[{"uri": f"{key}://r", "name": "r"}]],
            "resources/templates/list": [[]],
        },
        "answers": {"resources/read": {f"{key}://r": "held"}},
    }
    return bench.scripted(key, script, **entry)


def begin(host, server, name=None, **more):
    """Calls the server's tool; the host's id of the call, and the server's."""
    start = len(server.log.lines)
    id = host.post("tools/call", {"name": name or f"{server.key}__t", **more})
    return id, server.wait_for("tools/call", start)[1]["id"]


def finish(server, id, result=None):
    server.say({"id": id, "result": result or DONE})


@pytest.fixture
def pair(bench):
    """A server and a host that can do everything."""
    one = asking(bench)
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    return host, one


# What is declared


@pytest.mark.parametrize(
    "revision, declared, passed_on",
    [
        ("2025-11-25", {}, {}),
        ("2025-11-25", ABLE, ABLE),
        ("2025-11-25", {"elicitation": {}}, {"elicitation": {"form": {}}}),
        ("2025-11-25", {"elicitation": {"url": {}}}, {"elicitation": {"url": {}}}),
        ("2025-06-18", ABLE, {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}}}),
        ("2025-03-26", ABLE, {"roots": {"listChanged": True}, "sampling": {}}),
        ("2024-11-05", {"roots": {}, "experimental": {"x": {}}}, {"roots": {}}),
    ],
)
def test_servers_are_told_what_the_host_can_do(bench, revision, declared, passed_on):
    one = asking(bench)
    bench.host(bench.config(), revision, **declared)
    assert one.wait_for("initialize")[1]["params"]["capabilities"] == passed_on


def test_a_server_that_starts_again_is_told_of_a_host_that_came_late(bench):
    one = asking(bench)
    host = bench.host(bench.config(), revision=None)
    position, first = one.wait_for("initialize")  # nobody came in time
    assert first["params"]["capabilities"] == {}
    one.wait_for("resources/templates/list")
    host.handshake("2025-11-25", ABLE)
    host.tools()
    one.exit(0)
    assert one.wait_for("initialize", position + 1)[1]["params"]["capabilities"] == ABLE


# One question


QUESTIONS = [
    ("elicitation/create", FORM, {"action": "accept", "content": {"name": "Ö", "n": 2**53 + 1}}),
    ("elicitation/create", {"mode": "form", **FORM}, {"action": "decline"}),
    ("elicitation/create", VISIT, {"action": "accept"}),
    ("sampling/createMessage", SAMPLE, SAMPLED),
    ("roots/list", None, ROOTS),
    ("roots/list", {"_meta": {"com.example/k": 1}}, ROOTS),
]


@pytest.mark.parametrize("id", [7, "7", "ü \"x\"", 0, 2**53 - 1], ids=repr)
@pytest.mark.parametrize("method, params, answer", QUESTIONS, ids=["form", "declined", "url", "sample", "roots", "roots with meta"])
def test_a_question_reaches_the_host_and_its_answer_the_server(pair, method, params, answer, id):
    host, one = pair
    call, theirs = begin(host, one)
    one.question(id, method, params)
    _, asked = host.question(method)
    expected = dict(params) if params else None
    if method == "elicitation/create":
        assert "one" in asked["params"]["message"] and params["message"] in asked["params"]["message"]
        expected["message"] = asked["params"]["message"]
    if method == "sampling/createMessage":
        expected["_meta"] = {**expected.get("_meta", {}), "dev.mcpagg/server": "one"}
    assert asked.get("params") == expected, "nothing else is touched"
    host.reply(asked["id"], answer)
    assert one.answer_to(id) == {"jsonrpc": "2.0", "id": id, "result": answer}
    finish(one, theirs, {"content": [], "structuredContent": {"a": 1}})
    assert host.answer(call)["result"] == {"content": [], "structuredContent": {"a": 1}}
    # An id may be used again once it is answered.
    call, theirs = begin(host, one)
    start = len(host.out.lines)
    position = len(one.log.lines)
    one.question(id, method, params)
    again = host.question(method, start)[1]["id"]
    assert again != asked["id"], "ours is another one each time"
    error = {"code": -1, "message": "User rejected", "data": {"a": None}}
    host.reply(again, error=error)
    assert one.answer_to(id, position)["error"] == error
    finish(one, theirs)
    host.answer(call)


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
@pytest.mark.parametrize("server_revision", HANDSHAKE_REVISIONS)
def test_questions_between_all_revisions(bench, revision, server_revision):
    one = asking(bench)
    one.script["revision"] = server_revision
    one.write_script()
    host = bench.host(bench.config(), revision, **ABLE)
    host.tools()
    call, theirs = begin(host, one)
    position = 0
    for number, (method, params, answer) in enumerate([QUESTIONS[0], *QUESTIONS[2:5]]):
        one.question(number, method, params)
        first = "2025-11-25" if params == VISIT else "2025-06-18" if method == "elicitation/create" else "2024-11-05"
        if min(revision, server_revision) < first:
            assert one.answer_to(number)["error"]["code"] == -32601
            continue
        position, asked = host.question(method, position + 1)
        host.reply(asked["id"], answer)
        assert one.answer_to(number)["result"] == answer
    finish(one, theirs)
    assert host.answer(call)["result"] == DONE


@pytest.mark.parametrize("method, params", [
    ("elicitation/create", FORM), ("elicitation/create", VISIT), ("sampling/createMessage", SAMPLE), ("roots/list", None),
], ids=["form", "url", "sample", "roots"])
def test_what_the_host_did_not_declare_is_refused(bench, method, params):
    one = asking(bench)
    able = {"elicitation": {"form": {}}} if params is VISIT else {}
    host = bench.host(bench.config(), **able)
    host.tools()
    call, theirs = begin(host, one)
    one.question("q", method, params)
    assert one.answer_to("q")["error"]["code"] == -32601
    finish(one, theirs)
    host.answer(call)
    assert not [message for message in host.messages() if message.get("method") == method]


def test_sampling_with_tools_needs_its_own_declaration(bench):
    one = asking(bench)
    host = bench.host(bench.config(), sampling={})
    host.tools()
    call, theirs = begin(host, one)
    one.question(1, "sampling/createMessage", {**SAMPLE, "tools": [{"name": "x", "inputSchema": {"type": "object"}}]})
    assert one.answer_to(1)["error"]["code"] == -32601
    one.question(2, "sampling/createMessage", SAMPLE)
    host.reply(host.question("sampling/createMessage")[1]["id"], SAMPLED)
    assert one.answer_to(2)["result"] == SAMPLED
    finish(one, theirs)
    host.answer(call)


# Several


def test_two_questions_at_once_are_answered_in_any_order(pair):
    host, one = pair
    call, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    one.question("1", "elicitation/create", {**FORM, "message": "And then?"})
    one.question(2, "sampling/createMessage", SAMPLE)
    position, first = host.question("elicitation/create")
    _, second = host.question("elicitation/create", position + 1)
    _, sample = host.question("sampling/createMessage")
    assert "And then?" in second["params"]["message"] and "And then?" not in first["params"]["message"]
    host.reply(sample["id"], SAMPLED)
    host.reply(second["id"], {"action": "accept", "content": {"name": "second"}})
    assert one.answer_to(2)["result"] == SAMPLED
    assert one.answer_to("1")["result"]["content"]["name"] == "second"
    host.reply(first["id"], {"action": "accept", "content": {"name": "first"}})
    assert one.answer_to(1)["result"]["content"]["name"] == "first"
    finish(one, theirs)
    host.answer(call)


def test_two_servers_ask_under_the_same_id(bench):
    servers = [asking(bench, "one"), asking(bench, "two")]
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    calls = [begin(host, server) for server in servers]
    asked = []
    for server in servers:
        start = len(host.out.lines)
        server.question(1, "elicitation/create", FORM)
        asked.append(host.question("elicitation/create", start)[1])
        assert server.key in asked[-1]["params"]["message"], "the person sees who asks"
    for server, question in reversed(list(zip(servers, asked, strict=True))):
        host.reply(question["id"], {"action": "accept", "content": {"name": server.key}})
    for server, (call, theirs) in zip(servers, calls, strict=True):
        assert server.answer_to(1)["result"]["content"] == {"name": server.key}
        finish(server, theirs)
        host.answer(call)


@pytest.mark.parametrize("method, params", [("prompts/get", {"name": "one__p"}), ("resources/read", {"uri": "one://r"})])
def test_questions_in_the_middle_of_a_prompt_or_a_read(pair, method, params):
    host, one = pair
    outer = host.post(method, params)
    _, asked = one.wait_for(method)
    one.question(1, "elicitation/create", FORM)
    _, question = host.question("elicitation/create")
    # While the person is asked everything else goes on, even a call of the same server.
    call, theirs = begin(host, one)
    finish(one, theirs)
    assert host.answer(call)["result"] == DONE
    host.reply(question["id"], {"action": "accept", "content": {"name": "x"}})
    assert one.answer_to(1)["result"]["content"] == {"name": "x"}
    result = {"messages": []} if method == "prompts/get" else {"contents": []}
    finish(one, asked["id"], result)
    assert host.answer(outer)["result"] == result


def test_an_id_that_is_still_open_is_refused(pair):
    host, one = pair
    call, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, question = host.question("elicitation/create")
    one.question(1, "roots/list")
    assert one.answer_to(1)["error"]["code"] == -32600
    position = len(one.log.lines)
    host.reply(question["id"], {"action": "cancel"})
    assert one.answer_to(1, position)["result"] == {"action": "cancel"}
    finish(one, theirs)
    host.answer(call)


# Before and beside requests


def test_what_is_asked_before_the_host_is_ready_is_asked_when_it_is(bench):
    one = asking(bench)
    one.script["onInitialized"] = [{"jsonrpc": "2.0", "id": "early", "method": "roots/list"}]
    one.write_script()
    host = bench.host(bench.config(), revision=None)
    host.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": ABLE, "clientInfo": {"name": "h", "version": "1"}})
    one.wait_for("notifications/initialized")
    one.wait_for("resources/templates/list")
    one.question("later", "elicitation/create", FORM)
    one.question("withdrawn", "sampling/createMessage", SAMPLE)
    one.notify("notifications/cancelled", {"requestId": "withdrawn"})
    one.question("p", "ping")
    one.answer_to("p")
    assert len(host.messages()) == 1, "nothing but the answer yet"
    host.notify("notifications/initialized")
    _, asked = host.question("roots/list")
    host.reply(asked["id"], ROOTS)
    assert one.answer_to("early")["result"] == ROOTS
    host.reply(host.question("elicitation/create")[1]["id"], {"action": "decline"})
    assert one.answer_to("later")["result"] == {"action": "decline"}
    assert not [message for message in host.messages() if message.get("method") == "sampling/createMessage"]


def test_a_question_of_no_request_stays_when_requests_end(pair):
    host, one = pair
    one.question("own", "roots/list")
    _, asked = host.question("roots/list")
    call, theirs = begin(host, one)
    finish(one, theirs)
    host.answer(call)
    call, theirs = begin(host, one)
    host.notify("notifications/cancelled", {"requestId": call})
    one.wait_for("notifications/cancelled", requestId=theirs)
    host.reply(asked["id"], ROOTS)
    assert one.answer_to("own")["result"] == ROOTS
    assert not [message for message in host.messages() if message.get("method") == "notifications/cancelled"]


@pytest.mark.parametrize("able", [True, False])
def test_changed_roots_are_told_to_servers_that_were_promised_it(bench, able):
    one = asking(bench)
    host = bench.host(bench.config(), roots={"listChanged": able} if able else {})
    host.tools()
    host.notify("notifications/roots/list_changed", {"_meta": {"com.example/k": 1}})
    if able:
        assert one.wait_for("notifications/roots/list_changed")[1]["params"] == {"_meta": {"com.example/k": 1}}
    else:
        call, theirs = begin(host, one)
        finish(one, theirs)
        host.answer(call)
        assert not [message for message in one.got() if message.get("method") == "notifications/roots/list_changed"]


# How questions end


def test_the_host_cancels_the_call_while_it_is_asked(pair):
    host, one = pair
    call, theirs = begin(host, one)
    one.question("form", "elicitation/create", FORM)
    one.question("sample", "sampling/createMessage", SAMPLE)
    asked = {host.question(method)[1]["id"] for method in ("elicitation/create", "sampling/createMessage")}
    host.notify("notifications/cancelled", {"requestId": call, "reason": "enough"})
    assert one.wait_for("notifications/cancelled")[1]["params"] == {"requestId": theirs, "reason": "enough"}
    start, _ = host.notification("notifications/cancelled")
    host.notification("notifications/cancelled", start + 1)
    told = {message["params"]["requestId"] for message in host.messages() if message.get("method") == "notifications/cancelled"}
    assert told == asked
    assert one.answer_to("form")["result"] == {"action": "cancel"}
    assert "error" in one.answer_to("sample")
    # The host's answer crossed that: nobody wants it, and nothing breaks.
    position = len(one.log.lines)
    for id in asked:
        host.reply(id, {"action": "accept", "content": {"name": "late"}})
    call, theirs = begin(host, one)
    finish(one, theirs)
    assert host.answer(call)["result"] == DONE
    assert not [message for message in one.got(position) if "method" not in message]


@pytest.mark.parametrize("id", [5, "5"], ids=repr)
def test_a_server_takes_its_question_back(pair, id):
    host, one = pair
    call, theirs = begin(host, one)
    one.question(id, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    one.notify("notifications/cancelled", {"requestId": str(id) if id == 5 else 5})  # another id: not this question
    one.notify("notifications/cancelled", {"requestId": id, "reason": "found it"})
    _, told = host.notification("notifications/cancelled")
    assert told["params"] == {"requestId": asked["id"], "reason": "found it"}
    host.reply(asked["id"], {"action": "decline"})
    finish(one, theirs)
    assert host.answer(call)["result"] == DONE
    assert not [message for message in one.got() if message.get("id") == id and "method" not in message]
    assert len([message for message in host.messages() if message.get("method") == "notifications/cancelled"]) == 1


def test_a_server_that_ends_no_longer_asks(pair):
    host, one = pair
    call, _ = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    position = len(one.log.lines)
    one.exit(4)
    assert host.notification("notifications/cancelled")[1]["params"]["requestId"] == asked["id"]
    assert host.answer(call)["result"]["isError"] is True
    one.wait_for("resources/templates/list", position)
    host.reply(asked["id"], {"action": "accept", "content": {"name": "too late"}})
    # The next life has its own ids, and may use the same.
    host.tools()
    call, theirs = begin(host, one)
    start = len(host.out.lines)
    one.question(1, "elicitation/create", FORM)
    host.reply(host.question("elicitation/create", start)[1]["id"], {"action": "decline"})
    assert one.answer_to(1, position)["result"] == {"action": "decline"}
    finish(one, theirs)
    host.answer(call)


def test_a_call_that_ends_takes_its_question_along(pair):
    host, one = pair
    call, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    finish(one, theirs)
    host.answer(call)
    assert host.notification("notifications/cancelled")[1]["params"]["requestId"] == asked["id"]
    assert one.answer_to(1)["result"] == {"action": "cancel"}


def test_a_host_that_begins_anew_is_not_asked_any_more(pair):
    host, one = pair
    _, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    host.handshake("2025-11-25", ABLE)
    assert one.wait_for("notifications/cancelled")[1]["params"]["requestId"] == theirs
    answer = one.answer_to(1)
    assert answer.get("result") == {"action": "cancel"} or "error" in answer
    position = len(one.log.lines)
    host.reply(asked["id"], {"action": "decline"})
    call, theirs = begin(host, one)
    finish(one, theirs)
    host.answer(call)
    assert not [message for message in one.got(position) if "method" not in message]


# Time


# The clock is real here: a second is long enough for a loaded machine to ask within it, and short enough to outlast.
TIMEOUT = 1.0


def test_the_clock_of_a_call_stands_still_while_a_person_is_asked(bench):
    one = asking(bench, timeout=f"{TIMEOUT:g}s")
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    call, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    time.sleep(2.5 * TIMEOUT)
    assert not [message for message in one.got() if message.get("method") == "notifications/cancelled"]
    host.reply(asked["id"], {"action": "accept", "content": {"name": "slow"}})
    one.answer_to(1)
    time.sleep(0.5 * TIMEOUT)
    finish(one, theirs)
    assert host.answer(call)["result"] == DONE


def test_it_goes_on_when_nobody_is_asked_any_more(bench):
    one = asking(bench, timeout=f"{TIMEOUT:g}s")
    host = bench.host(bench.config(), **ABLE)
    host.tools()
    call, theirs = begin(host, one)
    one.question(1, "elicitation/create", FORM)
    _, asked = host.question("elicitation/create")
    time.sleep(0.75 * TIMEOUT)
    one.notify("notifications/cancelled", {"requestId": 1})
    host.notification("notifications/cancelled")
    time.sleep(0.6 * TIMEOUT)
    assert not [message for message in one.got() if message.get("method") == "notifications/cancelled"], "not yet"
    result = host.answer(call)["result"]
    assert result["isError"] is True and "1 s" in result["content"][0]["text"]
    assert one.wait_for("notifications/cancelled")[1]["params"]["requestId"] == theirs


# Progress of an answer


@pytest.mark.parametrize("token", ["t", 1, 2**53 + 1], ids=repr)
def test_the_hosts_progress_with_a_question_reaches_the_server_under_its_token(pair, token):
    host, one = pair
    call, theirs = begin(host, one, _meta={"progressToken": "call"})
    one.question(1, "sampling/createMessage", {**SAMPLE, "_meta": {"progressToken": token, "com.example/k": 1}})
    _, asked = host.question("sampling/createMessage")
    assert asked["params"]["_meta"]["com.example/k"] == 1
    ours = asked["params"]["_meta"]["progressToken"]
    host.notify("notifications/progress", {"progressToken": ours, "progress": 1, "total": 3})
    host.notify("notifications/progress", {"progressToken": f"{ours}", "progress": 2})  # none of ours
    _, progress = one.wait_for("notifications/progress")
    assert progress["params"] == {"progressToken": token, "progress": 1, "total": 3}
    host.reply(asked["id"], SAMPLED)
    one.answer_to(1)
    host.notify("notifications/progress", {"progressToken": ours, "progress": 3})
    finish(one, theirs)
    host.answer(call)
    call, theirs = begin(host, one)
    assert len([message for message in one.got() if message.get("method") == "notifications/progress"]) == 1, "none after the answer"
    finish(one, theirs)
    host.answer(call)


# A URL to visit


def test_the_end_of_a_visit_is_told_to_who_was_asked(pair):
    host, one = pair
    call, theirs = begin(host, one)
    one.notify("notifications/elicitation/complete", {"elicitationId": "e-1"})  # not yet asked
    one.question(1, "elicitation/create", VISIT)
    host.reply(host.question("elicitation/create")[1]["id"], {"action": "accept"})
    one.answer_to(1)
    one.notify("notifications/elicitation/complete", {"elicitationId": "e-1"})
    position, complete = host.notification("notifications/elicitation/complete")
    assert complete["params"] == {"elicitationId": "e-1"}
    one.notify("notifications/elicitation/complete", {"elicitationId": "e-1"})  # once is enough
    finish(one, theirs)
    host.answer(call)
    assert len([message for message in host.messages() if message.get("method") == "notifications/elicitation/complete"]) == 1


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
@pytest.mark.parametrize("able", [ABLE, {}], ids=["able", "unable"])
def test_an_error_that_asks_for_a_visit(bench, revision, able):
    one = asking(bench)
    host = bench.host(bench.config(), revision, **able)
    host.tools()
    call, theirs = begin(host, one)
    error = {"code": -32042, "message": "Log in first", "data": {"elicitations": [VISIT]}}
    one.say({"id": theirs, "error": error})
    answer = host.answer(call)["error"]
    if revision == "2025-11-25" and able:
        visit = {**VISIT, "message": f"[one] {VISIT['message']}"}
        assert answer == {**error, "data": {"elicitations": [visit]}}
        one.notify("notifications/elicitation/complete", {"elicitationId": "e-1"})
        assert host.notification("notifications/elicitation/complete")[1]["params"] == {"elicitationId": "e-1"}
    else:
        assert answer["code"] == -32603 and VISIT["url"] in answer["message"]
