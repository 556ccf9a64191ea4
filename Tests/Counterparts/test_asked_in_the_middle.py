"""Elicitation and sampling in the middle of a call, between all revisions: one question, two at once, one after the other; declined,
cancelled, expired, answered under a wrong state; and a server that ends meanwhile. The tool runs once in each."""

import json

import pytest

import bench as tools
from bench import Bench
from pairs import ACCEPTED, FORM, KEY, SAMPLE, SAMPLED, Asking, Pair, able, fake, question
from validation import HANDSHAKE_REVISIONS, REVISIONS, STATELESS

PAIRS = [(host, server) for host in REVISIONS for server in REVISIONS]
FORMS = ("elicitation/create", FORM, ACCEPTED)
SAMPLES = ("sampling/createMessage", SAMPLE, SAMPLED)
SECOND_FORM = {**FORM, "message": "And then?"}
SECOND_SAMPLE = {**SAMPLE, "maxTokens": 6}


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"host_{pair[0]}_server_{pair[1]}")
def shared(request, tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("pair"))
    yield Pair(bench, *request.param)
    problems = bench.close()
    if problems:
        pytest.fail(f"{len(problems)} problem(s) in this pair:\n" + "\n".join(problems[:20]), pytrace=False)


@pytest.fixture
def pair(shared):
    """Whatever a test asks, its tool has run once."""
    before = shared.executions()["begun"]
    yield shared
    assert shared.executions()["begun"] == before + 1


def has_forms(pair):
    return min(pair.host_revision, pair.server_revision) >= "2025-06-18"


def refused(pair, call, count=1):
    """Without a form in one of the revisions. The tool goes on with what it is told instead."""
    entries = call.entries()
    assert [entry["error"]["code"] for entry in entries] == [-32601] * count
    assert call.was_asked() == []


KINDS = pytest.mark.parametrize("kind", ["elicitation", "sampling"])


def both(kind):
    """Two questions of the kind, and their answers."""
    if kind == "elicitation":
        return [("elicitation/create", FORM), ("elicitation/create", SECOND_FORM)], [ACCEPTED, {"action": "accept", "content": {"name": "2"}}]
    return [("sampling/createMessage", SAMPLE), ("sampling/createMessage", SECOND_SAMPLE)], [SAMPLED, {**SAMPLED, "model": "2"}]


def is_asked_first(asked):
    return asked.params.get("maxTokens") == SAMPLE["maxTokens"] or FORM["message"] in asked.params.get("message", "")


@KINDS
def test_one_question(pair, kind):
    [(method, params), _], [answer, _] = both(kind)
    call = pair.begin_questions((method, params))
    if kind == "elicitation" and not has_forms(pair):
        return refused(pair, call)
    [asked] = call.asked()
    assert asked.method == method and is_asked_first(asked)
    call.reply((asked, answer))
    assert call.entries() == [{"result": answer}]


@KINDS
def test_two_at_once(pair, kind):
    questions, answers = both(kind)
    call = pair.begin_questions(*questions)
    if kind == "elicitation" and not has_forms(pair):
        return refused(pair, call, 2)
    asked = sorted(call.asked(2), key=is_asked_first, reverse=True)
    assert [is_asked_first(each) for each in asked] == [True, False]
    call.reply(*reversed(list(zip(asked, answers, strict=True))))
    assert call.entries() == [{"result": answer} for answer in answers]


def test_a_form_and_a_sample_at_once_are_answered_one_by_one(pair):
    """What is not answered is asked again, and only that."""
    call = pair.begin_questions(("elicitation/create", FORM), ("sampling/createMessage", SAMPLE))
    count = 2 if has_forms(pair) else 1
    asked = {each.method: each for each in call.asked(count)}
    if has_forms(pair):
        call.reply((asked["elicitation/create"], ACCEPTED))
        if pair.is_stateless:
            [asked["sampling/createMessage"]] = call.asked()
    assert asked["sampling/createMessage"].method == "sampling/createMessage"
    call.reply((asked["sampling/createMessage"], SAMPLED))
    form, sample = call.entries()
    assert sample == {"result": SAMPLED}
    assert form == {"result": ACCEPTED} if has_forms(pair) else form["error"]["code"] == -32601


@KINDS
def test_one_after_the_other(pair, kind):
    questions, answers = both(kind)
    call = pair.begin_questions(*questions, sequence=True)
    if kind == "elicitation" and not has_forms(pair):
        return refused(pair, call, 2)
    for position, answer in enumerate(answers):
        [asked] = call.asked()
        assert is_asked_first(asked) == (position == 0)
        call.reply((asked, answer))
    assert call.entries() == [{"result": answer} for answer in answers]
    assert len(set(call.states)) == len(call.states) == (2 if pair.is_stateless else 0), "each state is good for one request"


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_form_that_is_not_filled_in(pair, action):
    call = pair.begin_questions(("elicitation/create", FORM))
    if not has_forms(pair):
        return refused(pair, call)
    [asked] = call.asked()
    call.reply((asked, {"action": action}))
    assert call.entries() == [{"result": {"action": action}}]


@KINDS
def test_a_host_answers_with_an_error(pair, kind):
    """A host of the handshake era can say so; one of 2026-07-28 can bring results alone."""
    [(method, params), _], [answer, _] = both(kind)
    call = pair.begin_questions((method, params))
    if kind == "elicitation" and not has_forms(pair):
        return refused(pair, call)
    [asked] = call.asked()
    if pair.is_stateless:
        call.reply((asked, answer))
        assert call.entries() == [{"result": answer}]
        return
    error = {"code": -1, "message": "User rejected", "data": {"a": None}}
    pair.host.reply(asked.handle, error=error)
    if not pair.server_is_stateless:
        assert call.entries() == [{"error": error}]
    elif kind == "elicitation":
        assert call.entries() == [{"result": {"action": "cancel"}}], "an error cannot be brought there"
    else:
        assert call.answer()["error"] == error, "nor anything in its place"


# The host cancels


def test_the_host_cancels_while_it_is_asked(pair):
    before = pair.executions()
    received = pair.got()
    call = pair.begin_questions(("sampling/createMessage", SAMPLE), text="never seen")
    [asked] = call.asked()
    if pair.is_stateless:
        # Its request has been answered; a cancellation of that means nothing.
        pair.host.notify("notifications/cancelled", {"requestId": call.id})
        if pair.server_is_stateless:
            call.reply((asked, SAMPLED))
            assert pair.complete(call.answer())["content"][0]["text"] == "never seen"
            return
        # While it waits again, it does. Written together, or the second question might be out before.
        id = pair.host.next_id()
        retry = pair.host.request(call.method, call.retry_params({}), id)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": "enough"}}
        pair.host.send(json.dumps(retry).encode() + b"\n" + json.dumps(cancel).encode())
    else:
        id = call.id
        pair.host.notify("notifications/cancelled", {"requestId": id, "reason": "enough"})
        _, told = pair.host.notification("notifications/cancelled", call.position)
        assert told["params"]["requestId"] == asked.handle, "it need not answer any more"
    after = pair.executions()
    # At a stateless server nothing is at work that could be cancelled.
    assert after["cancelled"] == before["cancelled"] + (0 if pair.server_is_stateless else 1)
    assert after["finished"] == before["finished"]
    if not pair.server_is_stateless:
        [cancelled] = pair.received("notifications/cancelled", received)
        [asked_there] = [m for m in pair.received("tools/call", received) if m["params"]["name"] == "ask"]
        assert cancelled["params"]["requestId"] == asked_there["id"]
    assert [m for m in pair.host.messages(call.position) if m.get("id") == id and "method" not in m] == []
    # What comes late does no harm.
    if pair.is_stateless:
        call.reply((asked, SAMPLED))
        assert call.answer()["error"]["code"] == -32602
    else:
        pair.host.reply(asked.handle, SAMPLED)
    pair.barrier()


# Prompts and resources


@pytest.mark.parametrize("method", ["prompts/get", "resources/read"])
def test_in_the_middle_of_a_prompt_or_a_read(shared, method):
    pair = shared
    if method == "prompts/get":
        params, counter = {"name": pair.name("ask")}, "prompt ask"
    else:
        params, counter = {"uri": pair.uri("ask")}, f"resource {pair.uri('ask')}"
    before = pair.executions(counter)["begun"]
    call = Asking(pair, method, params)
    if has_forms(pair):
        [asked] = call.asked()
        call.reply((asked, ACCEPTED))
    result = call.result()
    text = result["messages"][0]["content"]["text"] if method == "prompts/get" else result["contents"][0]["text"]
    entry = json.loads(text)
    assert entry == {"result": ACCEPTED} if has_forms(pair) else entry["error"]["code"] == -32601
    assert pair.executions(counter)["begun"] == before + 1


# The state of a stateless host's call


def of_stateless_hosts(test):
    return pytest.mark.parametrize("shared", [(STATELESS, server) for server in REVISIONS], indirect=True, ids=REVISIONS)(test)


@of_stateless_hosts
def test_a_state_is_good_for_one_request(pair):
    call = pair.begin_questions(("sampling/createMessage", SAMPLE))
    [asked] = call.asked()
    call.reply((asked, SAMPLED))
    assert call.entries() == [{"result": SAMPLED}]
    call.reply((asked, SAMPLED))
    assert call.answer()["error"]["code"] == -32602


@of_stateless_hosts
@pytest.mark.parametrize("state", ["mcpagg-nothing", "nothing", "", "s:99:0"])
def test_an_unknown_state(pair, state):
    call = pair.begin_questions(("sampling/createMessage", SAMPLE))
    [asked] = call.asked()
    known, call.state = call.state, state
    call.reply((asked, SAMPLED))
    assert call.answer()["error"]["code"] == -32602
    call.state = known
    call.reply((asked, SAMPLED))
    assert call.entries() == [{"result": SAMPLED}]


@of_stateless_hosts
@pytest.mark.parametrize("difference", ["arguments", "no arguments", "tool", "method"])
def test_a_state_of_another_request(pair, difference):
    call = pair.begin_questions(("sampling/createMessage", SAMPLE))
    [asked] = call.asked()
    right = call.method, call.params
    if difference == "arguments":
        call.params = {**call.params, "arguments": {**call.params["arguments"], "text": "other"}}
    elif difference == "no arguments":
        call.params = {name: value for name, value in call.params.items() if name != "arguments"}
    elif difference == "tool":
        call.params = {**call.params, "name": pair.name("nested")}
    else:
        call.method, call.params = "prompts/get", {"name": pair.name("ask")}
    others = [pair.executions(counter)["begun"] for counter in ("nested", "prompt ask")]
    call.reply((asked, SAMPLED))
    assert call.answer()["error"]["code"] == -32602
    assert others == [pair.executions(counter)["begun"] for counter in ("nested", "prompt ask")], "the other one is not run either"
    call.method, call.params = right
    call.reply((asked, SAMPLED))
    assert call.entries() == [{"result": SAMPLED}]


@pytest.mark.parametrize("first, second", [(first, second) for first in (STATELESS, "2025-11-25") for second in (STATELESS, "2025-11-25")])
def test_a_state_of_another_server(bench, first, second):
    """Two servers with the same tool and the same arguments."""
    servers = {key: fake(bench, revision, key) for key, revision in (("one", first), ("two", second))}
    host = bench.host(bench.config(), STATELESS, **able(STATELESS))
    host.tools()
    arguments = {"questions": [question("sampling/createMessage", SAMPLE)]}

    def executions(key):
        return json.loads(host.text(f"{key}__executions", {"only": "ask"}))["ask"]["begun"]

    params = {"name": "one__ask", "arguments": arguments}
    asked = host.ask("tools/call", params)["result"]
    more = {"inputResponses": {key: SAMPLED for key in asked["inputRequests"]}, "requestState": asked["requestState"]}
    assert host.ask("tools/call", {**params, "name": "two__ask", **more})["error"]["code"] == -32602
    assert [executions(key) for key in servers] == [1, 0]
    result = host.ask("tools/call", {**params, **more})["result"]
    assert json.loads(result["content"][0]["text"]) == {"answers": [{"result": SAMPLED}], "executions": 1}


# Time


@pytest.mark.parametrize("server", HANDSHAKE_REVISIONS)
def test_a_stateless_host_that_does_not_come_back(bench, server):
    pair = Pair(bench, STATELESS, server, inputWait="1s")
    questions = [("sampling/createMessage", SAMPLE)] + ([("elicitation/create", FORM)] if has_forms(pair) else [])
    received = pair.got()
    call = pair.begin_questions(*questions)
    asked = call.asked(len(questions))
    _, ended = pair.server.wait_for("notifications/cancelled", received)
    [there] = [m for m in pair.received("tools/call", received) if m["params"]["name"] == "ask"]
    assert ended["params"]["requestId"] == there["id"]
    answers = [m for m in map(tools.parsed, pair.server.received.lines[received:]) if "method" not in m]
    assert len([m for m in answers if "error" in m]) == 1, "the sample"
    assert [m["result"] for m in answers if "result" in m] == [{"action": "cancel"}] * (len(questions) - 1)
    call.reply(*[(each, SAMPLED if each.method == "sampling/createMessage" else ACCEPTED) for each in asked])
    assert call.answer()["error"]["code"] == -32602
    assert pair.executions() == {"begun": 1, "finished": 0, "cancelled": 1}


@pytest.mark.parametrize("host", REVISIONS)
def test_everybody_else_may_take_any_time(bench, host):
    """`inputWait` is for calls that wait in mcpagg. That it is over is seen from such a call, which begins last."""
    servers = {f"s{number}": revision for number, revision in enumerate(REVISIONS) if STATELESS in (revision,) or host != STATELESS}
    for key, revision in servers.items():
        fake(bench, revision, key)
    clock = fake(bench, "2025-11-25", "clock")
    asking = bench.host(bench.config(inputWait="1s"), host, **able(host))
    asking.tools()
    arguments = {"questions": [question("sampling/createMessage", SAMPLE)]}
    ids = {key: asking.post("tools/call", {"name": f"{key}__ask", "arguments": arguments}) for key in servers}
    if host == STATELESS:
        asked = {key: asking.answer(id)["result"] for key, id in ids.items()}
    else:
        position, handles = 0, []
        while len(handles) < len(ids):
            position, message = asking.question("sampling/createMessage", position)
            position += 1
            handles.append(message["id"])
    asking.envelope = tools.envelope(able(STATELESS))
    assert asking.ask("tools/call", {"name": "clock__ask", "arguments": arguments})["result"]["resultType"] == "input_required"
    clock.wait_for("notifications/cancelled")
    if host == STATELESS:
        for key, result in asked.items():
            more = {"inputResponses": {name: SAMPLED for name in result["inputRequests"]}, "requestState": result["requestState"]}
            ids[key] = asking.post("tools/call", {"name": f"{key}__ask", "arguments": arguments, **more})
    else:
        for handle in handles:
            asking.reply(handle, SAMPLED)
    for id in ids.values():
        answer = asking.answer(id)["result"]
        assert json.loads(answer["content"][0]["text"]) == {"answers": [{"result": SAMPLED}], "executions": 1}


# Servers that end


@pytest.mark.parametrize("host, server", PAIRS, ids=lambda revision: revision)
def test_a_server_that_ends_while_the_host_is_asked(bench, host, server):
    pair = Pair(bench, host, server)
    call = pair.begin_questions(("sampling/createMessage", SAMPLE), thenExitMs=50)
    [asked] = call.asked()
    first = "server/discover" if pair.server_is_stateless else "initialize"
    if not pair.is_stateless and not pair.server_is_stateless:
        result = call.result()
        assert pair.host.notification("notifications/cancelled", call.position)[1]["params"]["requestId"] == asked.handle
        assert result["isError"] is True and f"'{KEY}'" in result["content"][0]["text"]
    # It is started again, so mcpagg has noticed.
    wanted = lambda line: tools.parsed(line).get("method") == first  # noqa: E731
    position, _ = pair.server.received.wait_for(wanted, tools.PATIENCE)
    before = [m for m in map(tools.parsed, pair.server.received.lines) if m.get("method") == "tools/call"]
    pair.server.received.wait_for(wanted, tools.PATIENCE, position + 1)
    pair.host.tools()
    if pair.is_stateless or pair.server_is_stateless:
        call.reply((asked, SAMPLED))
        answer = call.answer()
        # A server of 2026-07-28 knows the state itself, and this one does not any more.
        if "error" in answer:
            assert pair.server_is_stateless and answer["error"]["code"] in (-32602, -32603), answer
        else:
            assert answer["result"]["isError"] is True
            assert "effects" in answer["result"]["content"][0]["text"], "whether it did anything is not known"
    assert pair.executions()["begun"] == 0, "the new process has not run it"
    assert len([m for m in before if m["params"]["name"] == "ask"]) == 1
