"""The judge itself: what is right passes, what is wrong does not. A judge that never objects would make every test here worthless."""

import json
import subprocess
import threading

import pytest

import bench as tools
import places
import validation
from lines import ProcessLog
from validation import Recording

CLIENT_INFO = {"name": "judge", "version": "1"}


def handshake(revision: str) -> list[tuple[str, bytes]]:
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": CLIENT_INFO}
    result = {"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": CLIENT_INFO}
    return [
        ("client", json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode()),
        ("server", json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode()),
        ("client", b'{"jsonrpc":"2.0","method":"notifications/initialized"}'),
    ]


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}'
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
GOOD = [
    [("client", CALL), ("server", b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"unknown":1e400}}')],
    [("client", CALL), ("server", b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}')],
    [("client", LIST), ("server", b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}}')],
    [("server", b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')],
    [("server", b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1.5}}')],
]
BAD = {
    "no JSON": [("server", b"hello")],
    "no version": [("client", CALL), ("server", b'{"id":1,"result":{"content":[]}}')],
    "another id type": [("client", CALL), ("server", b'{"jsonrpc":"2.0","id":"1","result":{"content":[]}}')],
    "answered twice": [("client", CALL)] + [("server", b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')] * 2,
    "result of another method": [("client", LIST), ("server", b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')],
    "content without a type": [("client", CALL), ("server", b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"x"}]}}')],
    "tool without a schema": [("client", LIST), ("server", b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}')],
    "error without a code": [("client", CALL), ("server", b'{"jsonrpc":"2.0","id":1,"error":{"message":"no"}}')],
    "progress without a token": [("server", b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}')],
    "unknown notification": [("server", b'{"jsonrpc":"2.0","method":"notifications/made_up"}')],
    "a batch": [("client", CALL), ("server", b'[{"jsonrpc":"2.0","id":1,"result":{"content":[]}}]')],
}


@pytest.mark.parametrize("lines", GOOD, ids=range(len(GOOD)))
@pytest.mark.parametrize("revision", validation.HANDSHAKE_REVISIONS)
def test_what_is_right_passes(revision, lines):
    assert validation.problems([Recording("good", handshake(revision) + lines)]) == []


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("with_schemas", [True, False], ids=["with schemas", "models only"])
def test_what_is_wrong_does_not(fault, with_schemas, monkeypatch, tmp_path):
    if with_schemas and not places.SCHEMAS.is_dir():
        with_schemas = False  # said in the header of the run; the models are tried twice then
    if not with_schemas:
        monkeypatch.setattr(validation, "schema", lambda revision: None)
        validation.definition.cache_clear()
    try:
        assert validation.problems([Recording("bad", handshake("2025-11-25") + BAD[fault])])
    finally:
        validation.definition.cache_clear()


def test_a_batch_is_right_where_there_are_batches():
    answers = b'[{"jsonrpc":"2.0","id":1,"result":{"content":[]}},{"jsonrpc":"2.0","id":2,"result":{}}]'
    lines = [("client", b'[%s,{"jsonrpc":"2.0","id":2,"method":"ping"}]' % CALL), ("server", answers)]
    assert validation.problems([Recording("batch", handshake("2025-03-26") + lines)]) == []


def test_the_client_side_is_judged_as_well():
    lines = handshake("2025-11-25") + [("client", b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{}}')]
    assert validation.problems([Recording("client", lines, tested="client")])
    assert not validation.problems([Recording("client", handshake("2025-11-25") + [("client", CALL)], tested="client")])


OPENING = handshake("2025-11-25")[0][1]


def judged(tmp_path, lines: list[bytes]) -> list[str]:
    """What is wrong with what these pieces of a log say."""
    received, sent = ProcessLog("received", tmp_path / "received"), ProcessLog("sent", tmp_path / "sent")
    with open(received.path, "wb") as log:
        log.writelines(line + b"\n" for line in lines)
    received.close()
    sent.close()
    return tools.strange(received) + validation.problems(tools.recordings_of(tools.Server("alpha", {}, received, sent)))


@pytest.mark.parametrize("lines, expected", [
    ([b"1 " + OPENING, b"2 " + OPENING, b"1 " + LIST, b"2 " + LIST], []),
    ([b"1 " + OPENING, b"1 " + LIST, b"1 " + LIST], ["still open"]),
    ([b"1 " + OPENING, b"1 " + LIST, b"1 " + OPENING.replace(b'"id": 0', b'"id": 9')], ["has one"]),
    ([b"1 " + OPENING, b"2+" + OPENING[:9], b"1 " + LIST, b"2 " + OPENING[9:], b"2 " + LIST], []),
    ([b"1+" + OPENING[:9], b"2 " + OPENING, b"2 " + LIST, b"2 " + LIST], ["still open"]),
    ([OPENING, LIST], ["names no process", "names no process"]),
], ids=["two processes", "one", "one that begins anew", "pieces", "one that was killed", "lines as they are"])  # fmt: skip
def test_processes_that_share_a_log_are_judged_each_by_itself(tmp_path, lines, expected):
    """Two hosts that read one config file launch the same server, and both begin at once."""
    problems = judged(tmp_path, lines)
    assert len(problems) == len(expected) and all(part in problem for part, problem in zip(expected, problems, strict=True)), problems


@pytest.mark.parametrize("kind", ["fake", "scripted"])
def test_long_lines_of_two_processes_do_not_mix(bench, kind):
    """Each is far longer than what a pipe takes at once."""
    bench.is_judged = False  # a flood of notifications without a handshake
    server = bench.fake("alpha") if kind == "fake" else bench.scripted("alpha")
    log, mark = (server.received, b"") if kind == "fake" else (server.log, b"> ")
    command = [server.entry["command"], *server.entry["args"]]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(2)]
    lines = {
        b"%d" % process.pid: [
            json.dumps({"jsonrpc": "2.0", "method": "notifications/x", "params": {"text": f"{process.pid} {number} " * 20_000}}).encode()
            for number in range(20)
        ]
        for process in processes
    }
    # Both write at once: neither is waited for.
    writers = [
        threading.Thread(target=process.communicate, args=[b"".join(line + b"\n" for line in lines[b"%d" % process.pid])])
        for process in processes
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert log.by_process() == {process: [mark + line for line in sent] for process, sent in lines.items()}
    assert log.strange == []
