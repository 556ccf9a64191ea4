"""Kills mcpagg at random moments, with servers of every kind of offspring running, and counts who is left two seconds later.

The number of a run and the seed decide which servers there are, what happens to mcpagg before, and when it is killed.
"""

import concurrent.futures
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import processes
from soak.figures import Figure

# What is left after this survives.
LIMIT = 2.0
# A host that waits for the end of our output must see it now; this is for a loaded machine.
OUTPUT_LIMIT = 1.0
# Generous: it is reached only when something is wrong.
PATIENCE = 30.0
# Two looks without anything found, this far apart, are taken for the end: one could fall between the two halves of a double fork.
AGAIN = 0.03

HOST = [
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
]

# A process that leaves at once and goes on as its own child, in another session, again and again.
HOPPER = 'sleep 0.03\nsetsid sh "$0" "$1" &\n'

# What servers do, as shell scripts: "$0" is a good server, "$1" a number by which processes without an environment are found, "$2" the
# script of a hopper.
OFFSPRING = {
    "wrapper": '"$0"; true',
    "tree": "sh -c '\"$0\" --grandchild; true' \"$0\" & \"$0\"; true",
    "session": 'setsid sleep 86400 & exec "$0"',
    "daemon": '(setsid sh -c "sleep 86400 & sleep 86400" > /dev/null 2>&1 &); exec "$0"',
    "nameless daemon": '(env -i setsid sleep 86400 0.$1 > /dev/null 2>&1 &); exec "$0"',
    "deaf daemon": '(trap "" TERM HUP INT; env -i setsid sleep 86400 0.$1 &); exec "$0" --ignore-sigterm',
    "breeder": 'while :; do (env -i setsid sleep 86400 0.$1 &); sleep 0.03; done & exec "$0"',
    "breeding daemon": "(setsid sh -c 'while :; do (setsid sleep 86400 &); sleep 0.03; done' &); exec \"$0\" --ignore-stdin-eof",
    "hopper": '(setsid sh "$2" $1 > /dev/null 2>&1 &); exec "$0"',
    "dying": '(setsid sleep 86400 &); sleep 0.02; exec "$0" --exit-at-start 3',
}
KINDS = ["plain", "stubborn", "headers", *OFFSPRING]
WAYS = ["start", "ready", "calls", "reload", "teardown", "command", "guard first"]


def entry(kind: str, fake: str, number: str, hopper: Path) -> dict[str, Any]:
    if kind == "plain":
        return {"command": fake}
    if kind == "stubborn":
        return {"command": fake, "args": ["--ignore-sigterm", "--ignore-stdin-eof", "--grandchild"]}
    if kind == "headers":
        # Nobody listens there, and nobody will be asked: the command does not come to its end.
        script = f"(env -i setsid sleep 86400 0.{number} &); setsid sleep 86400 & sleep 86400"
        return {"url": "http://127.0.0.1:9/mcp", "headersFrom": {"command": "sh", "args": ["-c", script], "timeout": "60s"}}
    return {"command": "sh", "args": ["-c", OFFSPRING[kind], fake, number, str(hopper)]}


def living(mark: str, number: str) -> list[int]:
    """The processes of a run: by the mark in their environment, or by the number on their command line."""
    found = set(processes.marked(mark))
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in found:
            try:
                if number.encode() in Path("/proc", name, "cmdline").read_bytes():
                    found.add(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return sorted(found)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Run:
    """One mcpagg, from its start to two seconds after its end."""

    def __init__(self, executable: str, seed: int, index: int, directory: Path):
        self.random = random.Random(f"{seed}/{index}")
        self.executable = executable
        self.fake = str(Path(executable).with_name("fake-mcp-server"))
        self.directory = directory
        self.mark = uuid.uuid4().hex
        # Part of a number that sleep(1) takes: digits behind the point.
        self.number = f"{index:06}{os.getpid():08}{self.random.randrange(10**8):08}"
        self.hopper = directory / "hopper.sh"
        self.hopper.write_text(HOPPER)
        self.config = directory / "mcp.json"
        self.way = self.random.choice(WAYS)
        self.kinds = self.choice()
        self.keys = self.save(self.kinds)
        self.before = 0  # processes that were seen running, mcpagg's own included

    def choice(self) -> list[str]:
        return [self.random.choice(KINDS) for _ in range(self.random.randint(2, 5))]

    def save(self, kinds: list[str]) -> list[str]:
        keys = [f"{kind.replace(' ', '-')}-{place}" for place, kind in enumerate(kinds)]
        servers = {key: entry(kind, self.fake, self.number, self.hopper) for key, kind in zip(keys, kinds, strict=True)}
        fresh = self.config.with_suffix(".fresh")
        fresh.write_text(json.dumps({"mcpServers": servers, "aggregator": {"listWait": "250ms"}}))
        fresh.rename(self.config)
        return keys

    def pause(self, longest: float) -> None:
        # The moment is what is tested, not a wait for something.
        time.sleep(self.random.uniform(0, longest))

    def write(self, *messages: dict[str, Any]) -> None:
        self.process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def read_until(self, wanted: int) -> None:
        """Reads to the answer with this id."""
        deadline = time.monotonic() + PATIENCE
        received = b""
        while f'"id":{wanted},'.encode() not in received:
            if not processes.is_readable(self.process.stdout.fileno(), max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"no answer to request {wanted}")
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise AssertionError("mcpagg ended by itself")
            received += chunk

    def live(self) -> None:
        """What happens before the end."""
        if self.way in ("start", "command"):
            return self.pause(0.06)
        self.write(*HOST)
        self.read_until(1)
        self.before = len(living(self.mark, self.number))
        if self.way == "calls":
            for id, key in enumerate(self.keys, 2):
                self.write({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": f"{key}__crash", "arguments": {}}})
        elif self.way == "reload":
            self.save(self.choice() + self.kinds[:1])
        elif self.way == "teardown" and self.random.random() < 0.5:
            self.process.stdin.close()
        elif self.way == "teardown":
            self.process.terminate()
        elif self.way == "guard first":
            self.kill_guard()
            if self.random.random() < 0.5:
                self.save(self.choice() + self.kinds[:1])
        self.pause(1.2 if self.way == "teardown" else 0.1)

    def kill_guard(self) -> None:
        """Somebody kills a process that is ours: the guard itself, or one of those that keep a server."""
        guards = [pid for pid in processes.marked(self.mark) if name(pid) == "mcp-guard"]
        if guards:
            kill(self.random.choice(guards))

    def result(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MCPAGG")}
        environment |= {processes.MARK: self.mark, "XDG_STATE_HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        environment["XDG_CACHE_HOME"] = str(self.directory)
        arguments = ["list-tools"] if self.way == "command" else ["serve"]
        self.process = subprocess.Popen(
            [self.executable, "--config", str(self.config), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            cwd=self.directory,
        )
        try:
            try:
                self.live()
            except BrokenPipeError:
                pass
            self.process.kill()
            return self.judged()
        finally:
            self.process.kill()
            self.process.wait()
            # Nothing of a run may disturb the next, whatever became of it.
            while found := living(self.mark, self.number):
                for pid in found:
                    kill(pid)
            if not self.process.stdin.closed:
                self.process.stdin.close()
            self.process.stdout.close()

    def judged(self) -> dict[str, Any]:
        begun = time.monotonic()
        self.process.wait()
        output = self.drain(begun)
        found, gone = living(self.mark, self.number), 0.0
        after, is_confirmed = len(found), False
        while (passed := time.monotonic() - begun) < LIMIT and not is_confirmed:
            if found:
                processes.wait_for_end(found[0], LIMIT - passed)
                gone = time.monotonic() - begun
            else:
                time.sleep(AGAIN)
                is_confirmed = True
            found = living(self.mark, self.number)
            is_confirmed = is_confirmed and not found
        left = [processes.describe(pid) for pid in found]
        return {"way": self.way, "kinds": self.kinds, "left": left, "before": self.before, "after": after, "gone_s": gone, "output_s": output}

    def drain(self, begun: float) -> float:
        """How long it takes the host to see the end of the output."""
        while True:
            if not processes.is_readable(self.process.stdout.fileno(), OUTPUT_LIMIT):
                return time.monotonic() - begun
            if not os.read(self.process.stdout.fileno(), 1 << 16):
                return time.monotonic() - begun


def one(executable: str, seed: int, index: int) -> dict[str, Any]:
    directory = Path(tempfile.mkdtemp(prefix="mcpagg-kill-"))
    try:
        return {"index": index, **Run(executable, seed, index, directory).result()}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(executable: Path, seed: int, kills: int = 1000, jobs: int = 4) -> list[Figure]:
    """Kills mcpagg this often, so many at the same time."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda index: one(str(executable), seed, index), range(kills)))
    survivors = "\n".join(json.dumps(result) for result in results if result["left"])
    late = "\n".join(json.dumps(result) for result in results if result["output_s"] >= OUTPUT_LIMIT)
    return [
        Figure("times mcpagg was killed", kills),
        *(Figure(f"of these, {way}", sum(result["way"] == way for result in results)) for way in WAYS),
        Figure("processes of servers at that moment", sum(result["before"] for result in results), 2 * kills, is_least=True),
        Figure("of these, alive at the first look after it", sum(result["after"] for result in results)),
        Figure(f"survivors after {LIMIT:g} s", sum(len(result["left"]) for result in results), 0, note=survivors),
        Figure("slowest end of them all", 1000 * max(result["gone_s"] for result in results), 1000 * LIMIT, "ms"),
        Figure("slowest end of the output", 1000 * max(result["output_s"] for result in results), 1000 * OUTPUT_LIMIT, "ms", note=late),
    ]
