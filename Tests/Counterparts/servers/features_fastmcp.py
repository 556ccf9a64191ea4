"""A server written with FastMCP, with what its own ways allow of the features that the hosts of the tests use.

Usage: features_fastmcp.py VARIANT RECORDING     see over_http.py
"""

import sys
from pathlib import Path

import anyio
import mcp_types as types
import over_http
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ResourceError
from fastmcp.tools.base import ToolResult
from mcp import MCPError

variant, recording = sys.argv[1:]
server = FastMCP("features", version="1")
begun, cancelled = anyio.Event(), anyio.Event()
HAS_STREAMS = not variant.startswith("json")
STATELESS = "2026-07-28"
FORM = {"type": "object", "properties": {"name": {"type": "string"}, "ok": {"type": "boolean", "default": True}}}


@server.tool(annotations={"readOnlyHint": True}, meta={"com.example/a": 1})
def everything(a: int, b: list, context: Context) -> ToolResult:
    blocks = [
        types.TextContent(type="text", text="é\u2028\U0001f600"),
        types.ImageContent(type="image", data="AAAA", mime_type="image/png"),
        types.ResourceLink(type="resource_link", uri="feature://linked", name="linked"),
    ]
    return ToolResult(content=[*blocks, types.TextContent(type="text", text=str((a, b)))], meta={"com.example/c": [None, {"d": None}]})


@server.tool
def structured() -> dict[str, int]:
    return {"n": 3}


@server.tool
def fails() -> str:
    raise ValueError("it failed")


@server.tool
def refuses() -> str:
    raise MCPError(-32602, "not with these", {"field": "x"})


@server.tool
async def elicits(context: Context) -> str | types.InputRequiredResult:
    if context.request_context.protocol_version != STATELESS:
        answer = await context.session.elicit_form("Your name?", FORM, context.request_id if HAS_STREAMS else None)
        return str(answer.content)
    if answers := context.input_responses:
        return str(answers["form"].content)
    question = types.ElicitRequest(params=types.ElicitRequestFormParams(message="Your name?", requested_schema=FORM))
    return types.InputRequiredResult(input_requests={"form": question}, request_state="asked")


@server.tool
async def samples(context: Context) -> str | types.InputRequiredResult:
    words = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Say é"))
    if context.request_context.protocol_version != STATELESS:
        related = context.request_id if HAS_STREAMS else None
        return (await context.session.create_message([words], max_tokens=7, related_request_id=related)).content.text
    if answers := context.input_responses:
        return answers["sample"].content.text
    question = types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[words], max_tokens=7))
    return types.InputRequiredResult(input_requests={"sample": question})


@server.tool
async def talks(context: Context) -> str:
    for step in (1, 2, 3):
        await context.report_progress(step, 3, f"step {step}")
    await context.info("chatter", logger_name="inner")
    await context.warning("without a name")
    return "talked"


@server.tool
async def waits(context: Context) -> str:
    try:
        begun.set()
        await context.report_progress(1, None, "waiting")
        await anyio.sleep_forever()
    finally:
        cancelled.set()


@server.tool
async def waiting() -> str:
    await begun.wait()
    return "it waits"


@server.tool
async def waited() -> str:
    await cancelled.wait()
    return "it was cancelled"


@server.tool
async def roots(context: Context) -> str | types.InputRequiredResult:
    if context.request_context.protocol_version != STATELESS:
        return str([str(root.uri) for root in (await context.session.list_roots()).roots])
    if answers := context.input_responses:
        return str([str(root.uri) for root in answers["roots"].roots])
    return types.InputRequiredResult(input_requests={"roots": types.ListRootsRequest()})


def new() -> str:
    return "new"


@server.tool
async def changes(kind: str, context: Context) -> str:
    """FastMCP tells of a change on the stream of the request in which it is told to."""
    if kind == "tools":
        server.tool(new)
        await context.send_notification(types.ToolListChangedNotification())
    elif kind == "prompts":
        server.prompt(new)
        await context.send_notification(types.PromptListChangedNotification())
    else:
        server.resource("feature://new")(new)
        await context.send_notification(types.ResourceListChangedNotification())
    return "changed"


@server.prompt(title="Greet")
def greet(who: str) -> str:
    return f"Greet {who}"


@server.resource("feature://text", mime_type="text/plain", meta={"k": 1})
def text() -> str:
    return "text"


@server.resource("feature://item/{id}")
def item(id: str) -> bytes:
    return id.encode()


@server.resource("feature://broken")
def broken() -> str:
    raise ResourceError("it is broken")


@server.completion
def complete(reference, argument, context) -> list[str]:
    return [reference.type, argument.value]


over_http.serve(
    server.http_app(
        path=over_http.EVENTS if variant == "sse" else over_http.STREAMABLE,
        transport="sse" if variant == "sse" else "http",
        json_response=not HAS_STREAMS,
        stateless_http=variant.endswith("without-sessions"),
    ),
    Path(recording),
)
