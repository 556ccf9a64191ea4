"""A call in flight on a server that is taken out of the config, or changed in it, has its real result; then that server is gone.

Each turn begins a call, saves a config without its server or with another one in its place, and lets the call go on only when the host
has seen the new list. The test plays the server, so nothing depends on how long anything takes.
"""

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import places
import processes
from bench import SURVIVAL, Bench, RawHost, Scripted
from http_bench import Remote, Web
from http_mcp import EVENTS, Behaviour, tool
from http_server import hold
from http_wire import Exchange
from pairs import ACCEPTED, FORM, able
from saving import WAYS
from soak.figures import Figure
from soak.world import command_line
from validation import NEWEST_HANDSHAKE

KEY = "s"
TURNS = 10
ASK = "elicitation/create"


class Child:
    """A server that is a process."""

    def __init__(self, web: Web, number: int):
        self.server: Scripted = web.bench.scripted(KEY, script(number))
        self.entry = self.server.entry

        self.mark = web.bench.mark

    def take(self) -> None:
        """The call has arrived."""
        self.call = self.server.wait_for("tools/call")[1]
        self.pids = [pid for pid in processes.marked(self.mark) if str(self.server.script_path) in command_line(pid)]

    def progress(self, number: int) -> None:
        token = self.call["params"]["_meta"]["progressToken"]
        self.server.notify("notifications/progress", {"progressToken": token, "progress": number})

    def ask(self) -> None:
        self.server.question("q", ASK, FORM)

    def answer(self) -> dict[str, Any]:
        return self.server.answer_to("q")["result"]

    def finish(self, result: dict[str, Any]) -> None:
        self.server.say({"id": self.call["id"], "result": result})

    def left(self) -> list[str]:
        assert self.pids, "the server has no process"
        return [processes.describe(pid) for pid in self.pids if not processes.wait_for_end(pid, SURVIVAL)]


class Site:
    """A server behind a URL."""

    def __init__(self, web: Web, number: int):
        self.server: Remote = web.remote(KEY, Behaviour(tools=[tool("t"), tool(f"n{number}")], answers=EVENTS))
        self.server.on(hold, "tools/call", times=None)
        self.entry = self.server.entry

    def take(self) -> None:
        self.exchange: Exchange = self.server.wait_request("tools/call")
        self.exchange.events()

    def progress(self, number: int) -> None:
        params = {"progressToken": self.exchange.params["_meta"]["progressToken"], "progress": number}
        self.exchange.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def ask(self) -> None:
        self.exchange.event({"jsonrpc": "2.0", "id": "q", "method": ASK, "params": FORM})

    def answer(self) -> dict[str, Any]:
        return self.server.wait_request(http="POST", where=lambda each: each.id == "q" and "result" in each.message).message["result"]

    def finish(self, result: dict[str, Any]) -> None:
        self.exchange.result(result)

    def left(self) -> list[str]:
        # It has no process that we could end, but a session.
        self.server.wait_request(http="DELETE")
        return []


def script(number: int) -> dict[str, Any]:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("t", f"n{number}")]
    return {"capabilities": {"tools": {}}, "lists": {"tools/list": [tools]}}


class Handover:
    def __init__(self, bench: Bench, chance: random.Random):
        self.bench, self.web, self.chance = bench, Web(bench), chance
        self.steady = bench.fake("steady")
        self.path = bench.directory / "config" / "mcp.json"
        self.path.parent.mkdir()
        self.number = 0

    def begin(self) -> RawHost:
        self.path.write_text(self.bench.config_text(self.steady))
        self.host = self.bench.host(self.path, NEWEST_HANDSHAKE, **able(NEWEST_HANDSHAKE))
        self.host.tools()
        return self.host

    def save(self, server: Child | Site | None, wanted: Callable[[list[str]], bool]) -> None:
        servers = [self.steady] if server is None else [self.steady, server.server]
        self.chance.choice(WAYS)(self.path, self.bench.config_text(*servers))
        self.host.tools_when(wanted)

    def new(self, kind: type[Child | Site]) -> Child | Site:
        self.number += 1
        return kind(self.web, self.number)

    def turn(self, kind: type[Child | Site], is_removed: bool, manner: str) -> str | None:
        """One handover; what was wrong with it."""
        host = self.host
        server, name = self.new(kind), f"{KEY}__n{self.number}"
        self.save(server, lambda names: name in names)
        start = len(host.out.lines)
        params: dict[str, Any] = {"name": f"{KEY}__t", "arguments": {}}
        if manner == "progress":
            params["_meta"] = {"progressToken": f"p{self.number}"}
        id = host.post("tools/call", params)
        server.take()
        if manner == "progress":
            server.progress(1)
            host.notification("notifications/progress", start)
        asks_before = manner == "question" and self.chance.random() < 0.5
        if asks_before:
            server.ask()
            _, asked = host.question(ASK, start)

        other = None if is_removed else self.new(kind if self.chance.random() < 0.7 else Site if kind is Child else Child)
        next_name = f"{KEY}__n{self.number}"
        self.save(other, (lambda names: name not in names) if other is None else (lambda names: next_name in names))

        if manner == "progress":
            seen = len(host.out.lines)
            server.progress(2)
            host.notification("notifications/progress", seen)
        if manner == "question":
            if not asks_before:
                server.ask()
                _, asked = host.question(ASK, start)
            host.reply(asked["id"], ACCEPTED)
            if server.answer() != ACCEPTED:
                return "the answer of the host did not come to the server"
        result = {"content": [{"type": "text", "text": f"the real result of {self.number}"}]}
        server.finish(result)
        answer = host.answer(id)
        if answer.get("result") != result:
            return f"the call was answered with {json.dumps(answer)[:300]}"
        left = server.left()
        if left:
            return f"still there: {left}"
        if other is not None:
            self.save(None, lambda names: next_name not in names)
            if isinstance(other, Site):
                other.left()
        refused = host.ask("tools/call", {"name": f"{KEY}__t", "arguments": {}})
        if "error" not in refused:
            return f"a tool that is no more was answered with {json.dumps(refused)[:300]}"
        if "in between" not in host.text("steady__echo", {"text": "in between"}):
            return "another server does not work"
        return None

    def close(self) -> list[str]:
        problems = self.web.close()
        # Its log would show each restart of a server that was to stay.
        starts = sum(b'"initialize"' in line for line in self.steady.received.lines)
        problems += [f"the server that does not change was started {starts} times"] * (starts != 1)
        return problems + self.bench.close()


CASES = [
    (kind, is_removed, manner)
    for kind in (Child, Site)
    for is_removed in (True, False)
    for manner in ("plain", "progress", "question")
]


def run(executable: Path, seed: int, turns: int = TURNS) -> list[Figure]:
    places.use(executable)
    figures = []
    for kind, is_removed, manner in CASES:
        place = "a process" if kind is Child else "behind a URL"
        label = f"{manner} calls lost, server {place} {'removed' if is_removed else 'changed'}"
        wrong: list[str] = []
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(Path(directory))
            handover = Handover(bench, random.Random(f"handover {label} {seed}"))
            try:
                handover.begin()
                for number in range(turns):
                    try:
                        problem = handover.turn(kind, is_removed, manner)
                    except AssertionError as error:
                        wrong.append(f"turn {number + 1}: {error}")
                        break  # the state of things is unknown from here on
                    wrong += [f"turn {number + 1}: {problem}"] * bool(problem)
            finally:
                problems = handover.close()
        figures.append(Figure(label, len(wrong), 0, f"of {turns}", note="\n".join(wrong[:3])))
        if problems:
            figures.append(Figure(f"{label}: problems at the end", len(problems), 0, note="\n".join(problems[:5])))
    return figures
