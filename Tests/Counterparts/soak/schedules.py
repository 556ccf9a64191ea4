"""Schedules of calls, cancellations, crashes, hangs, reloads and ends, with real processes; each follows from its seed.

Tests/AggregationTests/Simulation plays many more of them, in simulated time, and `make schedules` plays 10,000. Here signals, pipes
and the scheduler are real. Servers write down every line they read: a call that stands there twice may have been run twice.
"""

import asyncio
import json
import os
import random
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import processes
from bench import PATIENCE
from saving import WAYS
from soak.figures import Figure
from soak.hosts import Host, Message, text
from soak.world import World, config_text, descriptors
from validation import NEWEST_HANDSHAKE, STATELESS

SCHEDULES = 300
# At a time: most of one is waiting.
TOGETHER = 4
# As many are described if something is wrong with them.
SHOWN = 3
KEYS = ("alpha", "beta", "gamma")
REPEATABLE = {"echo", "sleep", "progress", "fail", "error"}
FLAGS: tuple[tuple[str, ...], ...] = (
    (), (), (), ("--era", "both"), ("--era", "stateless"), ("--start-delay", "200ms"), ("--start-delay", "700ms"), ("--byte-by-byte",),
    ("--garbage",), ("--ignore-sigterm",), ("--ignore-stdin-eof",), ("--ignore-sigterm", "--ignore-stdin-eof"), ("--grandchild",),
    ("--exit-after-calls", "3"), ("--exit-at-start", "3"), ("--hang-initialize",), ("--stderr-flood", "100000"),
)  # fmt: skip
# A host that does not come back with what it was asked for does not keep its call for long.
SETTINGS = {"listWait": "300ms", "inputWait": "2s"}
FAILURE = "dev.mcpagg/failure"
NOTHING_HAPPENED = ("unavailable", "authorizationNeeded")
# A server between two launches waits longer each time.
RECOVERY = 60.0


@dataclass
class Call:
    number: int
    tool: str
    expected: str | None
    id: int | str | None = None
    # A stateless server has answered it with what it wants first, and expects another request.
    is_half: bool = False
    failure: str | None = None


@dataclass
class Outcome:
    seed: str
    calls: int = 0
    read_twice: int = 0
    rests: int = 0
    # By kind.
    wrong: dict[str, list[str]] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


class Schedule:
    def __init__(self, world: World, seed: str, reference: dict[str, int]):
        self.world, self.reference = world, reference
        self.chance = random.Random(seed)
        self.outcome = Outcome(seed)
        self.path = world.directory / "config" / "mcp.json"
        self.path.parent.mkdir()
        self.calls: list[Call] = []
        # Each policy that was in the file, by server.
        self.policies: dict[str, list[str]] = {key: [] for key in KEYS}
        self.attempts = 1
        self.entries: dict[str, Any] = {}
        self.stopped: set[int] = set()

    def note(self, what: str) -> None:
        self.outcome.trace.append(f"{asyncio.get_running_loop().time() - self.begun:.3f} s: {what}")

    def wrong(self, kind: str, what: str) -> None:
        self.note(f"WRONG, {kind}: {what}")
        self.outcome.wrong.setdefault(kind, []).append(what)

    # The config

    def entry(self, key: str) -> dict[str, Any]:
        chance = self.chance
        retry = {"attempts": chance.randint(1, 4), "delay": "30ms", "replay": chance.choice(("safe", "safe", "always", "never"))}
        self.policies[key].append(retry["replay"])
        self.attempts = max(self.attempts, retry["attempts"])
        entry: dict[str, Any] = {
            "timeout": f"{chance.choice((300, 800, 1500))}ms",
            "startupTimeout": f"{chance.choice((500, 2000))}ms",
            "retry": retry,
            "circuitBreaker": {"failures": chance.randint(2, 6), "reset": "300ms"},
            "maxConcurrentCalls": chance.choice((1, 4, 16)),
        }
        if chance.random() < 0.2:
            entry["rateLimit"] = {"calls": 3, "per": "200ms"}
        if chance.random() < 0.2:
            entry["healthCheck"] = {"every": "1s", "methods": ["ping"], "timeout": "200ms"}
        if chance.random() < 0.1:
            entry["prefix"] = chance.choice((f"{key}2", "" if key == KEYS[0] else key))
        record = str(self.world.directory / f"{key}.received")
        flags = chance.choice(FLAGS)
        return self.world.fake(key, "--features", "tools,logging,asking", "--record", record, *flags, **entry)

    def save(self) -> None:
        chance = self.chance
        kind = chance.choice(("change", "change", "add or remove", "broken", "order"))
        key = chance.choice(KEYS)
        if kind == "add or remove" and key in self.entries:
            del self.entries[key]
        elif kind in ("change", "add or remove"):
            self.entries[key] = self.entry(key)
        elif kind == "order":
            self.entries = dict(reversed(self.entries.items()))
        content = config_text(self.entries, **SETTINGS)
        self.note(f"saves: {kind} {key}: {' '.join(self.entries)}")
        chance.choice(WAYS)(self.path, content[: len(content) // 2] if kind == "broken" else content)

    # Calls

    def call(self, host: Host) -> None:
        chance = self.chance
        number = len(self.calls)
        key, expected = chance.choice(KEYS), f"call {number}"
        tool = chance.choice(("echo", "echo", "sleep", "sleep", "sleep", "progress", "fail", "ask", "ask", "hang", "change_tools", "exit", "crash"))
        arguments: Message = {"n": number, "text": expected}
        if tool in ("sleep", "progress"):
            arguments["ms"] = chance.choice((0, 5, 100, 400, 1200))
        if tool == "progress":
            arguments |= {"steps": chance.randint(1, 10), "delayMs": chance.choice((0, 20, 150))}
        if tool == "ask":
            form = {"message": "Really?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
            arguments["questions"] = [{"method": "elicitation/create", "params": form}]
            if chance.random() < 0.2:
                arguments["thenExitMs"] = chance.choice((0, 50))
        call = Call(number, tool, expected if tool in ("echo", "sleep") else None)
        self.calls.append(call)
        self.note(f"calls {key}__{tool} as {number}")
        self.post(host, call, {"name": f"{key}__{tool}", "arguments": arguments}, progress=chance.random() < 0.5)
        if chance.random() < 0.25:
            self.later(chance.choice((0, 0, 0.001, 0.02, 0.2, 1)), lambda: self.cancel(host, call))

    def post(self, host: Host, call: Call, params: Message, progress: bool = False) -> None:
        def answered(answer: Message) -> None:
            result = answer.get("result") or {}
            self.note(f"has the answer to {call.number}: {json.dumps(answer)[:200]}")
            if result.get("resultType") == "input_required":
                call.is_half = not result.get("requestState", "").startswith("mcpagg-")
                if self.chance.random() < 0.8 and not self.is_ending:
                    self.post(host, call, host.with_input(params, result))
                return
            error = answer.get("error") or {}
            call.failure = (result.get("_meta") or {}).get(FAILURE) or (error.get("data") or {}).get(FAILURE)
            if call.expected is not None and text(answer) not in (None, call.expected):
                self.wrong("answers of other calls", f"call {call.number}: {json.dumps(answer)[:300]}")

        call.id = host.post("tools/call", params, answered, progress)

    def cancel(self, host: Host, call: Call) -> None:
        if call.id in host.open and not self.is_ending:
            self.note(f"cancels {call.number}")
            host.cancel(call.id)

    # Faults

    def later(self, delay: float, do: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay, do)

    def hit(self, host: Host) -> None:
        """Something happens to a server, from outside."""
        key = self.chance.choice(KEYS)
        pids = self.world.servers(host, key)
        if not pids:
            return
        pid = self.chance.choice(pids)
        if self.chance.random() < 0.6:
            self.note(f"kills {key}")
            send_signal(pid, signal.SIGKILL)
            return
        self.note(f"stops {key}")
        send_signal(pid, signal.SIGSTOP)
        self.stopped.add(pid)
        self.later(self.chance.choice((0.02, 0.3, 1.0)), lambda: self.go_on(pid))

    def go_on(self, pid: int) -> None:
        if pid in self.stopped:
            self.stopped.discard(pid)
            send_signal(pid, signal.SIGCONT)

    def step(self, host: Host) -> None:
        roll = self.chance.random()
        if roll < 0.62:
            self.call(host)
        elif roll < 0.74:
            self.hit(host)
        elif roll < 0.86:
            self.save()
        elif roll < 0.92:
            host.post("tools/list", {}, lambda answer: None)
        elif roll < 0.95:
            send_signal(host.pid, self.chance.choice((signal.SIGHUP, signal.SIGUSR1)))
        else:
            self.note("does not read for a while")
            host.set_reading(False)
            self.later(self.chance.choice((0.05, 0.5)), lambda: None if self.is_ending else host.set_reading(True))

    # The run

    async def run(self) -> Outcome:
        self.begun = asyncio.get_running_loop().time()
        self.is_ending = False
        for key in KEYS:
            self.entries[key] = self.entry(key)
        self.path.write_text(config_text(self.entries, **SETTINGS))
        host = self.world.host(self.path, self.chance.choice((NEWEST_HANDSHAKE, "2025-06-18", STATELESS)), log_level="debug")
        host.thinks = lambda: self.chance.choice((0.0, 0.0, 0.1, 0.6))
        await host.begin()
        # Signals end a program that has not come so far as to wait for them.
        await self.look(host)
        for _ in range(self.chance.randint(5, 25)):
            self.step(host)
            await asyncio.sleep(self.chance.choice((0, 0, 0, 0.001, 0.01, 0.05, 0.2)))
        if self.chance.random() < 0.5:
            await self.rest(host)
        await self.end(host)
        self.judge(host)
        return self.outcome

    async def look(self, host: Host) -> None:
        await host.ask("server/discover" if host.is_stateless else "ping", {})

    async def rest(self, host: Host) -> None:
        """Everything is answered, and one good server is left: then there is as much open as with a fresh mcpagg."""
        self.outcome.rests += 1
        self.note("rests")
        host.set_reading(True)
        for pid in list(self.stopped):
            self.go_on(pid)
        await host.quiet(RECOVERY)
        self.chance.choice(WAYS)(self.path, config_text({"last": self.world.fake("last")}, **SETTINGS))
        try:
            async with asyncio.timeout(RECOVERY):
                while "last__echo" not in await host.names() or len(self.world.servers(host)) != 1 or descriptors(host.pid) != self.reference:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            found = f"servers {self.world.servers(host)}, descriptors {descriptors(host.pid)}, with a fresh mcpagg {self.reference}"
            self.wrong("descriptors or processes left at rest", found)

    async def end(self, host: Host) -> None:
        kind = self.chance.choice(("close", "close", "terminate", "interrupt", "interrupt twice", "vanish"))
        if kind in ("terminate", "interrupt"):
            # So that it has read all that is to be answered.
            host.set_reading(True)
            await self.look(host)
        self.is_ending = True
        self.note(f"ends: {kind}")
        if kind in ("terminate", "interrupt", "interrupt twice"):
            send_signal(host.pid, signal.SIGTERM if kind == "terminate" else signal.SIGINT)
        if kind == "interrupt twice":
            await asyncio.sleep(self.chance.choice((0, 0.01, 0.2)))
            send_signal(host.pid, signal.SIGINT)
        if kind in ("interrupt twice", "vanish"):
            # Whatever waits now has no answer to expect, but may have one.
            host.cancelled |= host.open.keys()
            host.open.clear()
        if kind == "vanish":
            host.set_reading(False)
            host.loop.remove_writer(host.input)
            host.process.stdin.close()
            host.process.stdout.close()
            code = await asyncio.to_thread(host.process.wait, PATIENCE)
        elif kind in ("terminate", "interrupt", "interrupt twice"):
            host.set_reading(True)
            await asyncio.wait_for(host.ended, PATIENCE)
            code = await asyncio.to_thread(host.process.wait, PATIENCE)
        else:
            code = await host.end()
        if code:
            self.wrong("bad exit codes", f"{code} after '{kind}': {host.last_words()}")
        left = await asyncio.to_thread(processes.survivors, self.world.mark, PATIENCE / 2)
        for each in left:
            self.wrong("processes that survive", each)

    def judge(self, host: Host) -> None:
        if host.open:
            self.wrong("requests without an answer", f"{list(host.open)}")
        # Its own books are of answers; that one ends while it is written to is no fault of it.
        for problem in host.problems:
            if self.is_ending and problem == "mcpagg reads no more":
                continue
            self.wrong("answers to nothing that is open", problem)
        read = self.read()
        self.outcome.calls = len(self.calls)
        for call in self.calls:
            keys = read.get(call.number, [])
            policies = {policy for key in keys for policy in self.policies[key]}
            may_repeat = "always" in policies or ("safe" in policies and call.tool in REPEATABLE)
            self.outcome.read_twice += len(keys) > 1
            if len(keys) > (self.attempts if may_repeat else 1):
                self.wrong("calls run too often", f"call {call.number} of {call.tool} was read by {keys}")
            if keys and not call.is_half and call.failure in NOTHING_HAPPENED:
                self.wrong("calls run though they were said not to be", f"call {call.number} of {call.tool} was read by {keys}")

    def read(self) -> dict[int, list[str]]:
        """Who has read each call, in any launch of it. A call that brings what was asked for is the same attempt."""
        found: dict[int, list[str]] = {}
        for key in KEYS:
            path = self.world.directory / f"{key}.received"
            for line in path.read_bytes().splitlines() if path.exists() else ():
                try:
                    message = json.loads(line)
                except ValueError:
                    continue  # it was killed while it wrote
                params = message.get("params") or {}
                if message.get("method") != "tools/call" or "inputResponses" in params:
                    continue
                found.setdefault(params["arguments"]["n"], []).append(key)
        return found


def send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


async def reference(executable: Path) -> dict[str, int]:
    """What is open in a fresh mcpagg with one server, at rest."""
    with World(executable) as world:
        path = world.directory / "mcp.json"
        path.write_text(config_text({"last": world.fake("last")}))
        host = world.host(path)
        await host.begin()
        await host.names()
        async with asyncio.timeout(RECOVERY):
            # What is kept for the next start is written by a thread that stays.
            while not any((world.directory / "cache").rglob("*.catalog")):
                await asyncio.sleep(0.05)
        counts = descriptors(host.pid)
        await world.end(host)
        return counts


async def play(executable: Path, seed: str, expected: dict[str, int]) -> Outcome:
    with World(executable) as world:
        schedule = Schedule(world, seed, expected)
        try:
            return await schedule.run()
        except Exception:
            schedule.wrong("schedules that broke off", traceback.format_exc())
            return schedule.outcome


async def play_all(executable: Path, seed: int, schedules: int) -> list[Outcome]:
    expected = await reference(executable)
    numbers = iter(range(schedules))
    outcomes: list[Outcome] = []

    async def player() -> None:
        for number in numbers:
            outcomes.append(await play(executable, f"schedule {seed} {number}", expected))

    await asyncio.gather(*(player() for _ in range(TOGETHER)))
    return outcomes


KINDS = (
    "requests without an answer", "answers to nothing that is open", "answers of other calls", "calls run too often",
    "calls run though they were said not to be", "descriptors or processes left at rest", "processes that survive", "bad exit codes",
    "schedules that broke off",
)  # fmt: skip


def run(executable: Path, seed: int, schedules: int = SCHEDULES) -> list[Figure]:
    outcomes = asyncio.run(play_all(executable, seed, schedules))
    figures = [
        Figure("schedules", len(outcomes), schedules, is_least=True),
        Figure("that came to rest", sum(outcome.rests for outcome in outcomes)),
        Figure("calls", sum(outcome.calls for outcome in outcomes)),
        Figure("of them sent again", sum(outcome.read_twice for outcome in outcomes)),
    ]
    for kind in KINDS:
        bad = [outcome for outcome in outcomes if kind in outcome.wrong]
        described = (f"{outcome.seed}: {outcome.wrong[kind]}\n" + "\n".join(outcome.trace) for outcome in bad[:SHOWN])
        figures.append(Figure(kind, sum(len(outcome.wrong[kind]) for outcome in bad), 0, note="\n".join(described)))
    return figures
