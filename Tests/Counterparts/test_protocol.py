"""The handshake era as a host meets it: revisions, ids, errors, batches, lists, logging, the end."""

import json

import pytest

import bench as tools
from validation import HANDSHAKE_REVISIONS, NEWEST_HANDSHAKE

INITIALIZE = {"capabilities": {}, "clientInfo": {"name": "raw-host", "version": "1"}}


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_known_revision_is_echoed_and_served(bench, revision):
    bench.fake("alpha")
    host = bench.host(bench.config(), revision=None)
    result = host.handshake(revision)["result"]
    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"] == "mcpagg"
    assert result["capabilities"]["tools"]["listChanged"] is True
    assert "alpha__echo" in host.tool_names()
    assert host.text("alpha__add", {"a": 1, "b": 2}) == "3"
    assert host.ask("ping")["result"] == {}


@pytest.mark.parametrize("revision", ["2026-07-28", "1999-01-01", "next"])
def test_an_unknown_revision_is_answered_with_the_newest_handshake_one(bench, revision):
    bench.fake("alpha")
    host = bench.host(bench.config(), revision=None)
    assert host.handshake(revision)["result"]["protocolVersion"] == NEWEST_HANDSHAKE
    assert "alpha__echo" in host.tool_names()


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_servers_of_every_revision_are_reached(bench, revision):
    alpha = bench.fake("alpha", "--revision", revision)
    host = bench.host(bench.config())
    assert "alpha__echo" in host.tool_names()
    assert host.text("alpha__echo", {"text": "hello"}) == "hello"
    _, initialize = alpha.wait_for("initialize")
    assert initialize["params"]["protocolVersion"] == NEWEST_HANDSHAKE
    assert initialize["params"]["clientInfo"]["name"] == "mcpagg"


def test_the_handshake_waits_for_no_server(bench):
    bench.fake("slow", "--hang-initialize")
    host = bench.host(bench.config(listWait="1s"), revision=None)
    host.handshake(NEWEST_HANDSHAKE)
    assert host.ask("ping")["result"] == {}


def test_ping_is_answered_before_the_handshake(bench):
    bench.fake("alpha")
    host = bench.host(bench.config(), revision=None)
    assert host.ask("ping")["result"] == {}
    host.handshake(NEWEST_HANDSHAKE)


def test_an_id_comes_back_as_it_went(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    for number, id in enumerate([700, "700", "", "id with \"quotes\" and é", -5, 2**60]):
        answer = host.ask("tools/call", {"name": "alpha__echo", "arguments": {"text": f"{number}"}}, id=id)
        assert answer["result"]["content"][0]["text"] == f"{number}"
    # Both at once: the same digits, two different requests.
    host.post("tools/call", {"name": "alpha__sleep", "arguments": {"ms": 50, "text": "number"}}, id=7)
    host.post("tools/call", {"name": "alpha__sleep", "arguments": {"ms": 10, "text": "string"}}, id="7")
    assert host.answer(7)["result"]["content"][0]["text"] == "number"
    assert host.answer("7")["result"]["content"][0]["text"] == "string"


def test_an_unknown_method_is_method_not_found(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    assert host.ask("no/such/method")["error"]["code"] == -32601


def test_an_unknown_notification_is_ignored(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.notify("notifications/no_such", {"a": 1})
    assert host.ask("ping")["result"] == {}


def test_an_unknown_tool_is_invalid_params_and_names_the_nearest(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    error = host.ask("tools/call", {"name": "alpha__ecko"})["error"]
    assert error["code"] == -32602
    assert "alpha__ecko" in error["message"]
    assert "alpha__echo" in error["message"]


@pytest.mark.parametrize("params", [{}, {"name": 5}, {"arguments": {}}, None], ids=json.dumps)
def test_a_call_without_a_proper_name_is_invalid_params(bench, params):
    bench.fake("alpha")
    host = bench.host(bench.config())
    assert host.ask("tools/call", params)["error"]["code"] == -32602


@pytest.mark.parametrize("line", [b'{"jsonrpc":"2.0","id":1,', b"hello", b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"a":"\xff"}}'])
def test_an_unreadable_line_is_a_parse_error_and_the_connection_goes_on(bench, line):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.send(line)
    _, answer = host.out.wait_for(lambda line: "error" in tools.parsed(line), tools.PATIENCE)
    assert json.loads(answer)["error"]["code"] == -32700
    assert host.ask("ping")["result"] == {}


def test_an_array_is_an_invalid_request_where_there_are_no_batches(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.send(b'[{"jsonrpc":"2.0","id":50,"method":"ping"}]')
    _, answer = host.out.wait_for(lambda line: "error" in tools.parsed(line), tools.PATIENCE)
    assert json.loads(answer)["error"]["code"] == -32600
    assert host.ask("ping")["result"] == {}


def test_blank_lines_and_carriage_returns_are_nothing(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.send(b"")
    host.send(b"\r")
    host.send(b'{"jsonrpc":"2.0","id":60,"method":"ping"}\r')
    assert host.answer(60)["result"] == {}
    assert not [line for line in host.out.lines if b"error" in line]


def test_a_batch_is_answered_with_one_array(bench):
    bench.fake("alpha")
    bench.fake("beta")
    host = bench.host(bench.config(), revision="2025-03-26")
    host.tools()
    batch = [
        {"jsonrpc": "2.0", "id": 101, "method": "tools/call", "params": {"name": "alpha__sleep", "arguments": {"ms": 30, "text": "late"}}},
        {"jsonrpc": "2.0", "id": "101", "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/no_such"},
        {"jsonrpc": "2.0", "id": 102, "method": "no/such/method"},
        {"jsonrpc": "2.0", "id": 103, "method": "tools/call", "params": {"name": "beta__add", "arguments": {"a": 20, "b": 3}}},
    ]
    host.send(json.dumps(batch).encode())
    _, line = host.out.wait_for(lambda line: line.startswith(b"["), tools.PATIENCE)
    answers = {(type(answer["id"]), answer["id"]): answer for answer in json.loads(line)}
    assert len(json.loads(line)) == len(answers) == 4
    assert answers[int, 101]["result"]["content"][0]["text"] == "late"
    assert answers[str, "101"]["result"] == {}
    assert answers[int, 102]["error"]["code"] == -32601
    assert answers[int, 103]["result"]["content"][0]["text"] == "23"


def test_a_batch_of_notifications_is_not_answered(bench):
    bench.fake("alpha")
    host = bench.host(bench.config(), revision="2025-03-26")
    start = len(host.out.lines)
    host.send(b'[{"jsonrpc":"2.0","method":"notifications/no_such"},{"jsonrpc":"2.0","method":"notifications/other"}]')
    assert host.ask("ping")["result"] == {}
    assert not [line for line in host.out.lines[start:] if line.startswith(b"[")]


def test_all_pages_of_a_server_are_in_the_list(bench):
    bench.fake("alpha", "--tools", "25", "--page-size", "4")
    names = bench.host(bench.config()).tool_names()
    assert {f"alpha__tool_{number}" for number in range(25)} <= set(names)
    assert len(names) == len(set(names))
    fillers = [name for name in names if name.startswith("alpha__tool_")]
    assert fillers == [f"alpha__tool_{number}" for number in range(25)], "in the order of the server"


def test_a_cursor_that_is_not_ours_is_invalid_params(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    assert host.ask("tools/list", {"cursor": "no-cursor-of-mine"})["error"]["code"] == -32602


def test_tools_are_filtered_and_renamed_as_configured(bench):
    bench.fake("alpha", tools={"include": ["echo", "add", "tool_*"], "exclude": ["tool_1"], "rename": {"add": "sum"}})
    bench.servers[0].entry["args"] += ["--tools", "3"]
    bench.fake("beta", prefix="b", tools={"include": ["echo"]})
    host = bench.host(bench.config())
    assert set(host.tool_names()) == {"alpha__echo", "alpha__sum", "alpha__tool_0", "alpha__tool_2", "b__echo"}
    assert host.text("alpha__sum", {"a": 4, "b": 5}) == "9"
    assert host.ask("tools/call", {"name": "alpha__add"})["error"]["code"] == -32602


def test_what_a_server_says_of_its_tools_is_not_touched(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    alpha.sent.wait_for(lambda line: b'"tools":[' in line, tools.PATIENCE)
    own = [line for line in alpha.sent.lines if b'"tools":[' in line][0]
    merged = [line for line in host.out.lines if b'"tools":[' in line][0]
    own_list = own[own.index(b'"tools":[') : own.rindex(b"]") + 1]
    assert own_list.replace(b'"name":"', b'"name":"alpha__') in merged


def test_list_changed_of_a_server_changes_the_merged_list(bench):
    bench.fake("alpha")
    bench.fake("beta")
    host = bench.host(bench.config())
    before = host.tools_when(lambda names: "alpha__echo" in names and "beta__echo" in names)
    start = len(host.out.lines)
    host.call("alpha__change_tools", {})
    host.notification("notifications/tools/list_changed", start)
    after = host.tool_names()
    assert set(after) - set(before) == {"alpha__added_1"}
    assert [name for name in after if name in before] == before, "what was there keeps its order"


def test_log_messages_reach_the_host_from_the_level_it_asked_for(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    assert host.ask("logging/setLevel", {"level": "warning"})["result"] == {}
    alpha.wait_for("logging/setLevel", level="warning")
    start = len(host.out.lines)
    host.call("alpha__log", {"level": "info", "text": "too low"})
    host.call("alpha__log", {"level": "error", "text": "high enough"})
    _, message = host.notification("notifications/message", start)
    assert message["params"]["level"] == "error"
    assert message["params"]["data"] == "high enough"
    assert "alpha" in message["params"]["logger"]
    assert host.ask("logging/setLevel", {"level": "loud"})["error"]["code"] == -32602


def test_mcpagg_ends_with_its_stdin_and_answers_first(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    id = host.post("tools/call", {"name": "alpha__sleep", "arguments": {"ms": 300, "text": "still answered"}})
    host.close_stdin()
    assert host.answer(id)["result"]["content"][0]["text"] == "still answered"
    assert host.end() == 0


def test_a_script_may_write_all_its_requests_and_close(bench):
    bench.fake("alpha")
    host = bench.host(bench.config(), revision=None)
    host.post("initialize", {"protocolVersion": NEWEST_HANDSHAKE, **INITIALIZE}, id="first")
    host.notify("notifications/initialized")
    host.post("tools/list", id="second")
    host.close_stdin()
    assert host.answer("first")["result"]["protocolVersion"] == NEWEST_HANDSHAKE
    assert "alpha__echo" in [tool["name"] for tool in host.answer("second")["result"]["tools"]]
    assert host.end() == 0


def test_mcpagg_ends_although_a_call_never_will(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    host.post("tools/call", {"name": "alpha__hang"})
    bench.servers[0].wait_for("tools/call", name="hang")
    host.close_stdin()
    assert host.end() == 0


@pytest.mark.parametrize(
    "flags",
    [["--grandchild"], ["--ignore-stdin-eof"], ["--ignore-stdin-eof", "--ignore-sigterm"], ["--grandchild", "--ignore-stdin-eof"]],
    ids=" ".join,
)
@pytest.mark.parametrize("way", ["end of stdin", "SIGTERM"])
def test_no_child_survives(bench, flags, way):
    bench.fake("alpha", *flags)
    bench.fake("beta")
    host = bench.host(bench.config())
    assert {"alpha__echo", "beta__echo"} <= set(host.tool_names())
    if way == "SIGTERM":
        host.process.terminate()
        host.process.wait(tools.PATIENCE)
    host.end()  # that nobody is left is checked after every test


def test_a_server_gets_its_environment_and_directory(bench):
    (bench.directory / "elsewhere").mkdir()
    bench.fake("alpha", env={"GIVEN": "${NOT_SET_ANYWHERE:-by default}"}, cwd=str(bench.directory / "elsewhere"))
    host = bench.host(bench.config())
    host.tools()
    seen = host.call("alpha__environment", {})["structuredContent"]
    assert seen["environment"]["GIVEN"] == "by default"
    assert seen["directory"] == str((bench.directory / "elsewhere").resolve())
