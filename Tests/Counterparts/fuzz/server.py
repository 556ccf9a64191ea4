"""A server that answers `echo` as it should, and misbehaves in everything else.

Usage: server.py ERA SEED; ERA is handshake, batch (2025-03-26) or stateless.
"""

import json
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutation import mutated  # noqa: E402

era, seed = sys.argv[1], sys.argv[2]
chance = random.Random(f"{era} {seed}")
STATELESS = era == "stateless"
TYPE = '"resultType":"complete",' if STATELESS else ""
CACHE = '"ttlMs":0,"cacheScope":"private",' if STATELESS else ""
TOOLS = ",".join(
    f'{{"name":"{name}","inputSchema":{{"type":"object"}}}}' for name in ("echo", "chaos", "ask", "slow", *(f"t{i}" for i in range(5)))
)
LISTS = {
    "tools/list": f'{{{TYPE}{CACHE}"tools":[{TOOLS}]}}',
    "prompts/list": f'{{{TYPE}{CACHE}"prompts":[{{"name":"p"}}]}}',
    "resources/list": f'{{{TYPE}{CACHE}"resources":[{{"uri":"fuzz:{era}","name":"r"}}]}}',
    "resources/templates/list": f'{{{TYPE}{CACHE}"resourceTemplates":[{{"uriTemplate":"fuzz:{era}/{{x}}","name":"t"}}]}}',
}
ANYTHING = ['"tools":{"listChanged":true}', '"prompts":{"listChanged":true}', '"resources":{"listChanged":true,"subscribe":true}',
    '"logging":{}', '"completions":{}', '"tasks":{"requests":{"tools":{"call":{}}}}']  # fmt: skip
CAPABILITIES = "{" + ",".join(ANYTHING) + "}"
ELICIT = '"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}'
answered = [1]  # ids of requests that are over
questions = 0


def answer(id, result) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{id},"result":{result}}}'.encode()


def noise() -> bytes:
    """A valid message that nobody asked for."""
    global questions
    questions += 1
    kind = int(chance.random() * 15)
    near = chance.choice(answered)
    if kind == 0:
        return answer(near, f'{{{TYPE}"content":[]}}')
    if kind == 1:
        return answer(f'"{near}"', "{}")
    if kind == 2:
        return f'{{"jsonrpc":"2.0","id":{near * 4096},"error":{{"code":{chance.choice((-32002, -32042, -32020, -32022, 1))},"message":"m"}}}}'.encode()
    if kind == 3:
        return f'{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{near},"progress":1}}}}'.encode()
    if kind == 4:
        return b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"debug","data":{"a":1}}}'
    if kind == 5:
        return f'{{"jsonrpc":"2.0","method":"notifications/{chance.choice(("tools", "prompts", "resources"))}/list_changed"}}'.encode()
    if kind == 6:
        return f'{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"fuzz:{era}"}}}}'.encode()
    if kind == 7:
        return f'{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{chance.choice((near, questions))}}}}}'.encode()
    if kind == 8:
        return f'{{"jsonrpc":"2.0","id":{questions % 50},{ELICIT}}}'.encode()
    if kind == 9:
        return f'{{"jsonrpc":"2.0","id":"{questions % 50}","method":"{chance.choice(("roots/list", "ping", "x/y", "tools/list"))}"}}'.encode()
    if kind == 10:
        return answer(near, f'{{"resultType":"{chance.choice(("input_required", "task", "x"))}","requestState":"s","taskId":"t"}}')
    if kind == 11:
        return f'{{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{{"taskId":"t{near % 7}","status":"working"}}}}'.encode()
    if kind == 12:
        return b'{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}'
    if kind == 13:
        return b'{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{}}}'
    return b'{"jsonrpc":"2.0","method":"x/y","params":{"_meta":{"progressToken":1}}}'


def replies(message: dict) -> list[bytes]:
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method is None or id is None:
        return []
    if isinstance(id, int) and params.get("name") != "ask":
        over.append(id)
    id = json.dumps(id)
    if method == "server/discover":
        if not STATELESS:
            return [f'{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"m"}}}}'.encode()]
        return [answer(id, f'{{{TYPE}{CACHE}"supportedVersions":["2026-07-28"],"capabilities":{CAPABILITIES}}}')]
    if method == "initialize":
        if STATELESS:
            data = '{"supported":["2026-07-28"],"requested":"2025-11-25"}'
            return [f'{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32022,"message":"m","data":{data}}}}}'.encode()]
        revision = "2025-03-26" if era == "batch" else "2025-11-25"
        return [answer(id, f'{{"protocolVersion":"{revision}","capabilities":{CAPABILITIES},"serverInfo":{{"name":"s","version":"1"}}}}')]
    if method in LISTS:
        return [answer(id, LISTS[method])]
    name = params.get("name") or ""
    if name == "echo":
        text = json.dumps(params.get("arguments"))
        lines = [answer(id, f'{{{TYPE}"content":[],"structuredContent":{text}}}')]
    elif name == "ask" and "inputResponses" not in params:
        if STATELESS:
            lines = [answer(id, f'{{"resultType":"input_required","inputRequests":{{"q":{{{ELICIT}}}}},"requestState":"s"}}')]
        else:
            asked.append(id)
            lines = [f'{{"jsonrpc":"2.0","id":"ask {id}",{ELICIT}}}'.encode()]
    else:
        lines = [answer(id, f'{{{TYPE}{CACHE}"content":[{{"type":"text","text":"t","uri":"fuzz:{era}/1"}}],"contents":[],"messages":[]}}')]
        if name == "chaos" and chance.random() < 0.6:
            lines = [mutated(lines[0], chance) for _ in range(chance.choice((1, 1, 2)))]
    return lines


asked: list[str] = []
over: list[int] = []  # answered in this turn


def main() -> None:
    pending = b""
    while chunk := os.read(0, 1 << 18):
        *lines, pending = (pending + chunk).split(b"\n")
        out = []
        for line in lines:
            message = json.loads(line)
            out += replies(message)
            if "method" not in message and asked:
                out.append(answer(asked.pop(), f'{{{TYPE}"content":[]}}'))
            # What was answered a while ago; behind its answer in any case.
            answered[:] = [*answered, *over][-50:]
            over.clear()
            if chance.random() < 0.7:
                extra = noise()
                out.append(mutated(extra, chance) if chance.random() < 0.5 else extra)
        if era == "batch" and len(out) > 1 and chance.random() < 0.2:
            # What is broken would take the whole array with it.
            whole = [line for line in out if line.startswith(b'{"jsonrpc"') and line.endswith(b"}")]
            array = b"[" + b",".join(whole) + b"]"
            try:
                json.loads(array)
                # First, or what comes under an id again would come before its answer.
                out = [array] + [line for line in out if line not in whole]
            except ValueError:
                pass
        data = b"\n".join(out) + b"\n" if out else b""
        while data:
            data = data[os.write(1, data) :]


main()
