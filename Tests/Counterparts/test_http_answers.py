"""Every form in which an HTTP server may answer: JSON and streams of events, whole, in pieces, and in odd shapes."""

import json
import time

import pytest

import bench as tools
from http_bench import KEY, NEW, OLD
from http_server import Handler, hold, status
from http_wire import EVENTS, JSON
from validation import META

ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
FAILURE = "dev.mcpagg/failure"


def answer(exchange, text: str = "right", **more) -> dict:
    return {"jsonrpc": "2.0", "id": exchange.id, "result": {"content": [{"type": "text", "text": text}], **more}}


def as_json(body, content_type: str = JSON) -> Handler:
    """Answers with what `body` makes of the exchange."""

    def handler(exchange) -> None:
        whole = body(exchange)
        exchange.answer(200, whole if isinstance(whole, bytes) else json.dumps(whole).encode(), content_type)

    return handler


def as_events(stream, content_type: str = EVENTS, framing: str = "chunked", size: int | None = None) -> Handler:
    """Answers with a stream of events, in pieces of `size`."""

    def handler(exchange) -> None:
        body = stream(exchange)
        length = (("Content-Length", str(len(body))),) if framing == "length" else ()
        exchange.head(200, (("Content-Type", content_type), *length), framing)
        for start in range(0, len(body), size or len(body)):
            exchange.part(body[start : start + (size or len(body))])
        exchange.end()

    return handler


def echo(host, text: str = "right") -> None:
    assert host.ask("tools/call", ECHO)["result"]["content"][0]["text"] == text


# Streams of events (WHATWG HTML, 9.2.6)

SHAPES = {
    "LF": b"data: %s\n\n",
    "CR": b"data: %s\r\r",
    "CRLF": b"data: %s\r\n\r\n",
    "endings of all kinds": b": a\r: b\n: c\r\ndata: %s\r\n\n",
    "no space": b"data:%s\n\n",
    "a byte order mark": b"\xef\xbb\xbfdata: %s\n\n",
    "a byte order mark before a comment": b"\xef\xbb\xbf: hi\n\ndata: %s\n\n",
    "comments": b": hello\n:\n:: keep-alive\n\ndata: %s\n: more\n\n",
    "the name of a message": b"event: message\ndata: %s\n\n",
    "the name after the data": b"data: %s\nevent: message\n\n",
    "other events": b'event: ping\ndata: {}\n\nevent: endpoint\ndata: /elsewhere\n\nevent: other\ndata: {"jsonrpc":"2.0"}\n\ndata: %s\n\n',
    "an event without data": b"event: other\n\ndata: %s\n\n",
    "fields nobody knows": b"foo: bar\nfoo\nDATA: no\n data: no\ndata: %s\n\n",
    "an id": b"id: 1\ndata: %s\n\n",
    "an id with NUL": b"id: a\0b\ndata: %s\n\n",
    "an empty id": b"id\ndata: %s\n\n",
    "retry": b"retry: 10\ndata: %s\n\n",
    "retry that is no number": b"retry: soon\nretry: -1\nretry: 1.5\nretry\nretry: 99999999999999999999999\ndata: %s\n\n",
    "a primer": b"id: 1\ndata:\n\ndata: %s\n\n",
    "a primer without a colon": b"id: 1\ndata\n\ndata: %s\n\n",
    "a primer of an id alone": b"id: 1\n\ndata: %s\n\n",
    "a primer with a blank": b"id: 1\nretry: 20\ndata: \n\ndata: %s\n\n",
    "blank lines": b"\n\n\r\n\r\rdata: %s\n\n",
    "no JSON before": b"data: hello\n\ndata: %s\n\n",
    "a blank line of data behind": b"data: %s\ndata:\n\n",
    "a blank line of data before": b"data\ndata: %s\n\n",
}


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_events_of_every_shape_are_understood(web, revision):
    server = web.stateless() if revision == NEW else web.remote()
    host = web.host(revision)
    for name, shape in SHAPES.items():
        for size in (None, 1, 2, 3):
            server.on(as_events(lambda e: shape % json.dumps(answer(e, "größer")).encode(), size=size), "tools/call")  # noqa: B023
            result = host.ask("tools/call", ECHO)["result"]
            assert result["content"][0]["text"] == "größer", f"{name} in pieces of {size}"


def test_data_of_several_lines_is_one_message(web):
    server = web.remote()
    host = web.host()
    for ending in (b"\n", b"\r", b"\r\n"):
        def stream(exchange, ending=ending):
            lines = json.dumps(answer(exchange, "größer"), indent=2, ensure_ascii=False).encode().split(b"\n")
            return b"".join(b"data: " + line + ending for line in lines) + ending

        server.on(as_events(stream, size=1), "tools/call")
        echo(host, "größer")


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
@pytest.mark.parametrize("content_type", [EVENTS, EVENTS + ";charset=utf-8", "Text/Event-Stream ; foo=bar"])
def test_streams_are_known_by_their_type_whatever_its_parameters(web, content_type, framing):
    server = web.remote()
    host = web.host()
    stream = lambda exchange: b"data: %s\n\n" % json.dumps(answer(exchange)).encode()  # noqa: E731
    server.on(as_events(stream, content_type, framing), "tools/call", times=3)
    for _ in range(3):
        echo(host)


def test_an_answer_counts_when_it_has_come_not_when_its_stream_ends(web):
    server = web.remote()
    host = web.host()
    server.on(lambda exchange: (exchange.events(), exchange.event(answer(exchange))), "tools/call")
    echo(host)
    call = server.wait_request("tools/call")
    # The server never ends it; nobody waits for that for ever.
    server.wait_answered(call, "dropped")
    assert host.text(f"{KEY}__echo", {"text": "y"}) == "y"


def test_what_is_said_before_the_answer_reaches_the_host_before_it(web):
    server = web.remote()
    host = web.host()
    host.ask("logging/setLevel", {"level": "debug"})
    start = len(host.out.lines)

    def handler(exchange) -> None:
        exchange.events()
        token = exchange.params["_meta"]["progressToken"]
        for number in range(1, 4):
            exchange.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": number}})
            exchange.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": number}})
        exchange.event(answer(exchange))
        exchange.end()

    server.on(handler, "tools/call")
    host.ask("tools/call", {**ECHO, "_meta": {"progressToken": "t"}})
    messages = host.messages(start)
    said = []
    for message in messages:
        params = message.get("params", {})
        said.append((message.get("method", "answer").split("/")[-1], params.get("progress", params.get("data"))))
    assert said == [("progress", 1), ("message", 1), ("progress", 2), ("message", 2), ("progress", 3), ("message", 3), ("answer", None)]
    assert messages[0]["params"]["progressToken"] == "t"


def test_of_two_answers_under_one_id_the_first_counts(web):
    server = web.remote()
    host = web.host()
    start = len(host.out.lines)

    def handler(exchange) -> None:
        exchange.events()
        for text in ("right", "wrong", "wrong"):
            exchange.event(answer(exchange, text))
        exchange.end()

    server.on(handler, "tools/call")
    echo(host)
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"
    assert len([m for m in host.messages(start) if "result" in m]) == 2


def test_an_event_of_another_name_is_no_answer(web):
    server = web.remote()
    host = web.host()

    def stream(exchange):
        wrong, right = (json.dumps(answer(exchange, text)).encode() for text in ("wrong", "right"))
        return b"event: draft\ndata: %s\n\nevent: message\ndata: %s\n\n" % (wrong, right)

    server.on(as_events(stream), "tools/call")
    echo(host)


@pytest.mark.parametrize("size", [None, 1000, 65536], ids=["at once", "small pieces", "pieces"])
@pytest.mark.parametrize("kind", ["event", "JSON"])
def test_five_megabytes_are_one_answer(web, kind, size):
    text = ("größer " * 800_000)[: 5 * 1024 * 1024 // 8 * 7]
    server = web.remote()
    host = web.host()
    if kind == "event":
        server.on(as_events(lambda exchange: b"data: %s\n\n" % json.dumps(answer(exchange, text)).encode(), size=size), "tools/call")
    else:
        def handler(exchange) -> None:
            body = json.dumps(answer(exchange, text)).encode()
            exchange.head(200, (("Content-Type", JSON),))
            for start in range(0, len(body), size or len(body)):
                exchange.part(body[start : start + (size or len(body))])
            exchange.end()

        server.on(handler, "tools/call")
    echo(host, text)


def test_arguments_of_five_megabytes_arrive(web):
    text = "é" * (5 * 1024 * 1024 // 2)
    web.remote()
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": text}) == text


# JSON

BODIES = {
    "pretty-printed": lambda message: json.dumps(message, indent=4).encode(),
    "with CRLF": lambda message: json.dumps(message, indent="\t").replace("\n", "\r\n").encode(),
    "with blanks around it": lambda message: b" \r\n\t" + json.dumps(message).encode() + b"\n\n",
    "with its id last": lambda message: json.dumps(dict(reversed(message.items()))).encode(),
    "with unknown members": lambda message: json.dumps({"x": [1], **message, "y": None}).encode(),
}


def test_json_of_every_shape_is_understood(web):
    server = web.remote()
    host = web.host()
    for shape in BODIES.values():
        for content_type in (JSON, "application/json;charset=utf-8", "Application/JSON ; x=y"):
            server.on(as_json(lambda exchange: shape(answer(exchange)), content_type), "tools/call")  # noqa: B023
            echo(host)


PAYLOAD = (
    b'{"content":[{"type":"text","text":"a\\u00e9\\ud83d\\ude00\\/"}],"structuredContent":{"big":123456789012345678901234567890,'
    b'"one":1.0,"exp":1E+2,"null":null,"z":1,"a":2,"nested":{"":[[],{}]}},"vendor":{"k":[true]},"_meta":{"com.example/x":1.50}}'
)


@pytest.mark.parametrize("kind", ["JSON", "event", "spread event"])
def test_a_result_reaches_the_host_byte_for_byte(web, kind):
    server = web.remote()
    host = web.host()
    whole = lambda exchange: b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (exchange.id, PAYLOAD)  # noqa: E731
    if kind == "JSON":
        server.on(as_json(whole), "tools/call")
    elif kind == "event":
        server.on(as_events(lambda exchange: b"data: %s\n\n" % whole(exchange)), "tools/call")
    else:
        server.on(as_events(lambda exchange: b"data: %s\n\n" % whole(exchange).replace(b',"z"', b',\ndata: "z"')), "tools/call")
    id = host.post("tools/call", ECHO)
    line = host.answer_line(id)
    assert PAYLOAD in line.replace(b',  "z"', b',"z"').replace(b', "z"', b',"z"'), line


# Batches, which one revision has

FORMS = [as_json, lambda body: as_events(lambda exchange: b"data: %s\n\n" % json.dumps(body(exchange)).encode())]


@pytest.mark.parametrize("form", FORMS, ids=["JSON", "events"])
@pytest.mark.parametrize("revision", ["2025-03-26", OLD])
def test_a_batch_is_taken_apart(web, revision, form):
    # Only 2025-03-26 has them. Elsewhere the server is wrong, but what it means is clear, and on pipes it is understood, too.
    server = web.remote(revision=revision)
    host = web.host()
    host.ask("logging/setLevel", {"level": "debug"})
    start = len(host.out.lines)
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "in a batch"}}
    server.on(form(lambda exchange: [note, answer(exchange)]), "tools/call")
    echo(host)
    assert [m["params"]["data"] for m in host.messages(start) if m.get("method") == "notifications/message"] == ["in a batch"]


def test_an_empty_batch_is_no_answer(web):
    server = web.remote(revision="2025-03-26")
    host = web.host()
    server.on(as_json(lambda exchange: []), "tools/call")
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and result["_meta"][FAILURE] == "outcomeUnknown"


# Errors said in JSON-RPC, under a status of HTTP

@pytest.mark.parametrize("code, http", [
    (-32602, 400), (-32602, 200), (-32000, 400), (-32601, 404), (-32050, 500), (-32603, 422), (4711, 409),
])  # fmt: skip
@pytest.mark.parametrize("sessions", [True, False], ids=["session", "no session"])
def test_an_error_in_the_body_is_the_answer_whatever_the_status(web, code, http, sessions):
    if http == 404 and sessions:
        return  # There, 404 says that the session is over.
    server = web.remote(has_sessions=sessions, has_stream=sessions)
    host = web.host()
    server.on(lambda exchange: exchange.error(code, "no, thanks", {"why": 1.0}, status=http), "tools/call", times=None)
    error = host.ask("tools/call", ECHO)["error"]
    assert error == {"code": code, "message": "no, thanks", "data": {"why": 1.0}}
    assert len(server.requests("tools/call")) == 1, "an answer is not asked for again"


@pytest.mark.parametrize("id", [None, "server-error", "absent"])
def test_an_error_under_no_id_of_ours_is_the_answer_to_the_one_request_there_was(web, id):
    server = web.remote(has_sessions=False, has_stream=False)
    host = web.host()
    body = {"jsonrpc": "2.0", "id": id, "error": {"code": -32600, "message": "not like this"}}
    if id == "absent":
        del body["id"]
    server.on(lambda exchange: exchange.answer(400, json.dumps(body).encode(), JSON), "tools/call")
    answered = host.ask("tools/call", ECHO)
    assert "not like this" in json.dumps(answered)


# What is accepted without an answer

@pytest.mark.parametrize("code, body", [(202, b""), (202, b"Accepted"), (200, b""), (204, b""), (200, b"{}"), (200, b"<html>")])
@pytest.mark.parametrize("revision", ["2025-03-26", OLD])
def test_a_notification_may_be_accepted_in_any_way(web, revision, code, body):
    server = web.remote(revision=revision)
    accepted = status(code, body, JSON if body == b"{}" else "text/html" if body else None)
    server.on(accepted, http="POST", times=None, where=lambda exchange: "id" not in exchange.message or "method" not in exchange.message)
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "y"}) == "y"
    id = host.post("tools/call", {"name": f"{KEY}__slow"})
    server.wait_request("tools/call", name="slow")
    host.notify("notifications/cancelled", {"requestId": id})
    server.wait_answered(server.wait_request("notifications/cancelled"))
    assert host.text(f"{KEY}__echo", {"text": "z"}) == "z"


def test_a_notification_that_is_refused_harms_nobody(web):
    server = web.remote()
    host = web.host()
    server.on(status(500, b"oh"), "notifications/cancelled", times=None)
    id = host.post("tools/call", {"name": f"{KEY}__slow"})
    server.wait_request("tools/call", name="slow")
    host.notify("notifications/cancelled", {"requestId": id})
    server.wait_answered(server.wait_request("notifications/cancelled"))
    assert host.text(f"{KEY}__echo", {"text": "z"}) == "z"
    assert len(server.requests("notifications/cancelled")) == 1


# What is no answer

NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}}
NOT_ANSWERS = {
    "accepted without an answer": (status(202), "202"),
    "nothing": (status(200, b"", JSON), "nothing"),
    "no content": (status(204), "204"),
    "no type": (status(200, b"hello"), "200"),
    "HTML": (status(200, b"<!doctype html><title>Sign in to proceed</title>", "text/html"), "Sign in"),
    "plain text": (status(200, b"it works!", "text/plain"), "text/plain"),
    "no JSON": (status(200, b"it works!", JSON), "JSON"),
    "cut JSON": (status(200, b'{"jsonrpc":"2.0","id":1,"res', JSON), "JSON"),
    "no message": (status(200, b"7", JSON), ""),
    "not UTF-8": (status(200, b'{"jsonrpc":"2.0","id":"\xff\xfe","result":{}}', JSON), ""),
    "another answer": (as_json(lambda exchange: {"jsonrpc": "2.0", "id": 987654, "result": {}}), ""),
    "the id as text": (as_json(lambda exchange: {"jsonrpc": "2.0", "id": str(exchange.id), "result": {}}), ""),
    "a notification alone": (as_json(lambda exchange: NOTIFICATION), ""),
    "events that end without it": (as_events(lambda exchange: b": nothing\n\n"), "stream"),
    "an event that is cut": (as_events(lambda exchange: b"data: %s\n" % json.dumps(answer(exchange)).encode()), "stream"),
}


@pytest.mark.parametrize("kind", NOT_ANSWERS)
@pytest.mark.parametrize("revision", [OLD, NEW])
def test_what_is_no_answer_fails_the_call_at_once_with_a_text_that_says_so(web, kind, revision):
    handler, word = NOT_ANSWERS[kind]
    server = web.stateless() if revision == NEW else web.remote()
    host = web.host(revision)
    server.on(handler, "tools/call", times=None)
    started = time.monotonic()
    result = host.ask("tools/call", ECHO)["result"]
    assert time.monotonic() - started < tools.PATIENCE / 2
    said = result["content"][0]["text"]
    assert result["isError"] and f"'{KEY}'" in said and word.lower() in said.lower(), said
    assert result["_meta"][FAILURE] == "outcomeUnknown", "the server may have run it"
    assert len(server.requests("tools/call")) == 1, "what may have run is not run again"


@pytest.mark.parametrize("kind", ["JSON", "events"])
def test_an_answer_over_the_limit_fails_the_call_and_says_so(web, kind):
    server = web.remote()
    host = web.host()
    piece = b"x" * (1024 * 1024)

    async def handler(exchange) -> None:
        exchange.head(200, (("Content-Type", JSON if kind == "JSON" else EVENTS),))
        exchange.part(b'{"jsonrpc":"2.0","id":1,"result":"' if kind == "JSON" else b"data: ")
        for _ in range(80):
            if exchange.is_over:
                return
            exchange.part(piece)
            while exchange.connection.transport.get_write_buffer_size() > len(piece) and not exchange.is_over:
                await server.pause()
        exchange.part(b'"}' if kind == "JSON" else b"\n\n")
        exchange.end()

    server.on(handler, "tools/call")
    id = host.post("tools/call", ECHO)
    over = server.wait_answered(server.wait_request("tools/call"))
    result = host.answer(id)["result"]
    assert time.monotonic() - over.time < 10, "it is said when it is known"
    assert result["isError"] and "limit" in result["content"][0]["text"]
    assert host.text(f"{KEY}__echo", {"text": "next"}) == "next"


def test_a_list_that_is_no_message_takes_the_server_down_with_a_text(web):
    server = web.remote()
    server.on(status(200, b"<html>moved</html>", "text/html"), "tools/list", times=None)
    web.bench.fake("other")
    config = web.bench.config()
    done = web.bench.run("--config", str(config), "status")
    assert "text/html" in done.stdout + done.stderr
    assert server.requests("tools/list")


def test_held_back_calls_do_not_hold_others(web):
    server = web.remote()
    host = web.host()
    server.on(hold, "tools/call", name="slow", times=None)
    ids = [host.post("tools/call", {"name": f"{KEY}__slow"}) for _ in range(10)]
    assert host.text(f"{KEY}__echo", {"text": "beside"}) == "beside"
    for exchange in server.requests("tools/call", name="slow"):
        exchange.result({"content": []})
    for id in ids:
        host.answer(id)


def test_an_unknown_member_of_the_result_goes_to_hosts_of_both_eras(web):
    web.remote(eras=("handshake", "stateless")).on(as_json(lambda exchange: answer(exchange, vendor={"a": 1.0})), "tools/call", times=None)
    host = web.host()
    assert host.ask("tools/call", ECHO)["result"]["vendor"] == {"a": 1.0}
    other = web.host(NEW)
    result = other.ask("tools/call", ECHO)["result"]
    assert result["vendor"] == {"a": 1.0} and result["_meta"][f"{META}serverInfo"]["name"] == "mcpagg"
