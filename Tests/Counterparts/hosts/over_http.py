"""The Python SDK, either generation, straight at a server behind a URL: proof that the server is one.

Usage: over_http.py URL WIRE ERA; WIRE is streamable or sse, ERA is handshake or stateless. Prints a JSON array of what it got.
"""

import importlib.metadata
import json
import sys

import anyio
from mcp import ClientSession, types
from mcp.client.sse import sse_client

GENERATION = int(importlib.metadata.version("mcp").split(".")[0])
if GENERATION == 1:
    from mcp.client.streamable_http import streamablehttp_client as streamable
else:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client as streamable


async def elicited(context, params):
    return types.ElicitResult(action="accept", content={"name": "Ö"})


async def sampled(context, params):
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="é"), model="m")


async def roots(context):
    return types.ListRootsResult.model_validate({"roots": [{"uri": "file:///work"}]})


def callbacks():
    return {"elicitation_callback": elicited, "sampling_callback": sampled, "list_roots_callback": roots}


async def converse(host, listing):
    """`host` is a session or client of the SDK; both have the same methods."""
    seen = [sorted(tool.name for tool in (await host.list_tools()).tools)]
    steps = []

    async def stepped(progress, total, message):
        steps.append(progress)

    for name, arguments in [("echo", {"text": "ü"}), ("add", {"a": 2, "b": 3}), ("ask", {}), ("sample", {}), ("roots", {})]:
        seen.append((await host.call_tool(name, arguments)).content[0].text)
    seen.append((await host.call_tool("progress", {"steps": 3}, progress_callback=stepped)).content[0].text)
    seen.append(steps)
    seen.append((await host.get_prompt("greet", {"name": "Ada"})).messages[0].content.text)
    uri = listing.resources[0].uri
    seen.append((await host.read_resource(uri)).contents[0].text)
    return seen


async def main(url, wire, era):
    if wire == "sse":
        transport = sse_client(url)
    else:
        transport = streamable(url)
    if GENERATION == 1:
        async with transport as (reading, writing, *_), ClientSession(reading, writing, **callbacks()) as session:
            await session.initialize()
            await session.send_ping()
            print(json.dumps(await converse(session, await session.list_resources())))
    else:
        async with Client(transport, mode="legacy" if era == "handshake" else "auto", **callbacks()) as client:
            print(json.dumps(await converse(client, await client.list_resources())))


anyio.run(main, *sys.argv[1:])
