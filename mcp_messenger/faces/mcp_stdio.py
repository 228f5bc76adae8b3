"""MCP over stdio: for a client on this computer, which is its user's. Stdout belongs to the protocol."""

from typing import Any

import anyio

from mcp_messenger.app import App
from mcp_messenger.caller import ADMIN, Caller
from mcp_messenger.faces.mcp import MessengerServer
from mcp_messenger.faces.mcp_changes import Changes
from mcp_messenger.faces.mcp_resources import add_completion, add_prompts, add_resources


async def _local_user(context: Any) -> Caller:
    return ADMIN


async def serve_stdio(app: App) -> None:
    """Until the client closes its end."""
    changes = Changes(app)
    app.feed.listeners.append(changes)
    server = MessengerServer(app, _local_user, subscriptions=changes.bus)
    add_resources(server, app, _local_user)
    add_completion(server, app, local=True)
    add_prompts(server)
    changes.serve(server, _local_user)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.run)
        await server.run_stdio_async()
        tasks.cancel_scope.cancel()
