"""The surroundings of a run: a directory, programs with a mark, and servers behind URLs that keep no books."""

import asyncio
import json
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import processes
from bench import PATIENCE, SURVIVAL
from http_bench import Remote
from http_mcp import NUMBER, TEXT, Behaviour, text, tool
from http_server import Entry
from http_wire import Exchange
from soak.hosts import Host
from validation import NEWEST_HANDSHAKE


class World:
    """Use it as a context; at its end nothing that it started is left, or that is a problem."""

    def __init__(self, executable: Path):
        self.executable = executable.resolve()
        self.mark = uuid.uuid4().hex
        self.hosts: list[Host] = []
        self.remotes: list[Remote] = []
        self.problems: list[str] = []

    def __enter__(self) -> "World":
        self._directory = tempfile.TemporaryDirectory()
        self.directory = Path(self._directory.name)
        return self

    def __exit__(self, *_: Any) -> None:
        for host in self.hosts:
            if host.process.poll() is None:
                host.process.kill()
                host.process.wait(PATIENCE)
        for remote in self.remotes:
            remote.close()
        for pid in processes.marked(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._directory.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MCPAGG")}
        places = {"XDG_CONFIG_HOME": str(self.directory / "no-config"), "XDG_STATE_HOME": str(self.directory / "state")}
        places["XDG_CACHE_HOME"] = str(self.directory / "cache")
        return {**kept, **places, processes.MARK: self.mark, "LC_ALL": "C.UTF-8"}

    def fake(self, name: str, *flags: str, behind: Sequence[str] = (), **entry: Any) -> dict[str, Any]:
        """The config entry of a fake server, `behind` a command that becomes it."""
        command = [*behind, str(self.executable.with_name("fake-mcp-server")), "--name", name, *flags]
        return {"command": command[0], "args": command[1:], **entry}

    def remote(self, key: str, behaviour: Behaviour | None = None, **entry: Any) -> "Busy":
        remote = Busy(key, behaviour or Working(), entry)
        self.remotes.append(remote)
        return remote

    def host(self, config: Path, era: str = NEWEST_HANDSHAKE, log_level: str = "warning") -> Host:
        command = [str(self.executable), "--config", str(config), "--log-level", log_level]
        host = Host(command, self.environment, self.directory, era)
        self.hosts.append(host)
        return host

    def servers(self, host: Host, name: str | None = None) -> list[int]:
        """The processes of fake servers below a host's mcpagg, or of the one with this name."""
        return [
            pid
            for pid, state in descendants(host.pid).items()
            if state != "Z"
            and "--name" in (arguments := command_line(pid))
            and (name is None or arguments[arguments.index("--name") + 1] == name)
        ]

    def used_seconds(self) -> float:
        """Of processor time: by us and all below us, those that have ended included as far as their parents know."""
        ticks = 0
        for pid in [os.getpid(), *descendants(os.getpid())]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    async def end(self, *hosts: Host) -> None:
        """Ends the hosts that there are; notes what was wrong with that, and who is still there."""
        for host in hosts:
            if code := await host.end():
                self.problems.append(f"mcpagg ended with {code}: {host.last_words()}")
        left = await asyncio.to_thread(processes.survivors, self.mark, SURVIVAL)
        self.problems += [f"survives mcpagg: {each}" for each in left]


class Busy(Remote):
    """A scripted server behind a URL that works for long: it keeps no log."""

    def _note(self, entry: Entry) -> None:
        pass


class Working(Behaviour):
    """A server with the tools of the fake that load is made of."""

    def __init__(self, **knobs: Any):
        mine = [tool("wait", {"ms": NUMBER, "text": TEXT}, annotations={"readOnlyHint": True})]
        super().__init__(tools=[*Behaviour().tools, *mine], **knobs)
        self.begun = 0  # sessions
        self.open = 0  # calls

    def initialize(self, exchange: Exchange) -> None:
        self.begun += 1
        super().initialize(exchange)

    def __call__(self, exchange: Exchange) -> Any:
        outcome = super().__call__
        if exchange.message.get("method") == "tools/call" and exchange.params.get("name") == "wait":
            return self.wait(exchange, outcome)
        return outcome(exchange)

    async def wait(self, exchange: Exchange, go_on: Callable[[Exchange], Any]) -> None:
        self.open += 1
        try:
            await asyncio.sleep(exchange.params["arguments"]["ms"] / 1000)
        finally:
            self.open -= 1
        if not exchange.is_over:
            go_on(exchange)


def descendants(pid: int) -> dict[int, str]:
    """The processes below a process, zombies included, with their states. Servers need not be its own children."""
    below, every = {pid}, tree()
    while more := {child for child, (parent, _) in every.items() if parent in below} - below:
        below |= more
    return {child: every[child][1] for child in below - {pid}}


def tree() -> dict[int, tuple[int, str]]:
    """Each process with its parent and its state."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(entry)] = (int(fields[1]), fields[0].decode())
    return found


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def descriptors(pid: int) -> dict[str, int]:
    """How many descriptors it has open, by what they are: pipe, socket, anon_inode, or file."""
    found: dict[str, int] = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            continue
        kind = target.partition(":")[0] if ":" in target else "file"
        found[kind] = found.get(kind, 0) + 1
    return found


def config_text(servers: dict[str, Any], **aggregator: Any) -> str:
    return json.dumps({"mcpServers": servers, **({"aggregator": aggregator} if aggregator else {})}, indent=2) + "\n"


def reset_peak_memory(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_memory(pid: int) -> int:
    """The most resident memory since the reset, in bytes."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def busy_seconds() -> float:
    """Of processor time, of the whole machine."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = (int(field) for field in file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
