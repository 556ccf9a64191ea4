"""2026-07-28 over HTTP: errors that are between mcpagg and the server, subscriptions, and what is said in the middle of a request."""

import asyncio
import time

import pytest

from bench import PATIENCE
from http_bench import KEY, NEW, OLD
from http_mcp import text, tool
from http_server import hold, status
from http_wire import EVENTS, JSON
from pairs import able
from validation import CAPABILITIES, LOG_LEVEL, SUBSCRIPTION

HOSTS = [OLD, NEW]
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
SLOW = {"name": f"{KEY}__slow", "arguments": {}}
MISMATCH, LACKS, UNSUPPORTED = -32020, -32021, -32022
PRIVATE = (MISMATCH, UNSUPPORTED)


def mismatch(exchange) -> None:
    exchange.error(MISMATCH, "Mcp-Param-Region is missing", status=400)


def too_old(exchange) -> None:
    exchange.error(UNSUPPORTED, "too old", {"supported": ["2031-01-01"], "requested": NEW}, status=400)


def parameters(exchange) -> dict[str, str]:
    return {name[len("Mcp-Param-") :]: value for name, value in exchange.request.headers if name.lower().startswith("mcp-param-")}


# Headers that do not fit (-32020)

@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_call_whose_headers_do_not_fit_is_made_again_after_the_list_was_read_again(web, host_revision):
    server = web.stateless(tools=[tool("query", {"region": {"type": "string"}})])
    host = web.host(host_revision)
    # The server has changed meanwhile, and nobody was told.
    server.behaviour.tools = [tool("query", {"region": {"type": "string", "x-mcp-header": "Region"}})]
    start = server.position
    result = host.ask("tools/call", {"name": f"{KEY}__query", "arguments": {"region": "north"}})
    assert "result" in result, result
    first, second = server.requests("tools/call", start=start)
    assert (parameters(first), parameters(second)) == ({}, {"Region": "north"})
    (listed,) = server.requests("tools/list", start=start)
    assert first.position < listed.position < second.position
    assert first.id != second.id
    host.call(f"{KEY}__query", {"region": "south"})
    assert len(server.requests("tools/call", start=start)) == 3, "from now on it is known"


@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_that_is_never_content_is_asked_twice(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    server.on(mismatch, "tools/call", times=None)
    answer = host.ask("tools/call", ECHO)
    assert answer["error"]["code"] == -32603, "whose headers they are is none of the host's business"
    assert len(server.requests("tools/call")) == 2
    assert host.ask("tools/call", ECHO)["error"]["code"] == -32603, "and it stays so"
    assert len(server.requests("tools/call")) == 4


@pytest.mark.parametrize("host_revision", HOSTS)
def test_many_calls_whose_headers_do_not_fit_read_the_list_once(web, host_revision):
    server = web.stateless(tools=[tool("query", {"region": {"type": "string"}})])
    host = web.host(host_revision)
    held = []
    server.on(held.append, "tools/call", times=20)
    ids = [host.post("tools/call", {"name": f"{KEY}__query", "arguments": {"region": f"r{number}"}}) for number in range(20)]
    server.wait_for(lambda entry: len(held) == 20)
    server.behaviour.tools = [tool("query", {"region": {"type": "string", "x-mcp-header": "Region"}})]
    start = server.position
    for exchange in held:
        mismatch(exchange)
    for id in ids:
        assert "result" in host.answer(id)
    assert len(server.requests("tools/list", start=start)) <= 2
    assert len(server.requests("tools/call", start=start)) == 20


@pytest.mark.parametrize("method, params", [("prompts/get", {"name": f"{KEY}__greet"}), ("resources/read", {"uri": "memo://one"})])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_prompts_and_resources_are_asked_for_again_likewise(web, host_revision, method, params):
    server = web.stateless()
    host = web.host(host_revision)
    server.on(mismatch, method)
    assert "result" in host.ask(method, params)
    assert len(server.requests(method)) == 2
    server.on(mismatch, method, times=None)
    assert host.ask(method, params)["error"]["code"] == -32603


def test_calls_in_flight_are_not_touched_by_it(web):
    server = web.stateless()
    host = web.host(NEW)
    id = host.post("tools/call", SLOW)
    slow = server.wait_request("tools/call", name="slow").events()
    server.on(mismatch, "tools/call", name="echo")
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    slow.event({"jsonrpc": "2.0", "id": slow.id, "result": server.behaviour.complete(text("slow, but there"))})
    assert host.answer(id)["result"]["content"][0]["text"] == "slow, but there"
    assert not slow.was_dropped


# Versions (-32022), capabilities (-32021), methods (404)

@pytest.mark.parametrize("host_revision", HOSTS)
def test_an_answer_is_read_in_the_terms_of_its_request_while_the_server_is_got_to_know_anew(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    start = server.position
    server.on(hold, "tools/call", name="ask")
    asked = host.post("tools/call", {"name": f"{KEY}__ask", "arguments": {}})
    early = server.wait_request("tools/call", start=start, name="ask")
    server.on(too_old, "tools/call", name="echo")
    server.on(hold, "server/discover")
    host.post("tools/call", ECHO)
    again = server.wait_request("server/discover", start=start)
    # Nothing is known of the server now; what it is asked for is still a question.
    server.behaviour.ask_stateless(early)
    if host_revision == OLD:
        _, question = host.question("elicitation/create")
        host.reply(question["id"], {"action": "decline"})
        server.behaviour(again)
        assert "result" in host.answer(asked)
    else:
        assert host.answer(asked)["result"]["resultType"] == "input_required"
        server.behaviour(again)


def test_a_server_that_does_not_speak_the_version_any_more_is_got_to_know_again(web):
    server = web.stateless()
    host = web.host(NEW)
    start = server.position
    server.on(lambda exchange: exchange.error(UNSUPPORTED, "not now", {"supported": [NEW], "requested": NEW}, status=400), "tools/call")
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    server.wait_request("server/discover", start=start)
    assert len(server.requests("tools/call", start=start)) == 2


def test_a_server_that_went_back_to_the_handshake_is_followed(web):
    server = web.stateless()
    host = web.host(NEW)

    def refuse(exchange) -> None:
        exchange.error(UNSUPPORTED, "handshake only", {"supported": [OLD], "requested": NEW}, status=400)

    server.behaviour.eras = ("handshake",)
    for method in ("tools/call", "server/discover"):
        server.on(refuse, method, times=None, where=lambda exchange: exchange.request.header("Mcp-Method") is not None)
    start = server.position
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    server.wait_request("initialize", start=start)


@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_server_of_a_version_to_come_is_no_riddle_for_the_host(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    server.on(too_old, times=None)
    answer = host.ask("tools/call", ECHO)
    said = str(answer)
    assert answer.get("error", {}).get("code") not in PRIVATE, answer
    assert "too old" in said or "2031-01-01" in said, said
    assert len(server.requests("tools/call")) <= 2


def test_a_server_of_versions_to_come_alone_is_down_and_says_so(web):
    server = web.stateless()
    server.on(too_old, times=None)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4 and "too old" in done.stdout, done.stdout


def test_a_host_that_lacks_what_the_server_needs_is_told_so(web):
    web.stateless()
    host = web.bench.host(web.bench.config(), NEW)  # without any capability
    host.tools()
    error = host.ask("tools/call", {"name": f"{KEY}__ask", "arguments": {}})["error"]
    assert (error["code"], error["data"]) == (LACKS, {"requiredCapabilities": {"elicitation": {}}})


def test_a_handshake_host_gets_it_as_a_text(web):
    web.stateless()
    host = web.bench.host(web.bench.config(), OLD)
    host.tools()
    error = host.ask("tools/call", {"name": f"{KEY}__ask", "arguments": {}})["error"]
    assert error["code"] == -32603 and "elicitation" in error["message"]


@pytest.mark.parametrize("host_revision", HOSTS)
def test_each_request_says_what_the_host_can_do(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    host.ask("tools/call", ECHO)
    said = server.requests("tools/call")[0].params["_meta"][CAPABILITIES]
    assert set(said) == set(able(host_revision))


@pytest.mark.parametrize("host_revision", HOSTS)
def test_404_with_method_not_found_is_an_answer(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    server.on(lambda exchange: exchange.error(-32601, "Method not found", status=404), "completion/complete", times=None)
    start = server.position
    argument = {"name": "name", "value": "A"}
    answer = host.ask("completion/complete", {"ref": {"type": "ref/prompt", "name": f"{KEY}__greet"}, "argument": argument})
    assert answer.get("error", {}).get("code") == -32601 or answer["result"]["completion"]["values"] == []
    assert host.text(f"{KEY}__echo", {"text": "goes on"}) == "goes on"
    assert not server.requests("initialize", start=start) and not server.requests("server/discover", start=start)


def test_lists_that_the_server_does_not_have_are_no_fault(web):
    server = web.stateless()
    for method in ("prompts/list", "resources/list", "resources/templates/list"):
        server.on(lambda exchange: exchange.error(-32601, "Method not found", status=404), method, times=None)
    assert web.host(NEW).text(f"{KEY}__echo", {"text": "works"}) == "works"


def test_a_session_that_is_offered_is_not_taken(web):
    server = web.stateless()
    offer = (("Mcp-Session-Id", "do-not-use"),)
    server.on(lambda exchange: exchange.result(server.behaviour.complete(text("x")), offer), "tools/call", times=None)
    host = web.host(NEW)
    host.ask("tools/call", ECHO)
    host.ask("tools/call", ECHO)
    assert not server.requests(where=lambda exchange: exchange.request.header("Mcp-Session-Id") is not None)


def test_requests_in_flight_have_ids_of_their_own(web):
    server = web.stateless(entry={"maxConcurrentCalls": 50})
    host = web.host(NEW)
    ids = [host.post("tools/call", SLOW) for _ in range(50)]
    server.wait_for(lambda entry: len(server.requests("tools/call", name="slow")) == 50)
    calls = server.requests("tools/call", name="slow")
    assert len({exchange.id for exchange in calls}) == 50
    for exchange in calls:
        exchange.result(server.behaviour.complete(text("x")))
    for id in ids:
        host.answer(id)


# In the middle of a request

@pytest.mark.parametrize("host_revision", HOSTS)
def test_progress_and_logs_of_a_request_come_on_its_stream(web, host_revision):
    server = web.stateless()
    host = web.host(host_revision)
    meta = {"progressToken": "t"}
    if host_revision == OLD:
        host.ask("logging/setLevel", {"level": "info"})
    else:
        meta[LOG_LEVEL] = "info"

    def handler(exchange) -> None:
        assert exchange.params["_meta"][LOG_LEVEL] == "info"
        token = exchange.params["_meta"]["progressToken"]
        exchange.events()
        exchange.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 0.5}})
        exchange.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "debug", "data": "too much"}})
        exchange.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "enough"}})
        exchange.result(server.behaviour.complete(text("done")))

    server.on(handler, "tools/call")
    start = len(host.out.lines)
    host.ask("tools/call", {**ECHO, "_meta": meta})
    said = [(m["method"], m["params"].get("progress", m["params"].get("data"))) for m in host.messages(start) if "method" in m]
    assert said == [("notifications/progress", 0.5), ("notifications/message", "enough")]


# Subscriptions

def listen_of(server, start: int = 0):
    listen = server.wait_request("subscriptions/listen", start=start)
    server.wait_for(lambda entry: entry.exchange is listen and entry.kind == "message")
    return listen


def change(listen, kind: str = "tools") -> None:
    meta = {"_meta": {SUBSCRIPTION: listen.id}}
    listen.event({"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed", "params": meta})


def listening(web, host_revision):
    """A host that hears of changes, and the stream on which mcpagg does."""
    server = web.stateless()
    host = web.host(host_revision)
    if host_revision == NEW:
        host.post("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        host.notification("notifications/subscriptions/acknowledged")
    return server, host, listen_of(server)


def hears_of_a_change(server, host, listen) -> None:
    server.behaviour.tools = server.behaviour.tools[:-1]
    start = len(host.out.lines)
    change(listen)
    host.notification("notifications/tools/list_changed", start)
    assert len(host.tool_names()) == len(server.behaviour.tools)


@pytest.mark.parametrize("host_revision", HOSTS)
def test_changes_are_heard_of_on_one_subscription(web, host_revision):
    server, host, listen = listening(web, host_revision)
    hears_of_a_change(server, host, listen)
    assert len([each for each in server.behaviour.listens if not each.is_over]) == 1


def test_a_list_that_is_read_again_may_be_kept_as_before_until_there_is_another(web):
    def prompts(exchange, name: str, milliseconds: int, scope: str) -> None:
        exchange.result(server.behaviour.complete({"prompts": [{"name": name}], "ttlMs": milliseconds, "cacheScope": scope}))

    def kept() -> tuple[int, str]:
        result = host.ask("prompts/list")["result"]
        return result["ttlMs"], result["cacheScope"]

    server = web.stateless()
    server.on(lambda exchange: prompts(exchange, "greeting", 60_000, "public"), "prompts/list")
    host = web.host(NEW)
    host.post("subscriptions/listen", {"notifications": {"toolsListChanged": True, "promptsListChanged": True}})
    listen = listen_of(server)
    assert kept() == (60_000, "public")
    server.on(hold, "prompts/list")
    start = server.position
    change(listen, "prompts")
    reading = server.wait_request("prompts/list", start=start)
    # Another list is, and all are merged anew.
    hears_of_a_change(server, host, listen)
    assert kept() == (60_000, "public")
    prompts(reading, "greeting", 5, "private")
    deadline = time.monotonic() + PATIENCE
    while kept() != (5, "private"):
        assert time.monotonic() < deadline, "the prompt is the same, and yet the list is another"
    # One that cannot be read says nothing.
    server.on(lambda exchange: exchange.result(server.behaviour.complete({"ttlMs": 7, "cacheScope": "public"})), "prompts/list")
    start, line = server.position, len(host.err.lines)
    change(listen, "prompts")
    server.wait_request("prompts/list", start=start)
    host.err.wait_for(lambda line: b"prompts/list" in line, PATIENCE, line)
    hears_of_a_change(server, host, listen)
    assert kept() == (5, "private")


@pytest.mark.parametrize("how", ["cut", "close", "end"])
@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_subscription_that_is_lost_is_made_again(web, host_revision, how):
    server, host, listen = listening(web, host_revision)
    getattr(listen, how)()
    again = listen_of(server, server.wait_answered(listen) and listen.position + 1)
    assert again.id != listen.id and again.params["notifications"] == listen.params["notifications"]
    assert again.request.header("Last-Event-ID") is None
    hears_of_a_change(server, host, again)


@pytest.mark.parametrize("host_revision", HOSTS)
def test_a_subscription_that_the_server_ends_is_made_again(web, host_revision):
    server, host, listen = listening(web, host_revision)
    end = server.behaviour.complete({})
    end["_meta"][SUBSCRIPTION] = listen.id
    listen.result(end)
    hears_of_a_change(server, host, listen_of(server, listen.position + 1))


def test_changes_that_nobody_could_tell_of_are_found_when_it_is_made_again(web):
    server, host, listen = listening(web, OLD)
    server.behaviour.tools = server.behaviour.tools[:2]
    start = len(host.out.lines)
    listen.cut()
    listen_of(server, listen.position + 1)
    host.notification("notifications/tools/list_changed", start)
    assert host.tool_names() == [f"{KEY}__echo", f"{KEY}__add"]


def test_a_server_that_ends_every_subscription_is_not_asked_without_pause(web):
    server = web.stateless()
    server.on(lambda exchange: (exchange.events(), exchange.cut()), "subscriptions/listen", times=None)
    host = web.host(OLD)
    server.wait_for(lambda entry: len(server.requests("subscriptions/listen")) >= 4)
    times = [server.log[listen.position].time for listen in server.requests("subscriptions/listen")]
    assert times[3] - times[0] >= 0.3, times
    assert host.text(f"{KEY}__echo", {"text": "works"}) == "works"


@pytest.mark.parametrize("handler", [lambda exchange: exchange.error(-32601, "Method not found", status=404), status(405), status(501)])
def test_a_server_without_subscriptions_works_without_them(web, handler):
    server = web.stateless()
    server.on(handler, "subscriptions/listen", times=None)
    host = web.host(OLD)
    for number in range(5):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    assert len(server.requests("subscriptions/listen")) <= 3


def test_a_resource_that_the_host_listens_to_is_listened_to_at_the_server(web):
    server, host, first = listening(web, OLD)
    host.ask("resources/subscribe", {"uri": "memo://one"})
    has_resource = lambda exchange: "memo://one" in exchange.params["notifications"].get("resourceSubscriptions", [])  # noqa: E731
    listen = server.wait_request("subscriptions/listen", where=has_resource)
    server.wait_for(lambda entry: entry.exchange is listen and entry.kind == "message")
    # The filter of a stream cannot be changed: the new one is there before the old one is let go.
    server.wait_answered(first, "dropped", "end")
    assert listen.params["notifications"]["toolsListChanged"] is True
    start = len(host.out.lines)
    params = {"uri": "memo://one", "_meta": {SUBSCRIPTION: listen.id}}
    listen.event({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})
    assert host.notification("notifications/resources/updated", start)[1]["params"]["uri"] == "memo://one"
    listen.cut()
    again = listen_of(server, listen.position + 1)
    assert again.params["notifications"] == listen.params["notifications"]


def test_a_change_that_is_told_on_the_subscription_before_is_not_missed(web):
    """The acknowledgement of the next one overtakes it, on another connection."""
    server, host, first = listening(web, OLD)

    async def follow(exchange):
        server.behaviour.listen(exchange)
        server.behaviour.tools = server.behaviour.tools[:1]
        await asyncio.sleep(0.02)  # the acknowledgement is there by then
        change(first)

    server.on(follow, "subscriptions/listen")
    start = len(host.out.lines)
    host.ask("resources/subscribe", {"uri": "memo://one"})
    host.notification("notifications/tools/list_changed", start)
    assert host.tool_names() == [f"{KEY}__echo"]
    server.wait_answered(first, "dropped")


def test_subscriptions_that_change_a_lot_leave_room_for_calls(web):
    server, host, _ = listening(web, OLD)
    for number in range(100):
        host.ask("resources/subscribe", {"uri": f"memo://{number}"})
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    server.wait_for(lambda entry: len([each for each in server.behaviour.listens if not each.is_over]) == 1)


def test_subscriptions_take_no_places_of_calls(web):
    server, host, listen = listening(web, NEW)
    assert not listen.is_over
    for number in range(100):
        assert host.text(f"{KEY}__echo", {"text": f"{number}"}) == f"{number}"
    assert not listen.is_over


@pytest.mark.parametrize("answers", [JSON, EVENTS])
def test_the_end_closes_the_subscription_and_says_nothing(web, answers):
    server = web.stateless(answers=answers)
    host = web.host(OLD)
    listen = listen_of(server)
    start = server.position
    assert host.end() == 0
    server.wait_answered(listen, "dropped")
    assert not server.requests(start=start)
