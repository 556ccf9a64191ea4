"""The scripted server over HTTP, without mcpagg: the official SDKs must find nothing wrong with it, nor it with them."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

import http_rules as rules
import places
import validation
from http_bench import OLD
from http_mcp import TOOLS
from http_wire import EVENTS, JSON

NAMES = sorted(tool["name"] for tool in TOOLS)
SEEN = [NAMES, "ü", "5", "accept Ö", "é", "file:///work", "done", [1, 2, 3], "Hello Ada", "the text of memo://one"]
# For the whole conversation of an SDK, its own start included.
PATIENCE = 60


def converse(bench, server, generation: int, wire: str, era: str) -> list:
    script = Path(__file__).parent / "hosts" / "over_http.py"
    command = [places.python(generation), str(script), server.entry["url"], wire, era]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=bench.environment)
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n" + "\n".join(map(str, server.log))
    return json.loads(done.stdout)


def judged(server) -> list[str]:
    """What is wrong with what the server said."""
    return validation.problems([rules.recording("the scripted server", list(server.log), tested="server")])


@pytest.mark.parametrize("answers", [JSON, EVENTS])
@pytest.mark.parametrize("sessions", [True, False], ids=["sessions", "no sessions"])
@pytest.mark.parametrize("generation", [1, 2])
def test_the_sdks_take_it_for_a_server_of_the_handshake_era(bench, web, generation, sessions, answers):
    server = web.remote(answers=answers, has_sessions=sessions, has_stream=sessions)
    assert converse(bench, server, generation, "streamable", "handshake") == SEEN
    assert judged(server) == []


@pytest.mark.parametrize("answers", [JSON, EVENTS])
def test_the_sdk_takes_it_for_a_stateless_server(bench, web, answers):
    server = web.stateless(answers=answers)
    assert converse(bench, server, 2, "streamable", "stateless") == SEEN
    assert judged(server) == []


@pytest.mark.parametrize("generation", [1, 2])
def test_the_sdks_take_it_for_a_server_of_the_oldest_transport(bench, web, generation):
    server = web.legacy()
    assert converse(bench, server, generation, "sse", "handshake") == SEEN
    assert judged(server) == []


def test_requests_that_break_the_rules_are_found(web):
    """A judge that never objects would make the other tests worthless."""
    import urllib.request

    server = web.remote()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    headers = {"Content-Type": "text/plain", "Accept": JSON, "Mcp-Session-Id": "guessed", "Mcp-Method": "tools/list", "Last-Event-ID": "1"}
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(server.entry["url"], body, headers))
    found = "\n".join(rules.Judge(list(server.log)).run())
    for fault in ("not called JSON", "both kinds", "resumes nothing", "mcp-method is of another era", "never given"):
        assert fault in found, found
    server.log.clear()


@pytest.mark.parametrize("is_given_up", [True, False])
def test_a_request_in_a_session_that_was_ended_is_found_unless_it_was_given_up(web, is_given_up):
    """What was sent and given up before the end of the session may be read after it: it came on another connection."""
    server = web.remote()

    def connected() -> socket.socket:
        start = server.position
        connection = socket.create_connection(("127.0.0.1", server.port))
        server.wait_for(lambda entry: entry.kind == "connected", start)
        return connection

    def request(method: str, session: str | None, message: dict | None = None) -> bytes:
        body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
        headers = {"Host": "x", "Accept": f"{JSON}, {EVENTS}", "Content-Length": str(len(body))}
        headers |= {} if message is None else {"Content-Type": JSON}
        headers |= {} if session is None else {"Mcp-Session-Id": session, "MCP-Protocol-Version": OLD}
        return "\r\n".join([f"{method} /mcp HTTP/1.1", *map(": ".join, headers.items()), "", ""]).encode() + body

    one, other = connected(), connected()
    params = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    one.sendall(request("POST", None, {"id": 1, "method": "initialize", "params": params}))
    server.wait_answered(server.wait_request("initialize"))
    session = server.behaviour.session.id
    one.sendall(request("DELETE", session))
    server.wait_answered(server.wait_request(http="DELETE"))

    def act() -> None:
        # On the loop of the server, which so reads nothing meanwhile.
        other.sendall(request("POST", session, {"id": 2, "method": "tools/list"}))
        if is_given_up:
            other.close()

    server.on_loop(act)
    server.wait_request("tools/list")
    one.close()
    other.close()
    found = rules.Judge(list(server.log)).run()
    assert len(found) == (0 if is_given_up else 1) and all("was ended" in fault for fault in found), found
    server.log.clear()


def test_headers_that_do_not_repeat_the_body_are_found():
    from http_wire import Request

    message = {"method": "tools/call", "params": {"name": "é", "arguments": {"a": {"b": True}, "c": None}, "_meta": {rules.VERSION: "x"}}}
    tools = [{"name": "é", "inputSchema": {"properties": {
        "a": {"properties": {"b": {"type": "boolean", "x-mcp-header": "Flag"}}}, "c": {"type": "string", "x-mcp-header": "C"},
    }}}]  # fmt: skip
    good = {"MCP-Protocol-Version": "x", "mcp-method": "tools/call", "Mcp-Name": "=?base64?w6k=?=", "Mcp-Param-Flag": "true"}

    def problems(**headers: str) -> list[str]:
        changed = {**good, **{name.replace("_", "-"): value for name, value in headers.items()}}
        body = json.dumps(message).encode()
        return rules.mirror_problems(Request("POST", "/", tuple((n, v) for n, v in changed.items() if v), body), message, tools)

    assert problems() == []
    for wrong in ({"Mcp_Name": "e"}, {"Mcp_Name": ""}, {"Mcp_Param_Flag": "True"}, {"Mcp_Param_C": "null"}, {"Mcp_Param_Other": "1"},
                  {"mcp_method": ""}, {"Mcp_Name": "=?base64?w?="}):  # fmt: skip
        assert len(problems(**wrong)) == 1, wrong
