"""The Python SDK, either generation, as a host that uses every feature of the handshake era; prints what it got.

It reads `{command, environment}` from stdin, like the other hosts.
"""

import importlib.metadata
import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

GENERATION = int(importlib.metadata.version("mcp").split(".")[0])


def dumped(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(model, "model_dump") else model


async def sampled(context, params):
    content = types.TextContent(type="text", text=f"sampled {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", content=content, model="m")


async def elicited(context, params):
    return types.ElicitResult(action="accept", content={"name": "Ö", "ok": False})


async def roots(context):
    return types.ListRootsResult.model_validate({"roots": [{"uri": "file:///work", "name": "w"}]})


async def cancel(session, tool):
    """The tool's first progress says that it has begun. The first generation tells the server nothing by itself."""
    id = getattr(session, "_request_id", None)  # the number the next request will get
    async with anyio.create_task_group() as group:

        async def begun(*_):
            if GENERATION == 1:
                params = types.CancelledNotificationParams(requestId=id, reason="the test said so")
                await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            group.cancel_scope.cancel()

        await session.call_tool(tool, {}, progress_callback=begun)
        return "answered"
    return "cancelled"


async def play(command, environment):
    outcome = []
    changes = {kind: anyio.Event() for kind in ("tools", "prompts", "resources", "updated")}

    async def happened(kind):
        with anyio.fail_after(20):
            await changes[kind].wait()

    async def handle(message):
        method = getattr(getattr(message, "root", message), "method", "")
        for kind, change in changes.items():
            if method in (f"notifications/{kind}/list_changed", f"notifications/resources/{kind}"):
                change.set()

    async def logged(params):
        pass

    parameters = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    async with (
        stdio_client(parameters) as (reading, writing),
        ClientSession(
            reading, writing, sampling_callback=sampled, elicitation_callback=elicited, list_roots_callback=roots,
            logging_callback=logged, message_handler=handle,
        ) as session,
    ):  # fmt: skip
        outcome.append(["revision", dumped(await session.initialize())["protocolVersion"]])

        async def note(name, awaitable):
            try:
                outcome.append([name, dumped(await awaitable)])
            except Exception as error:  # the SDKs call it differently
                outcome.append([name, "error", dumped(error.error)])

        async def on_progress(value, total, message):
            outcome.append(["progress", value, total, message])

        async def lists():
            for kind in ("tools", "prompts", "resources", "resource_templates"):
                await note(kind, getattr(session, f"list_{kind}")())

        await note("ping", session.send_ping())
        await lists()
        await note("level", session.set_logging_level("warning"))
        await note("everything", session.call_tool("everything", {"a": 1, "b": [None, 1.5, {}]}))
        for name in ("structured", "fails", "refuses", "elicits", "samples", "roots", "both", "twice"):
            await note(name, session.call_tool(name, {}))
        await note("talks", session.call_tool("talks", {}, progress_callback=on_progress))
        await note("level", session.set_logging_level("debug"))
        await note("talks more", session.call_tool("talks", {}, progress_callback=on_progress))
        outcome.append(["waits", await cancel(session, "waits")])
        await note("waited", session.call_tool("waited", {}))
        await note("greet", session.get_prompt("greet", {"who": "é"}))
        await note("asks", session.get_prompt("asks"))
        for uri in ("feature://text", "feature://item/5", "feature://linked", "feature://asks", "feature://none"):
            await note(uri, session.read_resource(uri))
        prompt = types.PromptReference(type="ref/prompt", name="greet")
        await note("complete a prompt", session.complete(prompt, {"name": "who", "value": "é"}))
        template = types.ResourceTemplateReference(type="ref/resource", uri="feature://item/{id}")
        await note("complete a template", session.complete(template, {"name": "id", "value": "5"}, {"x": "y"}))
        await note("subscribe", session.subscribe_resource("feature://text"))
        await note("subscribed", session.call_tool("updates", {}))
        await happened("updated")
        await note("unsubscribe", session.unsubscribe_resource("feature://text"))
        await session.send_roots_list_changed()
        for kind in ("tools", "prompts", "resources"):
            await note(kind, session.call_tool("changes", {"kind": kind}))
            await happened(kind)
        await lists()
    return outcome


order = json.load(sys.stdin)
print(json.dumps(anyio.run(play, order["command"], order["environment"])))
