"""A host of one revision in front of one server of another, and calls in the middle of which the host is asked for something."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import bench as tools
from bench import Bench, Server
from validation import META, STATELESS

KEY = "s"
ROOTS = {"roots": [{"uri": "file:///work", "name": "w"}]}
FORM = {
    "message": "Your name?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}
VISIT = {"mode": "url", "message": "Log in", "url": "https://example.com/?a=b&c"}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "Say é"}}], "maxTokens": 5}
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "é"}, "model": "m", "stopReason": "endTurn"}
ACCEPTED = {"action": "accept", "content": {"name": "Ö"}}


def able(revision: str) -> dict[str, Any]:
    """All that a host of this revision can do for servers."""
    capabilities: dict[str, Any] = {"roots": {} if revision == STATELESS else {"listChanged": True}, "sampling": {}}
    if revision >= "2025-06-18":
        capabilities["elicitation"] = {}
    if revision >= "2025-11-25":
        capabilities |= {"sampling": {"tools": {}, "context": {}}, "elicitation": {"form": {}, "url": {}}}
    return capabilities


def fake(bench: Bench, revision: str, key: str = KEY, *flags: str) -> Server:
    """A server of one revision alone, with everything it can have."""
    era = ["--era", "stateless"] if revision == STATELESS else ["--era", "handshake", "--revision", revision]
    return bench.fake(key, *era, "--features", "all", *flags)


class Pair:
    def __init__(self, bench: Bench, host: str, server: str, flags: tuple[str, ...] = (), **aggregator: Any):
        self.bench = bench
        self.host_revision, self.server_revision = host, server
        self.server = fake(bench, server, KEY, *flags)
        self.host = bench.host(bench.config(**aggregator), host, **able(host))
        self.barriers, self.settled = 0, {}
        self.is_stateless = host == STATELESS
        self.server_is_stateless = server == STATELESS
        # From here on the server is there: what is sent to it goes out at once.
        self.host.tools()

    @property
    def introduction(self) -> dict[str, Any]:
        """What a host of the handshake era was answered first."""
        return json.loads(self.host.out.lines[0])["result"]

    def name(self, tool: str) -> str:
        return f"{KEY}__{tool}"

    def uri(self, path: str) -> str:
        return f"fake://{KEY}/{path}"

    def ask(self, method: str, params: Any = None, **meta: Any) -> dict[str, Any]:
        """The whole answer."""
        return self.host.ask(method, self.with_meta(params, meta))

    def with_meta(self, params: Any, meta: dict[str, Any]) -> Any:
        return {**(params or {}), "_meta": meta} if meta else params

    def get(self, method: str, params: Any = None, **meta: Any) -> dict[str, Any]:
        """The result, which must have the form of the host's era."""
        return self.complete(self.ask(method, params, **meta))

    def complete(self, answer: dict[str, Any]) -> dict[str, Any]:
        assert "result" in answer, answer
        assert answer["result"].get("resultType") == ("complete" if self.is_stateless else None), answer
        return answer["result"]

    def refused(self, method: str, params: Any = None, code: int = -32601) -> None:
        answer = self.ask(method, params)
        assert answer.get("error", {}).get("code") == code, answer

    def call(self, tool: str, arguments: Any = None, **meta: Any) -> dict[str, Any]:
        return self.get("tools/call", {"name": self.name(tool), "arguments": arguments or {}}, **meta)

    def begin(self, tool: str, arguments: Any = None, **meta: Any) -> "Asking":
        return Asking(self, "tools/call", self.with_meta({"name": self.name(tool), "arguments": arguments or {}}, meta))

    def begin_questions(self, *questions: tuple[str, Any], **options: Any) -> "Asking":
        return self.begin("ask", {"questions": [question(*each) for each in questions], **options})

    def barrier(self) -> int:
        """All that was on its way before has come to where it was going, and is in the logs. The number of the host's next line."""
        self.barriers += 1
        text = f"barrier {self.barriers} of {self.bench.mark}"
        self.call("echo", {"text": text})
        for log in (self.server.received, self.server.sent):
            log.wait_for(lambda line: text.encode() in line, tools.PATIENCE, self.settled.get(log.name, 0))
            self.settled[log.name] = len(log.lines)
        return len(self.host.out.lines)

    def executions(self, only: str = "ask") -> dict[str, int]:
        none = {"begun": 0, "finished": 0, "cancelled": 0}
        return json.loads(self.call("executions", {"only": only})["content"][0]["text"]).get(only, none)

    # Lines of the two hops

    def got(self) -> int:
        """The number of the next line that the server gets."""
        self.barrier()
        return len(self.server.received.lines)

    def said(self) -> int:
        """The number of the next line that the server sends."""
        self.barrier()
        return len(self.server.sent.lines)

    def received(self, method: str, start: int = 0) -> list[dict[str, Any]]:
        """The requests or notifications of this method that the server got up to now."""
        self.barrier()
        lines = self.server.received.lines[start:]
        return [m for m in map(tools.parsed, lines) if m.get("method") == method and self.bench.mark not in json.dumps(m)]

    def sent(self, method: str, start: int = 0) -> list[dict[str, Any]]:
        """Those that the server sent up to now."""
        self.barrier()
        return [m for m in map(tools.parsed, self.server.sent.lines[start:]) if m.get("method") == method]

    def told(self, method: str, start: int = 0) -> list[dict[str, Any]]:
        """Those that the host was sent."""
        return [m for m in self.host.messages(start) if m.get("method") == method]

    def listen(self, **filter: Any) -> tuple[int, int, dict[str, Any]]:
        """Opens a subscription of a stateless host: its id, the line of its acknowledgement, and what was honoured."""
        start = len(self.host.out.lines)
        id = self.host.post("subscriptions/listen", {"notifications": filter})
        position, message = self.host.notification("notifications/subscriptions/acknowledged", start)
        assert subscription(message) == id
        return id, position, message["params"]["notifications"]

    def stop_listening(self, id: int) -> None:
        self.host.notify("notifications/cancelled", {"requestId": id})


def question(method: str, params: Any = None) -> dict[str, Any]:
    return {"method": method} if params is None else {"method": method, "params": params}


def subscription(message: dict[str, Any]) -> Any:
    return ((message.get("params") or {}).get("_meta") or {}).get(META + "subscriptionId")


@dataclass
class Asked:
    """What the host was asked."""

    handle: int | str  # the id of the question, or its key
    method: str
    params: dict[str, Any] = field(default_factory=dict)


class Asking:
    """A request that the host is asked about while it waits: by requests, or by answers that say what is missing."""

    def __init__(self, pair: Pair, method: str, params: dict[str, Any]):
        self.pair, self.method, self.params = pair, method, params
        self.state: str | None = None
        self.states: list[str] = []  # all that were given
        self.position = len(pair.host.out.lines)  # what the host was asked later belongs to this request
        self.id = pair.host.post(method, params)

    def asked(self, count: int = 1) -> list[Asked]:
        """Waits until the host has so many questions at once, none of which it has answered."""
        if self.pair.is_stateless:
            return self.required(count)
        asked: list[Asked] = []
        position = self.position
        while len(asked) < count:
            wanted = lambda line: "method" in tools.parsed(line) and "id" in tools.parsed(line)  # noqa: E731
            found, line = self.pair.host.out.wait_for(wanted, tools.PATIENCE, position)
            position = found + 1
            message = tools.parsed(line)
            asked.append(Asked(message["id"], message["method"], message.get("params") or {}))
        self.position = position
        return asked

    def required(self, count: int) -> list[Asked]:
        deadline = time.monotonic() + tools.PATIENCE
        while True:
            result = self.pair.host.answer(self.id)["result"]
            assert result.get("resultType") == "input_required", result
            self.state = result["requestState"]
            self.states.append(self.state)
            asked = [Asked(key, entry["method"], entry.get("params") or {}) for key, entry in result.get("inputRequests", {}).items()]
            assert len(asked) <= count, asked
            if len(asked) == count:
                return asked
            # Two questions that the server wrote one after the other may have come apart; what is not answered is asked again.
            assert time.monotonic() < deadline, f"{count} questions were never asked at once"
            self.retry({})

    def retry_params(self, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**self.params, "inputResponses": responses, "requestState": self.state, **more}

    def retry(self, responses: dict[str, Any]) -> None:
        self.id = self.pair.host.post(self.method, self.retry_params(responses))

    def reply(self, *answers: tuple[Asked, Any]) -> None:
        """Answers questions with results."""
        if self.pair.is_stateless:
            return self.retry({asked.handle: result for asked, result in answers})
        for asked, result in answers:
            self.pair.host.reply(asked.handle, result)

    def answer(self) -> dict[str, Any]:
        return self.pair.host.answer(self.id)

    def result(self) -> dict[str, Any]:
        return self.pair.complete(self.answer())

    def entries(self) -> list[dict[str, Any]]:
        """What the server was answered, as its tool says it."""
        return json.loads(self.result()["content"][0]["text"])["answers"]

    def was_asked(self) -> list[str]:
        """The methods of requests that the host was sent since the beginning."""
        return [m["method"] for m in self.pair.host.messages(self.position) if "method" in m and "id" in m]
