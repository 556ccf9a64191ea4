"""What both generations of the SDK do as hosts, written once; each adapter says how its SDK is asked."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio


OnProgress = Callable[..., Awaitable[None]]


class Host(Protocol):
    """The few things a scenario needs of an SDK."""

    revision: str
    server_name: str

    async def list_tools(self, cursor: str | None) -> tuple[list[str], str | None]: ...
    async def call(self, name: str, arguments: dict[str, Any], on_progress: OnProgress | None = None) -> dict[str, Any]: ...
    async def call_and_cancel(self, name: str, arguments: dict[str, Any]) -> str: ...
    async def ping(self) -> None: ...


def text_of(result: dict[str, Any]) -> str:
    return result["content"][0]["text"]


async def all_names(host: Host) -> list[str]:
    names, cursor = await host.list_tools(None)
    while cursor is not None:
        more, cursor = await host.list_tools(cursor)
        names += more
    return names


async def play(host: Host, plan: dict[str, Any]) -> dict[str, Any]:
    """Lists, makes the calls of the plan one by one and then all at once, reports progress, cancels."""
    outcome: dict[str, Any] = {"revision": host.revision, "serverName": host.server_name}
    await host.ping()
    outcome["names"] = await all_names(host)
    outcome["namesAgain"] = await all_names(host)
    outcome["calls"] = [await host.call(name, arguments) for name, arguments in plan["calls"]]

    texts: list[str | None] = [None] * len(plan["atOnce"])

    async def one(index: int, name: str, arguments: dict[str, Any]) -> None:
        texts[index] = text_of(await host.call(name, arguments))

    async with anyio.create_task_group() as group:
        for index, (name, arguments) in enumerate(plan["atOnce"]):
            group.start_soon(one, index, name, arguments)
    outcome["atOnce"] = texts

    progress: list[list[Any]] = []

    async def on_progress(value: float, total: float | None, message: str | None) -> None:
        progress.append([value, total, message])

    if plan.get("progress"):
        await host.call(*plan["progress"], on_progress)
    outcome["progress"] = progress
    if plan.get("cancel"):
        outcome["cancelled"] = await host.call_and_cancel(*plan["cancel"])
        # The connection must be as good as before.
        await host.ping()
    return outcome


def main(play_with: Callable[[list[str], dict[str, str], dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Reads `{command, environment, plan}` from stdin, prints the outcome as JSON."""
    order = json.load(sys.stdin)
    print(json.dumps(anyio.run(play_with, order["command"], order["environment"], order["plan"])))
