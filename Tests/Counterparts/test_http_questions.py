"""Servers that ask back over HTTP: whatever stream a question comes on, it belongs to the right call and is answered by its own POST."""

import pytest

from http_bench import KEY, NEW, OLD
from http_wire import EVENTS, JSON
from pairs import ROOTS, SAMPLED
from validation import HANDSHAKE_REVISIONS, identity

FORM = {"message": "Name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "Say é"}}], "maxTokens": 5}


def question(id, method: str = "elicitation/create", params=FORM) -> dict:
    return {"jsonrpc": "2.0", "id": id, "method": method} | ({} if params is None else {"params": params})


def asked(text: str) -> dict:
    return {**FORM, "message": text}


def done(exchange, text: str = "done") -> dict:
    return {"jsonrpc": "2.0", "id": exchange.id, "result": {"content": [{"type": "text", "text": text}]}}


def answer_to(server, id, start: int = 0):
    """The request in which the server was answered."""
    wanted = identity(id)
    return server.wait_request(http="POST", start=start, where=lambda e: "method" not in e.message and identity(e.id) == wanted)


KINDS = {
    "ask": ("elicitation/create", {"action": "accept", "content": {"name": "Ö"}}, "accept Ö"),
    "sample": ("sampling/createMessage", SAMPLED, "é"),
    "roots": ("roots/list", ROOTS, "file:///work"),
}


# Revisions over HTTP, and what servers of each can ask: there is no elicitation in 2025-03-26.
ASKED = [(revision, kind) for revision in HANDSHAKE_REVISIONS[1:] for kind in KINDS if (revision, kind) != ("2025-03-26", "ask")]


@pytest.mark.parametrize("revision, kind", ASKED)
def test_a_question_on_the_stream_of_a_call_is_answered_by_a_post(web, revision, kind):
    method, reply, said = KINDS[kind]
    server = web.remote(revision=revision)
    host = web.host()
    id = host.post("tools/call", {"name": f"{KEY}__{kind}", "arguments": {}})
    _, put = host.question(method)
    host.reply(put["id"], reply)
    assert host.answer(id)["result"]["content"][0]["text"] == said
    (post,) = server.requests(http="POST", where=lambda exchange: exchange.message and "method" not in exchange.message)
    assert post.message["result"] == reply
    assert post.status == 202


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateless_host_brings_the_answer_with_its_next_request(web, kind):
    method, reply, said = KINDS[kind]
    server = web.remote()
    host = web.host(NEW)
    params = {"name": f"{KEY}__{kind}", "arguments": {}}
    required = host.ask("tools/call", params)["result"]
    assert required["resultType"] == "input_required"
    ((key, entry),) = required["inputRequests"].items()
    assert entry["method"] == method
    result = host.ask("tools/call", {**params, "inputResponses": {key: reply}, "requestState": required["requestState"]})["result"]
    assert result["content"][0]["text"] == said
    assert len(server.requests("tools/call")) == 1


@pytest.mark.parametrize("stream", ["of the call", "of notifications"])
@pytest.mark.parametrize("id", [0, 1, -5, "1", "a b", "é", 2**53])
def test_the_answer_has_the_id_of_the_question_exactly(web, id, stream):
    server = web.remote()
    host = web.host()
    notifications = server.wait_request(http="GET")
    server.wait_for(lambda entry: notifications.status is not None)
    call = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    (slow if stream == "of the call" else notifications).event(question(id))
    _, put = host.question("elicitation/create")
    host.reply(put["id"], {"action": "decline"})
    assert answer_to(server, id).message["result"] == {"action": "decline"}
    slow.event(done(slow))
    host.answer(call)


@pytest.mark.parametrize("stream", ["of the call", "of notifications"])
def test_a_ping_is_answered_by_mcpagg_itself(web, stream):
    server = web.remote()
    host = web.host()
    notifications = server.wait_request(http="GET")
    server.wait_for(lambda entry: notifications.status is not None)
    call = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    (slow if stream == "of the call" else notifications).event(question("p", "ping", None))
    assert answer_to(server, "p").message["result"] == {}
    slow.event(done(slow))
    host.answer(call)
    assert not [m for m in host.messages() if m.get("method") == "ping"]


def test_what_nobody_knows_is_refused_by_a_post(web):
    server = web.remote()
    host = web.host()
    notifications = server.wait_request(http="GET")
    server.wait_for(lambda entry: notifications.status is not None)
    notifications.event(question("u", "vendor/unknown", {}))
    assert answer_to(server, "u").message["error"]["code"] == -32601
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_each_question_goes_to_the_call_on_whose_stream_it_came(web):
    """On pipes this cannot be told. Here it can: a stateless host must find each question in the answer to the right call."""
    server = web.remote()
    host = web.host(NEW)
    calls = {}
    for number in range(4):
        params = {**SLOW, "arguments": {"n": number}}
        calls[number] = (host.post("tools/call", params), params, server.wait_request("tools/call", arguments={"n": number}).events())
    for number in (2, 0, 3, 1):
        calls[number][2].event(question(f"q{number}", params=asked(f"for {number}")))
    for number, (id, params, stream) in calls.items():
        required = host.answer(id)["result"]
        assert required["resultType"] == "input_required"
        ((key, entry),) = required["inputRequests"].items()
        assert entry["params"]["message"].endswith(f"for {number}"), required
        reply = {"action": "accept", "content": {"name": f"{number}"}}
        again = host.post("tools/call", {**params, "inputResponses": {key: reply}, "requestState": required["requestState"]})
        assert answer_to(server, f"q{number}").message["result"] == reply
        stream.event(done(stream, f"{number}"))
        assert host.answer(again)["result"]["content"][0]["text"] == f"{number}"


def test_equal_ids_of_questions_on_different_streams_are_one_too_many(web):
    """Ids are unique in a session, whatever the stream; the second question cannot be told from the first, and harms neither call."""
    server = web.remote()
    host = web.host()
    ids = [host.post("tools/call", {**SLOW, "arguments": {"n": number}}) for number in range(2)]
    streams = [server.wait_request("tools/call", arguments={"n": number}).events() for number in range(2)]
    for number, stream in enumerate(streams):
        stream.event(question("same", params=asked(f"for {number}")))
    _, put = host.question("elicitation/create")
    host.reply(put["id"], {"action": "decline"})
    answer_to(server, "same")
    for number, stream in enumerate(streams):
        stream.event(done(stream, f"{number}"))
    for number, id in enumerate(ids):
        assert host.answer(id)["result"]["content"][0]["text"] == f"{number}"


def test_questions_of_two_servers_with_equal_ids_do_not_meet(web):
    one, two = web.remote("one"), web.remote("two")
    host = web.host()
    ids = {key: host.post("tools/call", {"name": f"{key}__slow", "arguments": {}}) for key in ("one", "two")}
    streams = {server.key: server.wait_request("tools/call", name="slow").events() for server in (one, two)}
    for key, stream in streams.items():
        stream.event(question(1, params=asked(f"of {key}")))
    replies = {}
    position = 0
    for _ in range(2):
        found, put = host.question("elicitation/create", position)
        position = found + 1
        key = put["params"]["message"].rpartition(" ")[2]
        replies[key] = {"action": "accept", "content": {"name": key}}
        assert f"[{key}]" in put["params"]["message"], "who asks is said"
        host.reply(put["id"], replies[key])
    for server in (one, two):
        assert answer_to(server, 1).message["result"] == replies[server.key]
        streams[server.key].event(done(streams[server.key]))
        host.answer(ids[server.key])


def test_many_questions_while_all_places_for_requests_are_taken_are_answered(web):
    """Each call waits for an answer of ours: a client whose connections are all taken by calls could never give it."""
    count = 100
    server = web.remote(entry={"maxConcurrentCalls": count})
    host = web.host()
    ids = [host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}}) for _ in range(count)]
    position = 0
    for number in range(count):
        found, put = host.question("elicitation/create", position)
        position = found + 1
        host.reply(put["id"], {"action": "accept", "content": {"name": f"{number}"}})
    names = {host.answer(id)["result"]["content"][0]["text"] for id in ids}
    assert names == {f"accept {number}" for number in range(count)}
    assert len(server.requests("tools/call")) == count


def test_an_answer_that_is_refused_harms_no_other(web):
    server = web.remote()
    host = web.host()
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    server.on(lambda exchange: exchange.answer(400, b"too late"), where=lambda exchange: exchange.id == "q")
    slow.event(question("q"))
    _, put = host.question("elicitation/create")
    host.reply(put["id"], {"action": "decline"})
    server.wait_answered(answer_to(server, "q"))
    slow.event(done(slow, "went on all the same"))
    assert host.answer(id)["result"]["content"][0]["text"] == "went on all the same"


def test_an_answer_that_meets_a_lost_session_begins_a_new_one(web):
    server = web.remote()
    host = web.host()
    server.wait_request(http="GET")
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    slow.event(question("q"))
    _, put = host.question("elicitation/create")
    start = server.position
    server.on_loop(server.behaviour.forget)
    host.reply(put["id"], {"action": "decline"})
    server.wait_request("initialize", start=start)
    slow.event(done(slow))
    host.answer(id)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert len(server.requests("initialize", start=start)) == 1


def test_a_question_that_the_server_takes_back_is_taken_back_at_the_host(web):
    server = web.remote()
    host = web.host()
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    slow.event(question("q"))
    _, put = host.question("elicitation/create")
    slow.event({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q", "reason": "never mind"}})
    _, told = host.notification("notifications/cancelled")
    assert told["params"]["requestId"] == put["id"]
    slow.event(done(slow))
    host.answer(id)


def test_an_unsolicited_question_reaches_a_host_that_can_be_asked_and_no_other(web):
    server = web.remote()
    host = web.host(OLD)
    stream = server.wait_request(http="GET")
    server.wait_for(lambda entry: stream.status is not None)
    stream.event(question("q", "roots/list", None))
    _, put = host.question("roots/list")
    host.reply(put["id"], ROOTS)
    assert answer_to(server, "q").message["result"] == ROOTS


def test_an_unsolicited_question_for_a_stateless_host_is_refused(web):
    server = web.remote()
    host = web.host(NEW)
    stream = server.wait_request(http="GET")
    server.wait_for(lambda entry: stream.status is not None)
    stream.event(question("q"))
    answer = answer_to(server, "q").message
    assert "error" in answer or answer["result"] == {"action": "cancel"}
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"


# What servers want to hear

def test_a_cancel_is_posted_under_the_id_that_the_server_knows(web):
    server = web.remote()
    host = web.host()
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    host.notify("notifications/cancelled", {"requestId": id, "reason": "no more"})
    cancelled = server.wait_request("notifications/cancelled")
    assert cancelled.params["requestId"] == slow.id
    assert "id" not in cancelled.message
    assert not slow.was_dropped or slow.position < cancelled.position, "to drop the stream is no cancel"
    server.wait_answered(cancelled)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert not [m for m in host.messages() if m.get("id") == id and "method" not in m], "the host gets no answer any more"


def test_a_call_that_takes_too_long_is_cancelled_at_the_server(web):
    server = web.remote(entry={"timeout": "1s"})
    host = web.host()
    id = host.post("tools/call", SLOW)
    result = host.answer(id)["result"]
    assert result["isError"] and result["_meta"]["dev.mcpagg/failure"] == "timedOut"
    cancelled = server.wait_request("notifications/cancelled")
    assert cancelled.params["requestId"] == server.requests("tools/call")[0].id


def test_a_stateless_call_is_cancelled_by_closing_its_stream_and_by_nothing_else(web):
    server = web.stateless()
    host = web.host(NEW)
    for begun in (True, False):
        start = server.position
        id = host.post("tools/call", SLOW)
        slow = server.wait_request("tools/call", start=start, name="slow")
        if begun:
            slow.events()
        host.notify("notifications/cancelled", {"requestId": id})
        server.wait_answered(slow, "dropped")
        assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
        assert not [m for m in host.messages() if m.get("id") == id and "method" not in m]
    assert not server.requests(where=lambda exchange: "cancel" in str(exchange.message.get("method")))


def test_a_stateless_call_that_takes_too_long_is_cancelled_likewise(web):
    server = web.stateless(entry={"timeout": "1s"})
    host = web.host(NEW)
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    assert host.answer(id)["result"]["_meta"]["dev.mcpagg/failure"] == "timedOut"
    server.wait_answered(slow, "dropped")


@pytest.mark.parametrize("host_revision", [OLD, NEW])
@pytest.mark.parametrize("answers", [JSON, EVENTS])
def test_a_stateless_server_gets_what_it_asked_for_in_another_request(web, host_revision, answers):
    server = web.stateless(answers=answers)
    host = web.host(host_revision)
    params = {"name": f"{KEY}__ask", "arguments": {"a": 1.0}}
    reply = {"action": "accept", "content": {"name": "Ö"}}
    id = host.post("tools/call", params)
    if host_revision == OLD:
        _, put = host.question("elicitation/create")
        host.reply(put["id"], reply)
        result = host.answer(id)["result"]
    else:
        required = host.answer(id)["result"]
        (key,) = required["inputRequests"]
        result = host.ask("tools/call", {**params, "inputResponses": {key: reply}, "requestState": required["requestState"]})["result"]
    assert result["content"][0]["text"] == "accept Ö"
    first, second = server.requests("tools/call")
    assert first.id != second.id
    assert second.params["requestState"] == f"state of {first.id}"
    assert second.params["arguments"] == {"a": 1.0}


def test_a_stateless_server_that_sends_a_request_is_refused(web):
    """2026-07-28 forbids it, and there is no way to answer: the call must not hang for it."""
    server = web.stateless()
    host = web.host(NEW)
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    start = server.position
    slow.event(question("q"))
    slow.event({"jsonrpc": "2.0", "id": slow.id, "result": server.behaviour.complete({"content": []})})
    assert host.answer(id)["result"]["content"] == []
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert not server.requests(start=start, where=lambda exchange: "method" not in exchange.message), "answers have no place to go"
    assert not [m for m in host.messages() if m.get("method") == "elicitation/create"]
