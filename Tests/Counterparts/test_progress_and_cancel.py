"""Progress with the host's own token, and cancellation, seen from both sides."""

import json

import pytest

import bench as tools


@pytest.mark.parametrize("token", ["tok-1", 1, "", 2**53 + 1], ids=repr)
def test_progress_comes_with_the_hosts_token_and_type(bench, token):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    params = {"name": "alpha__progress", "arguments": {"steps": 4, "delayMs": 2}, "_meta": {"progressToken": token, "com.example/kept": 1}}
    id = host.post("tools/call", params)
    host.answer(id)
    # After the answer there is nothing more; so all there is can be counted.
    seen = [message["params"] for line in host.out.lines if (message := tools.parsed(line)).get("method") == "notifications/progress"]
    assert [(type(params["progressToken"]), params["progressToken"]) for params in seen] == [(type(token), token)] * 4
    assert [params["progress"] for params in seen] == [1, 2, 3, 4]
    answer = next(index for index, line in enumerate(host.out.lines) if tools.parsed(line).get("id") == id)
    assert all(tools.parsed(line).get("method") != "notifications/progress" for line in host.out.lines[answer:])
    _, call = alpha.wait_for("tools/call", name="progress")
    assert call["params"]["_meta"]["com.example/kept"] == 1, "the rest of _meta travels"


def test_without_a_token_there_is_no_progress(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    host.call("alpha__progress", {"steps": 2, "delayMs": 0})
    assert not [line for line in host.out.lines if tools.parsed(line).get("method") == "notifications/progress"]
    _, call = alpha.wait_for("tools/call", name="progress")
    assert "progressToken" not in call["params"].get("_meta", {})


def test_two_calls_with_progress_keep_their_tokens_apart(bench):
    bench.fake("alpha")
    bench.fake("beta")
    host = bench.host(bench.config())
    host.tools()
    ids = []
    for server, token, steps in [("alpha", 1, 5), ("beta", "1", 3), ("alpha", "x", 2)]:
        arguments = {"steps": steps, "delayMs": 3}
        ids.append(host.post("tools/call", {"name": f"{server}__progress", "arguments": arguments, "_meta": {"progressToken": token}}))
    for id in ids:
        host.answer(id)
    tokens = [json.loads(line)["params"]["progressToken"] for line in host.out.lines if b"notifications/progress" in line]
    assert sorted(map(repr, tokens)) == sorted(map(repr, [1] * 5 + ["1"] * 3 + ["x"] * 2))


def test_a_cancelled_call_is_told_to_its_server_and_never_answered(bench):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    host = bench.host(bench.config())
    host.tools()
    id = host.post("tools/call", {"name": "alpha__hang"}, id="to be cancelled")
    position, call = alpha.wait_for("tools/call", name="hang")
    host.notify("notifications/cancelled", {"requestId": id, "reason": "changed my mind"})
    _, cancel = alpha.wait_for("notifications/cancelled", position)
    assert cancel["params"]["requestId"] == call["id"] != id
    assert cancel["params"].get("reason") == "changed my mind"
    # The connection to that server is as good as before, and the other one has heard nothing.
    assert host.text("alpha__echo", {"text": "afterwards"}) == "afterwards"
    assert host.text("beta__echo", {"text": "beside it"}) == "beside it"
    assert not [line for line in host.out.lines if tools.parsed(line).get("id") == id]
    assert not [line for line in beta.received.lines if b"cancelled" in line]


def test_a_cancel_of_an_unknown_or_finished_request_is_ignored(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    id = host.post("tools/call", {"name": "alpha__echo"})
    host.answer(id)
    for other in (id, 123456, "never sent"):
        host.notify("notifications/cancelled", {"requestId": other})
    assert host.text("alpha__echo", {"text": "well"}) == "well"
    assert not [line for line in alpha.received.lines if b"cancelled" in line]
