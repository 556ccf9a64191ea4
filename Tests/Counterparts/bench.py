"""One test's world: servers, a config file, hosts. At its end everything is stopped, judged and looked through for survivors."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import places
import processes
import validation
from lines import LineLog, ProcessLog

# How long an event may take before the test gives up on it. Generous: it is reached only when something is wrong.
PATIENCE = 20.0
# How long children may outlive mcpagg: the kernel ends them in no time, but a loaded machine runs them late.
SURVIVAL = 5.0


@dataclass
class Server:
    """An entry of the config file, and the logs of the fake behind it."""

    key: str
    entry: dict[str, Any]
    received: ProcessLog | None = None  # what mcpagg wrote to it, line by line
    sent: ProcessLog | None = None  # what it wrote to mcpagg
    # Not where faults are made on purpose: what is garbled there is as it should be.
    is_judged: bool = True

    def wait_for(self, method: str, start: int = 0, **params: Any) -> tuple[int, dict[str, Any]]:
        """The first message with this method (and these values in its params) that the server received."""
        assert self.received is not None

        def wanted(line: bytes) -> bool:
            message = parsed(line)
            return message.get("method") == method and all((message.get("params") or {}).get(k) == v for k, v in params.items())

        position, line = self.received.wait_for(wanted, PATIENCE, start)
        return position, json.loads(line)


@dataclass
class Scripted(Server):
    """A scripted server (servers/scripted.py): it answers what its script says, and the test plays the rest."""

    script: dict[str, Any] = field(default_factory=dict)
    script_path: Path | None = None
    log: ProcessLog | None = None  # both directions, in the order of the server
    control: int = -1

    def write_script(self) -> None:
        # Renamed into its place: the server reads it at any moment.
        fresh = self.script_path.with_suffix(".fresh")
        fresh.write_text(json.dumps(self.script))
        fresh.rename(self.script_path)

    def say(self, message: dict[str, Any]) -> None:
        os.write(self.control, json.dumps({"say": {"jsonrpc": "2.0", **message}}).encode() + b"\n")

    def say_together(self, *messages: dict[str, Any]) -> None:
        """In one piece, so that they are read at once."""
        order = {"together": [{"jsonrpc": "2.0", **message} for message in messages]}
        os.write(self.control, json.dumps(order).encode() + b"\n")

    def notify(self, method: str, params: Any = None) -> None:
        self.say({"method": method} if params is None else {"method": method, "params": params})

    def question(self, id: int | str, method: str, params: Any = None) -> None:
        """Asks the host something."""
        self.say({"id": id, "method": method} if params is None else {"id": id, "method": method, "params": params})

    def exit(self, status: int = 0) -> None:
        os.write(self.control, json.dumps({"exit": status}).encode() + b"\n")

    def got(self, start: int = 0) -> list[dict[str, Any]]:
        """All messages it received, from this line of its log on."""
        return [parsed(line[2:]) for line in self.log.lines[start:] if line.startswith(b"> ")]

    def wait_for(self, method: str, start: int = 0, **params: Any) -> tuple[int, dict[str, Any]]:
        def wanted(line: bytes) -> bool:
            message = parsed(line[2:]) if line.startswith(b"> ") else {}
            return message.get("method") == method and all((message.get("params") or {}).get(k) == v for k, v in params.items())

        position, line = self.log.wait_for(wanted, PATIENCE, start)
        return position, json.loads(line[2:])

    def answer_to(self, id: int | str, start: int = 0) -> dict[str, Any]:
        """What it was answered to a question of its."""
        wanted = validation.identity(id)

        def is_answer(line: bytes) -> bool:
            message = parsed(line[2:]) if line.startswith(b"> ") else {}
            return "method" not in message and "id" in message and validation.identity(message["id"]) == wanted

        return json.loads(self.log.wait_for(is_answer, PATIENCE, start)[1][2:])


def parsed(line: bytes) -> dict[str, Any]:
    """The message in the line, or an empty one if it is no single JSON object."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass
class HTTPServer:
    """A server of the SDK behind a port (servers/over_http.py), with its own recording of what came and went."""

    process: subprocess.Popen[bytes]
    url: str
    recording: Path

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Bench:
    directory: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    servers: list[Server] = field(default_factory=list)
    hosts: list["RawHost"] = field(default_factory=list)
    http_servers: list[HTTPServer] = field(default_factory=list)
    relayed: list[validation.Recording] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, for this test
    shares_cache: bool = False  # all that is started from now on finds what the others have kept
    _caches: int = 0
    # A test that has something invalid passed on, and looks at it itself, says no.
    is_judged: bool = True

    @property
    def environment(self) -> dict[str, str]:
        # No config and no login of the person who runs the tests may be found by chance.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MCPAGG")}
        places = {"XDG_CONFIG_HOME": str(self.directory / "no-config"), "XDG_STATE_HOME": str(self.directory / "state")}
        # What servers offered before is known only to who asks for it: each process finds an empty cache.
        self._caches += not self.shares_cache
        places["XDG_CACHE_HOME"] = str(self.cache_home)
        return {**kept, **places, processes.MARK: self.mark, "LC_ALL": "C.UTF-8", **self.variables}

    @property
    def cache_home(self) -> Path:
        return self.directory / f"cache-{self._caches}"

    def fake(self, key: str, *flags: str, record: bool = True, **entry: Any) -> Server:
        """A fake server; further keywords are members of its config entry."""
        server = Server(key, {})
        arguments = ["--name", key, *flags]
        if record:
            unique = len(self.servers)
            server.received = ProcessLog(f"what {key} received", self.directory / f"{unique}-{key}.received")
            server.sent = ProcessLog(f"what {key} sent", self.directory / f"{unique}-{key}.sent")
            arguments += ["--record", str(server.received.path), "--record-sent", str(server.sent.path), "--record-process"]
        server.entry = {"command": places.fake(), "args": arguments, **entry}
        self.servers.append(server)
        return server

    def scripted(self, key: str, script: dict[str, Any] | None = None, **entry: Any) -> Scripted:
        """A server with a script; further keywords are members of its config entry."""
        path = self.directory / f"{len(self.servers)}-{key}"
        server = Scripted(key, {}, script=script or {}, script_path=path.with_suffix(".json"))
        server.write_script()
        server.log = ProcessLog(f"the log of {key}", path.with_suffix(".log"))
        os.mkfifo(path.with_suffix(".control"))
        server.control = os.open(path.with_suffix(".control"), os.O_RDWR)
        program = Path(__file__).parent / "servers" / "scripted.py"
        arguments = ["-S", str(program), str(server.script_path), str(server.log.path), str(path.with_suffix(".control"))]
        server.entry = {"command": sys.executable, "args": arguments, **entry}
        self.servers.append(server)
        return server

    def time(self, key: str = "time", generation: int = 2) -> Server:
        entry = {"command": places.server(generation, "mcp-server-time"), "args": ["--local-timezone", "UTC"]}
        server = Server(key, entry)
        self.servers.append(server)
        return server

    def git(self, repository: Path, key: str = "git", generation: int = 2) -> Server:
        places.git()
        entry = {"command": places.server(generation, "mcp-server-git"), "args": ["--repository", str(repository)]}
        server = Server(key, entry)
        self.servers.append(server)
        return server

    def over_http(self, environment: int | str, variant: str, program: str = "features_sdk.py") -> HTTPServer:
        """Starts a server of the SDK on a port of the system's choice; it listens when this returns."""
        path = self.directory / f"{len(self.http_servers)}-{variant}"
        command = [places.python(environment), str(Path(__file__).parent / "servers" / program), variant, str(path.with_suffix(".http"))]
        with open(path.with_suffix(".stderr"), "wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=self.environment)
        port = process.stdout.readline().decode().strip()
        assert port, path.with_suffix(".stderr").read_text()[-3000:]
        server = HTTPServer(process, f"http://127.0.0.1:{port}/{'sse' if variant == 'sse' else 'mcp'}", path.with_suffix(".http"))
        self.http_servers.append(server)
        return server

    def git_repository(self) -> Path:
        path = self.directory / "repository"
        path.mkdir()
        (path / "file.txt").write_text("one line\n")
        commit = ["-c", "user.name=Counterpart Test", "-c", "user.email=test@example.invalid", "commit", "-q", "-m", "first"]
        for arguments in (["init", "-q"], ["add", "."], commit):
            subprocess.run([places.git(), "-C", str(path), *arguments], check=True)
        (path / "new.txt").write_text("not added\n")
        return path

    def config(self, *servers: Server, name: str = "mcp.json", **aggregator: Any) -> Path:
        path = self.directory / name
        path.write_text(self.config_text(*servers, **aggregator))
        return path

    def config_text(self, *servers: Server, **aggregator: Any) -> str:
        value: dict[str, Any] = {"mcpServers": {server.key: server.entry for server in servers or self.servers}}
        if aggregator:
            value["aggregator"] = aggregator
        return json.dumps(value, indent=2) + "\n"

    def host(
        self, config: Path, revision: str | None = validation.NEWEST_HANDSHAKE, arguments: tuple[str, ...] = (), **capabilities: Any
    ) -> "RawHost":
        """A host on pipes; with a revision, the handshake is already done, or its requests carry the envelope. Further keywords are
        its capabilities."""
        host = RawHost([places.mcpagg(), "--config", str(config), *arguments], self.environment, self.directory)
        self.hosts.append(host)
        if revision == validation.STATELESS:
            host.envelope = envelope(capabilities)
        elif revision is not None:
            host.handshake(revision, capabilities)
        return host

    def run(self, *arguments: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """mcpagg as a shell command."""
        return subprocess.run(
            [places.mcpagg(), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            cwd=self.directory,
        )

    def close(self) -> list[str]:
        """Ends everything; what is wrong with what was said, and with who is still there."""
        problems = []
        for host in self.hosts:
            host.end()
        for http_server in self.http_servers:
            http_server.end()
        problems += [f"survives mcpagg: {line}" for line in processes.survivors(self.mark, SURVIVAL)]
        for pid in processes.marked(self.mark):
            os.kill(pid, signal.SIGKILL)
        recordings = [host.recording for host in self.hosts] + self.relayed
        for server in self.servers:
            if isinstance(server, Scripted):
                server.log.close()
                os.close(server.control)
                problems += strange(server.log)
                recordings += recordings_of_scripted(server)
            if server.received is not None and server.sent is not None:
                server.received.close()
                server.sent.close()
                problems += strange(server.received) + strange(server.sent)
                if server.is_judged:
                    recordings += recordings_of(server)
        return problems + (validation.problems(recordings) if self.is_judged else [])


def strange(log: ProcessLog) -> list[str]:
    """A log that nobody can read would be judged to be right."""
    return [f"a line in {log.name} names no process: {line[:200]!r}" for line in log.strange[:3]]


def recordings_of_scripted(server: Scripted) -> list[validation.Recording]:
    """One for each process that it was."""
    sides = {b"> ": "client", b"< ": "server"}
    return [
        recording_of_process(server.key, process, [(sides[line[:2]], line[2:]) for line in lines])
        for process, lines in server.log.by_process().items()
    ]


def recordings_of(server: Server) -> list[validation.Recording]:
    """One for each process that the fake was."""
    assert server.received is not None and server.sent is not None
    received, sent = server.received.by_process(), server.sent.by_process()
    return [
        recording_of_process(server.key, process, merged(received.get(process, []), sent.get(process, [])))
        for process in received | sent
    ]


def recording_of_process(key: str, process: bytes, lines: list[tuple[str, bytes]]) -> validation.Recording:
    return validation.Recording(f"mcpagg to {key} (process {process.decode()})", lines, tested="client", is_one_process=True)


def merged(received: list[bytes], sent: list[bytes]) -> list[tuple[str, bytes]]:
    """Puts the two logs of a process together. Their order against each other is not known, but no question is older than its answer,
    and for the revision it is enough that the handshake comes first."""
    lines = []
    answers = [line for line in sent if "protocolVersion" in (parsed(line).get("result") or {})]
    questions = [line for line in sent if "method" in parsed(line) and "id" in parsed(line)]
    for line in received:
        message = parsed(line)
        if message.get("method") == "initialize":
            lines.append(("client", line))
            if answers:
                lines.append(("server", answers.pop(0)))
            continue
        if "method" not in message and "id" in message:
            asked = [question for question in questions if validation.identity(parsed(question)["id"]) == validation.identity(message["id"])]
            if asked:
                questions.remove(asked[0])
                lines.append(("server", asked[0]))
        lines.append(("client", line))
        # Other answers are not in it: no id is used twice in the life of a process.
    return lines


def envelope(capabilities: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What a stateless request says of its sender in `_meta`."""
    return {
        validation.VERSION: validation.STATELESS,
        validation.CAPABILITIES: capabilities or {},
        validation.INFO: {"name": "raw-host", "version": "1"},
        **more,
    }


class RawHost:
    """A host that writes bytes as the test gives them and keeps every byte it gets."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment, cwd=directory
        )
        self.out = LineLog("what the host received")
        self.err = LineLog("mcpagg's stderr")
        self.recording = validation.Recording("mcpagg to a host on pipes")
        self._threads = [self.out.read_from(os.dup(self.process.stdout.fileno())), self.err.read_from(os.dup(self.process.stderr.fileno()))]
        self.process.stdout.close()
        self.process.stderr.close()
        self.envelope: dict[str, Any] | None = None  # in the `_meta` of every request, while it is given
        self._seen = 0  # lines of `out` that are in the recording
        self._next_id = 0

    # What goes out

    def send(self, line: bytes) -> None:
        self._catch_up()
        self.recording.lines.append(("client", line))
        view = memoryview(line + b"\n")
        while view:
            view = view[self.process.stdin.write(view) :]

    def post(self, method: str, params: Any = None, id: int | str | None = None) -> int | str:
        """Sends a request without waiting; returns its id."""
        if id is None:
            id = self.next_id()
        self.send(json.dumps(self.request(method, params, id)).encode())
        return id

    def request(self, method: str, params: Any, id: int | str) -> dict[str, Any]:
        if self.envelope is not None:
            params = {**(params or {}), "_meta": {**self.envelope, **((params or {}).get("_meta") or {})}}
        message = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params
        return message

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def notify(self, method: str, params: Any = None) -> None:
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        self.send(json.dumps(message).encode())

    # What comes in

    def _catch_up(self) -> None:
        """Keeps the recording in the order of events: all that has come in stands before what is sent next."""
        lines = self.out.lines
        while self._seen < len(lines):
            self.recording.lines.append(("server", lines[self._seen]))
            self._seen += 1

    def answer(self, id: int | str, timeout: float = PATIENCE) -> dict[str, Any]:
        return json.loads(self.answer_line(id, timeout))

    def answer_line(self, id: int | str, timeout: float = PATIENCE) -> bytes:
        wanted = validation.identity(id)

        def is_answer(line: bytes) -> bool:
            message = parsed(line)
            return "method" not in message and "id" in message and validation.identity(message["id"]) == wanted

        return self.out.wait_for(is_answer, timeout)[1]

    def ask(self, method: str, params: Any = None, timeout: float = PATIENCE, id: int | str | None = None) -> dict[str, Any]:
        return self.answer(self.post(method, params, id), timeout)

    def notification(self, method: str, start: int = 0, timeout: float = PATIENCE) -> tuple[int, dict[str, Any]]:
        position, line = self.out.wait_for(lambda line: parsed(line).get("method") == method, timeout, start)
        return position, json.loads(line)

    def question(self, method: str, start: int = 0) -> tuple[int, dict[str, Any]]:
        """The first request of this method that the host was sent from line `start` on, with the line's number."""
        wanted = lambda line: parsed(line).get("method") == method and "id" in parsed(line)  # noqa: E731
        position, line = self.out.wait_for(wanted, PATIENCE, start)
        return position, json.loads(line)

    def reply(self, id: int | str, result: Any = None, error: Any = None) -> None:
        """Answers a question."""
        answer = {"result": result} if error is None else {"error": error}
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, **answer}).encode())

    def messages(self, start: int = 0) -> list[dict[str, Any]]:
        """All it was sent from this line on."""
        return [parsed(line) for line in self.out.lines[start:]]

    # The usual moves

    def handshake(self, revision: str, capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
        params = {"protocolVersion": revision, "capabilities": capabilities or {}, "clientInfo": {"name": "raw-host", "version": "1"}}
        self.envelope = None
        answer = self.ask("initialize", params)
        self.notify("notifications/initialized")
        return answer

    def tools(self, timeout: float = PATIENCE) -> list[dict[str, Any]]:
        """The merged list, all its pages."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] | None = None
        while True:
            result = self.ask("tools/list", params, timeout)["result"]
            found += result["tools"]
            if result.get("nextCursor") is None:
                return found
            params = {"cursor": result["nextCursor"]}

    def tool_names(self, timeout: float = PATIENCE) -> list[str]:
        return [tool["name"] for tool in self.tools(timeout)]

    def tools_when(self, wanted: Callable[[list[str]], bool], within: float = PATIENCE) -> list[str]:
        """Lists until the names are as wanted, each time after the host was told that the list has changed."""
        deadline = time.monotonic() + within
        while True:
            start = len(self.out.lines)
            names = self.tool_names(max(0.1, deadline - time.monotonic()))
            if wanted(names):
                return names
            left = deadline - time.monotonic()
            assert left > 0, f"the list is not as wanted after {within} s: {names}"
            self.notification("notifications/tools/list_changed", start, left)

    def call(self, name: str, arguments: Any = None, timeout: float = PATIENCE) -> dict[str, Any]:
        """The result of a call; an error answer fails the test."""
        params = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
        answer = self.ask("tools/call", params, timeout)
        assert "result" in answer, answer
        return answer["result"]

    def text(self, name: str, arguments: Any = None) -> str:
        result = self.call(name, arguments)
        assert not result.get("isError"), result
        return result["content"][0]["text"]

    # The end

    def close_stdin(self) -> None:
        self.process.stdin.close()

    def end(self) -> int:
        """Closes stdin if it is open, waits for the end and for the last byte; the exit code."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"mcpagg did not end within {PATIENCE} s after its stdin did; its stderr:\n{self.err.text()}") from None
        for thread in self._threads:
            thread.join(PATIENCE)
        self._catch_up()
        return status
