"""Saves of the config, ten in a second, in every way and with every kind of change, while calls run on servers that do not change.

What must hold: no such call fails, their servers are not started again, the host hears of a change of the list only if there was one,
and after the storm the list is that of the last good config.
"""

import asyncio
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
from bench import PATIENCE, SURVIVAL
from saving import WAYS
from soak.figures import Figure
from soak.hosts import Host, text
from soak.world import Working, World, config_text

IN_FLIGHT = 32
SAVES, SECONDS = 200, 20.0
LONGEST_CALL = 300  # ms
STEADY = ("alpha", "beta", "gamma", "delta")
OTHERS = ("one", "two", "three", "four")
# The config that a list belongs to may be the one before the last save: reloading takes this long.
LATENCY = 2.0


class Storm:
    def __init__(self, world: World, seed: int):
        self.world = world
        self.chance = random.Random(f"storm {seed}")
        self.path = world.directory / "config" / "mcp.json"
        self.path.parent.mkdir()
        self.remotes = {
            "gamma": world.remote("gamma", Working()),
            "delta": world.remote("delta", Working(eras=("stateless",))),
        }
        # In effect, apart from what is broken.
        self.entries: dict[str, Any] = {
            "alpha": world.fake("alpha"),
            **{key: dict(remote.entry) for key, remote in self.remotes.items()},
            "beta": world.fake("beta"),
        }
        self.calls = self.failed = self.number = 0
        self.failures: list[str] = []
        self.goes_on = True
        self.changed_at = 0.0  # when a save last could change the list
        self.told = self.told_of_nothing = 0
        self.list: list[str] = []
        self.listed_at = 0.0
        self.is_listing = False
        self.listed = asyncio.Event()

    # Calls

    def call(self, host: Host) -> None:
        """Begins a call on a server that does not change; its end begins the next one."""
        self.number += 1
        key = STEADY[self.number % len(STEADY)]
        expected = f"call {self.number}"
        arguments = {"ms": self.chance.randrange(LONGEST_CALL), "text": expected}

        def answered(answer: dict[str, Any]) -> None:
            self.calls += 1
            if text(answer) != expected:
                self.failed += 1
                self.failures.append(f"{key}: {json.dumps(answer)[:300]}")
            if self.goes_on:
                self.call(host)

        tool = "sleep" if key in ("alpha", "beta") else "wait"
        host.post("tools/call", {"name": f"{key}__{tool}", "arguments": arguments}, answered)

    # Saves

    def change(self) -> tuple[str, bool]:
        """The text of the next save, and whether it may change the merged list."""
        chance, entries = self.chance, self.entries
        present = [key for key in OTHERS if key in entries]
        kinds = ["comment", "broken", "wrong", "limits", "order"] + ["add"] * 2 * (len(present) < len(OTHERS))
        kinds += ["remove", "restart", "filter", "rename", "disable"] * bool(present)
        kind = chance.choice(kinds)
        key = chance.choice(present) if present else ""
        if kind == "add":
            key = chance.choice([key for key in OTHERS if key not in entries])
            entries[key] = self.world.fake(key, "--tools", str(chance.randrange(5)))
        elif kind == "remove":
            del entries[key]
        elif kind == "restart":
            entries[key] = self.world.fake(key, "--tools", str(chance.randrange(5)), "--start-delay", f"{chance.randrange(300)}ms")
        elif kind == "filter":
            entries[key]["tools"] = {"include": chance.choice((["*"], ["e*"], ["tool_*", "add"])), "exclude": chance.choice(([], ["echo"]))}
        elif kind == "rename":
            entries[key]["tools"] = {"rename": {"echo": f"say_{chance.randrange(100)}"}}
        elif kind == "disable":
            entries[key]["disabled"] = not entries[key].get("disabled", False)
        elif kind == "limits":
            # Of servers that must not be started again for that.
            steady = chance.choice(STEADY)
            entries[steady]["timeout"] = f"{chance.randrange(30, 90)}s"
            entries[steady]["tools"] = {"exclude": chance.choice(([], ["fail"], ["add"]))}
        elif kind == "order":
            keys = list(entries)
            chance.shuffle(keys)
            self.entries = {key: entries[key] for key in keys}
        whole = config_text(self.entries)
        if kind == "comment":
            return f"// {chance.random()}\n{whole}", False
        if kind == "broken":
            return whole[: chance.randrange(2, len(whole) - 3)], False
        if kind == "wrong":
            return whole.replace('"command"', '"comand"', 1), False
        return whole, True

    async def save(self, saves: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(saves):
            content, changes = self.change()
            if changes:
                self.changed_at = loop.time()
            self.chance.choice(WAYS)(self.path, content)
            await asyncio.sleep(max(0.0, begun + (number + 1) * seconds / saves - loop.time()))
        self.changed_at = loop.time()
        self.chance.choice(WAYS)(self.path, config_text(self.entries))

    # What the host hears

    def notified(self, host: Host, method: str) -> None:
        if method == "notifications/tools/list_changed":
            self.told += 1
            if not self.is_listing:
                self.is_listing = True
                asyncio.get_running_loop().create_task(self.look(host, was_told=True))

    async def look(self, host: Host, was_told: bool = False) -> list[str]:
        loop = asyncio.get_running_loop()
        while True:
            before, asked, told = self.listed_at, loop.time(), self.told
            names = await host.names()
            # There and back again between two looks is a change, too.
            if was_told and names == self.list and self.changed_at < before - LATENCY:
                self.told_of_nothing += 1
            self.list, self.listed_at = names, asked
            self.listed.set()
            if self.told == told:
                self.is_listing = False
                return names

    async def list_becomes(self, wanted: Callable[[list[str]], bool]) -> None:
        """Waits until the list is as wanted, or nothing has been heard for too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not wanted(self.list):
                    self.listed.clear()
                    await self.listed.wait()
        except TimeoutError:
            pass  # the figures tell

    async def run(self, saves: int, seconds: float) -> list[Figure]:
        self.path.write_text(config_text(self.entries))
        host = self.world.host(self.path, log_level="critical")
        await host.begin()
        await self.look(host)
        host.notified = lambda method, params: self.notified(host, method)
        steady = {key: self.world.servers(host, key) for key in ("alpha", "beta")}
        sessions = self.remotes["gamma"].behaviour.begun
        for _ in range(IN_FLIGHT):
            self.call(host)
        await self.save(saves, seconds)
        restarted = sum(self.world.servers(host, key) != steady[key] for key in steady)
        restarted += self.remotes["gamma"].behaviour.begun - sessions
        expected = self.fresh_list()
        # Every change is told of; the last one, too.
        await self.list_becomes(lambda names: names == expected)
        self.goes_on = False
        await host.quiet()
        final = self.list
        wanted = {key for key, entry in self.entries.items() if "command" in entry and not entry.get("disabled")}
        surplus = await asyncio.to_thread(self.surplus, host, wanted)
        quiet = await self.changes_of_nothing(host)
        await self.world.end(host)
        return [
            Figure("saves", saves, unit=f"in {seconds:.0f} s"),
            Figure("calls on unchanged servers", self.calls, unit=f"{IN_FLIGHT} in flight"),
            Figure("of them failed", self.failed, 0, note="\n".join(self.failures[:5])),
            Figure("unchanged servers that were started again", restarted, 0),
            Figure("differences of the list after the storm", len(set(expected) ^ set(final)) or int(expected != final), 0,
                   note=f"expected {expected}\ngot {final}"),
            Figure("times the host was told of a change", self.told),
            Figure("of them without a change", self.told_of_nothing, 0),
            Figure("told after saves that change nothing in the list", quiet, 0),
            Figure("processes of servers that are no more", len(surplus), 0, note="\n".join(surplus)),
            Figure("answers to nothing, and other things wrong", host.problem_count, 0, note="\n".join(host.problems)),
            Figure("survivors and bad ends", len(self.world.problems), 0, note="\n".join(self.world.problems)),
        ]  # fmt: skip

    def fresh_list(self) -> list[str]:
        """What a mcpagg lists that begins with the last config."""
        command = [str(self.world.executable), "--config", str(self.path), "list-tools", "--json"]
        done = subprocess.run(command, env=self.world.environment, capture_output=True, timeout=PATIENCE, check=True)
        return [tool["name"] for tool in json.loads(done.stdout)["tools"]]

    def surplus(self, host: Host, wanted: set[str]) -> list[str]:
        """Servers that should have ended, and do not; and all but one of each that should run."""
        left = []
        kept: set[str] = set()
        for pid in self.world.servers(host):
            key = next((key for key in wanted if pid in self.world.servers(host, key)), None)
            # Whatever is to end is ending already.
            if key is None or key in kept:
                if not processes.wait_for_end(pid, SURVIVAL):
                    left.append(processes.describe(pid))
            else:
                kept.add(key)
        return left

    async def changes_of_nothing(self, host: Host) -> int:
        """Saves that leave the list as it is: how often the host is told of them, with a real change at the end to wait for."""
        before = self.told
        for entry in self.entries.values():
            entry["timeout"] = "45s"
        good = config_text(self.entries)
        for number, content in enumerate((f"// nothing\n{good}", good[:-5], good.replace("45s", "46s"), good, good.replace("  ", "\t"))):
            WAYS[number % len(WAYS)](self.path, content)
            await asyncio.sleep(0.2)
        told = self.told - before
        self.entries["last"] = self.world.fake("last")
        WAYS[0](self.path, config_text(self.entries))
        await self.list_becomes(lambda names: "last__echo" in names)
        return told


def run(executable: Path, seed: int, saves: int = SAVES, seconds: float = SECONDS) -> list[Figure]:
    with World(executable) as world:
        return asyncio.run(Storm(world, seed).run(saves, seconds))
