"""What a server that misbehaves costs the three others of the same mcpagg, and what it costs in memory.

Blocks without and with the misbehaviour take turns, in the same mcpagg, and the median of the p99 of either is compared: whatever else
the machine does falls on both. Calls are sent at fixed times, whether or not earlier ones are answered, so that a stall is counted by
all the calls that it meets. They are timed by the moment at which the host's read returns, not by when its own work is done.

The server that misbehaves runs with `nice`. On a machine of two cores a process that floods would otherwise take one from the five
others, and what was measured would be the share that the system gives to each, which no aggregator can change. Its rate is checked:
what it did not get to do would disturb nobody.
"""

import asyncio
import json
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from soak.figures import Figure
from soak.hosts import Host, text
from soak.world import World, config_text, peak_memory, reset_peak_memory

GOOD = ("one", "two", "three")
BLOCKS, BLOCK = 3, 1.0  # of each kind; seconds
CALLS_PER_SECOND = 900
FACTOR = 2.0
GROWTH = 64.0  # MB
NICE = 19
FLOOD = 100_000  # per second
# Of a flood at least this share must have come out, in the measured time.
LEAST_SHARE = 0.9


@dataclass
class Kind:
    """A way to misbehave: what the server is told, and what the host does with it meanwhile."""

    title: str
    name: str
    per_second: int = 0
    bytes: int = 0
    # Calls of the bad server, their tool and arguments, whether they are cancelled at once.
    calls_per_second: int = 20
    arguments: dict[str, Any] | None = None
    tool: str = "echo"
    cancels: bool = False


KINDS = [
    Kind("stops reading its stdin", "deaf", arguments={"text": "x" * 65536}),
    Kind("10^5 notifications a second", "notifications", FLOOD),
    Kind("10^5 log messages a second", "logs", FLOOD, 40),
    Kind("10^5 times a second a changed list", "changes", FLOOD),
    Kind("10^5 answers a second to unknown ids", "unknown_ids", FLOOD),
    Kind("10^5 lines of garbage a second", "garbage", FLOOD),
    Kind("10^5 lines a second on stderr", "stderr", FLOOD, 80),
    Kind("drips single bytes", "drips", 20_000, 200),
    Kind("answers three times", "duplicates", calls_per_second=200),
    Kind("answers what was cancelled", "answers_to_cancelled", calls_per_second=200, tool="sleep", arguments={"ms": 1}, cancels=True),
    Kind("messages of 4 MB", "huge", 4, 4 << 20),
]


class Neighbourhood:
    def __init__(self, world: World, seed: int, blocks: int, block: float):
        self.world, self.blocks, self.block = world, blocks, block
        self.chance = random.Random(f"neighbours {seed}")
        self.path = world.directory / "mcp.json"
        servers = {name: world.fake(name) for name in GOOD[:2]}
        servers |= {"bad": world.fake("bad", nice=NICE), GOOD[2]: world.fake(GOOD[2])}
        self.path.write_text(config_text(servers))
        self.failed: list[str] = []
        self.number = 0

    async def begin(self) -> None:
        self.host = self.world.host(self.path, log_level="error")
        await self.host.begin()
        assert "bad__echo" in await self.host.names()

    async def measure(self, kind: Kind | None, seconds: float) -> list[float]:
        """The times of calls on the good servers, in ms; and with a kind, calls on the bad one."""
        host, loop = self.host, asyncio.get_running_loop()
        times: list[float] = []
        begun = loop.time()
        sent = bad = 0
        while (elapsed := loop.time() - begun) < seconds:
            while sent < elapsed * CALLS_PER_SECOND:
                sent += 1
                self.good_call(times)
            while kind and bad < elapsed * kind.calls_per_second:
                bad += 1
                self.bad_call(kind)
            await asyncio.sleep(1 / CALLS_PER_SECOND)
        await host.quiet()
        assert len(times) == sent
        return times

    def good_call(self, times: list[float]) -> None:
        self.number += 1
        expected, key = f"{self.number}", self.chance.choice(GOOD)
        host = self.host
        begun = 0.0

        def answered(answer: dict[str, Any]) -> None:
            times.append((host.read_at - begun) * 1000)
            if text(answer) != expected:
                self.failed.append(f"{key}: {json.dumps(answer)[:300]}")

        _, line = host.prepared("tools/call", {"name": f"{key}__echo", "arguments": {"text": expected}}, answered)
        begun = time.perf_counter()
        host.send(line)

    def bad_call(self, kind: Kind) -> None:
        # However it is answered: that is not what is measured here; that it is answered once is.
        id = self.host.post("tools/call", {"name": f"bad__{kind.tool}", "arguments": kind.arguments or {"text": "bad"}}, lambda answer: None)
        if kind.cancels:
            self.host.cancel(id)

    async def compare(self, kind: Kind) -> list[Figure]:
        calm, disturbed, done = [], [], 0
        await self.measure(None, self.block)  # warms up
        before = processes.resident_bytes(self.host.pid)
        peak = before
        for _ in range(self.blocks):
            calm.append(percentile(await self.measure(None, self.block)))
            arguments = {"kind": kind.name, "ms": int(self.block * 1000), "perSecond": kind.per_second, "bytes": kind.bytes}
            ended = asyncio.get_running_loop().create_task(self.host.call("bad__misbehave", arguments))
            reset_peak_memory(self.host.pid)
            disturbed.append(percentile(await self.measure(kind, self.block)))
            peak = max(peak, peak_memory(self.host.pid))
            done += int(text(await ended) or 0)
        quiet, loud = statistics.median(calm), statistics.median(disturbed)
        figures = [
            Figure(f"{kind.title}: p99 of the others", loud / quiet, FACTOR, "times", note=f"undisturbed {calm}\ndisturbed {disturbed} ms"),
            Figure(f"{kind.title}: that is, undisturbed {quiet:.2f} ms, disturbed", loud, unit="ms"),
            Figure(f"{kind.title}: growth of memory", (peak - before) / 1e6, GROWTH, "MB"),
        ]
        if kind.per_second:
            least = LEAST_SHARE * kind.per_second
            figures.append(Figure(f"{kind.title}: rate", done / self.blocks / self.block, least, "a second", is_least=True))
        return figures


def percentile(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


async def all_kinds(world: World, seed: int, kinds: list[Kind], blocks: int, block: float) -> list[Figure]:
    figures = []
    for kind in kinds:
        neighbourhood = Neighbourhood(world, seed, blocks, block)
        await neighbourhood.begin()
        figures += await neighbourhood.compare(kind)
        host = neighbourhood.host
        await world.end(host)
        wrong = neighbourhood.failed + host.problems
        figures.append(Figure(f"{kind.title}: failed calls and wrong answers", len(wrong), 0, note="\n".join(wrong[:5])))
    figures.append(Figure("survivors and bad ends", len(world.problems), 0, note="\n".join(world.problems)))
    return figures


def run(executable: Path, seed: int, kinds: list[Kind] = KINDS, blocks: int = BLOCKS, block: float = BLOCK) -> list[Figure]:
    with World(executable) as world:
        return asyncio.run(all_kinds(world, seed, kinds, blocks, block))
