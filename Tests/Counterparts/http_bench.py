"""One test's world with servers behind URLs: scripted servers in the process of the test, mcpagg in front of them, and a host."""

import sys
from typing import Any

import http_rules as rules
import validation
from bench import Bench, RawHost
from http_mcp import Behaviour, Legacy
from http_server import HTTPServer
from pairs import able

KEY = "s"
OLD, NEW = validation.NEWEST_HANDSHAKE, validation.STATELESS


class Remote(HTTPServer):
    """A scripted server, and its entry in the config file."""

    # What servers that are processes have.
    received = sent = None
    # Not where faults are made on purpose.
    is_judged = True

    def __init__(self, key: str, behaviour: Behaviour, entry: dict[str, Any]):
        super().__init__(behaviour)
        self.key = key
        self.entry = {"url": f"{self.origin}{behaviour.path}", **entry}

    behaviour: Behaviour

    def problems(self) -> list[str]:
        """What is wrong with the requests it got."""
        return rules.Judge(list(self.log), isinstance(self.behaviour, Legacy)).run() + self.faults


class Web:
    def __init__(self, bench: Bench):
        self.bench = bench
        self.remotes: list[Remote] = []

    def remote(self, key: str = KEY, behaviour: Behaviour | None = None, entry: dict[str, Any] | None = None, **knobs: Any) -> Remote:
        """A server; `knobs` are for its behaviour, `entry` has further members of its config entry."""
        remote = Remote(key, behaviour or Behaviour(**knobs), entry or {})
        self.remotes.append(remote)
        self.bench.servers.append(remote)
        return remote

    def legacy(self, key: str = KEY, entry: dict[str, Any] | None = None, **knobs: Any) -> Remote:
        return self.remote(key, Legacy(**knobs), entry)

    def stateless(self, key: str = KEY, entry: dict[str, Any] | None = None, **knobs: Any) -> Remote:
        return self.remote(key, Behaviour(eras=("stateless",), **knobs), entry)

    def host(self, revision: str = OLD, *arguments: str, waits: bool = True, **aggregator: Any) -> RawHost:
        """A host that can do all that its revision has; the servers' tools are there when this returns, unless it does not wait."""
        host = self.bench.host(self.bench.config(**aggregator), revision, arguments, **able(revision))
        if waits:
            host.tools()
        return host

    def close(self) -> list[str]:
        problems = []
        # Hosts end first: what mcpagg says at its end belongs to what is judged.
        for host in self.bench.hosts:
            host.end()
        for remote in self.remotes:
            remote.close()
            if not remote.is_judged:
                problems += [f"{remote.key}: {fault}" for fault in remote.faults]
                continue
            problems += [f"{remote.key}: {problem}" for problem in remote.problems()]
            self.bench.relayed.append(rules.recording(f"mcpagg to {remote.key}", remote.log))
        return problems


PRINTER = """
import json, os, signal, subprocess, sys, time
path, mode = sys.argv[1:3]
runs = open(path).read().count("x") + 1 if os.path.exists(path) else 1
open(path, "a").write("x")
if mode == "slow":
    time.sleep(60)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"])
    print("running", file=open(path + ".pipe", "w"), flush=True)
    child.wait()
if mode == "fail" or mode == "once" and runs > 1:
    print("no key in the drawer", file=sys.stderr)
    sys.exit(3)
if mode == "text":
    print("Authorization: Bearer x")
elif mode == "list":
    print("[]")
elif mode == "odd":
    print(json.dumps({"Bad Name": "x"}))
elif mode == "number":
    print(json.dumps({"X": 7}))
elif mode == "injection":
    print(json.dumps({"X": "a\\r\\nInjected: yes"}))
elif mode == "transport":
    print(json.dumps({"Authorization": "Bearer x", "Host": "elsewhere", "Mcp-Session-Id": "stolen", "x-own": "1", "X-Own": "2"}))
else:
    print(json.dumps({"Authorization": f"Bearer printed-secret-{runs}", "X-Own": "printed"}))
"""


class Printer:
    """A command that prints headers, and counts its runs: the token of each run is another one."""

    def __init__(self, web: Web, mode: str = "good"):
        self.count = web.bench.directory / "runs"
        self.pipe = web.bench.directory / "runs.pipe"  # for a test that waits for a run
        script = web.bench.directory / "printer.py"
        script.write_text(PRINTER)
        self.entry = {"command": sys.executable, "args": ["-S", str(script), str(self.count), mode]}

    @property
    def runs(self) -> int:
        return len(self.count.read_text()) if self.count.exists() else 0
