"""Headers of the config file and of commands, what is done when they are refused, and redirects."""

import json
import time

import pytest

from http_bench import KEY, NEW, OLD, Printer
from http_server import status

HOSTS = [OLD, NEW]
ECHO = {"name": f"{KEY}__echo", "arguments": {"text": "x"}}
SECRET = "s3cret-token-of-the-person"
FAILURE = "dev.mcpagg/failure"


def of(web, kind: str, entry: dict):
    match kind:
        case "stateless":
            return web.stateless(entry=entry)
        case "legacy":
            return web.legacy(entry={"type": "sse", **entry})
    return web.remote(entry=entry)


KINDS = ["handshake", "stateless", "legacy"]


# Headers of the config file

@pytest.mark.parametrize("kind", KINDS)
def test_headers_are_sent_with_every_request_and_said_to_nobody(web, kind, monkeypatch):
    monkeypatch.setenv("WEB_TOKEN", SECRET)
    headers = {"Authorization": "Bearer ${WEB_TOKEN}", "X-Tenant": "${WEB_TENANT:-blue}", "x-literal": "a, b; c=\"d\""}
    server = of(web, kind, {"headers": headers})
    host = web.host(OLD, "--log-level", "debug")
    host.text(f"{KEY}__echo", {"text": "x"})
    server.on(status(500, f"you sent {SECRET}".encode(), "text/plain"), "tools/call")
    said = json.dumps(host.ask("tools/call", ECHO))
    host.end()
    for exchange in server.requests():
        sent = [exchange.request.header(name) for name in ("Authorization", "X-Tenant", "X-Literal")]
        assert sent == [f"Bearer {SECRET}", "blue", 'a, b; c="d"'], exchange
    assert server.requests(http="DELETE") or kind != "handshake"
    done = web.bench.run("--config", str(web.bench.directory / "mcp.json"), "--log-level", "debug", "status")
    for text in (said, host.err.text(), host.out.text(), done.stdout, done.stderr):
        assert SECRET not in text, text


def test_headers_of_the_transport_are_its_own(web):
    own = {
        "Content-Type": "text/plain", "Accept": "text/html", "Mcp-Session-Id": "mine", "MCP-Protocol-Version": "1999-01-01",
        "Host": "elsewhere", "Content-Length": "3", "Transfer-Encoding": "gzip", "Connection": "upgrade", "Mcp-Method": "x",
        "Last-Event-ID": "9",
    }  # fmt: skip
    server = web.remote(entry={"headers": {**own, "X-Kept": "yes"}})
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    for exchange in server.requests():
        assert exchange.request.header("X-Kept") == "yes"
        assert exchange.request.header("Host") == f"127.0.0.1:{server.port}"
        assert exchange.request.header("Transfer-Encoding") is None
    # The rest is for the judge.


def test_a_missing_variable_disables_its_server_alone(web):
    server = web.remote(entry={"headers": {"Authorization": "Bearer ${NO_SUCH_VARIABLE_ANYWHERE}"}})
    web.bench.fake("other")
    config = web.bench.config()
    done = web.bench.run("--config", str(config), "status")
    assert "NO_SUCH_VARIABLE_ANYWHERE" in done.stdout + done.stderr
    host = web.bench.host(config)
    assert {name.split("__")[0] for name in host.tool_names()} == {"other"}
    assert not server.requests()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_authorization_is_explained_and_not_tried_again(web, kind, code):
    server = of(web, kind, {"headers": {"Authorization": f"Bearer {SECRET}"}, "startupTimeout": "10s"})
    server.on(status(code, b"", None, ("WWW-Authenticate", 'Bearer error="invalid_token"')), times=None)
    config = str(web.bench.config())
    started = time.monotonic()
    done = web.bench.run("--config", config, "status")
    assert time.monotonic() - started < 8, "it is final"
    assert done.returncode in (3, 4) and f"{code}" in done.stdout and "Authorization" in done.stdout, done.stdout
    assert len(server.requests()) <= 2
    assert SECRET not in done.stdout + done.stderr


def test_a_call_of_the_command_line_ends_with_the_code_for_authorization(web):
    server = web.remote(entry={"headers": {"Authorization": f"Bearer {SECRET}"}})
    server.on(status(401), times=None)
    done = web.bench.run("--config", str(web.bench.config()), "call", f"{KEY}__echo", "text=x")
    assert done.returncode == 3, (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("host_revision", HOSTS)
@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_in_the_middle_fails_the_call_with_a_text(web, host_revision, code):
    server = web.remote(eras=("handshake", "stateless"), entry={"headers": {"Authorization": f"Bearer {SECRET}"}})
    host = web.host(host_revision)
    server.on(status(code, b"<html>go away</html>", "text/html"), "tools/call", times=None)
    result = host.ask("tools/call", ECHO)["result"]
    said = result["content"][0]["text"]
    assert result["isError"] and f"{code}" in said and KEY in said, said
    assert result["_meta"][FAILURE] in ("unavailable", "authorizationNeeded", "unauthorized"), result
    assert len(server.requests("tools/call")) <= 2


# Headers that a command prints

def tokens(server, start: int = 0) -> set[str]:
    return {exchange.request.header("Authorization") for exchange in server.requests(start=start)}


def valid_from(run: int):
    """Whether a request has a token that is too old."""
    return lambda exchange: int((exchange.request.header("Authorization") or "-0").rpartition("-")[2]) < run


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_is_run_once_and_what_it_prints_is_sent_with_every_request(web, kind):
    printer = Printer(web)
    server = of(web, kind, {"headersFrom": printer.entry, "headers": {"X-Own": "of the file", "X-Other": "stays"}})
    host = web.host(OLD, "--log-level", "debug")
    for number in range(5):
        host.text(f"{KEY}__echo", {"text": f"{number}"})
    host.end()
    assert printer.runs == 1
    for exchange in server.requests():
        sent = [exchange.request.header(name) for name in ("Authorization", "X-Own", "X-Other")]
        assert sent == ["Bearer printed-secret-1", "printed", "stays"], exchange
    assert "printed-secret" not in host.err.text()


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_401_it_is_run_again_and_the_request_is_made_again(web, kind):
    printer = Printer(web)
    server = of(web, kind, {"headersFrom": printer.entry})
    host = web.host()
    host.text(f"{KEY}__echo", {"text": "x"})
    server.on(status(401), times=None, where=valid_from(2))
    start = server.position
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    assert printer.runs == 2
    calls = server.requests("tools/call", start=start)
    assert [call.request.header("Authorization") for call in calls] == ["Bearer printed-secret-1", "Bearer printed-secret-2"]


def test_many_401_at_once_run_it_once(web):
    printer = Printer(web)
    server = web.stateless(entry={"headersFrom": printer.entry})
    host = web.host(NEW)
    held = []
    server.on(held.append, "tools/call", times=20)
    ids = [host.post("tools/call", ECHO) for _ in range(20)]
    server.wait_for(lambda entry: len(held) == 20)
    for exchange in held:
        exchange.answer(401)
    for id in ids:
        assert host.answer(id)["result"]["content"][0]["text"] == "x"
    assert printer.runs == 2


def test_a_second_401_right_after_a_fresh_token_is_final(web):
    printer = Printer(web)
    server = web.stateless(entry={"headersFrom": printer.entry})
    host = web.host(NEW)
    server.on(status(401), "tools/call", times=None)
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and "401" in result["content"][0]["text"]
    assert printer.runs == 2
    assert len(server.requests("tools/call")) == 2


def test_a_401_at_the_start_is_met_in_the_same_way(web):
    printer = Printer(web)
    server = web.remote(entry={"headersFrom": printer.entry})
    server.on(status(401), times=None, where=valid_from(2))
    host = web.host()
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    assert printer.runs == 2
    assert [exchange.message.get("method") for exchange in server.requests()][:2] == ["initialize", "initialize"]


def test_a_403_does_not_run_it_again(web):
    printer = Printer(web)
    server = web.stateless(entry={"headersFrom": printer.entry})
    host = web.host(NEW)
    server.on(status(403), "tools/call", times=None)
    assert host.ask("tools/call", ECHO)["result"]["isError"]
    assert printer.runs == 1 and len(server.requests("tools/call")) == 1


def test_another_identity_gets_another_session(web):
    """That the two never meet in one session is for the judge."""
    printer = Printer(web)
    server = web.remote(entry={"headersFrom": printer.entry})
    host = web.host()
    host.ask("logging/setLevel", {"level": "error"})
    server.on(status(401), times=None, where=valid_from(2))
    assert host.text(f"{KEY}__echo", {"text": "again"}) == "again"
    assert len(server.requests("initialize")) == 2
    server.wait_request("logging/setLevel", where=lambda exchange: exchange.request.header("Authorization").endswith("-2"))


@pytest.mark.parametrize("mode, words", [
    ("fail", ["3", "no key in the drawer"]), ("text", ["JSON"]), ("list", ["JSON object"]), ("odd", ["Bad Name"]), ("number", ["X"]),
    ("injection", ["X"]), ("slow", ["1 s"]), ("absent", ["no-such-command-anywhere"]),
])  # fmt: skip
def test_a_command_that_prints_no_headers_is_explained(web, mode, words):
    printer = Printer(web, mode)
    entry = {**printer.entry, "timeout": "1s"} if mode == "slow" else printer.entry
    entry = {"command": "no-such-command-anywhere"} if mode == "absent" else entry
    server = web.remote(entry={"headersFrom": entry, "startupTimeout": "10s"})
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4 and "headersFrom" in done.stdout, done.stdout
    for word in words:
        assert word in done.stdout, done.stdout
    assert "Bearer x" not in done.stdout + done.stderr
    assert not server.requests(), "nothing is sent without them"


# Redirects

@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["handshake", "stateless"])
def test_a_redirect_within_the_origin_is_followed_with_method_body_and_headers(web, kind, code):
    server = of(web, kind, {"headers": {"Authorization": f"Bearer {SECRET}"}})
    moved = lambda exchange: exchange.request.path == "/old"  # noqa: E731
    server.on(status(code, b"moved", "text/plain", ("Location", "/mcp")), times=None, where=moved)
    server.entry["url"] = f"{server.origin}/old"
    host = web.host(OLD if kind == "handshake" else NEW)
    assert host.text(f"{KEY}__echo", {"text": "x"}) == "x"
    opening = server.requests("initialize" if kind == "handshake" else "server/discover")
    first, second = (next(call for call in opening if call.request.path == path) for path in ("/old", "/mcp"))
    assert {call.request.path for call in server.requests("tools/call")} == {"/mcp"}, "it is remembered"
    assert first.request.body == second.request.body
    ignored = ("host",)
    same = [[(n.lower(), v) for n, v in each.request.headers if n.lower() not in ignored] for each in (first, second)]
    assert sorted(same[0]) == sorted(same[1])
    assert second.request.method == "POST"


@pytest.mark.parametrize("location", ["/mcp", "mcp", "./mcp", "{origin}/mcp", "//{host}/mcp", "/mcp?", "../mcp"])
def test_where_to_go_may_be_said_in_any_form(web, location):
    server = web.remote()
    place = location.replace("{origin}", server.origin).replace("{host}", f"127.0.0.1:{server.port}")
    server.on(status(307, b"", None, ("Location", place)), times=None, where=lambda exchange: exchange.request.path == "/old")
    server.entry["url"] = f"{server.origin}/old"
    assert web.host().text(f"{KEY}__echo", {"text": "x"}) == "x"


def test_the_stream_of_notifications_is_redirected_too(web):
    server = web.remote()
    server.on(status(307, b"", None, ("Location", "/mcp")), times=None, where=lambda exchange: exchange.request.path == "/old")
    server.entry["url"] = f"{server.origin}/old"
    web.host()
    server.wait_request(http="GET", where=lambda exchange: exchange.request.path == "/mcp")


def test_the_stream_of_the_oldest_transport_is_redirected_too(web):
    server = web.legacy(entry={"type": "sse"})
    server.on(status(301, b"", None, ("Location", "/sse")), times=None, where=lambda exchange: exchange.request.path == "/old")
    server.entry["url"] = f"{server.origin}/old"
    assert web.host().text(f"{KEY}__echo", {"text": "x"}) == "x"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", KINDS)
def test_another_origin_is_not_gone_to_and_sees_no_authorization(web, kind, code):
    stranger = web.remote("stranger")
    web.bench.servers.remove(stranger)
    server = of(web, kind, {"headers": {"Authorization": f"Bearer {SECRET}"}, "startupTimeout": "10s"})
    server.on(status(code, b"", None, ("Location", f"{stranger.origin}/mcp")), times=None)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4
    assert f"127.0.0.1:{stranger.port}" in done.stdout, f"where it was sent to is said: {done.stdout}"
    assert not [entry for entry in stranger.log if entry.kind == "connected"]
    assert len(server.requests()) <= 3, "that does not get better by trying"


@pytest.mark.parametrize("place", ["http://localhost:{port}/mcp", "https://127.0.0.1:{port}/mcp", "ftp://127.0.0.1/mcp", "file:///mcp"])
def test_another_name_or_scheme_is_another_origin(web, place):
    server = web.remote(entry={"startupTimeout": "10s"})
    elsewhere = status(308, b"", None, ("Location", place.replace("{port}", str(server.port))))
    server.on(elsewhere, times=None, where=lambda exchange: exchange.request.path == "/old")
    server.entry["url"] = f"{server.origin}/old"
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4, done.stdout
    assert not server.requests(where=lambda exchange: exchange.request.path != "/old")


@pytest.mark.parametrize("kind", ["handshake", "stateless", "legacy"])
def test_a_circle_of_redirects_is_left_soon(web, kind):
    server = of(web, kind, {"startupTimeout": "10s"})
    server.on(lambda exchange: exchange.answer(307, headers=(("Location", exchange.request.target + "x"),)), times=None)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4 and "redirect" in done.stdout.lower(), done.stdout
    assert len(server.requests()) <= 25


def test_a_redirect_to_nowhere_is_explained(web):
    server = web.remote(entry={"startupTimeout": "10s"})
    server.on(status(307, b"", None), times=None)
    done = web.bench.run("--config", str(web.bench.config()), "status")
    assert done.returncode == 4 and "307" in done.stdout, done.stdout


def test_a_call_that_is_sent_elsewhere_fails_with_a_text_and_was_not_made(web):
    stranger = web.remote("stranger")
    web.bench.servers.remove(stranger)
    server = web.remote(entry={"headers": {"Authorization": f"Bearer {SECRET}"}})
    host = web.host()
    server.on(status(307, b"", None, ("Location", f"{stranger.origin}/mcp")), "tools/call", times=None)
    result = host.ask("tools/call", ECHO)["result"]
    assert result["isError"] and f"{stranger.port}" in result["content"][0]["text"]
    assert result["_meta"][FAILURE] == "unavailable"
    assert not [entry for entry in stranger.log if entry.kind == "connected"]
