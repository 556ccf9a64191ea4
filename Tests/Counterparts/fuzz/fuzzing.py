"""Plays a host that speaks both eras, well and badly, in front of servers that do the same, and looks for what must never happen.

Usage: fuzzing.py MCPAGG [--seed N] [--messages N | --seconds S]

What must never happen: mcpagg ends, traps or hangs; it writes something that is no JSON-RPC message; it answers a request twice, or one
that there was not; a readable request gets no answer; an answer is another request's; its memory grows. A finding ends the run with the
seed and the last lines of both sides.
"""

import argparse
import collections
import json
import os
import random
import re
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutation import mutated  # noqa: E402

HERE = Path(__file__).parent
SERVERS = ("handshake", "batch", "stateless")
WINDOW = 128  # requests whose answers are certain
LOOSE = 400  # requests to tools that answer badly, or not at all
CHECKPOINT = 20_000  # messages between two looks at everything
PATIENCE = 30.0
GROWTH = 64 << 20  # bytes of resident memory, over that of the first checkpoint
META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":'
    '{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}'
)
ABLE = '{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},"sampling":{}}'
# Most calls are meant to fail or to hang: no circuit may open, and none may wait for another.
FORBEARING = {"timeout": "1s", "maxConcurrentCalls": 4096, "circuitBreaker": {"failures": 1000, "reset": "1s"}}
ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)')


def spelled(id: bytes) -> str:
    """The id as answers are looked up by it, however it was written."""
    try:
        return json.dumps(json.loads(id))
    except ValueError:
        return id.decode(errors="replace")


class Finding(Exception):
    pass


class Host:
    def __init__(self, mcpagg: str, seed: int):
        self.chance = random.Random(seed)
        self.directory = tempfile.TemporaryDirectory()
        servers = {
            era: {"command": sys.executable, "args": ["-S", str(HERE / "server.py"), era, str(seed)], **FORBEARING} for era in SERVERS
        }
        config = Path(self.directory.name) / "mcp.json"
        config.write_text(json.dumps({"mcpServers": servers, "aggregator": {"inputWait": "1s"}}))
        self.process = subprocess.Popen(
            [mcpagg, "serve", "--config", str(config), "--log-level", "critical"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=self.directory.name,
        )  # fmt: skip
        self.input, self.output = self.process.stdin.fileno(), self.process.stdout.fileno()
        for descriptor in (self.input, self.output):
            os.set_blocking(descriptor, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.output, selectors.EVENT_READ)
        self.unsent, self.unread = bytearray(), b""
        self.sent = collections.deque(maxlen=40)
        self.got = collections.deque(maxlen=40)
        self.count = 0  # messages of the host
        self.heard = 0  # messages for the host
        self.number = 0
        # Ids of requests that must be answered; of an echo, its server and what it must bring back.
        self.certain: dict[str, tuple[str, str] | None] = {}
        self.loose: dict[str, bool] = {}  # ids that may be answered once; whether that is still waited for
        self.waiting = 0  # of those
        self.doubtful: dict[str, int] = {}  # ids in damaged lines: how often they stood there
        self.questions: collections.deque = collections.deque()
        self.states: collections.deque = collections.deque(maxlen=50)
        self.memory = self.last_memory = 0  # bytes

    # Sending

    def send(self, line: bytes) -> None:
        self.unsent += line + b"\n"
        self.sent.append(line)
        self.count += 1

    def send_damaged(self, line: bytes) -> None:
        whole, line = line, mutated(line, self.chance)
        if b'"initialize"' in line:
            return  # a session that begins anew would take what is open with it
        # What mcpagg may make out as an id is answered; the one that stood there before the damage, too.
        for found in {spelled(found) for found in ID.findall(line) + ID.findall(whole)}:
            self.doubtful[found] = self.doubtful.get(found, 0) + 1
        self.send(line)

    def id(self) -> str:
        self.number += 1
        return str(self.number) if self.number % 3 else f'"h{self.number}"'

    def echo(self, server: str | None = None) -> None:
        id, server = self.id(), server or self.chance.choice(SERVERS)
        self.call_echo(id, server, id, "," + META + "}" if self.number % 2 else "")

    def call_echo(self, id: str, server: str, expected: str, more: str) -> None:
        self.certain[id] = server, expected
        params = f'{{"name":"{server}__echo","arguments":{{"id":{expected}}}{more}}}'
        self.send(f'{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}'.encode())

    def anything(self) -> tuple[str, bytes, bool]:
        """A valid message: its id, its text, and whether it is certain to be answered."""
        id, server, kind = self.id(), self.chance.choice(SERVERS), int(self.chance.random() * 20)
        token = f',"progressToken":{id}' if kind % 2 else ""
        meta = META + token + "}" if self.number % 2 else f'"_meta":{{"k":1{token}}}'
        simple = {
            0: "tools/list", 1: "prompts/list", 2: "resources/list", 3: "resources/templates/list", 4: "ping", 5: "x/y", 6: "server/discover",
        }  # fmt: skip
        sure, params = True, meta
        if kind in simple:
            method = simple[kind]
        elif kind == 7:
            method, params = "resources/read", f'"uri":"fuzz:{server}",{meta}'
        elif kind == 8:
            method, params = "prompts/get", f'"name":"{server}__p",{meta}'
        elif kind == 9:
            method, params = "completion/complete", f'"ref":{{"type":"ref/prompt","name":"{server}__p"}},"argument":{{"name":"a","value":""}},{meta}'
        elif kind == 10:
            method, params = "logging/setLevel", f'"level":"{self.chance.choice(("debug", "error", "loud"))}"'
        elif kind == 11:
            method, params = self.chance.choice(("resources/subscribe", "resources/unsubscribe")), f'"uri":"fuzz:{server}"'
        elif kind == 12:
            method, params, sure = "subscriptions/listen", f'"notifications":{{"toolsListChanged":true,"resourceSubscriptions":["fuzz:{server}"]}},{META}}}', False
        elif kind == 13:
            method, params = self.chance.choice(("tasks/get", "tasks/cancel", "tasks/result")), f'"taskId":"t",{meta}'
        elif kind == 14:
            method, params, sure = "tools/call", f'"name":"{server}__ask",{meta}', False
        elif kind == 15 and self.states:
            name, state, key = self.states.popleft() if self.chance.random() < 0.7 else self.states[0]
            answer = f'"inputResponses":{{{json.dumps(key)}:{{"action":"accept","content":{{}}}}}}'
            method, params, sure = "tools/call", f'"name":{json.dumps(name)},{answer},"requestState":{json.dumps(state)},{META}}}', False
        else:
            method, params, sure = "tools/call", f'"name":"{server}__chaos","arguments":{{"a":1}},{meta}', False
        return id, f'{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}'.encode(), sure

    def notification(self) -> bytes:
        id = str(max(1, self.number - int(self.chance.random() * 300)))
        return self.chance.choice((
            f'{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":1}}}}',
            '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}',
            '{"jsonrpc":"2.0","method":"notifications/initialized"}',
            '{"jsonrpc":"2.0","method":"x/y","params":{}}',
            f'{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}',
            f'{{"jsonrpc":"2.0","id":{int(id) * 4096},"error":{{"code":1,"message":"m"}}}}',
        )).encode()  # fmt: skip

    def step(self) -> None:
        roll = self.chance.random()
        if roll < 0.35:
            return self.echo()
        if roll < 0.45:
            line = self.notification()
            return self.send_damaged(line) if roll < 0.42 else self.send(line)
        id, line, sure = self.anything()
        if roll < 0.75:
            if sure:
                self.certain[id] = None
            else:
                self.loose[id] = True
                self.waiting += 1
            self.send(line)
            if not sure and self.chance.random() < 0.15:
                cancel = f'{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}'
                self.send(cancel.encode())
            return None
        self.send_damaged(line)

    # Receiving

    def receive(self, line: bytes) -> None:
        self.heard += 1
        self.got.append(line)
        try:
            message = json.loads(line)
            assert isinstance(message, dict) and message.get("jsonrpc") == "2.0"
            kinds = [kind for kind in ("method", "result", "error") if kind in message]
            assert len(kinds) == 1
        except (ValueError, AssertionError):
            raise Finding("mcpagg wrote something that is no message") from None
        if "method" in message:
            if "id" in message:
                self.questions.append(message)
            return
        if "id" not in message:
            return  # about a line that nobody can read
        id = json.dumps(message["id"])
        if id in self.certain:
            expected = self.certain.pop(id)
            if expected is not None:
                result = message.get("result", {})
                if result.get("resultType") == "input_required" and "structuredContent" not in result:
                    # A question that its server asked at that moment; answered, the echo goes on.
                    responses = json.dumps({key: {"action": "accept", "content": {}} for key in result["inputRequests"]})
                    state = json.dumps(result["requestState"])
                    more = f',"inputResponses":{responses},"requestState":{state},{META}}}'
                    return self.call_echo(self.id(), *expected, more)
                if result.get("structuredContent") != {"id": json.loads(expected[1])}:
                    raise Finding(f"the echo of {id} brought back something else")
        elif id in self.loose:
            self.waiting -= self.loose.pop(id)
            result = message.get("result") or {}
            if isinstance(result, dict) and result.get("resultType") == "input_required" and str(result.get("requestState", "")):
                key = next(iter(result.get("inputRequests") or {"q": 0}))
                name = f"{self.chance.choice(SERVERS)}__ask"
                self.states.append((name, result["requestState"], key))
        elif self.doubtful.get(id, 0) > 0:
            self.doubtful[id] -= 1
        else:
            raise Finding(f"an answer to {id}, which is no request that is open")

    def settle_question(self, message: dict) -> None:
        id = json.dumps(message["id"])
        line = f'{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept","content":{{}},"roots":[]}}}}'.encode()
        if self.chance.random() < 0.3:
            self.send_damaged(line)
        self.send(line)

    def turn(self, wait: float) -> None:
        """Writes and reads what can be."""
        self.selector.modify(self.output, selectors.EVENT_READ)
        if self.unsent:
            try:
                del self.unsent[: os.write(self.input, self.unsent[: 1 << 16])]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                raise Finding("mcpagg does not read any more") from None
        if self.selector.select(wait if not self.unsent else 0.001):
            chunk = os.read(self.output, 1 << 18)
            if not chunk:
                raise Finding(f"mcpagg ended with {self.process.wait(10)}")
            *lines, self.unread = (self.unread + chunk).split(b"\n")
            for line in lines:
                self.receive(line)

    # The run

    def drain(self) -> None:
        """All that must be answered is."""
        deadline = time.monotonic() + PATIENCE
        while self.certain or self.unsent:
            while self.questions:
                self.settle_question(self.questions.popleft())
            if time.monotonic() > deadline:
                raise Finding(f"no answer to {list(self.certain)[:5]} and {max(0, len(self.certain) - 5)} more")
            self.turn(0.05)

    def checkpoint(self) -> None:
        self.drain()
        for server in SERVERS:
            self.echo(server)
        self.drain()
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) if sys.platform == "linux" else 0
        memory = pages * os.sysconf("SC_PAGESIZE")
        self.last_memory = memory
        if not self.memory:
            self.memory = memory
        elif memory > self.memory + GROWTH:
            raise Finding(f"mcpagg uses {memory >> 20} MiB, and used {self.memory >> 20} at first")

    def run(self, messages: int | None, seconds: float | None) -> dict:
        started = time.monotonic()
        shake = f'{{"jsonrpc":"2.0","id":{self.id()},"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{ABLE},'
        shake += '"clientInfo":{"name":"fuzz","version":"1"}}}'
        self.certain["1"] = None
        self.send(shake.encode())
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        next_checkpoint = 0
        while True:
            if self.count >= next_checkpoint:
                self.checkpoint()
                next_checkpoint = self.count + CHECKPOINT
                # Half of all: each one that is answered has gone to a server and come back.
                if (messages and self.total >= messages) or (seconds and time.monotonic() - started >= seconds):
                    break
            while len(self.certain) < WINDOW and len(self.unsent) < 1 << 16:
                if self.waiting >= LOOSE:
                    self.echo()
                else:
                    self.step()
            while self.questions:
                self.settle_question(self.questions.popleft())
            self.turn(0.05)
            if self.waiting >= LOOSE and self.chance.random() < 0.01:
                # No answer may come for some, and none is waited for; but none may come twice.
                self.loose = dict.fromkeys(self.loose, False)
                self.waiting = 0
        os.close(self.input)
        self.process.stdin = None
        end = time.monotonic() + PATIENCE
        while chunk := self.read_until(end):
            *lines, self.unread = (self.unread + chunk).split(b"\n")
            for line in lines:
                if not json.loads(line):
                    raise Finding("mcpagg wrote something that is no message")
        if status := self.process.wait(PATIENCE):
            raise Finding(f"mcpagg ended with {status}")
        elapsed = time.monotonic() - started
        return {"messages": self.total, "seconds": round(elapsed, 1), "per second": int(self.total / elapsed), "MiB at first": self.memory >> 20, "at last": self.last_memory >> 20}

    @property
    def total(self) -> int:
        """Messages that mcpagg has read: of the host, and of servers as far as they led to one for the host."""
        return self.count + self.heard

    def read_until(self, end: float) -> bytes:
        if not self.selector.select(max(0.0, end - time.monotonic())):
            raise Finding("mcpagg does not end")
        return os.read(self.output, 1 << 18)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mcpagg")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--messages", type=int)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    host = Host(arguments.mcpagg, arguments.seed)
    try:
        print(json.dumps(host.run(arguments.messages, arguments.seconds or (None if arguments.messages else 60))))
    except Finding as finding:
        print(f"FOUND: {finding} (seed {arguments.seed}, after {host.count} messages)\nthe last lines of the host:")
        print("\n".join(repr(line[:600]) for line in list(host.sent)[-20:]))
        print("and those of mcpagg:\n" + "\n".join(repr(line[:600]) for line in list(host.got)[-8:]))
        host.process.kill()
        sys.exit(1)


if __name__ == "__main__":
    main()
