"""A server with every feature of the handshake era, written with the official SDK; the same for both of its generations.

Only what a generation spells differently is told apart: how handlers are registered and where a request's context is.
"""

import importlib.metadata

import anyio
from mcp import types
from mcp.server import Server
from mcp.server.models import InitializationOptions
from mcp.server.stdio import stdio_server

GENERATION = int(importlib.metadata.version("mcp").split(".")[0])

OPEN = {"type": "object", "additionalProperties": True}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [
    {"name": "everything", "title": "All", "inputSchema": OPEN, "annotations": {"readOnlyHint": True}, "_meta": {"com.example/a": 1}},
    {"name": "structured", "inputSchema": {"type": "object", "$defs": {"x": {}}}, "outputSchema": NUMBER},
    *({"name": name, "inputSchema": OPEN} for name in "fails refuses elicits samples roots both talks updates changes".split()),
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
extra: dict[str, list] = {"tools": [], "prompts": [], "resources": []}


def dumped(model) -> dict:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def said(value) -> dict:
    return {"content": [{"type": "text", "text": str(value)}]}


async def sample(session):
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Say é"))
    return dumped(await session.create_message([message], max_tokens=7, system_prompt="Be brief", temperature=0.5))


async def elicit(session, request_id):
    return dumped(await session.elicit_form("Your name?", FORM, request_id))


async def call(name: str, arguments: dict, session, request_id, token) -> dict:
    if name == "everything":
        return {"content": [*CONTENT, *said(sorted(arguments.items()))["content"]], "_meta": {"com.example/c": None}}
    if name == "structured":
        return {**said('{"n": 3}'), "structuredContent": {"n": 3}}
    if name == "fails":
        return {**said("it failed"), "isError": True}
    if name == "elicits":
        return said(await elicit(session, request_id))
    if name == "samples":
        return said(await sample(session))
    if name == "roots":
        return said(dumped(await session.list_roots()))
    if name == "both":
        answers: dict[str, dict] = {}

        async def keep(key, ask, *arguments):
            answers[key] = await ask(*arguments)

        async with anyio.create_task_group() as group:
            group.start_soon(keep, "form", elicit, session, request_id)
            group.start_soon(keep, "sample", sample, session)
        return said(sorted(answers.items()))
    if name == "talks":
        for step in (1, 2, 3):
            await session.send_progress_notification(token, step, 3, f"step {step}", related_request_id=str(request_id))
        await session.send_log_message("warning", {"a": [1, None]}, "inner")
        await session.send_log_message("error", "without a name")
        return said("talked")
    if name == "updates":
        await session.send_resource_updated("feature://text")
        return said("updated")
    assert name == "changes", name
    kind = arguments["kind"]
    item = {"uri": "feature://new", "name": "new"} if kind == "resources" else {"name": "new", "inputSchema": OPEN}
    extra[kind] = [item if kind != "prompts" else {"name": "new"}]
    await getattr(session, f"send_{kind[:-1]}_list_changed")()
    return said("changed")


async def answer(method: str, params: dict, session, request_id, token) -> dict:
    """The result for a request, as JSON."""
    if method == "tools/list":
        return {"tools": TOOLS + extra["tools"]}
    if method == "prompts/list":
        return {"prompts": PROMPTS + extra["prompts"]}
    if method == "resources/list":
        return {"resources": RESOURCES + extra["resources"]}
    if method == "resources/templates/list":
        return {"resourceTemplates": TEMPLATES}
    if method == "tools/call":
        return await call(params["name"], params.get("arguments") or {}, session, request_id, token)
    if method == "prompts/get":
        text = (await elicit(session, request_id)) if params["name"] == "asks" else params.get("arguments")
        messages = [{"role": "user", "content": block} for block in (CONTENT[0], said(text)["content"][0])]
        return {"description": params["name"], "messages": messages}
    if method == "resources/read":
        return {"contents": [{"uri": params["uri"], "text": "text", "_meta": {"k": 1}}, {"uri": "feature://part", "blob": "AAAA"}]}
    if method == "completion/complete":
        return {"completion": {"values": [str(params["ref"]), str(params["argument"])], "total": 2, "hasMore": False}}
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
    from mcp import MCPError

    def handler(method, result_model):
        async def handle(context, params):
            params = dumped(params) if params else {}
            if error := refusal(method, params):
                raise MCPError(error[0], error[1], error[2])
            token = (context.meta or {}).get("progress_token")
            result = await answer(method, params, context.session, context.request_id, token)
            return result_model.model_validate(result)

        return handle

    return Server("features", **{f"on_{name}": handler(method, model) for method, (name, _, model) in MODELS.items()})


async def main() -> None:
    server = first_generation() if GENERATION == 1 else second_generation()
    options = InitializationOptions(
        server_name="features", server_version="1", capabilities=types.ServerCapabilities.model_validate(CAPABILITIES)
    )
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


anyio.run(main)
