"""Reads lists of messages, one list a line, and answers each with the list of what the models of the Python SDK 1 refuse."""

import json
import sys
from typing import Any

from mcp import types
from pydantic import BaseModel, ValidationError

sys.set_int_max_str_digits(0)

RESULTS: dict[str, type[BaseModel]] = {
    "initialize": types.InitializeResult,
    "ping": types.EmptyResult,
    "tools/list": types.ListToolsResult,
    "tools/call": types.CallToolResult,
    "logging/setLevel": types.EmptyResult,
    "prompts/list": types.ListPromptsResult,
    "prompts/get": types.GetPromptResult,
    "resources/list": types.ListResourcesResult,
    "resources/templates/list": types.ListResourceTemplatesResult,
    "resources/read": types.ReadResourceResult,
    "resources/subscribe": types.EmptyResult,
    "resources/unsubscribe": types.EmptyResult,
    "completion/complete": types.CompleteResult,
    "tools/call as a task": types.CreateTaskResult,
    "tasks/get": types.GetTaskResult,
    "tasks/result": types.GetTaskPayloadResult,
    "tasks/cancel": types.CancelTaskResult,
}
UNIONS: dict[tuple[str, str], type[BaseModel]] = {
    ("server", "request"): types.ServerRequest,
    ("server", "notification"): types.ServerNotification,
    ("client", "request"): types.ClientRequest,
    ("client", "notification"): types.ClientNotification,
}



def problem(item: dict[str, Any]) -> str | None:
    message = item["message"]
    try:
        types.JSONRPCMessage.model_validate(message)
        if item["kind"] == "result":
            model = RESULTS.get(item["method"]) if item["side"] == "server" else types.ClientResult
            if model is not None:
                model.model_validate(message["result"])
        elif item["kind"] in ("request", "notification"):
            body = {key: message[key] for key in ("method", "params") if key in message}
            UNIONS[item["side"], item["kind"]].model_validate(body)
    except ValidationError as error:
        shown = json.dumps(message)[:600]
        return f"{item['kind']} of {item['method']} is refused by the Python SDK 1: {str(error)!r}: {shown}"
    return None


for line in sys.stdin:
    print(json.dumps([text for item in json.loads(line) if (text := problem(item))]), flush=True)
