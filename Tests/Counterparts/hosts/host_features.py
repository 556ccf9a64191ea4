"""The Python SDK, either generation, as a host that uses every feature of its era; prints what it got.

It reads `{command, environment, stateless, without}` from stdin, like the other hosts; with `url` (and `events` for the transport of
2024-11-05) in place of a command it speaks over HTTP. The stateless era needs the second generation. `without` names what the server's
way of being reached cannot carry: `questions`, `notices` (those outside of requests), `cancelling`, `steps` (progress and logs of
requests); or single entries that the server does not have.
"""

import contextlib
import importlib.metadata
import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

STATELESS = "2026-07-28"
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


@contextlib.asynccontextmanager
async def connected(order):
    """The two streams of a session."""
    if "url" not in order:
        command = order["command"]
        way = stdio_client(StdioServerParameters(command=command[0], args=command[1:], env=order["environment"]))
    else:
        way = (sse_client if order.get("events") else streamable_http_client)(order["url"])
    async with way as (reading, writing, *_):
        yield reading, writing


async def cancel(session, tool, has_steps):
    """The tool's first progress says that it has begun, or another tool. The first generation tells the server nothing by itself."""
    id = getattr(session, "_request_id", None)  # the number the next request will get
    async with anyio.create_task_group() as group:

        async def begun(*_):
            if GENERATION == 1:
                params = types.CancelledNotificationParams(requestId=id, reason="the test said so")
                await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            group.cancel_scope.cancel()

        if not has_steps:

            async def ask():
                await session.call_tool("waiting", {})
                await begun()

            group.start_soon(ask)
        await session.call_tool(tool, {}, progress_callback=begun)
        return "answered"
    return "cancelled"


async def play(order):
    outcome = []
    has = {what: what not in order.get("without", ()) for what in ("questions", "notices", "cancelling", "steps", "subscribe")}
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

    async def note(name, awaitable):
        if name in order.get("without", ()):
            awaitable.close()
            return
        try:
            outcome.append([name, dumped(await awaitable)])
        except Exception as error:  # the SDKs call it differently
            if not hasattr(error, "error"):
                raise
            outcome.append([name, "error", dumped(error.error)])

    async def on_progress(value, total, message):
        outcome.append(["progress", value, total, message])

    async def lists(host):
        for kind in ("tools", "prompts", "resources", "resource_templates"):
            await note(kind, getattr(host, f"list_{kind}")())

    async def use(host):
        """What both eras have."""
        await lists(host)
        await note("everything", host.call_tool("everything", {"a": 1, "b": [None, 1.5, {}]}))
        asking = ("elicits", "samples", "roots", "both", "twice") if has["questions"] else ()
        for name in ("structured", "fails", "refuses", *asking):
            await note(name, host.call_tool(name, {}))
        await note("greet", host.get_prompt("greet", {"who": "é"}))
        if has["questions"]:
            await note("asks", host.get_prompt("asks"))
        for uri in ("text", "item/5", "linked", *(["asks"] if has["questions"] else []), "none"):
            await note(f"feature://{uri}", host.read_resource(f"feature://{uri}"))
        prompt = types.PromptReference(type="ref/prompt", name="greet")
        await note("complete a prompt", host.complete(prompt, {"name": "who", "value": "é"}))
        template = types.ResourceTemplateReference(type="ref/resource", uri="feature://item/{id}")
        await note("complete a template", host.complete(template, {"name": "id", "value": "5"}, {"x": "y"}))
        if has["cancelling"]:
            outcome.append(["waits", await cancel(host, "waits", has["steps"])])
            await note("waited", host.call_tool("waited", {}))

    callbacks = {
        "sampling_callback": sampled, "elicitation_callback": elicited, "list_roots_callback": roots, "logging_callback": logged,
        "message_handler": handle,
    }  # fmt: skip

    async def in_a_session():
        async with connected(order) as (reading, writing), ClientSession(reading, writing, **callbacks) as session:
            outcome.append(["revision", dumped(await session.initialize())["protocolVersion"]])
            await note("ping", session.send_ping())
            for level in ("warning", "debug"):
                await note("level", session.set_logging_level(level))
                await note("talks", session.call_tool("talks", {}, progress_callback=on_progress))
            await use(session)
            if not has["notices"]:
                return
            if has["subscribe"]:
                await note("subscribe", session.subscribe_resource("feature://text"))
                await note("subscribed", session.call_tool("updates", {}))
                await happened("updated")
                await note("unsubscribe", session.unsubscribe_resource("feature://text"))
            await session.send_roots_list_changed()
            for kind in ("tools", "prompts", "resources"):
                await note(kind, session.call_tool("changes", {"kind": kind}))
                await happened(kind)
            await lists(session)

    async def without_a_session():
        from mcp import Client

        # Nothing is taken from a cache, so that every list and read is a message.
        command = order.get("command")
        parameters = command and StdioServerParameters(command=command[0], args=command[1:], env=order["environment"])
        async with Client(parameters or order["url"], mode=STATELESS, cache=None, **callbacks) as client:
            outcome.append(["revision", client.protocol_version])
            outcome.append(["discovered", (await client.session.send_discover(STATELESS))["supportedVersions"]])
            for level in ("warning", "debug", None):
                meta = {"io.modelcontextprotocol/logLevel": level} if level else None
                await note("talks", client.call_tool("talks", {}, progress_callback=on_progress, meta=meta))
            await use(client)
            if not has["notices"]:
                return
            kinds = {f"{kind}_list_changed": True for kind in ("tools", "prompts", "resources")}
            async with client.listen(resource_subscriptions=["feature://text"]) as listening:
                await note("subscribed", client.call_tool("updates", {}))
                with anyio.fail_after(20):
                    outcome.append(["event", str(await anext(listening))])
            # It is not told any more. The SDK says that it has stopped listening behind its back; the list comes after that.
            await note("tools", client.list_tools())
            await note("not subscribed", client.call_tool("updates", {}))
            async with client.listen(**kinds) as listening:
                for kind in ("tools", "prompts", "resources"):
                    await note(kind, client.call_tool("changes", {"kind": kind}))
                    with anyio.fail_after(20):
                        outcome.append(["event", str(await anext(listening))])
            await lists(client)  # after listening, so that the end is not what ends that

    await (without_a_session() if order.get("stateless") else in_a_session())
    return outcome


print(json.dumps(anyio.run(play, json.load(sys.stdin))))
