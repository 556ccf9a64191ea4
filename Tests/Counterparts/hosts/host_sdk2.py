"""The Python SDK 2 as a host, in its handshake mode."""

from typing import Any

import anyio
from mcp import Client, StdioServerParameters

import scenario


class Sdk2:
    def __init__(self, client: Client):
        self.client = client
        self.revision = client.protocol_version
        self.server_name = client.server_info.name if client.server_info else ""

    async def list_tools(self, cursor):
        result = await self.client.list_tools(cursor=cursor)
        return [tool.name for tool in result.tools], result.next_cursor

    async def call(self, name, arguments, on_progress=None) -> dict[str, Any]:
        result = await self.client.call_tool(name, arguments, progress_callback=on_progress)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def call_and_cancel(self, name, arguments) -> str:
        """The SDK tells the server when the caller stops waiting. The tool's first progress says that it has begun."""
        async with anyio.create_task_group() as group:

            async def begun(*_: Any) -> None:
                group.cancel_scope.cancel()

            await self.call(name, arguments, begun)
            return "answered"
        return "cancelled"

    async def ping(self) -> None:
        await self.client.send_ping()


async def play(command, environment, plan):
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    async with Client(parameters, mode="legacy") as client:
        return await scenario.play(Sdk2(client), plan)


scenario.main(play)
