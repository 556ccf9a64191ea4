"""The Python SDK 1 as a host."""

from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import McpError

import scenario


class Sdk1:
    def __init__(self, session: ClientSession, initialized: types.InitializeResult):
        self.session = session
        self.revision = str(initialized.protocolVersion)
        self.server_name = initialized.serverInfo.name

    async def list_tools(self, cursor):
        params = types.PaginatedRequestParams(cursor=cursor) if cursor is not None else None
        result = await self.session.list_tools(params=params)
        return [tool.name for tool in result.tools], result.nextCursor

    async def call(self, name, arguments, on_progress=None) -> dict[str, Any]:
        result = await self.session.call_tool(name, arguments, progress_callback=on_progress)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def call_and_cancel(self, name, arguments) -> str:
        """This SDK tells the server nothing by itself, so the notification is sent by hand, under the id of the request.
        The tool's first progress says that it has begun."""
        request_id = self.session._request_id  # the number the next request will get
        async with anyio.create_task_group() as group:

            async def begun(*_: Any) -> None:
                params = types.CancelledNotificationParams(requestId=request_id, reason="the test said so")
                await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
                group.cancel_scope.cancel()

            try:
                await self.call(name, arguments, begun)
            except McpError as error:
                return f"error {error}"
            return "answered"
        return "cancelled"

    async def ping(self) -> None:
        await self.session.send_ping()


async def play(command, environment, plan):
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    async with stdio_client(parameters) as (reading, writing), ClientSession(reading, writing) as session:
        return await scenario.play(Sdk1(session, await session.initialize()), plan)


scenario.main(play)
