"""Real MCP clients of every kind: in memory, over HTTP, over stdio."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import ADMIN, Caller
from tests.program import ROOT, environment

ERAS = ("auto", "legacy")
"""The protocol with and without the initialize handshake."""


@asynccontextmanager
async def in_memory(
    app: App, era: str = "auto", *, caller: Caller = ADMIN, message_handler: Any = None, client_info: Any = None
) -> AsyncGenerator[Client]:
    """A client of the whole MCP face, as `caller`. `client_info`: the name that it gives itself."""

    async def authenticate(context: Any) -> Caller:
        return caller

    server, changes = whole_server(app, authenticate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.run)
        async with Client(server, mode=era, message_handler=message_handler, client_info=client_info) as client:
            yield client
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def over_http(url: str, era: str = "auto", *, token: str | None = None, message_handler: Any = None) -> AsyncGenerator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, message_handler=message_handler) as client,
    ):
        yield client


def stdio_server(data_dir: Path, database_url: str | None, *arguments: str) -> StdioServerParameters:
    """The program as a client starts it."""
    env = environment(data_dir, database_url)
    return StdioServerParameters(command=sys.executable, args=["-m", "mcp_messenger", *arguments], env=env, cwd=ROOT)


@asynccontextmanager
async def over_stdio(server: StdioServerParameters, era: str = "auto", *, log: Path, message_handler: Any = None) -> AsyncGenerator[Client]:
    """`log`: where the program's stderr goes."""
    with log.open("a", encoding="utf-8") as stderr:
        async with Client(stdio_client(server, stderr), mode=era, message_handler=message_handler) as client:
            yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a call that must succeed."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, text_of(answer)
    return answer.structured_content or {}


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a call that must fail."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error, answer.structured_content
    return text_of(answer)


def text_of(answer: CallToolResult) -> str:
    return "".join(block.text for block in answer.content if block.type == "text")
