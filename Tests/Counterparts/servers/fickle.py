"""A server on stdio whose one tool fails the first times it is called, in a way that is named, and works from then on.

Usage: fickle.py COUNT FAILURE TIMES ANNOTATIONS

COUNT is a file that gets one byte for each execution, whichever process of this server it is in. FAILURE is one of FAILURES.
"""

import json
import os
import signal
import sys

path, failure, times, annotations = sys.argv[1:]


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def executed() -> int:
    with open(path, "ab") as file:
        file.write(b"x")
        return file.tell()


def call(id) -> None:
    if failure == "dies before it reads":
        # It has the request, but nothing was done: nobody outside can tell.
        if not os.path.exists(f"{path}.died"):
            open(f"{path}.died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        executed()
    elif executed() <= int(times):
        if failure == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        elif failure == "dies within its answer":
            sys.stdout.write('{"jsonrpc":"2.0","id":')
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        elif failure == "answers garbage":
            return send({"jsonrpc": "2.0", "id": id})
        elif failure == "is silent":
            return None
        elif failure == "says that the tool failed":
            return send({"jsonrpc": "2.0", "id": id, "result": {"content": [], "isError": True}})
        elif failure == "answers an error":
            return send({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "no"}})
    send({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "done"}]}})


for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            introduction = {"capabilities": {"tools": {}}, "serverInfo": {"name": "fickle", "version": "1"}}
            send({"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": message["params"]["protocolVersion"], **introduction}})
        case "tools/list":
            tool = {"name": "act", "inputSchema": {"type": "object"}, "annotations": json.loads(annotations)}
            send({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [tool]}})
        case "tools/call":
            call(message["id"])
        case method if "id" in message:
            send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": f"no {method}"}})
