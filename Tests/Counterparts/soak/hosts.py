"""A host for load: it keeps nothing but what is open, and sees to it that every request gets exactly one answer."""

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import envelope
from pairs import ACCEPTED, ROOTS, SAMPLED, able
from validation import NEWEST_HANDSHAKE, STATELESS

Message = dict[str, Any]

# Events that take longer are failures.
PATIENCE = 60.0
# What is kept of what was wrong.
KEPT_PROBLEMS = 10
QUESTIONS = {"elicitation/create": ACCEPTED, "sampling/createMessage": SAMPLED, "roots/list": ROOTS}
LOG_LINE = b'"method":"notifications/message"'


class Host:
    """One mcpagg and its host, which belongs to the running event loop."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path, era: str = NEWEST_HANDSHAKE):
        self.is_stateless = era == STATELESS
        self.era = era
        self.log = directory / f"host-{len(list(directory.glob('host-*')))}.stderr"
        with open(self.log, "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0, env=environment, cwd=directory
            )
        self.input, self.output = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.input, False)
        os.set_blocking(self.output, False)
        self.loop = asyncio.get_running_loop()
        self.unsent = bytearray()
        self._pieces: list[bytes] = []  # of a line that is not whole
        self.read_at = 0.0  # when the bytes were read that are being looked at
        self.is_reading = False
        self.count = 0
        self.open: dict[int | str, Callable[[Message], None]] = {}
        # Cancelled, and not answered so far: the answer may have crossed the cancellation.
        self.cancelled: set[int | str] = set()
        self.tokens: set[int | str] = set()  # of progress, while their requests are open
        self.problems: list[str] = []
        self.problem_count = 0
        self.seen: Counter[str] = Counter()  # notifications and questions, by method
        self.answers = self.questions = 0
        # Called with the method and params of each notification, and asked for the result of each question.
        self.notified: Callable[[str, Message], None] = lambda method, params: None
        self.asked: Callable[[str, Message], Message] = lambda method, params: QUESTIONS[method]
        self._drained: asyncio.Future[None] | None = None
        self.thinks: Callable[[], float] = lambda: 0.0  # seconds until a question is answered
        self.ended = self.loop.create_future()
        self.set_reading(True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def problem(self, text: str) -> None:
        self.problem_count += 1
        if len(self.problems) < KEPT_PROBLEMS:
            self.problems.append(text)

    # Out

    def send(self, message: Message | bytes) -> None:
        if self.process.stdin.closed:
            return  # what was thought about for too long
        line = message if isinstance(message, bytes) else encoded(message)
        waits = bool(self.unsent)
        self.unsent += line + b"\n"
        if not waits:
            self._write()

    def _write(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: os.write(self.input, self.unsent[: 1 << 16])]
            self.loop.remove_writer(self.input)
        except BlockingIOError:
            self.loop.add_writer(self.input, self._write)
        except BrokenPipeError:
            self.unsent.clear()
            self.problem("mcpagg reads no more")

    def prepared(
        self, method: str, params: Message | None, answered: Callable[[Message], None], progress: bool = False
    ) -> tuple[int | str, bytes]:
        """A request, to be sent at once; `answered` is called with its one answer. Returns its id and its line."""
        self.count += 1
        # Both kinds of ids, and never the same text for two.
        id = self.count if self.count % 2 else f"h{self.count}"
        if self.is_stateless or progress:
            meta = {**(envelope(able(STATELESS)) if self.is_stateless else {}), **((params or {}).get("_meta") or {})}
            if progress:
                meta["progressToken"] = id
                self.tokens.add(id)
            params = {**(params or {}), "_meta": meta}
        self.open[id] = answered
        return id, encoded({"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})})

    def post(self, method: str, params: Message | None, answered: Callable[[Message], None], progress: bool = False) -> int | str:
        """Sends a request; returns its id."""
        id, line = self.prepared(method, params, answered, progress)
        self.send(line)
        return id

    async def ask(self, method: str, params: Message | None = None, timeout: float = PATIENCE, progress: bool = False) -> Message:
        """The answer. Where the host is asked for input first, it gives it and goes on."""
        while True:
            future = self.loop.create_future()
            id = self.post(method, params, lambda answer, future=future: None if future.done() else future.set_result(answer), progress)
            try:
                answer = await asyncio.wait_for(future, timeout)
            except TimeoutError:
                raise TimeoutError(f"no answer to {method} {json.dumps(params)[:200]} (id {id!r}) within {timeout} s") from None
            result = answer.get("result") or {}
            if result.get("resultType") != "input_required":
                return answer
            params = self.with_input(params or {}, result)

    def with_input(self, params: Message, result: Message) -> Message:
        """The params of the same request once more, with what it wanted first."""
        requests = (result.get("inputRequests") or {}).items()
        self.questions += len(requests)
        again = {**params, "inputResponses": {key: self.asked(each["method"], each.get("params") or {}) for key, each in requests}}
        return again | ({"requestState": result["requestState"]} if "requestState" in result else {})

    async def call(self, name: str, arguments: Message | None = None, timeout: float = PATIENCE, progress: bool = False) -> Message:
        return await self.ask("tools/call", {"name": name, "arguments": arguments or {}}, timeout, progress)

    def cancel(self, id: int | str) -> None:
        """Gives a request up, as far as it is not answered."""
        if self.open.pop(id, None) is None:
            return
        self.tokens.discard(id)
        self.cancelled.add(id)
        self._look_whether_quiet()
        self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})

    async def begin(self) -> None:
        """Introduces itself, if its era does so."""
        if not self.is_stateless:
            params = {"protocolVersion": self.era, "capabilities": able(self.era), "clientInfo": {"name": "load", "version": "1"}}
            await self.ask("initialize", params)
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def names(self) -> list[str]:
        """Of the merged tools."""
        found: list[str] = []
        cursor: Message = {}
        while True:
            result = (await self.ask("tools/list", cursor))["result"]
            found += [tool["name"] for tool in result["tools"]]
            if result.get("nextCursor") is None:
                return found
            cursor = {"cursor": result["nextCursor"]}

    async def quiet(self, timeout: float = PATIENCE) -> None:
        """Waits until every request has its answer; those that have none then are problems."""
        if self.open:
            self._drained = self.loop.create_future()
            try:
                await asyncio.wait_for(self._drained, timeout)
            except TimeoutError:
                self.problem(f"no answer to {len(self.open)} requests within {timeout} s, the first of them {list(self.open)[:5]}")
                self.open.clear()
            self._drained = None

    def _look_whether_quiet(self) -> None:
        if not self.open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # In

    def set_reading(self, reads: bool) -> None:
        if reads and not self.is_reading:
            self.loop.add_reader(self.output, self._read)
        elif not reads and self.is_reading:
            self.loop.remove_reader(self.output)
        self.is_reading = reads

    def _read(self) -> None:
        chunk = os.read(self.output, 1 << 18)
        self.read_at = time.perf_counter()
        if not chunk:
            self.set_reading(False)
            if not self.ended.done():
                self.ended.set_result(None)
            return
        # A long line comes in many pieces: they are joined once.
        if b"\n" not in chunk:
            self._pieces.append(chunk)
            return
        first, *others = chunk.split(b"\n")
        lines = [b"".join([*self._pieces, first]), *others]
        self._pieces = [lines.pop()]
        for line in lines:
            self.receive(line)

    def receive(self, line: bytes) -> None:
        if LOG_LINE in line[:60]:
            # There may be very many, and nothing is made of them.
            self.seen["notifications/message"] += 1
            return
        try:
            message = json.loads(line)
        except ValueError:
            return self.problem(f"no JSON: {line[:200]!r}")
        if "method" not in message:
            return self.answered(message)
        method, params = message["method"], message.get("params") or {}
        self.seen[method] += 1
        if "id" in message:
            self.questions += 1
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": self.asked(method, params)}
            self.loop.call_later(self.thinks(), self.send, answer)
            return
        token = params.get("progressToken")
        if method == "notifications/progress" and token not in self.tokens and token not in self.cancelled:
            self.problem(f"progress of what is over: {line[:200]!r}")
        self.notified(method, params)

    def answered(self, message: Message) -> None:
        id = message.get("id")
        take = self.open.pop(id, None)
        if take is not None:
            self.tokens.discard(id)
            self.answers += 1
            take(message)
            self._look_whether_quiet()
            return
        if id in self.cancelled:
            self.cancelled.discard(id)
        else:
            self.problem(f"an answer to nothing that is open: {json.dumps(message)[:300]}")

    # The end

    async def end(self) -> int:
        """Closes what it writes to, reads to the end; the exit code."""
        # What mcpagg does not take in the end it does not need.
        self.loop.remove_writer(self.input)
        self.process.stdin.close()
        self.set_reading(True)
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), PATIENCE)
        except TimeoutError:
            self.problem(f"mcpagg does not end within {PATIENCE} s")
            self.process.kill()
            await self.ended
        self.process.stdout.close()
        return self.process.wait(PATIENCE)

    def last_words(self, count: int = 10) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def encoded(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def text(answer: Message) -> str | None:
    """What a call that went well brought; `None` for any other answer."""
    result = answer.get("result") or {}
    content = result.get("content") or []
    return content[0].get("text") if content and not result.get("isError") else None
