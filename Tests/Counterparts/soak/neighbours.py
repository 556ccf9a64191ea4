"""What a server that misbehaves costs the three others of the same mcpagg, and what it costs in memory.

Blocks without and with the misbehaviour take turns, in the same mcpagg, and the median of the p99 of either is compared: whatever else
the machine does falls on both. Calls are sent at fixed times, whether or not earlier ones are answered, so that a stall is counted by
all the calls that it meets. They are timed by the moment at which the host's read returns, not by when its own work is done.

Pairs of blocks are taken until there are enough in which programs that do not belong to the run left the machine alone; after so many,
the quietest of them count.

The server that misbehaves runs with `nice`. On a machine of two cores a process that floods would otherwise take one from the five
others, and what was measured would be the share that the system gives to each, which no aggregator can change. For the same reason all
others get real-time priority where the system permits it. The rate of the misbehaviour is checked: what it did not get to do would
disturb nobody.
"""

import asyncio
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from soak.figures import Figure
from soak.hosts import Host, text
from soak.world import World, busy_seconds, config_text, peak_memory, reset_peak_memory

GOOD = ("one", "two", "three")
UNREAD, UNREAD_LENGTH = 900, 256 << 10  # calls, bytes of each result
UNREAD_SECONDS = 3.0
BLOCKS, BLOCK = 9, 0.7  # of each kind; seconds
CALLS_PER_SECOND = 900
FACTOR = 2.0
GROWTH = 64.0  # MB
NICE = 19
# What others may use of one core in a pair that counts, and how many times as many pairs may be taken as are wanted.
FOREIGN = 0.08
REPEATS = 4
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


@dataclass
class Pair:
    foreign: float  # share of one core that others used
    calm: float  # p99 in ms
    disturbed: float


class Neighbourhood:
    def __init__(self, world: World, seed: int, blocks: int = 0, block: float = 0.0, comes_first: bool = False):
        self.world, self.blocks, self.block, self.comes_first = world, blocks, block, comes_first
        self.chance = random.Random(f"neighbours {seed}")
        self.path = world.directory / "mcp.json"
        servers = {name: world.fake(name) for name in GOOD[:2]}
        # Back among the ordinary processes, and the last of them.
        last = ["chrt", "--other", "0"] * comes_first + ["nice", "-n", str(NICE)]
        servers["bad"] = world.fake("bad", "--features", "tools,logging,misbehaving", behind=last)
        servers[GOOD[2]] = world.fake(GOOD[2])
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
        params = {"name": f"bad__{kind.tool}", "arguments": kind.arguments or {"text": "bad"}}
        id = self.host.post("tools/call", params, lambda answer: None)
        if kind.cancels:
            self.host.cancel(id)

    async def pair(self, kind: Kind) -> Pair:
        """A block without and one with the misbehaviour."""
        begun, before, ours = time.monotonic(), busy_seconds(), self.world.used_seconds()
        calm, disturbed = await self.calm_block(), await self.disturbed_block(kind)
        foreign = (busy_seconds() - before) - (self.world.used_seconds() - ours)
        return Pair(foreign / (time.monotonic() - begun), calm, disturbed)

    async def calm_block(self) -> float:
        return percentile(await self.measure(None, self.block))

    async def disturbed_block(self, kind: Kind) -> float:
        order = {"kind": kind.name, "ms": int(self.block * 1000), "perSecond": kind.per_second, "bytes": kind.bytes}
        ended = asyncio.get_running_loop().create_task(self.host.call("bad__misbehave", order))
        value = percentile(await self.measure(kind, self.block))
        self.done.append(int(text(await ended) or 0))
        return value

    async def compare(self, kind: Kind, factor: float | None, repeats: int) -> list[Figure]:
        self.done: list[int] = []
        await self.measure(None, self.block)  # warms up
        before = processes.resident_bytes(self.host.pid)
        reset_peak_memory(self.host.pid)
        pairs: list[Pair] = []
        most = self.blocks * (1 if self.comes_first else repeats)
        while sum(pair.foreign <= FOREIGN for pair in pairs) < self.blocks and len(pairs) < most:
            pairs.append(await self.pair(kind))
        quietest = sorted(pairs, key=lambda pair: pair.foreign)[: self.blocks]
        calm, disturbed = [pair.calm for pair in quietest], [pair.disturbed for pair in quietest]
        peak = peak_memory(self.host.pid)
        foreign = f"{quietest[-1].foreign:.0%} of a core used by others, the quietest of {len(pairs)} pairs"
        quiet, loud = statistics.median(calm), statistics.median(disturbed)
        note = f"undisturbed {listed(calm)} ms\ndisturbed {listed(disturbed)} ms\n{foreign}"
        figures = [
            Figure(f"{kind.title}: p99 of the others", loud / quiet, factor, "times", note=note),
            Figure(f"{kind.title}: that is, undisturbed {quiet:.2f} ms, disturbed", loud, unit="ms"),
            Figure(f"{kind.title}: growth of memory", (peak - before) / 1e6, GROWTH, "MB"),
        ]
        if kind.per_second:
            least = LEAST_SHARE * kind.per_second
            figures.append(Figure(f"{kind.title}: rate", statistics.median(self.done) / self.block, least, "a second", is_least=True))
        return figures


def listed(times: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in times)


def percentile(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


async def host_that_stops_reading(world: World, seed: int, seconds: float) -> list[Figure]:
    """For a while the host takes nothing, and asks for far more than may wait for it; a server sends it what it can, too. Then the host
    reads again, and every request has its one answer."""
    neighbourhood = Neighbourhood(world, seed)
    await neighbourhood.begin()
    host = neighbourhood.host
    before = processes.resident_bytes(host.pid)
    reset_peak_memory(host.pid)
    lengths: list[int] = []
    failures: list[str] = []

    def answered(answer: dict[str, Any]) -> None:
        lengths.append(len(text(answer) or ""))
        if lengths[-1] != UNREAD_LENGTH:
            failures.append(json.dumps(answer)[:300])

    host.set_reading(False)
    order = {"kind": "logs", "ms": int(seconds * 1000), "perSecond": FLOOD, "bytes": 40}
    host.post("tools/call", {"name": "bad__misbehave", "arguments": order}, lambda answer: None)
    for number in range(UNREAD):
        name = f"{GOOD[number % len(GOOD)]}__payload"
        host.post("tools/call", {"name": name, "arguments": {"bytes": UNREAD_LENGTH}}, answered)
    await asyncio.sleep(seconds)
    peak = peak_memory(host.pid)
    host.set_reading(True)
    await host.quiet()
    title = "the host stops reading"
    figures = [
        Figure(f"{title}: answers that it left unread, of {UNREAD_LENGTH >> 10} KiB", UNREAD),
        Figure(f"{title}: growth of memory meanwhile", (peak - before) / 1e6, GROWTH, "MB"),
        Figure(f"{title}: growth of memory until it has read all", (peak_memory(host.pid) - before) / 1e6, GROWTH, "MB"),
        Figure(f"{title}: calls without their result", UNREAD - len(lengths) + len(failures), 0, note="\n".join(failures[:5])),
    ]
    await neighbourhood.measure(None, 0.2)
    await world.end(host)
    wrong = neighbourhood.failed + host.problems
    return [*figures, Figure(f"{title}: failed calls and wrong answers", len(wrong), 0, note="\n".join(wrong[:5]))]


@contextmanager
def precedence(is_wanted: bool) -> Iterator[bool]:
    """Whether this process, and what it starts, comes before all others meanwhile."""
    if not is_wanted or not hasattr(os, "sched_setscheduler") or shutil.which("chrt") is None:
        yield False
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


async def all_kinds(
    world: World, seed: int, blocks: int, block: float, factor: float | None, repeats: int, comes_first: bool
) -> list[Figure]:
    figures = await host_that_stops_reading(world, seed, UNREAD_SECONDS)
    for kind in KINDS:
        neighbourhood = Neighbourhood(world, seed, blocks, block, comes_first)
        await neighbourhood.begin()
        figures += await neighbourhood.compare(kind, factor, repeats)
        host = neighbourhood.host
        await world.end(host)
        wrong = neighbourhood.failed + host.problems
        figures.append(Figure(f"{kind.title}: failed calls and wrong answers", len(wrong), 0, note="\n".join(wrong[:5])))
    figures.append(Figure("survivors and bad ends", len(world.problems), 0, note="\n".join(world.problems)))
    return figures


def run(
    executable: Path, seed: int, blocks: int = BLOCKS, block: float = BLOCK, factor: float | None = FACTOR, repeats: int = REPEATS,
    comes_first: bool = True,
) -> list[Figure]:  # fmt: skip
    """`comes_first`: with real-time priority, if the system permits it."""
    with World(executable) as world, precedence(comes_first) as has_precedence:
        return asyncio.run(all_kinds(world, seed, blocks, block, factor, repeats, has_precedence))
