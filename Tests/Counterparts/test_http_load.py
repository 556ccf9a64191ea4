"""A thousand calls at once over one server behind HTTP: each gets its own answer, and neither memory nor connections grow with them."""

import asyncio
import json

import pytest

import bench as tools
import processes
import validation
from loopback import MCPServer

CALLS = 1000
# Of the pool, beside the few streams that stay open.
MOST_CONNECTIONS = 80
# Of those, what mcpagg has on its way to one server at the same time.
AT_ONCE = 64
# How long all calls may take. It is reached only when something is wrong: an idle machine needs about a second.
PATIENCE = 120
# What a thousand open calls may cost beside their payload. A generous bound: 4 to 6 MB were measured, payload included.
MOST_BYTES = 32 << 20
PADDING = 4096  # letters in the text of each call, each an escape of six bytes
ERAS = {"handshake": validation.NEWEST_HANDSHAKE, "stateless": validation.STATELESS}


class Gate:
    """Lets calls wait until as many of them are at the server as can be, and answers them in an order of its own."""

    def __init__(self) -> None:
        self.waiting = self.most_waiting = 0
        self.arrived = asyncio.Event()

    async def __call__(self, params: dict) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self.waiting >= AT_ONCE:
            self.arrived.set()
        await self.arrived.wait()
        # The later half of each hundred is answered first.
        await asyncio.sleep(0.001 * (100 - params["arguments"]["n"] % 100) / 100)
        self.waiting -= 1


@pytest.fixture(params=["json", "sse"])
def server(request):
    server = MCPServer(has_streams=request.param == "sse")
    yield server
    server.close()


@pytest.mark.parametrize("behind", ERAS)
@pytest.mark.parametrize("era", ERAS)
def test_a_thousand_calls_at_once(bench, server, era, behind, capsys):
    server.eras = tuple(ERAS) if behind == era else (behind,)
    server.before_answer = gate = Gate()
    config = bench.config(tools.Server("remote", {"url": server.url, "prefix": "", "maxConcurrentCalls": CALLS, "timeout": "5m"}))
    host = bench.host(config, ERAS[era])
    host.tools_when(lambda names: names == ["echo"])
    before = processes.resident_bytes(host.process.pid)
    most = before
    begun, expected = len(host.out.lines), {}
    for n in range(CALLS):
        text = f"{n} " + chr(0x430 + n % 32) * PADDING
        expected[host.post("tools/call", {"name": "echo", "arguments": {"n": n, "text": text}})] = text
    position = begun
    while expected:
        position, line = host.out.wait_for(lambda line: b'"result"' in line or b'"error"' in line, PATIENCE, position)
        position, answer = position + 1, json.loads(line)
        assert answer["result"]["content"] == [{"type": "text", "text": expected.pop(answer["id"])}]
        if len(expected) % 50 == 0:
            most = max(most, processes.resident_bytes(host.process.pid))
    calls = [served.message for served in server.served if served.message.get("method") == "tools/call"]
    assert sorted(call["params"]["arguments"]["n"] for call in calls) == list(range(CALLS)), "each once"
    assert {validation.VERSION in validation.meta_of(call) for call in calls} == {behind == "stateless"}
    assert len({json.dumps(call["id"]) for call in calls}) == CALLS
    assert gate.most_waiting == AT_ONCE
    with capsys.disabled():
        figures = f"{server.most_open} connections at once, {server.connections} in all, {gate.most_waiting} calls at the server at once"
        memory = f"memory {before / 1e6:.0f} MB before, at most {most / 1e6:.0f} MB"
        print(f"\n  {CALLS} calls, {era} host, {behind} server: {figures}; {memory}")
    assert server.most_open <= MOST_CONNECTIONS
    # What the host sent is kept for another try, beside what waits to be posted.
    assert most - before <= MOST_BYTES + 2 * CALLS * 6 * PADDING
