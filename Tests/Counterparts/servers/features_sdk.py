"""A server with every feature of MCP, written with the official SDK; the same for both of its generations.

Only what a generation spells differently is told apart: how handlers are registered and where a request's context is. The second
one also serves the stateless era, if its host opens with that: then it asks by requiring input, and tells of changes to listeners.

Usage: features_sdk.py                       over stdio
       features_sdk.py VARIANT RECORDING     over HTTP, see over_http.py
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import anyio
from mcp import types
from mcp.server import Server
from mcp.server.models import InitializationOptions
from mcp.server.stdio import stdio_server

GENERATION = int(importlib.metadata.version("mcp").split(".")[0])

OPEN = {"type": "object", "additionalProperties": True}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
OTHERS = "fails refuses elicits samples roots both twice talks waits waiting waited updates changes"
TOOLS = [
    {"name": "everything", "title": "All", "inputSchema": OPEN, "annotations": {"readOnlyHint": True}, "_meta": {"com.example/a": 1}},
    {"name": "structured", "inputSchema": {"type": "object", "$defs": {"x": {}}}, "outputSchema": NUMBER},
    *({"name": name, "inputSchema": OPEN} for name in OTHERS.split()),
]
PROMPTS = [{"name": "greet", "title": "Greet", "arguments": [{"name": "who", "description": "whom", "required": True}]}, {"name": "asks"}]
RESOURCES = [
    {"uri": "feature://text", "name": "text", "mimeType": "text/plain", "size": 4},
    {"uri": "ui://widget/a", "name": "widget", "_meta": {"ui": {"prefersBorder": True}}},
]
TEMPLATES = [{"uriTemplate": "feature://item/{id}", "name": "item", "annotations": {"priority": 0.5}}]
CONTENT = [
    {"type": "text", "text": "é\u2028\U0001f600", "annotations": {"audience": ["user"]}, "_meta": {"com.example/b": [1, 2.5]}},
    {"type": "image", "data": "AAAA", "mimeType": "image/png"},
    {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
    {"type": "resource_link", "uri": "feature://linked", "name": "linked"},
    {"type": "resource", "resource": {"uri": "feature://embedded", "blob": "AAAA"}},
]
CAPABILITIES = {
    "tools": {"listChanged": True}, "prompts": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True},
    "completions": {}, "logging": {},
}  # fmt: skip
FORM = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}, "ok": {"type": "boolean", "default": True}}}
QUESTIONS = {
    "form": {"method": "elicitation/create", "params": {"mode": "form", "message": "Your name?", "requestedSchema": FORM}},
    "sample": {
        "method": "sampling/createMessage",
        "params": {
            "messages": [{"role": "user", "content": {"type": "text", "text": "Say é"}}],
            "maxTokens": 7, "systemPrompt": "Be brief", "temperature": 0.5,
        },
    },
    "roots": {"method": "roots/list"},
}  # fmt: skip
LEVELS = "debug info notice warning error critical alert emergency".split()
level = "debug"  # in the handshake era: the one last set
begun, cancelled = anyio.Event(), anyio.Event()
# Without streams nothing can go along with an answer: what belongs to a request is lost, unless it goes the way of what does not.
HAS_STREAMS = not (len(sys.argv) > 1 and sys.argv[1].startswith("json"))
extra: dict[str, list] = {"tools": [], "prompts": [], "resources": []}


def dumped(model) -> dict:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def said(value) -> dict:
    return {"content": [{"type": "text", "text": str(value)}]}


class InputRequired(Exception):
    """Ends a request of the stateless era that cannot go on without answers."""


class Asker:
    """Asks the host in the middle of a request."""

    def __init__(self, session, request_id, params: dict, is_stateless: bool):
        self.session, self.request_id, self.is_stateless = session, request_id, is_stateless
        # The answers of all rounds: the host brings those of earlier ones back, in what is opaque to it.
        self.known = {**json.loads(params.get("requestState", "{}")), **params.get("inputResponses", {})}

    async def ask(self, **questions: str) -> dict[str, dict]:
        """The answers to questions that are asked at once."""
        if not self.is_stateless:
            async with anyio.create_task_group() as group:
                for key, kind in questions.items():
                    group.start_soon(self.ask_now, key, kind)
        elif any(key not in self.known for key in questions):
            requests = {key: QUESTIONS[kind] for key, kind in questions.items()}
            raise InputRequired({"inputRequests": requests, "requestState": json.dumps(self.known, sort_keys=True)})
        return {key: {name: value for name, value in self.known[key].items() if name != "resultType"} for key in questions}

    async def ask_now(self, key: str, kind: str) -> None:
        params = QUESTIONS[kind].get("params", {})
        if kind == "form":
            answer = await self.session.elicit_form(params["message"], FORM, self.request_id if HAS_STREAMS else None)
        elif kind == "sample":
            messages = [types.SamplingMessage.model_validate(message) for message in params["messages"]]
            given = {"max_tokens": 7, "system_prompt": params["systemPrompt"], "temperature": params["temperature"]}
            answer = await self.session.create_message(messages, **given)
        else:
            answer = await self.session.list_roots()
        self.known[key] = dumped(answer)


async def call(name: str, arguments: dict, session, request_id, token, asker: Asker) -> dict:
    if name == "everything":
        return {"content": [*CONTENT, *said(sorted(arguments.items()))["content"]], "_meta": {"com.example/c": None, "com.example/d": [None, {"e": None}]}}
    if name == "structured":
        return {**said('{"n": 3}'), "structuredContent": {"n": 3}}
    if name == "fails":
        return {**said("it failed"), "isError": True}
    if name == "elicits":
        return said((await asker.ask(form="form"))["form"])
    if name == "samples":
        return said((await asker.ask(sample="sample"))["sample"])
    if name == "roots":
        return said((await asker.ask(roots="roots"))["roots"])
    if name == "both":
        return said(sorted((await asker.ask(form="form", sample="sample")).items()))
    if name == "twice":
        first = await asker.ask(first="form")
        return said([first, await asker.ask(second="form"), "done"])
    if name == "talks":
        for step in (1, 2, 3):
            await session.send_progress_notification(token, step, 3, f"step {step}", related_request_id=str(request_id))
        # The second generation keeps to the levels of the stateless era by itself.
        for of, data, logger in (("info", "chatter", "inner"), ("warning", {"a": [1, None]}, "inner"), ("error", "without a name", None)):
            if asker.is_stateless or LEVELS.index(of) >= LEVELS.index(level):
                await session.send_log_message(of, data, logger, request_id)
        return said("talked")
    if name == "waits":
        try:
            begun.set()
            if HAS_STREAMS:
                await session.send_progress_notification(token, 1, None, "waiting", related_request_id=str(request_id))
            await anyio.sleep_forever()
        finally:
            cancelled.set()
    if name == "waiting":
        await begun.wait()
        return said("it waits")
    if name == "waited":
        await cancelled.wait()
        return said("it was cancelled")
    if name == "updates":
        await (updated() if asker.is_stateless else session.send_resource_updated("feature://text"))
        return said("updated")
    assert name == "changes", name
    kind = arguments["kind"]
    item = {"uri": "feature://new", "name": "new"} if kind == "resources" else {"name": "new", "inputSchema": OPEN}
    extra[kind] = [item if kind != "prompts" else {"name": "new"}]
    await (list_changed(kind) if asker.is_stateless else getattr(session, f"send_{kind[:-1]}_list_changed")())
    return said("changed")


async def answer(method: str, params: dict, session, request_id, token, is_stateless: bool = False) -> dict:
    """The result for a request, as JSON."""
    global level
    asker = Asker(session, request_id, params, is_stateless)
    if method == "tools/list":
        return {"tools": TOOLS + extra["tools"]}
    if method == "prompts/list":
        return {"prompts": PROMPTS + extra["prompts"]}
    if method == "resources/list":
        return {"resources": RESOURCES + extra["resources"]}
    if method == "resources/templates/list":
        return {"resourceTemplates": TEMPLATES}
    if method == "tools/call":
        return await call(params["name"], params.get("arguments") or {}, session, request_id, token, asker)
    if method == "prompts/get":
        text = (await asker.ask(form="form"))["form"] if params["name"] == "asks" else params.get("arguments")
        messages = [{"role": "user", "content": block} for block in (CONTENT[0], said(text)["content"][0])]
        return {"description": params["name"], "messages": messages}
    if method == "resources/read":
        text = str((await asker.ask(form="form"))["form"]) if params["uri"] == "feature://asks" else "text"
        return {"contents": [{"uri": params["uri"], "text": text, "_meta": {"k": 1}}, {"uri": "feature://part", "blob": "AAAA"}]}
    if method == "completion/complete":
        return {"completion": {"values": [str(params["ref"]), str(params["argument"])], "total": 2, "hasMore": False}}
    if method == "logging/setLevel":
        level = params["level"]
    return {}


MODELS = {
    "tools/list": ("list_tools", types.ListToolsRequest, types.ListToolsResult),
    "tools/call": ("call_tool", types.CallToolRequest, types.CallToolResult),
    "prompts/list": ("list_prompts", types.ListPromptsRequest, types.ListPromptsResult),
    "prompts/get": ("get_prompt", types.GetPromptRequest, types.GetPromptResult),
    "resources/list": ("list_resources", types.ListResourcesRequest, types.ListResourcesResult),
    "resources/templates/list": ("list_resource_templates", types.ListResourceTemplatesRequest, types.ListResourceTemplatesResult),
    "resources/read": ("read_resource", types.ReadResourceRequest, types.ReadResourceResult),
    "resources/subscribe": ("subscribe_resource", types.SubscribeRequest, types.EmptyResult),
    "resources/unsubscribe": ("unsubscribe_resource", types.UnsubscribeRequest, types.EmptyResult),
    "completion/complete": ("completion", types.CompleteRequest, types.CompleteResult),
    "logging/setLevel": ("set_logging_level", types.SetLevelRequest, types.EmptyResult),
}
REFUSALS = {
    "tools/call": ("refuses", -32602, "not with these", {"field": "x"}),
    "resources/read": ("feature://none", -32002, "Resource not found", {"uri": "feature://none"}),
}


def refusal(method: str, params: dict):
    name, *error = REFUSALS.get(method, (None,))
    return error if name is not None and name in (params.get("name"), params.get("uri")) else None


def first_generation() -> Server:
    from mcp.shared.exceptions import McpError

    server = Server("features")

    def register(method, request_model, result_model):
        async def handle(request):
            context = server.request_context
            params = dumped(request.params) if request.params else {}
            if error := refusal(method, params):
                raise McpError(types.ErrorData(code=error[0], message=error[1], data=error[2]))
            token = context.meta.progressToken if context.meta else None
            result = await answer(method, params, context.session, context.request_id, token)
            return types.ServerResult(result_model.model_validate(result))

        server.request_handlers[request_model] = handle

    for method, (_, request_model, result_model) in MODELS.items():
        register(method, request_model, result_model)
    return server


def second_generation() -> Server:
    global updated, list_changed
    from mcp import MCPError
    from mcp.server import caching, subscriptions

    bus = subscriptions.InMemorySubscriptionBus()
    events = {"tools": subscriptions.ToolsListChanged, "prompts": subscriptions.PromptsListChanged}
    events["resources"] = subscriptions.ResourcesListChanged

    async def updated():
        await bus.publish(subscriptions.ResourceUpdated(uri="feature://text"))

    async def list_changed(kind):
        await bus.publish(events[kind]())

    def handler(method, result_model):
        async def handle(context, params):
            params = dumped(params) if params else {}
            is_stateless = context.protocol_version == "2026-07-28"
            if error := refusal(method, params):
                # The stateless era has no code of its own for what is not found.
                raise MCPError(-32602 if is_stateless else error[0], error[1], error[2])
            token = (context.meta or {}).get("progress_token")
            try:
                result = await answer(method, params, context.session, context.request_id, token, is_stateless)
            except InputRequired as required:
                return types.InputRequiredResult.model_validate(required.args[0])
            return result_model.model_validate(result)

        return handle

    hints = {"tools/list": caching.CacheHint(60000, "public"), "resources/read": caching.CacheHint(5000)}
    handlers = {f"on_{name}": handler(method, model) for method, (name, _, model) in MODELS.items()}
    return Server("features", **handlers, on_subscriptions_listen=subscriptions.ListenHandler(bus), cache_hints=hints)


async def over_stdio(server: Server, options: InitializationOptions) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


def main() -> None:
    server = first_generation() if GENERATION == 1 else second_generation()
    options = InitializationOptions(
        server_name="features", server_version="1", capabilities=types.ServerCapabilities.model_validate(CAPABILITIES)
    )
    if len(sys.argv) == 1:
        anyio.run(over_stdio, server, options)
    else:
        import over_http

        variant, recording = sys.argv[1:]
        over_http.serve(over_http.application(server, options, variant), Path(recording))


main()
