"""Everything at once, for long: hosts of both eras before servers of both eras, processes and URLs; calls, cancellations, progress,
questions, subscriptions; crashes, hangs, floods, lost sessions, refused connections; saves of the config.

Every few seconds all comes to rest: the config is the first one again, every request has its answer, every server works. Only then are
memory, descriptors and processes looked at, so that nothing is counted that is still of use.
"""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import processes
from bench import PATIENCE
from pairs import FORM, SAMPLE
from saving import WAYS
from soak.figures import Figure
from soak.hosts import Host, Message, text
from soak.world import Busy, Working, World, config_text, descendants, descriptors
from validation import NEWEST_HANDSHAKE, STATELESS

SECONDS = 1800.0
WARM_UP = 60.0  # after which memory must not grow any more
GROWTH = 5.0  # MB
REST_EVERY = 20.0  # seconds
STEPS_PER_SECOND = 300  # of each host
FAULT_EVERY, SAVE_EVERY = 2.5, 3.0  # seconds
# Open requests of one host. Hanging calls gather until they time out.
MOST_OPEN = 200
# Servers that lost several lives wait before the next one, and connections of the pool are kept for a minute.
RECOVERY = 120.0
# Free memory goes back to the system after a second of silence, or two; what is still said after the last answer puts that off. So the
# least in this time counts: what leaks stays.
SILENCE = 6.0

CHILDREN = {"old": ["--revision", "2025-03-26"], "new": ["--era", "stateless"], "both": ["--era", "both"]}
SITES = {"site": {}, "stateless": {"eras": ("stateless",)}}
# Times are short, so that what hangs is over soon; servers that failed are tried again soon, too.
LIMITS = {"timeout": "2s", "maxTimeout": "8s", "circuitBreaker": {"failures": 5, "reset": "2s"}, "retry": {"delay": "100ms"}}
# Hosts do not come back for each call of which they were asked something.
SETTINGS = {"inputWait": "2s"}
FLOODS = [
    "deaf", "notifications", "logs", "changes", "unknown_ids", "duplicates", "answers_to_cancelled", "drips", "stderr", "huge", "garbage",
]  # fmt: skip
# What is right for a healthy mcpagg, seen from the outside.
QUESTIONS = [
    {"method": "elicitation/create", "params": FORM}, {"method": "sampling/createMessage", "params": SAMPLE}, {"method": "roots/list"},
]  # fmt: skip


class Actor:
    """A host, and what it does."""

    def __init__(self, mixture: "Mixture", era: str):
        self.mixture = mixture
        self.era = era
        self.chance = random.Random(f"mixture {era} {mixture.seed}")
        self.host = mixture.world.host(mixture.path, era, log_level="critical")
        self.host.thinks = lambda: self.chance.choice((0.0, 0.0, 0.05, 0.5))
        self.number = self.wrong = self.cancels = 0
        # Of each rest, in bytes; descriptors by their kinds.
        self.memory: list[tuple[float, int]] = []
        self.descriptors: list[dict[str, int]] = []
        self.zombies: list[str] = []
        self.sessions: list[int | str] = []  # subscriptions of a stateless host

    def server(self) -> str:
        return self.chance.choice((*CHILDREN, *SITES))

    def post(self, method: str, params: Message | None = None, progress: bool = False) -> int | str:
        """A request whose answer may be anything; where it is asked for input, it goes on."""

        def answered(answer: Message) -> None:
            result = answer.get("result") or {}
            if result.get("resultType") == "input_required" and self.chance.random() < 0.9:
                self.post(method, self.host.with_input(params or {}, result))

        return self.host.post(method, params, answered, progress)

    def call(self, server: str, tool: str, arguments: Message | None = None, progress: bool = False) -> int | str:
        return self.post("tools/call", {"name": f"{server}__{tool}", "arguments": arguments or {}}, progress)

    def echo(self, server: str, size: int = 0) -> None:
        self.number += 1
        expected = f"{self.era} {self.number} " + "é" * size

        def answered(answer: Message) -> None:
            if text(answer) not in (None, expected):
                self.host.problem(f"the echo {self.number} brought {json.dumps(answer)[:200]}")

        self.host.post("tools/call", {"name": f"{server}__echo", "arguments": {"text": expected}}, answered)

    def step(self) -> None:
        chance, server = self.chance, self.server()
        is_site = server in SITES
        wait = "wait" if is_site else "sleep"
        roll = chance.random()
        if roll < 0.50:
            self.echo(server, chance.choice((0, 10, 100, 1000, 20_000)))
        elif roll < 0.62:
            self.call(server, wait, {"ms": chance.randrange(800), "text": "slept"}, progress=chance.random() < 0.3)
        elif roll < 0.70:
            self.call(server, "progress", {"steps": chance.randrange(1, 20), "delayMs": chance.choice((0, 0, 20))}, progress=True)
        elif roll < 0.78:
            id = self.call(server, wait, {"ms": chance.randrange(1500)}, progress=chance.random() < 0.5)
            self.cancels += 1
            self.host.loop.call_later(chance.random() * chance.choice((0, 1)), self.host.cancel, id)
        elif roll < 0.86 and not is_site:
            questions = [chance.choice(QUESTIONS) for _ in range(chance.randrange(1, 3))]
            self.call(server, *chance.choice((("ask", {"questions": questions}), ("nested", {"depth": 2}))))
        elif roll < 0.86:
            self.call(server, chance.choice(("ask", "sample", "roots")))
        elif roll < 0.88 and not is_site:
            self.call(server, chance.choice(("slow_task", "maybe_task")), {"ms": chance.randrange(300)})
        elif roll < 0.89:
            self.call(server, "slow" if is_site else "hang")
        elif roll < 0.91:
            self.call(server, chance.choice(("error", "fail", "no_such_tool", "garbage")))
        elif roll < 0.95:
            self.post(chance.choice(("tools/list", "prompts/list", "resources/list", "resources/templates/list", "no/such/method")))
        elif roll < 0.97:
            self.post("resources/read", {"uri": chance.choice((f"fake://{server}/text", "memo://one", "nothing://at/all"))})
        elif roll < 0.98:
            self.post("prompts/get", {"name": f"{server}__greet"})
        elif self.host.is_stateless:
            self.listen()
        else:
            self.post(*chance.choice((("ping", None), ("logging/setLevel", {"level": chance.choice(("debug", "error"))}))))

    def listen(self) -> None:
        """Begins a subscription, or ends one: a request that has no answer while it lasts."""
        if len(self.sessions) > 3:
            return self.host.cancel(self.sessions.pop(0))
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["memo://one"]}
        self.sessions.append(self.post("subscriptions/listen", {"notifications": wanted}))

    async def act(self, until: float) -> None:
        """Steps at their times; fewer, if too much is open."""
        loop = asyncio.get_running_loop()
        begun, done = loop.time(), 0
        while (now := loop.time()) < until:
            while done < (now - begun) * STEPS_PER_SECOND:
                done += 1
                if len(self.host.open) < MOST_OPEN:
                    self.step()
            await asyncio.sleep(0.01)

    async def rest(self) -> None:
        """Waits until all is answered and every server works."""
        for id in self.sessions:
            self.host.cancel(id)
        self.sessions.clear()
        await self.host.quiet()
        deadline = self.host.loop.time() + RECOVERY
        for server in (*CHILDREN, *SITES):
            while text(answer := await self.host.call(f"{server}__echo", {"text": "rested"})) != "rested":
                if self.host.loop.time() > deadline:
                    return self.host.problem(f"'{server}' does not work again within {RECOVERY} s: {json.dumps(answer)[:300]}")
                await asyncio.sleep(0.1)
        # One process of each, and the others are gone.
        while not self.is_settled():
            if self.host.loop.time() > deadline:
                self.zombies += [processes.describe(pid) for pid, state in descendants(self.host.pid).items() if state == "Z"]
                return self.host.problem(f"the processes at rest are {self.names()}, the descriptors {descriptors(self.host.pid)}")
            await asyncio.sleep(0.05)

    def is_settled(self) -> bool:
        """Whether nothing is on its way any more: a save just made may still start a server and end another. What leaks never settles."""
        if sorted(self.names()) != sorted(CHILDREN) or "Z" in descendants(self.host.pid).values():
            return False
        return not self.descriptors or kept(descriptors(self.host.pid)) == kept(self.descriptors[0])

    def names(self) -> list[str]:
        return [name for name in self.mixture.children for _ in self.mixture.world.servers(self.host, name)]

    async def look(self, begun: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SILENCE
        least = processes.resident_bytes(self.host.pid)
        while loop.time() < until:
            await asyncio.sleep(0.25)
            least = min(least, processes.resident_bytes(self.host.pid))
        self.memory.append((loop.time() - begun, least))
        self.descriptors.append(descriptors(self.host.pid))


class Mixture:
    def __init__(self, world: World, seed: int):
        self.world, self.seed = world, seed
        self.chance = random.Random(f"mixture {seed}")
        self.path = world.directory / "config" / "mcp.json"
        self.path.parent.mkdir()
        self.children = [*CHILDREN, "extra"]
        self.sites: dict[str, Busy] = {key: world.remote(key, Working(**knobs)) for key, knobs in SITES.items()}
        self.saves = self.faults = self.rests = 0

    def base(self) -> dict[str, Any]:
        entries = {name: self.world.fake(name, *flags, "--features", "all,misbehaving", **LIMITS) for name, flags in CHILDREN.items()}
        return entries | {key: {**site.entry, **LIMITS} for key, site in self.sites.items()}

    # Faults

    def fault(self) -> None:
        self.faults += 1
        actor, chance = self.chance.choice(self.actors), self.chance
        child, site = chance.choice(list(CHILDREN)), self.sites[chance.choice(list(SITES))]
        roll = chance.random()
        if roll < 0.25:
            actor.call(child, chance.choice(("crash", "exit")))
        elif roll < 0.65:
            kind = chance.choice(FLOODS)
            order = {"kind": kind, "ms": chance.randrange(100, 1500), "perSecond": 20_000, "bytes": 20}
            actor.call(child, "misbehave", order | ({"perSecond": 8, "bytes": 1 << 20} if kind == "huge" else {}))
        elif roll < 0.75:
            site.on_loop(site.behaviour.forget)
        elif roll < 0.9:
            site.drop_connections()
        else:
            site.stop_listening()
            site.drop_connections()
            asyncio.get_running_loop().call_later(chance.random() * 2, site.listen)

    def save(self) -> None:
        self.saves += 1
        chance, entries = self.chance, self.base()
        if chance.random() < 0.5:
            entries["extra"] = self.world.fake("extra", "--tools", str(chance.randrange(3)))
        if chance.random() < 0.3:
            changed = chance.choice(list(CHILDREN))
            entries[changed] = {**entries[changed], "env": {"CHANGED": str(chance.random())}}
        if chance.random() < 0.3:
            entries[chance.choice(list(entries))]["tools"] = {"exclude": ["add"]}
        if chance.random() < 0.2:
            entries[chance.choice(list(SITES))]["headers"] = {"X-Changed": str(chance.randrange(5))}
        if chance.random() < 0.1:
            del entries[chance.choice(list(entries))]
        whole = config_text(entries, **SETTINGS)
        chance.choice(WAYS)(self.path, whole if chance.random() < 0.85 else whole[: chance.randrange(len(whole) - 3)])

    async def every(self, seconds: float, until: float, act: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause = self.chance.expovariate(1 / seconds)
            if loop.time() + pause > until:
                return
            await asyncio.sleep(pause)
            act()

    # The run

    async def rest(self, begun: float) -> None:
        self.rests += 1
        loop = asyncio.get_running_loop()
        # A refused port is open again by then.
        await asyncio.sleep(2)
        WAYS[1](self.path, config_text(self.base(), **SETTINGS))
        await asyncio.gather(*(actor.rest() for actor in self.actors))
        await asyncio.gather(*(actor.look(begun) for actor in self.actors))

    async def sockets_close(self, actor: Actor, wanted: int) -> None:
        """Connections that are kept for later calls are closed after a while."""
        deadline = asyncio.get_running_loop().time() + RECOVERY
        while descriptors(actor.host.pid).get("socket", 0) > wanted and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)

    async def run(self, seconds: float, warm_up: float | None, rest_every: float) -> list[Figure]:
        loop = asyncio.get_running_loop()
        self.path.write_text(config_text(self.base(), **SETTINGS))
        self.actors = [Actor(self, era) for era in (NEWEST_HANDSHAKE, STATELESS)]
        for actor in self.actors:
            await actor.host.begin()
        begun = loop.time()
        await self.rest(begun)
        while loop.time() - begun < seconds:
            until = min(loop.time() + rest_every, begun + seconds)
            jobs = [actor.act(until) for actor in self.actors]
            await asyncio.gather(*jobs, self.every(FAULT_EVERY, until, self.fault), self.every(SAVE_EVERY, until, self.save))
            await self.rest(begun)
        figures = [
            Figure("seconds", round(loop.time() - begun)),
            Figure("faults", self.faults), Figure("saves", self.saves), Figure("rests", self.rests),
        ]  # fmt: skip
        for actor in self.actors:
            figures += await self.judge(actor, warm_up)
        await self.world.end(*(actor.host for actor in self.actors))
        figures.append(Figure("survivors and bad ends", len(self.world.problems), 0, note="\n".join(self.world.problems)))
        return figures

    async def judge(self, actor: Actor, warm_up: float | None) -> list[Figure]:
        host = actor.host
        name = "stateless host" if host.is_stateless else "host with a handshake"
        first = actor.descriptors[0]
        if warm_up is not None:
            await self.sockets_close(actor, first.get("socket", 0))
        last = descriptors(host.pid)
        others = [kept(each) for each in [*actor.descriptors, last]]
        differing = [each for each in others if each != others[0]]
        figures = [
            Figure(f"{name}: requests", host.count), Figure(f"{name}: answers", host.answers), Figure(f"{name}: cancelled", actor.cancels),
            Figure(f"{name}: questions answered", host.questions),
            Figure(f"{name}: requests without exactly one answer, and other things wrong", host.problem_count, 0,
                   note="\n".join(host.problems)),
            Figure(f"{name}: rests at which descriptors were not those of the first", len(differing), 0,
                   note=f"first {others[0]}\n" + "\n".join(map(str, differing[:5]))),
            Figure(f"{name}: most sockets at a rest", max(each.get("socket", 0) for each in actor.descriptors)),
            Figure(f"{name}: zombies", len(actor.zombies), 0, note="\n".join(actor.zombies)),
        ]  # fmt: skip
        if warm_up is not None:
            warm = [(at, memory) for at, memory in actor.memory if at >= warm_up]
            sockets = last.get("socket", 0) - first.get("socket", 0)
            growth = max(memory for _, memory in warm) - warm[0][1]
            course = " ".join(f"{at:.0f}s:{memory / 1e6:.1f}" for at, memory in actor.memory)
            figures += [
                Figure(f"{name}: sockets more at the end than at first", sockets, 0),
                Figure(f"{name}: memory after {warm[0][0]:.0f} s", warm[0][1] / 1e6, unit="MB"),
                Figure(f"{name}: growth of memory since then", growth / 1e6, GROWTH, "MB", note=course),
            ]
        return figures


def kept(counts: dict[str, int]) -> dict[str, int]:
    """Those that are constant at rest: connections of a pool come and go."""
    return {kind: count for kind, count in counts.items() if kind != "socket"}


def run(
    executable: Path, seed: int, seconds: float = SECONDS, warm_up: float | None = WARM_UP, rest_every: float = REST_EVERY
) -> list[Figure]:
    with World(executable) as world:
        return asyncio.run(Mixture(world, seed).run(seconds, warm_up, rest_every))
