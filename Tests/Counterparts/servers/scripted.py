"""A server that says what a test wants it to say. Plain stdlib: nothing between the test and the pipe.

Usage: scripted.py SCRIPT LOG CONTROL

SCRIPT is a JSON file, read at every start and before every answer, so that a test can change it:
  revision      answered to `initialize`; without it, the one asked for; with 2026-07-28 the server has no `initialize`
  capabilities, instructions
  lists         {"tools/list": [[item, ...], ...]}: a list by its pages; a method that is not in it is not found
  answers       {method: {name, URI or "*": {"result": ...} or {"error": ...}}}; "ref" of a completion is its name or URI;
                "held" instead of an answer leaves it to the test
  onInitialized messages to send when `notifications/initialized` has come
What is in neither is left open for the test to answer, except what has one obvious answer (see `obvious`).

LOG is a named pipe: every line that came in after `> `, every line that went out after `< `, in the order of this process, and in
pieces that the pipe takes at once (lines.ProcessLog reads them).
CONTROL is a named pipe of lines: {"say": message}, {"together": [message, ...]} to send them in one piece, {"exit": status}.
"""

import json
import os
import select
import sys
import threading

script_path, log_path, control_path = sys.argv[1:]
log = os.open(log_path, os.O_WRONLY)
writing = threading.Lock()
MEMBERS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def note(mark: bytes, line: bytes) -> None:
    text = mark + line.rstrip(b"\r\n")
    process = b"%d" % os.getpid()
    length = select.PIPE_BUF - len(process) - 2
    while len(text) > length:
        os.write(log, process + b"+" + text[:length] + b"\n")
        text = text[length:]
    os.write(log, process + b" " + text + b"\n")


def say(*messages) -> None:
    lines = [json.dumps(message).encode() for message in messages]
    with writing:
        # Noted first: whoever sees a message finds it in the log.
        for line in lines:
            note(b"< ", line)
        sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def obey() -> None:
    descriptor = os.open(control_path, os.O_RDWR)
    pending = b""
    while chunk := os.read(descriptor, 65536):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "say" in order:
                say(order["say"])
            elif "together" in order:
                say(*order["together"])
            else:
                os._exit(order["exit"])


def page(pages, member: str, params: dict) -> dict:
    """Cursors are "", "1", "2": an empty string is a cursor like any other."""
    cursor = params.get("cursor")
    number = 0 if cursor is None else 1 if cursor == "" else int(cursor)
    result = {member: pages[number] if pages else []}
    if number + 1 < len(pages):
        result["nextCursor"] = "" if number == 0 else str(number + 1)
    return {"result": result}


STATELESS = "2026-07-28"
CACHED = [*MEMBERS, "resources/read", "server/discover"]


def in_era(answer: dict, method: str) -> dict:
    """The answer as a stateless server gives it; what the test said itself stays."""
    if "result" not in answer:
        return answer
    cache = {"ttlMs": 0, "cacheScope": "private"} if method in CACHED else {}
    return {"result": {"resultType": "complete", **cache, **answer["result"]}}


def obvious(method: str, params: dict, script: dict) -> dict | None:
    capabilities = script.get("capabilities", {})
    if script.get("revision") == STATELESS:
        if method == "server/discover":
            return {"result": {"supportedVersions": [STATELESS], "capabilities": capabilities}}
        if method in ("initialize", "ping", "logging/setLevel"):
            data = {"supported": [STATELESS], "requested": params.get("protocolVersion", "")}
            error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
            return {"error": error if method == "initialize" else {"code": -32601, "message": "Method not found"}}
        if method == "resources/read":
            return {"error": {"code": -32602, "message": "Resource not found", "data": {"uri": params["uri"]}}}
    if method == "initialize":
        result = {
            "protocolVersion": script.get("revision", params["protocolVersion"]),
            "capabilities": capabilities,
            "serverInfo": {"name": "scripted", "version": "1"},
        }
        if "instructions" in script:
            result["instructions"] = script["instructions"]
        return {"result": result}
    if method in MEMBERS:
        pages = script.get("lists", {}).get(method)
        if pages is not None:
            return page(pages, MEMBERS[method], params)
    elif method == "ping" or method == "logging/setLevel":
        return {"result": {}}
    elif method in ("resources/subscribe", "resources/unsubscribe"):
        if capabilities.get("resources", {}).get("subscribe"):
            return {"result": {}}
    elif method == "resources/read":
        return {"error": {"code": -32002, "message": "Resource not found", "data": {"uri": params["uri"]}}}
    elif method in ("tools/call", "prompts/get"):
        return None
    return {"error": {"code": -32601, "message": f"Method not found: {method}"}}


def main() -> None:
    threading.Thread(target=obey, daemon=True).start()
    for line in sys.stdin.buffer:
        with writing:
            note(b"> ", line)
        message = json.loads(line)
        method = message.get("method")
        with open(script_path) as file:
            script = json.load(file)
        if method == "notifications/initialized":
            for other in script.get("onInitialized", []):
                say(other)
        if method is None or "id" not in message:
            continue
        params = message.get("params") or {}
        ref = params.get("ref", params)
        choices = script.get("answers", {}).get(method, {})
        answer = choices.get(ref.get("name", ref.get("uri", "*")), choices.get("*"))
        if answer is None:
            answer = obvious(method, params, script)
        if answer is not None and answer != "held":
            if script.get("revision") == STATELESS:
                answer = in_era(answer, method)
            say({"jsonrpc": "2.0", "id": message["id"], **answer})


main()
os._exit(0)
