"""A server for the pages alone, on this computer: for a process that a client talks to over stdio, as soon as a person is sent to a page."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from mcp_messenger.operations.application import App


@asynccontextmanager
async def pages_on_demand(app: "App") -> AsyncGenerator[None]:
    """Listen on a free port of 127.0.0.1 from the first page on, until this is left."""
    app.pages.wait_for_need()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_serve, app)
        yield
        tasks.cancel_scope.cancel()


async def _serve(app: "App") -> None:
    await app.pages.wanted.wait()
    # Nothing of this is needed before, and it takes longer to load than the rest.
    import uvicorn
    from starlette.applications import Starlette

    from mcp_messenger.api.middleware import BodyLimit, HostGuard, SecurityHeaders
    from mcp_messenger.api.pages.routes import page_routes
    from mcp_messenger.net.server import listening_socket
    from providers.part_server import PartServer

    with listening_socket("127.0.0.1", 0) as listener:
        guarded = HostGuard(SecurityHeaders(BodyLimit(Starlette(routes=list(page_routes(app))), limit=64 * 1024)))
        config = uvicorn.Config(guarded, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False, proxy_headers=False)
        server = PartServer(config)
        app.pages.opened(f"http://127.0.0.1:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
